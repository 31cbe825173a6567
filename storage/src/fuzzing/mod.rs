//! The parsers of this crate, each as a function that takes any bytes and asserts what has to hold.
//!
//! The list is used twice: by the tests, with a mutator that a seed decides, and by cargo-fuzz, which
//! looks for bytes that reach new code (`make fuzz`).

#[cfg(test)]
#[path = "../../../tests/support/fuzzer.rs"]
mod fuzzer;

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::blob::Location;
use crate::metadata::postgres;
use crate::oci::{
    Algorithm, ContentKind, Descriptor, Digest, Manifest, MediaType, Reference, RepositoryName, Tag,
};
use crate::pattern::Pattern;
use crate::record::RecordName;
use crate::s3;
use crate::upload::{Hasher, UploadId};

/// A parser's name, and what takes bytes to it.
pub type Target = (&'static str, fn(&[u8]));

/// All parsers.
pub const TARGETS: &[Target] = &[
    ("descriptor", |bytes| json_reads_back::<Descriptor>(bytes)),
    ("digest", digest),
    ("hasher-state", hasher_state),
    ("location", location),
    ("manifest", manifest),
    ("media-type", media_type),
    ("pattern", pattern),
    ("postgres-address", |bytes| text(bytes, postgres::fuzz)),
    ("record-name", |bytes| reads_back::<RecordName>(bytes)),
    ("reference", |bytes| reads_back::<Reference>(bytes)),
    ("repository-name", repository_name),
    ("s3-multiparts", s3::fuzz_multiparts),
    ("s3-upload-state", |bytes| text(bytes, s3::fuzz_state)),
    ("tag", tag),
    ("upload-id", |bytes| reads_back::<UploadId>(bytes)),
];

/// Runs a target on texts.
fn text(bytes: &[u8], run: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        run(text);
    }
}

/// What is accepted is the same when it is written and read again.
fn reads_back<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(bytes: &[u8]) {
    text(bytes, |text| {
        let Ok(value) = text.parse::<T>() else {
            return;
        };
        let written = value.to_string();
        let again: T = written.parse().expect("what was written can be read");
        assert_eq!(again, value);
    });
}

/// The same for JSON.
fn json_reads_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&value).expect("it has a JSON form");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, value);
}

/// Whether a text is a component of a repository's name, told by hand from the grammar
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_component(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    let mut joints = text.split(|letter: char| u8::try_from(letter).is_ok_and(is_plain));
    is_plain(*first)
        && is_plain(*last)
        && joints.all(|joint| {
            let is_dashes = joint.bytes().all(|byte| byte == b'-');
            is_dashes || matches!(joint, "." | "_" | "__")
        })
}

fn repository_name(bytes: &[u8]) {
    text(bytes, |text| {
        let is_name = text.len() <= 255 && text.split('/').all(is_component);
        let parsed = text.parse::<RepositoryName>();
        assert_eq!(parsed.is_ok(), is_name, "{text:?}");
        if let Ok(name) = parsed {
            assert_eq!(name.as_str(), text);
            assert!(!text.contains("..") && !text.starts_with('/') && !text.ends_with('/'));
        }
    });
}

fn tag(bytes: &[u8]) {
    text(bytes, |text| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_tag = (1..=128).contains(&text.len())
            && is_plain(text.as_bytes()[0])
            && text
                .bytes()
                .all(|byte| is_plain(byte) || b".-".contains(&byte));
        let parsed = text.parse::<Tag>();
        assert_eq!(parsed.is_ok(), is_tag, "{text:?}");
        if let Ok(tag) = parsed {
            assert_eq!(tag.as_str(), text);
            if let Some(subject) = tag.subject() {
                let of_subject = Tag::of_referrers(&subject);
                assert!(
                    text.starts_with(of_subject.as_str()),
                    "{text} is of {subject}"
                );
            }
        }
    });
}

fn digest(bytes: &[u8]) {
    text(bytes, |text| {
        let digits = |hex: &str, length| {
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            hex.len() == length && hex.bytes().all(is_digit)
        };
        let is_digest = match text.split_once(':') {
            Some(("sha256", hex)) => digits(hex, 64),
            Some(("sha512", hex)) => digits(hex, 128),
            _ => false,
        };
        let parsed = text.parse::<Digest>();
        assert_eq!(parsed.is_ok(), is_digest, "{text:?}");
        if let Ok(digest) = parsed {
            assert_eq!(digest.to_string(), text);
        }
    });
}

fn media_type(bytes: &[u8]) {
    reads_back::<MediaType>(bytes);
    text(bytes, |text| {
        if let Ok(media_type) = text.parse::<MediaType>() {
            let kept = media_type.as_str();
            assert!(kept.len() <= 255 && kept.is_ascii(), "{kept:?}");
            assert_eq!(kept.matches('/').count(), 1, "{kept:?}");
            let is_safe = |byte: u8| byte.is_ascii_graphic() && !b";,\"\\<>()".contains(&byte);
            assert!(kept.bytes().all(is_safe), "{kept:?}");
            assert!(
                !(media_type.is_image() && media_type.is_index()),
                "{kept:?}"
            );
        }
    });
}

fn manifest(bytes: &[u8]) {
    let whole = Bytes::copy_from_slice(bytes);
    for content_type in [None, Some(MediaType::OCI_IMAGE), Some(MediaType::OCI_INDEX)] {
        let content_type = content_type.map(MediaType::known);
        let Ok(manifest) = Manifest::parse(whole.clone(), content_type.as_ref()) else {
            continue;
        };
        assert_eq!(manifest.bytes(), bytes);
        for algorithm in Algorithm::ALL {
            assert_eq!(manifest.digest(algorithm), Digest::of(algorithm, bytes));
        }
        let kinds: BTreeSet<bool> = manifest
            .references()
            .iter()
            .map(|reference| matches!(reference.kind, ContentKind::Blob | ContentKind::ForeignBlob))
            .collect();
        assert!(kinds.len() < 2, "an image and an index at once");
        // Under the type that it has it reads the same.
        let media_type = manifest.media_type().clone();
        let again = Manifest::parse(whole.clone(), Some(&media_type)).expect("it has this type");
        assert_eq!(again.references(), manifest.references());
        assert_eq!(again.subject(), manifest.subject());
        assert_eq!(again.artifact_type(), manifest.artifact_type());
        assert_eq!(again.annotations(), manifest.annotations());
        // A reader that takes the last of two members sees nothing else.
        let value: serde_json::Value = serde_json::from_slice(bytes).expect("it is JSON");
        let subject = value["subject"]["digest"].as_str();
        assert_eq!(manifest.subject().map(Digest::as_str), subject);
        let is_index = value.get("manifests").is_some_and(|list| !list.is_null());
        let is_image = ["config", "layers"]
            .iter()
            .any(|name| value.get(name).is_some_and(|member| !member.is_null()));
        assert!(!(is_index && is_image), "a reader could take it for either");
    }
}

fn location(bytes: &[u8]) {
    reads_back::<Location>(bytes);
    text(bytes, |text| {
        if text.parse::<Location>().is_ok() {
            let below = std::path::Path::new("/root").join(text);
            assert!(below.starts_with("/root"), "{text:?}");
            assert!(!text.split('/').any(|part| matches!(part, "" | "." | "..")));
        }
    });
}

fn hasher_state(bytes: &[u8]) {
    if let Ok(mut hasher) = Hasher::restore(bytes) {
        assert_eq!(hasher.store(), bytes);
        hasher.update(b"more");
        let _ = hasher.digest();
    }
}

/// Whether a pattern stands for a text, told in the plainest way: what each place of the pattern can
/// reach in the text.
fn stands_for(pattern: &[u8], text: &[u8]) -> bool {
    let mut reached: BTreeSet<usize> = BTreeSet::from([0]);
    for byte in pattern {
        let from = reached.iter().copied();
        reached = match byte {
            b'*' => reached
                .first()
                .map_or_else(BTreeSet::new, |first| (*first..=text.len()).collect()),
            b'?' => from
                .filter(|at| *at < text.len())
                .map(|at| at + 1)
                .collect(),
            byte => from
                .filter(|at| text.get(*at) == Some(byte))
                .map(|at| at + 1)
                .collect(),
        };
    }
    reached.contains(&text.len())
}

/// A pattern, a line's end, and a text.
fn pattern(bytes: &[u8]) {
    text(bytes, |both| {
        let (pattern, text) = both.split_once('\n').unwrap_or((both, ""));
        // Nothing that patterns are asked about is longer than a repository's name.
        let longest = text.char_indices().map(|(at, _)| at).find(|at| *at > 250);
        let text = &text[..longest.unwrap_or(text.len())];
        if pattern.len() > 1000 {
            let _ = Pattern::new(pattern).matches(text);
            return;
        }
        let expected = stands_for(pattern.as_bytes(), text.as_bytes());
        assert_eq!(
            Pattern::new(pattern).matches(text),
            expected,
            "{pattern:?} {text:?}"
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_upset_a_parser_of_what_is_kept() {
        fuzzer::run("storage", TARGETS);
    }
}
