//! What the metadata must do about bytes that lie in a store already, on every database. It collects
//! too, so it runs behind everything else.

use std::time::Duration;

use super::collection::collect;
use super::{NOW, by, digest, repository};
use crate::blob::Location;
use crate::metadata::{Blob, Metadata};

const DAY: Duration = Duration::from_secs(86_400);

/// Runs this part of the contract.
pub(super) async fn holds(metadata: &Metadata) {
    what_lies_there_is_known_and_seen_once_it_is_linked(metadata).await;
    what_another_program_named_is_not_taken_in_while_it_is_removed(metadata).await;
}

/// A blob under a location.
fn blob(content: &str, location: &str) -> Blob {
    Blob {
        digest: digest(content),
        size: content.len() as u64,
        location: location.parse().expect("a location"),
    }
}

async fn location_of(metadata: &Metadata, content: &str) -> Option<Location> {
    let digest = digest(content);
    let found = metadata.blob_locations(vec![digest.clone()]).await;
    found.expect("read").remove(&digest)
}

async fn what_lies_there_is_known_and_seen_once_it_is_linked(metadata: &Metadata) {
    let name = repository("adopt/seen");
    let first = blob("adopted", "sha256/00/adopted-1");
    assert_eq!(location_of(metadata, "adopted").await, None);
    let adopt = |blob: &Blob| metadata.adopt_blobs(vec![blob.clone()], NOW);
    assert_eq!(adopt(&first).await.expect("adopted"), 1);
    let second = blob("adopted", "sha256/00/adopted-2");
    assert_eq!(adopt(&second).await.expect("adopted"), 0, "it is known");
    let location = location_of(metadata, "adopted").await;
    assert_eq!(location.as_ref(), Some(&first.location));

    let seen = async || metadata.blob(&name, &first.digest).await.expect("read");
    assert_eq!(seen().await, None);
    let link = || metadata.adopt_link(&name, &first.digest, by("somebody", NOW));
    assert!(link().await.expect("linked"));
    assert_eq!(seen().await.as_ref(), Some(&first));
    let quarantine = |blob: &Blob| metadata.quarantine(vec![blob.clone()], NOW);
    quarantine(&second).await.expect("nothing is done");
    assert!(seen().await.is_some(), "it lies elsewhere");
    quarantine(&first).await.expect("quarantined");
    assert_eq!(seen().await, None);
    assert!(!link().await.expect("not linked"));
}

async fn what_another_program_named_is_not_taken_in_while_it_is_removed(metadata: &Metadata) {
    let name = repository("adopt/removed");
    let at = |number: u8| {
        let id = format!("018f4e9c-7b1a-7c3d-8e5f-0123456789a{number}");
        blob("of another", &format!("adopted/{id}/old/blobs/data"))
    };
    let adopt = |number| metadata.adopt_blobs(vec![at(number)], NOW);
    assert_eq!(adopt(1).await.expect("adopted"), 1);
    let first = at(1).digest;
    let linked = metadata.adopt_link(&name, &first, by("somebody", NOW));
    assert!(linked.await.expect("linked"));
    collect(metadata, NOW.after(DAY)).await;
    collect(metadata, NOW.after(2 * DAY)).await;
    assert_eq!(location_of(metadata, "of another").await, None);
    assert_eq!(adopt(2).await.expect("left"), 0, "its key is being removed");
    assert_eq!(location_of(metadata, "of another").await, None);
    metadata.removed(&[at(1).location]).await.expect("removed");
    assert_eq!(adopt(3).await.expect("adopted"), 1);
}
