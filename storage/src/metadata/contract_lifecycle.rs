//! What the metadata must do about groups of images that policies expire and archive, on every
//! database.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::{NOW, Timestamp, by, image, push, repository, tag};
use crate::metadata::{
    Chosen, EventKind, ManifestPush, Metadata, Pull, Pulled, StorageClass, Stream,
};
use crate::oci::{Algorithm, Digest, Manifest, MediaType, Reference, RepositoryName, Tag};

const DAY: u64 = 86_400;

/// Runs this part of the contract.
pub(super) async fn holds(metadata: &Metadata) {
    what_is_named_by_an_index_that_stays_is_not_expired(metadata).await;
    what_was_pushed_again_waits_for_its_index(metadata).await;
    a_group_goes_as_one_and_stays_as_one(metadata).await;
    a_referrer_does_not_go_before_its_subject(metadata).await;
    what_changed_meanwhile_is_not_archived(metadata).await;
    a_tag_that_moved_is_not_removed(metadata).await;
    a_group_is_archived_and_restored_as_one(metadata).await;
    a_push_restores_the_group_and_tells(metadata).await;
    what_was_deleted_begins_anew(metadata).await;
}

fn days(days: u64) -> Timestamp {
    NOW.after(Duration::from_secs(days * DAY))
}

fn index(of: &[&Digest]) -> Manifest {
    let manifests: Vec<_> = of
        .iter()
        .map(|digest| json!({"mediaType": MediaType::OCI_IMAGE, "digest": digest, "size": 1}))
        .collect();
    let document = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX,
        "manifests": manifests});
    Manifest::parse(Bytes::from(document.to_string()), None).expect("an index")
}

/// A repository, and what is done in it.
struct Place<'a> {
    metadata: &'a Metadata,
    name: RepositoryName,
}

impl<'a> Place<'a> {
    fn new(metadata: &'a Metadata, name: &str) -> Self {
        let name = repository(name);
        Self { metadata, name }
    }

    async fn push(&self, manifest: &Manifest, tags: &[&str], now: Timestamp) -> Digest {
        let pushed = ManifestPush {
            change: by("somebody", now),
            ..push(&self.name, manifest, tags)
        };
        self.metadata.push_manifest(pushed).await.expect("pushed");
        manifest.digest(Algorithm::Sha256)
    }

    async fn expire(&self, chosen: &[(&Digest, &[&str])], now: Timestamp) -> u64 {
        let gone = self
            .metadata
            .expire_images(&self.name, choices(chosen), by("lifecycle", now));
        gone.await.expect("asked")
    }

    async fn archive(&self, chosen: &[(&Digest, &[&str])], now: Timestamp) -> u64 {
        let gone = self
            .metadata
            .archive_images(&self.name, choices(chosen), by("lifecycle", now));
        gone.await.expect("asked")
    }

    async fn move_to(&self, digest: &Digest, class: StorageClass, now: Timestamp) {
        let moved = self
            .metadata
            .set_storage_class(&self.name, digest, class, by("actor", now));
        assert!(moved.await.expect("asked"));
    }

    /// Which of these can be pulled.
    async fn pullable(&self, digests: &[&Digest]) -> Vec<bool> {
        let mut found = Vec::new();
        for digest in digests {
            let reference = Reference::Digest((*digest).clone());
            let head = self.metadata.manifest_head(&self.name, &reference).await;
            found.push(head.expect("asked").is_some());
        }
        found
    }

    async fn lease(&self, digest: &Digest, until: Timestamp, now: Timestamp) {
        let leased = self.metadata.lease(digest, "cluster", until, now);
        leased.await.expect("leased");
    }
}

fn choices(chosen: &[(&Digest, &[&str])]) -> Vec<Chosen> {
    let one = |(digest, tags): &(&Digest, &[&str])| Chosen {
        digest: (*digest).clone(),
        tags: tags.iter().map(|text| tag(text)).collect(),
    };
    chosen.iter().map(one).collect()
}

async fn what_is_named_by_an_index_that_stays_is_not_expired(metadata: &Metadata) {
    let place = Place::new(metadata, "lifecycle/named");
    let child = place.push(&image("child", None, "a/b"), &[], NOW).await;
    // A policy has chosen it; now the index comes.
    let named = place.push(&index(&[&child]), &["v1"], days(9)).await;
    assert_eq!(place.expire(&[(&child, &[])], days(9)).await, 0);
    let outer = place.push(&index(&[&named]), &["v2"], days(9)).await;
    assert_eq!(
        place
            .expire(&[(&named, &["v1"]), (&child, &[])], days(9))
            .await,
        0,
        "an index that an index names"
    );
    let all: [(&Digest, &[&str]); 3] = [(&outer, &["v2"]), (&named, &["v1"]), (&child, &[])];
    assert_eq!(place.expire(&all, days(9)).await, 3);
    assert_eq!(place.pullable(&[&outer, &named, &child]).await, [false; 3]);
}

async fn what_was_pushed_again_waits_for_its_index(metadata: &Metadata) {
    let place = Place::new(metadata, "lifecycle/again");
    let manifest = image("child", None, "a/b");
    let child = place.push(&manifest, &[], NOW).await;
    place.push(&manifest, &[], days(9)).await;
    let facts = metadata.image_facts(&place.name, days(9)).await;
    let facts = facts.expect("asked").remove(0);
    assert_eq!(
        (facts.image.pushed_at, facts.last_pushed_at),
        (NOW, days(9))
    );
    let within = days(9).after(Duration::from_secs(3599));
    let behind = days(9).after(Duration::from_secs(3600));
    assert!(facts.is_settling(within) && !facts.is_settling(behind));
    assert_eq!(place.expire(&[(&child, &[])], within).await, 0);
    assert_eq!(place.archive(&[(&child, &[])], within).await, 0);
    assert_eq!(place.expire(&[(&child, &[])], behind).await, 1);
}

async fn a_group_goes_as_one_and_stays_as_one(metadata: &Metadata) {
    let place = Place::new(metadata, "lifecycle/group");
    let shared = place.push(&image("shared", None, "a/b"), &[], NOW).await;
    let child = place.push(&image("only", None, "a/b"), &[], NOW).await;
    let first = place.push(&index(&[&shared, &child]), &["v1"], NOW).await;
    let second = place.push(&index(&[&shared]), &["v2"], NOW).await;
    let signature = image("signature", Some(&child), "a/signature");
    let signature = place.push(&signature, &[], NOW).await;
    let group: [(&Digest, &[&str]); 4] = [
        (&first, &["v1"]),
        (&shared, &[]),
        (&child, &[]),
        (&signature, &[]),
    ];

    place.lease(&signature, days(3), days(2)).await;
    assert_eq!(place.expire(&group, days(2)).await, 0, "a member is leased");
    assert_eq!(place.archive(&group, days(2)).await, 0);
    assert_eq!(place.pullable(&[&first, &shared, &child]).await, [true; 3]);

    assert_eq!(place.expire(&group, days(4)).await, 3);
    assert_eq!(
        place.pullable(&[&first, &shared, &child, &signature]).await,
        [false, true, false, false],
        "what another index holds stays"
    );
    let rest: [(&Digest, &[&str]); 2] = [(&second, &["v2"]), (&shared, &[])];
    assert_eq!(place.expire(&rest, days(4)).await, 2);
}

async fn a_referrer_does_not_go_before_its_subject(metadata: &Metadata) {
    let place = Place::new(metadata, "lifecycle/referrers");
    let subject = place
        .push(&image("subject", None, "a/b"), &["v1"], NOW)
        .await;
    let referrer = image("referrer", Some(&subject), "a/signature");
    let referrer = place.push(&referrer, &[], NOW).await;
    let cosign = format!("{}.sig", Tag::of_referrers(&subject));
    let signature = place
        .push(&image("cosign", None, "a/b"), &[&cosign], NOW)
        .await;
    assert_eq!(place.expire(&[(&referrer, &[])], days(1)).await, 0);
    assert_eq!(place.expire(&[(&signature, &[&cosign])], days(1)).await, 0);
    // The subject has another tag now than it was chosen with, so nothing of the group goes.
    place
        .push(&image("subject", None, "a/b"), &["v2"], days(1))
        .await;
    let group: [(&Digest, &[&str]); 3] = [
        (&subject, &["v1"]),
        (&referrer, &[]),
        (&signature, &[&cosign]),
    ];
    assert_eq!(place.expire(&group, days(2)).await, 0);
    let group: [(&Digest, &[&str]); 3] = [
        (&subject, &["v1", "v2"]),
        (&referrer, &[]),
        (&signature, &[&cosign]),
    ];
    assert_eq!(place.expire(&group, days(2)).await, 3);
}

async fn what_changed_meanwhile_is_not_archived(metadata: &Metadata) {
    let place = Place::new(metadata, "lifecycle/archived");
    let child = place.push(&image("child", None, "a/b"), &[], NOW).await;
    let own = place.push(&index(&[&child]), &["v1"], NOW).await;
    let other = place.push(&image("other", None, "a/b"), &["v2"], NOW).await;
    assert_eq!(
        place.archive(&[(&child, &[])], days(1)).await,
        0,
        "it is held"
    );
    assert_eq!(place.archive(&[(&other, &["v0"])], days(1)).await, 0);
    metadata
        .lock_tag(&place.name, &tag("v2"), Some(NOW))
        .await
        .expect("locked");
    assert_eq!(place.archive(&[(&other, &["v2"])], days(1)).await, 0);
    let group: [(&Digest, &[&str]); 2] = [(&own, &["v1"]), (&child, &[])];
    assert_eq!(place.archive(&group, days(1)).await, 2);
    assert_eq!(place.archive(&group, days(1)).await, 0, "it is there");
    assert_eq!(
        place.pullable(&[&own, &child, &other]).await,
        [false, false, true]
    );
}

async fn a_tag_that_moved_is_not_removed(metadata: &Metadata) {
    let place = Place::new(metadata, "lifecycle/untagged");
    let tags = ["moved", "locked", "stays"];
    let old = place.push(&image("old", None, "a/b"), &tags, NOW).await;
    let new = place
        .push(&image("new", None, "a/b"), &["moved"], NOW)
        .await;
    let untag = |names: &'static [&'static str], now| {
        let tags = names.iter().map(|name| tag(name)).collect();
        let gone = metadata.untag_image(&place.name, &old, tags, by("lifecycle", now));
        async move { gone.await.expect("asked") }
    };
    assert_eq!(untag(&["moved"], NOW).await, 0);
    place.lease(&old, days(1), NOW).await;
    assert_eq!(untag(&["stays"], NOW).await, 0, "somebody runs it");
    assert_eq!(untag(&["moved", "stays"], days(1)).await, 1);
    metadata
        .lock_tag(&place.name, &tag("locked"), Some(NOW))
        .await
        .expect("locked");
    assert_eq!(untag(&["locked"], days(1)).await, 0);
    let named = metadata.tagged(&place.name, &tag("moved")).await;
    assert_eq!(named.expect("asked"), Some(new));
}

async fn a_group_is_archived_and_restored_as_one(metadata: &Metadata) {
    use StorageClass::{Archive, Standard};

    let place = Place::new(metadata, "lifecycle/class");
    let shared = place.push(&image("shared", None, "a/b"), &[], NOW).await;
    let inner = place.push(&image("inner", None, "a/b"), &[], NOW).await;
    let tagged = place
        .push(&image("tagged", None, "a/b"), &["v0"], NOW)
        .await;
    let nested = place.push(&index(&[&inner]), &[], NOW).await;
    let first = index(&[&inner, &nested, &shared, &tagged]);
    let first = place.push(&first, &["v1"], NOW).await;
    let second = place.push(&index(&[&shared]), &["v2"], NOW).await;
    let all = [&first, &nested, &inner, &shared, &tagged, &second];

    place.move_to(&first, Archive, days(1)).await;
    assert_eq!(
        place.pullable(&all).await,
        [false, false, false, true, true, true],
        "what another index holds can be pulled, and what has a tag of its own"
    );
    place.move_to(&second, Archive, days(1)).await;
    assert_eq!(
        place.pullable(&all).await,
        [false, false, false, false, true, false]
    );
    place.move_to(&first, Standard, days(2)).await;
    assert_eq!(
        place.pullable(&all).await,
        [true, true, true, true, true, false]
    );
}

async fn a_push_restores_the_group_and_tells(metadata: &Metadata) {
    let place = Place::new(metadata, "lifecycle/restored");
    let child = place.push(&image("child", None, "a/b"), &[], NOW).await;
    let manifest = index(&[&child]);
    let own = place.push(&manifest, &["v1"], NOW).await;
    place.move_to(&own, StorageClass::Archive, days(1)).await;
    let events = metadata.events(Stream::Changes, i64::MAX - 1, 1).await;
    let start = events.expect("read").head;

    let pushed = ManifestPush {
        change: by("somebody", days(2)),
        ..push(&place.name, &manifest, &["v1"])
    };
    let pushed = metadata.push_manifest(pushed).await.expect("pushed");
    assert!(pushed.is_restored && !pushed.is_new && pushed.moved_tags.is_empty());
    assert_eq!(place.pullable(&[&own, &child]).await, [true, true]);
    let events = metadata.events(Stream::Changes, start, 10).await;
    let told: Vec<_> = events
        .expect("read")
        .events
        .into_iter()
        .map(|event| (event.kind, event.detail.digest.expect("a digest")))
        .collect();
    let restored = EventKind::ImageRestored;
    assert_eq!(told, [(restored, own.clone()), (restored, child)]);
    let image = metadata.image(&place.name, &own).await.expect("asked");
    let image = image.expect("it is there");
    assert_eq!((image.pushed_at, image.activated_at), (NOW, Some(days(2))));
}

async fn what_was_deleted_begins_anew(metadata: &Metadata) {
    let place = Place::new(metadata, "lifecycle/anew");
    let manifest = image("one", None, "a/b");
    let own = place.push(&manifest, &["v1"], NOW).await;
    place.move_to(&own, StorageClass::Archive, days(1)).await;
    place.move_to(&own, StorageClass::Standard, days(2)).await;
    let pull = Pull {
        repository: place.name.clone(),
        digest: own.clone(),
    };
    let pulled = Pulled {
        at: days(3),
        by: "user/puller".into(),
        count: 1,
    };
    metadata
        .record_pulls(vec![(pull, pulled)], by("registry", days(3)))
        .await
        .expect("recorded");
    place.move_to(&own, StorageClass::Archive, days(4)).await;
    metadata
        .delete_manifest(&place.name, &own, by("somebody", days(4)))
        .await
        .expect("deleted");
    place.push(&manifest, &["v1"], days(9)).await;
    let image = metadata.image(&place.name, &own).await.expect("asked");
    let image = image.expect("it is there");
    assert_eq!(image.pushed_at, days(9));
    assert_eq!(
        (image.pulled_at, image.archived_at, image.activated_at),
        (None, None, None)
    );
    assert_eq!(image.storage_class, StorageClass::Standard);
}
