//! `wharf why`: what keeps a digest, or what removed it.

use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::provenance::{Collected, Link, Named, Place, Provenance, StoredBlob};
use wharf_storage::oci::{Digest, Tag};

use super::error::Error;
use super::office::{self, shown};
use crate::app;
use crate::config::{Config, Flags, Size};

/// Which digest.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The digest of a blob or a manifest
    digest: Digest,
    #[command(flatten)]
    flags: Flags,
}

/// Tells it.
pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments { digest, flags } = arguments;
    office::run(&flags, |office, config| async move {
        let known = office.metadata.provenance(&digest).await;
        for line in lines(&known.map_err(app::Error::Metadata)?, &config) {
            println!("{line}");
        }
        Ok(())
    })
}

fn lines(known: &Provenance, config: &Config) -> Vec<String> {
    if *known == Provenance::default() {
        return vec!["nothing is known of it".to_owned()];
    }
    let mut lines = Vec::new();
    for place in &known.manifests {
        lines.extend(manifest(place, config));
    }
    if let Some(stored) = &known.blob {
        lines.push(blob(stored, config));
    }
    for link in &known.links {
        lines.extend(linked(link, config));
    }
    lines.extend(known.collected.iter().map(collected));
    lines
}

fn manifest(place: &Place, config: &Config) -> Vec<String> {
    let name = &place.repository;
    let pushed = shown(Some(place.pushed_at));
    let state = match place.deleted_at {
        Some(at) => in_trash(at, config),
        None if place.tags.is_empty() => "no tag names it".to_owned(),
        None => format!("named by {}", joined(&place.tags)),
    };
    let mut lines = vec![format!("manifest in {name} since {pushed}: {state}")];
    lines.extend(place.named_by.iter().map(named));
    lines
}

fn blob(stored: &StoredBlob, config: &Config) -> String {
    let (size, location) = (Size::new(stored.size), &stored.location);
    if let Some(at) = stored.quarantined_at {
        let at = shown(Some(at));
        return format!(
            "blob of {size} at {location}: its bytes are wrong, found {at}; nobody gets it until it \
             is pushed again"
        );
    }
    let state = match stored.condemned_at {
        Some(at) => {
            let until = shown(Some(at.after(config.gc.keep_condemned.duration())));
            format!("no repository has it: it goes after {until}, unless it is pushed again")
        }
        None => {
            let (since, checked) = (shown(Some(stored.created_at)), shown(stored.checked_at));
            format!("since {since}, read as a whole last: {checked}")
        }
    };
    format!("blob of {size} at {location}: {state}")
}

fn linked(link: &Link, config: &Config) -> Vec<String> {
    let name = &link.repository;
    let since = shown(Some(link.linked_at));
    let state = match (link.deleted_at, link.named_by.is_empty(), link.review_since) {
        (Some(at), ..) => in_trash(at, config),
        (None, false, _) => "kept by".to_owned(),
        (None, true, Some(review)) => {
            let until = shown(Some(review.after(config.gc.grace.duration())));
            format!("no manifest names it: it stays until {until}")
        }
        (None, true, None) => "no manifest names it, and nobody has asked to look".to_owned(),
    };
    let mut lines = vec![format!("blob in {name} since {since}: {state}")];
    lines.extend(link.named_by.iter().map(named));
    lines
}

fn named(by: &Named) -> String {
    let tags = match by.tags.is_empty() {
        true => String::new(),
        false => format!(" ({})", joined(&by.tags)),
    };
    let state = match by.deleted_at {
        Some(_) => ", which is in the trash",
        None => "",
    };
    format!("  manifest {}{tags}{state}", by.digest)
}

fn collected(collected: &Collected) -> String {
    let at = shown(Some(collected.at));
    let (reason, size) = (&collected.reason, Size::new(collected.size));
    match &collected.repository {
        Some(name) => format!("gone from {name} since {at}: {reason}"),
        None => format!("bytes gone since {at} ({size}): {reason}"),
    }
}

fn in_trash(deleted_at: Timestamp, config: &Config) -> String {
    let (at, until) = (
        shown(Some(deleted_at)),
        shown(Some(deleted_at.after(config.gc.keep_deleted.duration()))),
    );
    format!("deleted {at}, and can be restored until {until}")
}

fn joined(tags: &[Tag]) -> String {
    let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
    tags.join(", ")
}
