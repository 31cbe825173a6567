//! Documents that administrators and clients write.

use std::time::Duration;

use bytes::Bytes;
use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::{Event, Image, ImageFacts, StorageClass};
use wharf_storage::oci::{Algorithm, Digest, MediaType};

use super::{reads_back, text};
use crate::config::{Config, Size, Span};
use crate::events::sink::Secret;
use crate::events::{Format, Origin};
use crate::http::ecr;
use crate::lifecycle::{self, Decision, Policy};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Images of several ages, with tags, without, and in the archive.
fn images() -> Vec<ImageFacts> {
    let image = |number: u64| {
        let pushed_at = NOW.before(Duration::from_secs(number * 86_400));
        let tags: Vec<String> = match number % 3 {
            0 => Vec::new(),
            1 => vec![format!("v{number}")],
            _ => vec![format!("prod-{number}"), "latest".to_owned()],
        };
        let is_archived = number.is_multiple_of(5);
        ImageFacts {
            image: Image {
                digest: Digest::of(Algorithm::Sha256, &number.to_le_bytes()),
                media_type: MediaType::known(MediaType::OCI_IMAGE),
                artifact_type: None,
                subject: None,
                tags: tags.iter().map(|tag| tag.parse().expect("a tag")).collect(),
                pushed_at,
                pulled_at: number.is_multiple_of(2).then_some(pushed_at),
                storage_class: if is_archived {
                    StorageClass::Archive
                } else {
                    StorageClass::Standard
                },
                archived_at: is_archived.then_some(pushed_at),
                activated_at: None,
                bytes: Bytes::new(),
            },
            last_pushed_at: pushed_at,
            children: Vec::new(),
            is_leased: number == 7,
            is_locked: number == 8,
        }
    };
    (0..200).step_by(13).map(image).collect()
}

pub(super) fn lifecycle_policy(bytes: &[u8]) {
    text(bytes, |text| {
        let Ok(policy) = Policy::parse(text) else {
            return;
        };
        assert!(!policy.rules.is_empty());
        assert!(
            policy
                .rules
                .is_sorted_by(|one, other| one.priority < other.priority)
        );
        let images = images();
        let decided = lifecycle::select(&policy, &images, NOW);
        assert_eq!(decided.len(), images.len(), "each image is decided about");
        for (facts, outcome) in images.iter().zip(&decided) {
            assert_eq!(facts.image.digest, outcome.digest);
            if facts.is_leased || facts.is_locked {
                assert_eq!(outcome.decision, Decision::Keep, "somebody needs it");
            }
        }
        let decided: Vec<_> = images.into_iter().zip(decided).collect();
        let _ = lifecycle::steps(&decided);
    });
}

/// An operation, a line's end, and its input.
pub(super) fn ecr_input(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let operation = String::from_utf8_lossy(parts.next().unwrap_or_default());
    ecr::fuzz(&operation, parts.next().unwrap_or_default());
}

pub(super) fn configuration(bytes: &[u8]) {
    text(bytes, |text| {
        let Ok(config) = Config::from_text(text) else {
            return;
        };
        let _ = config.check();
        let written = toml::to_string(&config).expect("a configuration has a TOML form");
        let again = Config::from_text(&written).expect("what was written can be read");
        let again = toml::to_string(&again).expect("a configuration has a TOML form");
        assert_eq!(again, written);
    });
}

pub(super) fn units(bytes: &[u8]) {
    text(bytes, |text| {
        reads_back::<Span>(text);
        reads_back::<Size>(text);
    });
}

pub(super) fn event(bytes: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Event>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&event).expect("it has a JSON form");
    let again: Event = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, event);
    let origin = Origin {
        account: "000000000000".into(),
        region: "us-east-1".into(),
        url: "https://h.example".into(),
        instance: "one".into(),
    };
    for format in [Format::CloudEvents, Format::EventBridge, Format::Docker] {
        let _ = format.write(&event, &origin);
    }
}

pub(super) fn webhook_secret(bytes: &[u8]) {
    text(bytes, |text| {
        let Ok(secret) = Secret::parse(text) else {
            return;
        };
        assert!((24..=64).contains(&secret.as_bytes().len()));
        assert_eq!(secret.reveal(), text);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    });
}
