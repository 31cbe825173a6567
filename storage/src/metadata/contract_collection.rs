//! What the metadata must do about collection, the trash and the history of tags, on every database.
//! It runs late: what it collects may be anybody's.

use std::time::Duration;

use serde_json::json;

use super::{NOW, Timestamp, by, digest, image, push, put_blob, repository, resolve, tag};
use crate::metadata::{
    Ages, Creation, Error, Hold, ManifestPush, Metadata, Reviewed, RolledBack, Stored,
};
use crate::oci::{Algorithm, Digest, Manifest, RepositoryName};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Runs this part of the contract.
pub(super) async fn holds(metadata: &Metadata) {
    what_no_manifest_names_goes_step_by_step(metadata).await;
    what_a_manifest_names_stays_until_it_left_the_trash(metadata).await;
    a_push_takes_back_what_was_condemned(metadata).await;
    whoever_was_told_that_it_is_there_has_a_grace(metadata).await;
    a_mount_keeps_what_its_source_loses(metadata).await;
    what_was_deleted_can_be_restored(metadata).await;
    an_index_comes_back_with_its_images(metadata).await;
    a_repository_comes_back_with_all_that_went_with_it(metadata).await;
    a_tag_goes_back_to_where_it_was(metadata).await;
    one_server_at_a_time_does_a_job(metadata).await;
}

/// A day after `now` each thing is old enough, but for the trash, where it is a week.
fn ages(now: Timestamp) -> Ages {
    Ages {
        trash: now.before(7 * DAY),
        review: now.before(DAY),
        condemned: now.before(DAY),
    }
}

/// Does all that is due.
pub(super) async fn collect(metadata: &Metadata, now: Timestamp) {
    let ages = ages(now);
    while metadata
        .purge_trash(ages, now, 50)
        .await
        .expect("purged")
        .manifests
        > 0
    {}
    loop {
        let reviewed = metadata
            .review_links(ages, now, 50)
            .await
            .expect("reviewed");
        if reviewed == Reviewed::default() {
            break;
        }
    }
    while metadata
        .forget_condemned(ages, now, 50)
        .await
        .expect("forgotten")
        .blobs
        > 0
    {}
}

async fn has(metadata: &Metadata, name: &RepositoryName, content: &str) -> bool {
    let blob = metadata.blob(name, &digest(content)).await;
    blob.expect("read").is_some()
}

/// Whether bytes are kept under a digest, and since when they are condemned.
async fn kept(metadata: &Metadata, content: &str) -> Option<Option<Timestamp>> {
    let known = metadata.provenance(&digest(content)).await.expect("read");
    known.blob.map(|blob| blob.condemned_at)
}

async fn push_at(
    metadata: &Metadata,
    name: &RepositoryName,
    manifest: &Manifest,
    tags: &[&str],
    now: Timestamp,
) -> Digest {
    let pushed = ManifestPush {
        change: by("somebody", now),
        ..push(name, manifest, tags)
    };
    metadata.push_manifest(pushed).await.expect("pushed");
    manifest.digest(Algorithm::Sha256)
}

async fn what_no_manifest_names_goes_step_by_step(metadata: &Metadata) {
    let (name, content) = (repository("collection/unnamed"), "unnamed");
    put_blob(metadata, &name, content).await;
    collect(metadata, NOW.after(DAY - HOUR)).await;
    assert!(has(metadata, &name, content).await, "its grace isn't over");

    let condemned_at = NOW.after(DAY);
    collect(metadata, condemned_at).await;
    assert!(!has(metadata, &name, content).await);
    assert_eq!(kept(metadata, content).await, Some(Some(condemned_at)));
    let plan = metadata
        .collection_plan(ages(condemned_at))
        .await
        .expect("read");
    assert!(plan.condemned_blobs > 0 && plan.condemned_bytes >= content.len() as u64);
    assert_eq!(plan.due_blobs, 0);

    let location = metadata.provenance(&digest(content)).await.expect("read");
    let location = location.blob.expect("it is there").location;
    collect(metadata, NOW.after(2 * DAY)).await;
    assert_eq!(kept(metadata, content).await, None);
    let removals = metadata.removals(1000).await.expect("read");
    assert!(removals.iter().any(|removal| removal.as_str() == location));
    let known = metadata.provenance(&digest(content)).await.expect("read");
    let reasons: Vec<&str> = known
        .collected
        .iter()
        .map(|collected| collected.reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "no repository had it any more",
            "no manifest of the repository named it"
        ]
    );
}

async fn what_a_manifest_names_stays_until_it_left_the_trash(metadata: &Metadata) {
    let (name, content) = (repository("collection/named"), "named");
    put_blob(metadata, &name, content).await;
    let manifest = image(content, None, "a/type");
    let pushed = push_at(metadata, &name, &manifest, &["v1"], NOW).await;
    let deleted_at = NOW.after(30 * DAY);
    collect(metadata, deleted_at).await;
    assert!(has(metadata, &name, content).await);

    let change = by("somebody", deleted_at);
    metadata
        .delete_manifest(&name, &pushed, change)
        .await
        .expect("deleted");
    collect(metadata, deleted_at.after(7 * DAY - HOUR)).await;
    assert!(has(metadata, &name, content).await, "it can be restored");
    let known = metadata.provenance(&digest(content)).await.expect("read");
    assert_eq!(known.links[0].named_by[0].deleted_at, Some(deleted_at));

    // A purge, then a grace, and another one.
    let purged_at = deleted_at.after(7 * DAY);
    collect(metadata, purged_at).await;
    assert!(has(metadata, &name, content).await);
    assert!(
        metadata
            .trash(Some(&name), 0, 10)
            .await
            .expect("read")
            .is_empty()
    );
    collect(metadata, purged_at.after(DAY)).await;
    assert!(!has(metadata, &name, content).await);
    collect(metadata, purged_at.after(2 * DAY)).await;
    assert_eq!(kept(metadata, content).await, None);
}

async fn a_push_takes_back_what_was_condemned(metadata: &Metadata) {
    let (name, content) = (repository("collection/revived"), "revived");
    put_blob(metadata, &name, content).await;
    collect(metadata, NOW.after(DAY)).await;
    assert!(matches!(kept(metadata, content).await, Some(Some(_))));
    let elsewhere = repository("collection/revived-elsewhere");
    assert_eq!(
        put_blob(metadata, &elsewhere, content).await,
        Stored::AlreadyThere
    );
    assert_eq!(kept(metadata, content).await, Some(None));
    let manifest = image(content, None, "a/type");
    push_at(metadata, &elsewhere, &manifest, &["v1"], NOW).await;
    collect(metadata, NOW.after(30 * DAY)).await;
    assert!(has(metadata, &elsewhere, content).await);
    assert!(!has(metadata, &name, content).await);
}

async fn whoever_was_told_that_it_is_there_has_a_grace(metadata: &Metadata) {
    let (name, content) = (repository("collection/touched"), "touched");
    put_blob(metadata, &name, content).await;
    let found = metadata.blob_under_review(&name, &digest(content)).await;
    let (_, since) = found.expect("read").expect("it is there");
    assert_eq!(since, Some(NOW));
    let (touched_at, blob) = (NOW.after(DAY - HOUR), digest(content));
    let touched = metadata.touch_blob(&name, &blob, touched_at);
    touched.await.expect("touched");
    collect(metadata, touched_at.after(DAY - HOUR)).await;
    assert!(has(metadata, &name, content).await);
    let manifest = image(content, None, "a/type");
    push_at(
        metadata,
        &name,
        &manifest,
        &[],
        touched_at.after(DAY - HOUR),
    )
    .await;
    collect(metadata, touched_at.after(DAY)).await;
    let found = metadata.blob_under_review(&name, &digest(content)).await;
    let (_, since) = found.expect("read").expect("it is there");
    assert_eq!(since, None, "it has been looked at");

    let never = digest("never");
    let unknown = metadata.touch_blob(&name, &never, NOW).await;
    assert!(matches!(unknown, Err(Error::BlobUnknown(_))), "{unknown:?}");
}

async fn a_mount_keeps_what_its_source_loses(metadata: &Metadata) {
    let (source, target) = (
        repository("collection/source"),
        repository("collection/target"),
    );
    put_blob(metadata, &source, "mounted").await;
    let mounted_at = NOW.after(DAY - HOUR);
    let change = by("somebody", mounted_at);
    let digest = digest("mounted");
    let mounted = metadata.mount(&source, &target, &digest, Creation::Allowed, change);
    assert!(mounted.await.expect("mounted").is_some());
    collect(metadata, NOW.after(DAY)).await;
    assert!(!has(metadata, &source, "mounted").await);
    assert!(has(metadata, &target, "mounted").await);
    assert_eq!(kept(metadata, "mounted").await, Some(None));
    // A blob that was deleted by name goes when its time in the trash is over.
    let deleted_at = NOW.after(DAY);
    metadata
        .unlink_blob(&target, &digest, deleted_at)
        .await
        .expect("unlinked");
    for days in 1..7 {
        collect(metadata, deleted_at.after(days * DAY)).await;
        assert_eq!(kept(metadata, "mounted").await, Some(None), "day {days}");
    }
    collect(metadata, deleted_at.after(8 * DAY)).await;
    assert!(matches!(kept(metadata, "mounted").await, Some(Some(_))));
}

async fn what_was_deleted_can_be_restored(metadata: &Metadata) {
    let name = repository("trash/image");
    let (old, new) = (image("old", None, "a/type"), image("new", None, "a/type"));
    let pushed = push_at(metadata, &name, &old, &["a", "b"], NOW).await;
    let deleted_at = NOW.after(HOUR);
    let change = by("somebody", deleted_at);
    metadata
        .delete_manifest(&name, &pushed, change)
        .await
        .expect("deleted");
    let trash = metadata.trash(Some(&name), 0, 10).await.expect("read");
    assert_eq!(trash.len(), 1);
    assert_eq!(
        (&trash[0].digest, trash[0].deleted_at),
        (&pushed, deleted_at)
    );
    assert_eq!(trash[0].tags, [tag("a"), tag("b")]);

    // One of the tags names something else by now.
    let other = push_at(metadata, &name, &new, &["b"], NOW.after(2 * HOUR)).await;
    let before = metadata.event_heads().await.expect("read")[0];
    let change = || by("somebody", NOW.after(3 * HOUR));
    let restored = metadata.restore(&name, &pushed, change()).await;
    let restored = restored.expect("restored").expect("it was in the trash");
    assert_eq!(
        (restored.manifests, restored.tags, restored.taken),
        (1, vec![tag("a")], vec![tag("b")])
    );
    assert_eq!(resolve(metadata, &name, "a").await, Some(pushed.clone()));
    assert_eq!(resolve(metadata, &name, "b").await, Some(other));
    assert_eq!(metadata.event_heads().await.expect("read")[0], before + 1);
    let again = metadata.restore(&name, &pushed, change()).await;
    assert_eq!(again.expect("read"), None);
    let elsewhere = repository("trash/none");
    let unknown = metadata.restore(&elsewhere, &pushed, change()).await;
    assert_eq!(unknown.expect("read"), None);

    // A blob alone, too.
    put_blob(metadata, &name, "restored").await;
    let blob = digest("restored");
    metadata
        .unlink_blob(&name, &blob, NOW)
        .await
        .expect("unlinked");
    assert!(!has(metadata, &name, "restored").await);
    let restored = metadata.restore(&name, &blob, change()).await;
    assert_eq!(restored.expect("restored").expect("found").blobs, 1);
    assert!(has(metadata, &name, "restored").await);
}

async fn an_index_comes_back_with_its_images(metadata: &Metadata) {
    let name = repository("trash/index");
    let child = image("child", None, "a/type");
    let pushed = push_at(metadata, &name, &child, &[], NOW).await;
    let document = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": pushed,
            "size": child.bytes().len(),
        }],
    });
    let index = Manifest::parse(document.to_string().into(), None).expect("an index");
    let whole = push_at(metadata, &name, &index, &["v1"], NOW).await;
    for (digest, hours) in [(&whole, 1), (&pushed, 2)] {
        let change = by("somebody", NOW.after(hours * HOUR));
        let deleted = metadata.delete_manifest(&name, digest, change).await;
        deleted.expect("deleted");
    }
    let change = by("somebody", NOW.after(3 * HOUR));
    let restored = metadata.restore(&name, &whole, change).await;
    assert_eq!(restored.expect("restored").expect("found").manifests, 2);
    let child = resolve(metadata, &name, pushed.as_str()).await;
    assert_eq!(child, Some(pushed));
    assert_eq!(resolve(metadata, &name, "v1").await, Some(whole));
}

async fn a_repository_comes_back_with_all_that_went_with_it(metadata: &Metadata) {
    let name = repository("trash/repository");
    put_blob(metadata, &name, "whole").await;
    let (first, second) = (image("whole", None, "a/type"), image("2nd", None, "a/type"));
    let pushed = push_at(metadata, &name, &first, &["v1"], NOW).await;
    let before = push_at(metadata, &name, &second, &[], NOW).await;
    let change = by("somebody", NOW.after(HOUR));
    let deleted = metadata.delete_manifest(&name, &before, change).await;
    deleted.expect("deleted");
    let change = by("somebody", NOW.after(2 * HOUR));
    metadata
        .delete_repository(&name, true, change)
        .await
        .expect("deleted");
    collect(metadata, NOW.after(3 * DAY)).await;
    let change = || by("somebody", NOW.after(3 * DAY));
    let restored = metadata.restore_repository(&name, change()).await;
    let restored = restored.expect("restored").expect("it was in the trash");
    assert_eq!((restored.manifests, restored.blobs), (1, 1));
    assert_eq!(restored.tags, [tag("v1")]);
    assert_eq!(resolve(metadata, &name, "v1").await, Some(pushed));
    assert!(has(metadata, &name, "whole").await);
    let again = metadata.restore_repository(&name, change()).await;
    assert_eq!(again.expect("read"), None, "it is not deleted");

    // What stays in the trash too long is gone, and its name free.
    let deleted_at = NOW.after(4 * DAY);
    let change = by("somebody", deleted_at);
    metadata
        .delete_repository(&name, true, change)
        .await
        .expect("deleted");
    for days in [7, 8, 9, 10] {
        collect(metadata, deleted_at.after(days * DAY)).await;
    }
    let gone = metadata.restore_repository(&name, by("somebody", deleted_at));
    assert_eq!(gone.await.expect("read"), None);
}

async fn a_tag_goes_back_to_where_it_was(metadata: &Metadata) {
    let name = repository("trash/tag");
    let (good, bad) = (image("good", None, "a/type"), image("bad", None, "a/type"));
    let good = push_at(metadata, &name, &good, &["live"], NOW).await;
    let bad = push_at(metadata, &name, &bad, &["live"], NOW.after(HOUR)).await;
    let change = by("somebody", NOW.after(2 * HOUR));
    metadata
        .delete_manifest(&name, &good, change)
        .await
        .expect("deleted");
    let live = tag("live");
    let change = || by("somebody", NOW.after(3 * HOUR));
    let done = metadata.roll_back_tag(&name, &live, None, change()).await;
    assert_eq!(done.expect("rolled back"), RolledBack::Done);
    assert_eq!(resolve(metadata, &name, "live").await, Some(good.clone()));
    let moves = metadata.tag_history(&name, &live, 10).await.expect("read");
    let named: Vec<_> = moves.iter().map(|moved| moved.digest.clone()).collect();
    assert_eq!(
        named,
        [Some(good.clone()), Some(bad.clone()), Some(good.clone())]
    );
    let to_bad = metadata.roll_back_tag(&name, &live, Some(bad.clone()), change());
    assert_eq!(to_bad.await.expect("rolled back"), RolledBack::Done);
    assert_eq!(resolve(metadata, &name, "live").await, Some(bad));
    let never = metadata.roll_back_tag(&name, &live, Some(digest("never")), change());
    assert_eq!(never.await.expect("read"), RolledBack::NoHistory);
    let other = tag("other");
    let unknown = metadata.roll_back_tag(&name, &other, None, change());
    assert_eq!(unknown.await.expect("read"), RolledBack::NoHistory);
}

async fn one_server_at_a_time_does_a_job(metadata: &Metadata) {
    let hold = async |holder: &str, now: Timestamp| {
        let held = metadata.hold_job("contract", holder, now, HOUR).await;
        held.expect("asked")
    };
    assert_eq!(hold("a", NOW).await, Hold::Held { seen_at: None });
    assert_eq!(hold("b", NOW.after(HOUR / 2)).await, Hold::ByOther);
    let seen_at = Some(NOW);
    assert_eq!(
        hold("a", NOW.after(HOUR / 2)).await,
        Hold::Held { seen_at },
        "it renews its hold"
    );
    assert_eq!(hold("b", NOW.after(HOUR)).await, Hold::ByOther);
    let released = metadata.release_job("contract", "b").await;
    released.expect("asked");
    assert_eq!(hold("b", NOW.after(HOUR)).await, Hold::ByOther);
    metadata.release_job("contract", "a").await.expect("let go");
    assert!(matches!(
        hold("b", NOW.after(HOUR)).await,
        Hold::Held { .. }
    ));
    // A clock ten years ahead takes it for an hour by its own time: that doesn't count for others.
    let ahead = NOW.after(3650 * DAY);
    assert!(matches!(hold("a", ahead).await, Hold::Held { .. }));
    assert!(matches!(
        hold("b", NOW.after(2 * HOUR)).await,
        Hold::Held { .. }
    ));
}
