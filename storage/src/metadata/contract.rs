//! What the metadata must do on every database, run against each of them.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::blob::Location;
use crate::clock::Timestamp;
use crate::oci::{Algorithm, Digest, Manifest, MediaType, Reference, RepositoryName, Tag};
use crate::upload::{Progress, UploadId};

#[path = "contract_access.rs"]
mod access;
#[path = "contract_adopt.rs"]
mod adopt;
#[path = "contract_collection.rs"]
mod collection;
#[path = "contract_events.rs"]
mod events;
#[path = "contract_images.rs"]
mod images;
#[path = "contract_lifecycle.rs"]
mod lifecycle;
#[path = "contract_lists.rs"]
pub(crate) mod lists;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// Runs the whole contract against an empty database.
pub(crate) async fn holds(metadata: &Metadata) {
    an_upload_goes_on_and_becomes_a_blob(metadata).await;
    two_writers_do_not_move_one_upload(metadata).await;
    an_upload_that_was_cancelled_becomes_nothing(metadata).await;
    open_uploads_are_limited_and_forgotten_ones_found(metadata).await;
    of_two_uploads_of_one_digest_one_waits_for_removal(metadata).await;
    a_blob_is_seen_through_its_links_only(metadata).await;
    a_manifest_is_read_by_tag_and_by_digest(metadata).await;
    a_tag_moves_and_goes_without_its_manifest(metadata).await;
    a_deleted_manifest_takes_its_tags_and_comes_back_when_pushed(metadata).await;
    missing_content_is_refused_where_it_is_not_accepted(metadata).await;
    a_repository_appears_only_where_it_may(metadata).await;
    a_push_that_fails_leaves_nothing(metadata).await;
    lists_go_on_behind_their_last_entry(metadata).await;
    referrers_are_those_of_their_subject(metadata).await;
    pushes_at_once_all_arrive(metadata).await;
    access::holds(metadata).await;
    images::holds(metadata).await;
    lifecycle::holds(metadata).await;
    events::holds(metadata).await;
    collection::holds(metadata).await;
    adopt::holds(metadata).await;
}

fn by(actor: &str, now: Timestamp) -> Change {
    Change::new(actor, now)
}

fn repository(name: &str) -> RepositoryName {
    name.parse().expect("a name")
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

fn digest(content: &str) -> Digest {
    Digest::of(Algorithm::Sha256, content.as_bytes())
}

fn new_upload(repository: &RepositoryName) -> NewUpload {
    NewUpload {
        id: UploadId::new(Uuid::now_v7()),
        repository: repository.clone(),
        principal: format!("principal of {repository}"),
        epoch: "epoch".into(),
        progress: Progress::start(Algorithm::Sha256),
        limit: 10,
        now: NOW,
    }
}

/// An upload that all of `content` has come for.
fn whole_upload(repository: &RepositoryName, content: &str) -> NewUpload {
    let mut upload = new_upload(repository);
    upload.progress.offset = content.len() as u64;
    upload
}

fn finished(upload: &NewUpload, content: &str) -> FinishedUpload {
    let location = format!("{}/{}", digest(content).hex(), upload.id);
    FinishedUpload {
        id: upload.id,
        repository: upload.repository.clone(),
        blob: Blob {
            digest: digest(content),
            size: content.len() as u64,
            location: location.parse().expect("a location"),
        },
        creation: Creation::Allowed,
        change: by("somebody", NOW),
    }
}

/// Puts a blob into a repository, as a push does.
async fn put_blob(metadata: &Metadata, repository: &RepositoryName, content: &str) -> Stored {
    let upload = whole_upload(repository, content);
    metadata.begin_upload(upload.clone()).await.expect("begun");
    metadata
        .finish_upload(finished(&upload, content))
        .await
        .expect("finished")
}

fn descriptor(content: &str) -> Value {
    json!({"mediaType": "application/x.layer", "digest": digest(content), "size": content.len()})
}

fn image(config: &str, subject: Option<&Digest>, artifact_type: &str) -> Manifest {
    let mut document = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_IMAGE,
        "artifactType": artifact_type,
        "config": descriptor(config),
        "layers": [descriptor("layer"), descriptor("layer")],
        "annotations": {"config": config},
    });
    if let Some(subject) = subject {
        document["subject"] = json!({"mediaType": "a/b", "digest": subject, "size": 1});
    }
    Manifest::parse(Bytes::from(document.to_string()), None).expect("a manifest")
}

fn push(repository: &RepositoryName, manifest: &Manifest, tags: &[&str]) -> ManifestPush {
    ManifestPush {
        repository: repository.clone(),
        manifest: manifest.clone(),
        digest: manifest.digest(Algorithm::Sha256),
        tags: tags.iter().map(|text| tag(text)).collect(),
        change: by("somebody", NOW),
        creation: Creation::Allowed,
        missing_content: MissingContent::Accepted,
    }
}

async fn resolve(metadata: &Metadata, repository: &RepositoryName, text: &str) -> Option<Digest> {
    let reference: Reference = text.parse().expect("a reference");
    let head = metadata
        .manifest_head(repository, &reference)
        .await
        .expect("read");
    head.map(|head| head.digest)
}

async fn an_upload_goes_on_and_becomes_a_blob(metadata: &Metadata) {
    let name = repository("uploads/finished");
    let upload = new_upload(&name);
    metadata.begin_upload(upload.clone()).await.expect("begun");
    let mut progress = upload.progress.clone();
    progress.hasher.update(b"content");
    progress.offset = 7;
    progress.state = "as the store says".into();
    metadata
        .record_progress(upload.id, 0, &progress, NOW)
        .await
        .expect("recorded");

    let read = metadata
        .upload(upload.id)
        .await
        .expect("read")
        .expect("it is there");
    assert_eq!((read.id, &read.repository), (upload.id, &name));
    assert_eq!(
        (read.principal, read.epoch),
        (upload.principal.clone(), upload.epoch.clone())
    );
    assert_eq!(read.progress.offset, 7);
    assert_eq!(read.progress.state, "as the store says");
    assert_eq!(read.progress.hasher.digest(), digest("content"));
    assert!(!metadata.repository_exists(&name).await.expect("read"));

    let finished = finished(&upload, "content");
    assert_eq!(
        metadata
            .finish_upload(finished.clone())
            .await
            .expect("stored"),
        Stored::New
    );
    assert!(metadata.upload(upload.id).await.expect("read").is_none());
    let blob = metadata
        .blob(&name, &digest("content"))
        .await
        .expect("read");
    assert_eq!(blob, Some(finished.blob));
}

async fn two_writers_do_not_move_one_upload(metadata: &Metadata) {
    let name = repository("uploads/raced");
    let upload = new_upload(&name);
    metadata.begin_upload(upload.clone()).await.expect("begun");
    let at = |offset| Progress {
        offset,
        ..upload.progress.clone()
    };
    let record = |from, to| {
        let progress = at(to);
        async move {
            metadata
                .record_progress(upload.id, from, &progress, NOW)
                .await
        }
    };
    record(0, 4).await.expect("the first writer goes on");
    let second = record(0, 9).await;
    assert!(matches!(second, Err(Error::UploadMoved)), "{second:?}");
    let early = metadata.finish_upload(finished(&upload, "seven..")).await;
    assert!(matches!(early, Err(Error::UploadMoved)), "{early:?}");
    record(4, 7).await.expect("the first writer goes on");
    let finished = finished(&upload, "seven..");
    let location = finished.blob.location.clone();
    assert!(!metadata.knows_location(&location).await.expect("read"));
    metadata.finish_upload(finished).await.expect("stored");
    assert!(metadata.knows_location(&location).await.expect("read"));
    let late = record(7, 9).await;
    assert!(matches!(late, Err(Error::UploadUnknown)), "{late:?}");
}

async fn an_upload_that_was_cancelled_becomes_nothing(metadata: &Metadata) {
    let name = repository("uploads/cancelled");
    let upload = new_upload(&name);
    metadata.begin_upload(upload.clone()).await.expect("begun");
    assert!(metadata.remove_upload(upload.id).await.expect("removed"));
    assert!(!metadata.remove_upload(upload.id).await.expect("removed"));
    let outcome = metadata.finish_upload(finished(&upload, "cancelled")).await;
    assert!(matches!(outcome, Err(Error::UploadUnknown)), "{outcome:?}");
    let outcome = metadata
        .record_progress(upload.id, 0, &upload.progress, NOW)
        .await;
    assert!(matches!(outcome, Err(Error::UploadUnknown)), "{outcome:?}");
    assert_eq!(
        metadata
            .blob(&name, &digest("cancelled"))
            .await
            .expect("read"),
        None
    );
}

async fn open_uploads_are_limited_and_forgotten_ones_found(metadata: &Metadata) {
    let name = repository("uploads/many");
    let mut uploads = Vec::new();
    for _ in 0..10 {
        let upload = new_upload(&name);
        metadata.begin_upload(upload.clone()).await.expect("begun");
        uploads.push(upload.id);
    }
    assert_eq!(metadata.open_uploads().await.expect("counted"), 10);
    let outcome = metadata.begin_upload(new_upload(&name)).await;
    assert!(
        matches!(
            outcome,
            Err(Error::TooManyUploads {
                open: 10,
                limit: 10
            })
        ),
        "{outcome:?}"
    );
    let forgotten = metadata
        .forgotten_uploads(NOW, "epoch", 100)
        .await
        .expect("read");
    assert_eq!(forgotten.len(), 0);
    let later = Timestamp::from_micros(NOW.as_micros() + 1);
    assert_eq!(
        metadata
            .forgotten_uploads(later, "epoch", 3)
            .await
            .expect("read")
            .len(),
        3
    );
    let earlier = NOW.before(Duration::from_secs(1));
    let forgotten = metadata
        .forgotten_uploads(earlier, "another", 100)
        .await
        .expect("read");
    assert_eq!(forgotten.len(), 10);
    for id in uploads {
        metadata.remove_upload(id).await.expect("removed");
    }
}

async fn of_two_uploads_of_one_digest_one_waits_for_removal(metadata: &Metadata) {
    let name = repository("uploads/twice");
    assert_eq!(put_blob(metadata, &name, "twice").await, Stored::New);
    let first = metadata
        .blob(&name, &digest("twice"))
        .await
        .expect("read")
        .expect("there");
    let upload = whole_upload(&name, "twice");
    metadata.begin_upload(upload.clone()).await.expect("begun");
    let second = finished(&upload, "twice");
    let stored = metadata
        .finish_upload(second.clone())
        .await
        .expect("stored");
    assert_eq!(stored, Stored::AlreadyThere);
    assert_eq!(
        metadata.blob(&name, &digest("twice")).await.expect("read"),
        Some(first)
    );
    let removals: Vec<Location> = metadata.removals(10).await.expect("read");
    assert_eq!(removals, std::slice::from_ref(&second.blob.location));
    metadata
        .removed(std::slice::from_ref(&second.blob.location))
        .await
        .expect("removed");
    assert_eq!(metadata.removals(10).await.expect("read"), []);
}

async fn a_blob_is_seen_through_its_links_only(metadata: &Metadata) {
    let (source, target) = (repository("links/source"), repository("links/target"));
    let stranger = repository("links/stranger");
    put_blob(metadata, &source, "linked").await;
    put_blob(metadata, &stranger, "other").await;
    let digest = digest("linked");
    assert_eq!(metadata.blob(&stranger, &digest).await.expect("read"), None);
    let mount = |from: &RepositoryName| {
        let (metadata, from, target) = (metadata.clone(), from.clone(), target.clone());
        let digest = digest.clone();
        async move {
            let mounted = metadata
                .mount(
                    &from,
                    &target,
                    &digest,
                    Creation::Allowed,
                    by("somebody", NOW),
                )
                .await;
            mounted.expect("a mount is answered").is_some()
        }
    };
    assert!(!mount(&stranger).await);
    assert!(!mount(&repository("links/nowhere")).await);
    assert!(!metadata.repository_exists(&target).await.expect("read"));
    assert!(mount(&source).await);
    let with_blob = metadata
        .repositories_with_blob(&digest, None, 10)
        .await
        .expect("read");
    assert_eq!(with_blob, [source.clone(), target.clone()]);

    metadata
        .unlink_blob(&source, &digest, NOW)
        .await
        .expect("unlinked");
    let outcome = metadata.unlink_blob(&source, &digest, NOW).await;
    assert!(matches!(outcome, Err(Error::BlobUnknown(_))), "{outcome:?}");
    assert_eq!(metadata.blob(&source, &digest).await.expect("read"), None);
    assert!(
        metadata
            .blob(&target, &digest)
            .await
            .expect("read")
            .is_some()
    );
    assert!(!mount(&source).await);
    let with_blob = metadata
        .repositories_with_blob(&digest, None, 10)
        .await
        .expect("read");
    assert_eq!(with_blob, [target]);

    assert_eq!(
        put_blob(metadata, &source, "linked").await,
        Stored::AlreadyThere
    );
    assert!(
        metadata
            .blob(&source, &digest)
            .await
            .expect("read")
            .is_some()
    );
}

async fn a_manifest_is_read_by_tag_and_by_digest(metadata: &Metadata) {
    let name = repository("manifests/read");
    let manifest = image("read", None, "a/type");
    let pushed = metadata
        .push_manifest(push(&name, &manifest, &["v1", "v2"]))
        .await;
    assert_eq!(pushed.expect("pushed").moved_tags, [tag("v1"), tag("v2")]);
    let again = metadata
        .push_manifest(push(&name, &manifest, &["v2"]))
        .await
        .expect("pushed");
    assert_eq!(again.moved_tags, []);
    let digest = manifest.digest(Algorithm::Sha256);
    for text in ["v1", "v2", digest.as_str()] {
        let reference = text.parse().expect("a reference");
        let read = metadata
            .manifest(&name, &reference)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(read.bytes, manifest.bytes());
        assert_eq!(read.head.digest, digest);
        assert_eq!(&read.head.media_type, manifest.media_type());
        assert_eq!(read.head.size, manifest.bytes().len() as u64);
        let head = metadata
            .manifest_head(&name, &reference)
            .await
            .expect("read");
        assert_eq!(head, Some(read.head));
        let elsewhere = repository("manifests/elsewhere");
        assert_eq!(
            metadata
                .manifest(&elsewhere, &reference)
                .await
                .expect("read"),
            None
        );
    }
    assert_eq!(resolve(metadata, &name, "v3").await, None);
}

async fn a_tag_moves_and_goes_without_its_manifest(metadata: &Metadata) {
    let name = repository("tags/moved");
    let (old, new) = (image("old", None, "a/type"), image("new", None, "a/type"));
    metadata
        .push_manifest(push(&name, &old, &["latest"]))
        .await
        .expect("pushed");
    let moved = metadata
        .push_manifest(push(&name, &new, &["latest"]))
        .await
        .expect("pushed");
    assert_eq!(moved.moved_tags, [tag("latest")]);
    let new_digest = new.digest(Algorithm::Sha256);
    assert_eq!(
        resolve(metadata, &name, "latest").await,
        Some(new_digest.clone())
    );

    metadata
        .delete_tag(&name, &tag("latest"), by("somebody", NOW))
        .await
        .expect("deleted");
    let outcome = metadata
        .delete_tag(&name, &tag("latest"), by("somebody", NOW))
        .await;
    assert!(
        matches!(outcome, Err(Error::ManifestUnknown(_))),
        "{outcome:?}"
    );
    assert_eq!(resolve(metadata, &name, "latest").await, None);
    for manifest in [&old, &new] {
        let digest = manifest.digest(Algorithm::Sha256);
        assert_eq!(
            resolve(metadata, &name, digest.as_str()).await,
            Some(digest)
        );
    }
    assert_eq!(metadata.tags(&name, None, 10).await.expect("read"), []);
}

async fn a_deleted_manifest_takes_its_tags_and_comes_back_when_pushed(metadata: &Metadata) {
    let name = repository("manifests/deleted");
    let (gone, stays) = (
        image("gone", None, "a/type"),
        image("stays", None, "a/type"),
    );
    metadata
        .push_manifest(push(&name, &gone, &["a", "b"]))
        .await
        .expect("pushed");
    metadata
        .push_manifest(push(&name, &stays, &["c"]))
        .await
        .expect("pushed");
    let digest = gone.digest(Algorithm::Sha256);
    metadata
        .delete_manifest(&name, &digest, by("somebody", NOW))
        .await
        .expect("deleted");
    let outcome = metadata
        .delete_manifest(&name, &digest, by("somebody", NOW))
        .await;
    assert!(
        matches!(outcome, Err(Error::ManifestUnknown(_))),
        "{outcome:?}"
    );
    for text in ["a", "b", digest.as_str()] {
        assert_eq!(resolve(metadata, &name, text).await, None);
    }
    assert_eq!(
        metadata.tags(&name, None, 10).await.expect("read"),
        [tag("c")]
    );
    metadata
        .push_manifest(push(&name, &gone, &["d"]))
        .await
        .expect("pushed");
    for text in ["d", digest.as_str()] {
        assert_eq!(resolve(metadata, &name, text).await, Some(digest.clone()));
    }
    assert_eq!(resolve(metadata, &name, "a").await, None);
}

async fn missing_content_is_refused_where_it_is_not_accepted(metadata: &Metadata) {
    let name = repository("manifests/sparse");
    put_blob(metadata, &name, "layer").await;
    put_blob(metadata, &repository("manifests/other"), "config elsewhere").await;
    let manifest = image("config elsewhere", None, "a/type");
    let strict = ManifestPush {
        missing_content: MissingContent::Refused,
        ..push(&name, &manifest, &["latest"])
    };
    match metadata.push_manifest(strict.clone()).await {
        Err(Error::ContentMissing(missing)) => assert_eq!(missing, [digest("config elsewhere")]),
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(resolve(metadata, &name, "latest").await, None);
    put_blob(metadata, &name, "config elsewhere").await;
    metadata.push_manifest(strict).await.expect("pushed");
}

async fn a_repository_appears_only_where_it_may(metadata: &Metadata) {
    let name = repository("creation/forbidden");
    let forbidden = ManifestPush {
        creation: Creation::Forbidden,
        ..push(&name, &image("created", None, "a/type"), &["latest"])
    };
    let outcome = metadata.push_manifest(forbidden).await;
    assert!(
        matches!(outcome, Err(Error::RepositoryUnknown(_))),
        "{outcome:?}"
    );
    let outcome = metadata.tags(&name, None, 10).await;
    assert!(
        matches!(outcome, Err(Error::RepositoryUnknown(_))),
        "{outcome:?}"
    );
    assert!(!metadata.repository_exists(&name).await.expect("read"));
}

async fn a_push_that_fails_leaves_nothing(metadata: &Metadata) {
    let name = repository("creation/failed");
    let strict = ManifestPush {
        missing_content: MissingContent::Refused,
        ..push(&name, &image("nowhere", None, "a/type"), &["latest"])
    };
    // Several at once share a commit, in which only those that fail are taken back.
    let works = push(
        &repository("creation/worked"),
        &image("works", None, "a/type"),
        &["latest"],
    );
    let (failed, worked) = tokio::join!(
        metadata.push_manifest(strict),
        metadata.push_manifest(works)
    );
    assert!(
        matches!(failed, Err(Error::ContentMissing(_))),
        "{failed:?}"
    );
    worked.expect("pushed");
    assert!(!metadata.repository_exists(&name).await.expect("read"));
    assert!(
        metadata
            .repository_exists(&repository("creation/worked"))
            .await
            .expect("read")
    );
}

async fn lists_go_on_behind_their_last_entry(metadata: &Metadata) {
    let manifest = image("listed", None, "a/type");
    // In ASCII order: digits, upper case, the underscore, lower case.
    let texts = ["10", "2", "B", "_a", "a", "a-1", "a.1", "b"];
    let name = repository("lists/0");
    metadata
        .push_manifest(push(&name, &manifest, &texts))
        .await
        .expect("pushed");
    for limit in 1..=9 {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let last = seen.last().cloned();
            let page = metadata
                .tags(&name, last.as_deref(), limit)
                .await
                .expect("read");
            assert!(page.len() as u64 <= limit);
            if page.is_empty() {
                break;
            }
            seen.extend(page.iter().map(|tag| tag.as_str().to_owned()));
        }
        assert_eq!(seen, texts);
    }
    assert_eq!(metadata.tags(&name, None, 0).await.expect("read"), []);
    assert_eq!(
        metadata
            .tags(&name, Some("a0 is no tag"), 10)
            .await
            .expect("read")
            .len(),
        1
    );

    for number in [1, 2, 10] {
        let name = repository(&format!("lists/{number}"));
        metadata
            .push_manifest(push(&name, &manifest, &[]))
            .await
            .expect("pushed");
    }
    let page = metadata.repositories(Some("lists"), 3).await.expect("read");
    assert_eq!(page, ["lists/0", "lists/1", "lists/10"].map(repository));
}

async fn referrers_are_those_of_their_subject(metadata: &Metadata) {
    let name = repository("referrers/of");
    let subject = digest("the subject, which is not there");
    let mut signatures = BTreeSet::new();
    for number in 0..4 {
        let artifact_type = if number % 2 == 0 {
            "a/signature"
        } else {
            "a/report"
        };
        let referrer = image(&number.to_string(), Some(&subject), artifact_type);
        metadata
            .push_manifest(push(&name, &referrer, &[]))
            .await
            .expect("pushed");
        if number % 2 == 0 {
            signatures.insert(referrer.digest(Algorithm::Sha256));
        }
    }
    let other = image("other", Some(&digest("another subject")), "a/signature");
    metadata
        .push_manifest(push(&name, &other, &[]))
        .await
        .expect("pushed");

    let all = metadata
        .referrers(&name, &subject, None, None, 10)
        .await
        .expect("read");
    assert_eq!(all.len(), 4);
    assert!(all.is_sorted_by(|a, b| a.digest < b.digest));
    for descriptor in &all {
        assert_eq!(descriptor.media_type.as_str(), MediaType::OCI_IMAGE);
        assert!(descriptor.annotations.contains_key("config"));
    }
    let behind = Some(all[1].digest.as_str());
    let rest = metadata
        .referrers(&name, &subject, None, behind, 10)
        .await
        .expect("read");
    assert_eq!(rest, all[2..]);
    let filtered = metadata
        .referrers(&name, &subject, Some("a/signature"), None, 10)
        .await;
    let filtered = filtered.expect("read");
    let digests: BTreeSet<Digest> = filtered.iter().map(|found| found.digest.clone()).collect();
    assert_eq!(digests, signatures);

    let first = signatures.first().expect("there are two");
    metadata
        .delete_manifest(&name, first, by("somebody", NOW))
        .await
        .expect("deleted");
    assert_eq!(
        metadata
            .referrers(&name, &subject, None, None, 10)
            .await
            .expect("read")
            .len(),
        3
    );
    let elsewhere = repository("referrers/elsewhere");
    let none = metadata
        .referrers(&elsewhere, &subject, None, None, 10)
        .await
        .expect("read");
    assert_eq!(none, []);
}

async fn pushes_at_once_all_arrive(metadata: &Metadata) {
    let name = repository("pushes/at-once");
    let mut pushes = tokio::task::JoinSet::new();
    for number in 0..200 {
        let manifest = image(&format!("at once {number}"), None, "a/type");
        let push = push(&name, &manifest, &[&format!("v{number}"), "latest"]);
        let metadata = metadata.clone();
        pushes.spawn(async move { metadata.push_manifest(push).await });
    }
    for outcome in pushes.join_all().await {
        assert!(outcome.expect("pushed").moved_tags.contains(&tag("latest")));
    }
    assert_eq!(
        metadata.tags(&name, None, 1000).await.expect("read").len(),
        201
    );
}
