//! What the metadata must do about repositories' settings, images, documents and leases, on every
//! database.

use std::time::Duration;

use super::{NOW, Timestamp, by, image, push, repository, tag};
use crate::metadata::{
    Chosen, Deleted, Error, ImageFilter, ImageName, ManifestPush, Metadata, Pull, Pulled, Replace,
    RepositorySettings, StorageClass, TagMutability,
};
use crate::oci::{Algorithm, Digest, Reference, RepositoryName};

/// Runs this part of the contract.
pub(super) async fn holds(metadata: &Metadata) {
    a_deleted_repository_comes_back_as_a_new_one(metadata).await;
    an_immutable_tag_stays(metadata).await;
    an_archived_image_is_not_pulled_until_it_is_pushed_again(metadata).await;
    what_is_leased_locked_or_moved_is_not_expired(metadata).await;
    pulls_are_recorded_forwards(metadata).await;
    names_are_listed_tag_by_tag(metadata).await;
    documents_are_kept_by_kind_and_key(metadata).await;
}

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// Pushes an image with this content, and gives its digest.
async fn push_image(
    metadata: &Metadata,
    name: &RepositoryName,
    content: &str,
    tags: &[&str],
    now: Timestamp,
) -> Result<Digest, Error> {
    let manifest = image(content, None, "a/type");
    let pushed = ManifestPush {
        change: by("somebody", now),
        ..push(name, &manifest, tags)
    };
    metadata.push_manifest(pushed).await?;
    Ok(manifest.digest(Algorithm::Sha256))
}

async fn a_deleted_repository_comes_back_as_a_new_one(metadata: &Metadata) {
    let name = repository("settings/deleted");
    let settings = RepositorySettings {
        tag_mutability: TagMutability::ImmutableWithExclusion,
        mutability_filters: vec!["latest*".into()],
        scan_on_push: true,
        resource_tags: [("owner".to_owned(), "team".to_owned())].into(),
        ..RepositorySettings::default()
    };
    let made =
        metadata.create_repository(&name, settings.clone(), Some("{}".into()), by("actor", NOW));
    let made = made.await.expect("made").expect("the name was free");
    assert_eq!(
        (&made.settings, made.lifecycle_policy.as_deref()),
        (&settings, Some("{}"))
    );
    let again = metadata
        .create_repository(&name, settings, None, by("actor", NOW))
        .await;
    assert_eq!(again.expect("asked"), None);
    push_image(metadata, &name, "content", &["v1"], NOW)
        .await
        .expect("pushed");

    let kept = metadata
        .delete_repository(&name, false, by("actor", NOW))
        .await;
    assert_eq!(kept.expect("asked"), Deleted::NotEmpty);
    let gone = metadata
        .delete_repository(&name, true, by("actor", NOW))
        .await;
    assert!(matches!(gone.expect("deleted"), Deleted::Gone(_)));
    assert_eq!(metadata.repository(&name).await.expect("asked"), None);
    assert!(matches!(
        metadata.tags(&name, None, 10).await,
        Err(Error::RepositoryUnknown(_))
    ));

    push_image(metadata, &name, "new content", &["v2"], later(1))
        .await
        .expect("pushed");
    let back = metadata
        .repository(&name)
        .await
        .expect("asked")
        .expect("it is there");
    assert_eq!(back.settings, RepositorySettings::default());
    assert_eq!((back.lifecycle_policy, back.created_at), (None, later(1)));
    let images = metadata.images(&name, None, 10).await.expect("listed");
    assert_eq!(images.len(), 1, "what was deleted stays deleted");
}

async fn an_immutable_tag_stays(metadata: &Metadata) {
    let name = repository("settings/immutable");
    push_image(metadata, &name, "one", &["v1", "latest"], NOW)
        .await
        .expect("pushed");
    let changed = metadata.change_repository(&name, |settings| {
        settings.tag_mutability = TagMutability::ImmutableWithExclusion;
        settings.mutability_filters = vec!["latest*".into()];
    });
    changed.await.expect("changed");
    push_image(metadata, &name, "one", &["v1"], NOW)
        .await
        .expect("the same again");
    let moved = push_image(metadata, &name, "two", &["v1"], NOW).await;
    assert!(
        matches!(moved, Err(Error::TagImmutable { .. })),
        "{moved:?}"
    );
    let images = metadata.images(&name, None, 10).await.expect("listed");
    assert_eq!(images.len(), 1, "nothing of the push happened");
    push_image(metadata, &name, "two", &["latest"], NOW)
        .await
        .expect("it is excluded");
}

async fn an_archived_image_is_not_pulled_until_it_is_pushed_again(metadata: &Metadata) {
    let name = repository("settings/archived");
    let digest = push_image(metadata, &name, "one", &["v1"], NOW)
        .await
        .expect("pushed");
    let pulled = || async {
        let found = metadata
            .manifest(&name, &Reference::Digest(digest.clone()))
            .await;
        found.expect("asked").is_some()
    };
    let archive =
        metadata.set_storage_class(&name, &digest, StorageClass::Archive, by("actor", later(1)));
    assert!(archive.await.expect("archived"));
    assert!(!pulled().await);
    let image = metadata
        .image(&name, &digest)
        .await
        .expect("asked")
        .expect("it is listed");
    assert_eq!(
        (image.storage_class, image.archived_at),
        (StorageClass::Archive, Some(later(1)))
    );
    push_image(metadata, &name, "one", &[], later(2))
        .await
        .expect("pushed");
    assert!(pulled().await);
    let image = metadata
        .image(&name, &digest)
        .await
        .expect("asked")
        .expect("it is listed");
    assert_eq!((image.activated_at, image.pushed_at), (Some(later(2)), NOW));
}

async fn what_is_leased_locked_or_moved_is_not_expired(metadata: &Metadata) {
    let name = repository("settings/expired");
    let own = push_image(metadata, &name, "one", &["v1"], NOW)
        .await
        .expect("pushed");
    let expire = |tags: &'static [&'static str], now| {
        let chosen = Chosen {
            digest: own.clone(),
            tags: tags.iter().map(|text| tag(text)).collect(),
        };
        let name = name.clone();
        async move {
            let gone = metadata.expire_images(&name, vec![chosen], by("lifecycle", now));
            gone.await.expect("asked") == 1
        }
    };
    assert!(!expire(&["v0"], NOW).await, "its tags have changed");
    metadata
        .lease(&own, "cluster", later(10), NOW)
        .await
        .expect("leased");
    metadata
        .lease(&own, "cluster", later(20), NOW)
        .await
        .expect("renewed");
    assert_eq!(
        metadata.leases(&own, NOW).await.expect("asked"),
        [("cluster".into(), later(20))]
    );
    assert!(!expire(&["v1"], later(15)).await, "somebody runs it");
    let facts = metadata.image_facts(&name, later(15)).await.expect("asked");
    assert!(facts[0].is_leased && !facts[0].is_locked);
    assert!(metadata.release(&own, "cluster").await.expect("released"));
    assert!(!metadata.release(&own, "cluster").await.expect("asked"));
    assert!(
        metadata
            .lock_tag(&name, &tag("v1"), Some(NOW))
            .await
            .expect("locked")
    );
    assert!(
        !metadata
            .lock_tag(&name, &tag("none"), Some(NOW))
            .await
            .expect("asked")
    );
    assert!(!expire(&["v1"], NOW).await, "its tag is locked");
    assert!(
        metadata
            .lock_tag(&name, &tag("v1"), None)
            .await
            .expect("unlocked")
    );
    metadata
        .lease(&own, "cluster", later(10), NOW)
        .await
        .expect("leased");
    assert!(expire(&["v1"], later(10)).await, "the lease has ended");
    assert!(!expire(&["v1"], later(10)).await, "it has gone");
}

async fn pulls_are_recorded_forwards(metadata: &Metadata) {
    let name = repository("settings/pulled");
    let digest = push_image(metadata, &name, "one", &["v1"], NOW)
        .await
        .expect("pushed");
    let pull = Pull {
        repository: name.clone(),
        digest: digest.clone(),
    };
    for (seconds, want) in [(5, 5), (3, 5), (9, 9)] {
        let pulled = Pulled {
            at: later(seconds),
            by: "user/puller".into(),
            count: seconds,
        };
        let pulls = vec![(pull.clone(), pulled)];
        metadata
            .record_pulls(pulls, by("registry", NOW))
            .await
            .expect("recorded");
        let image = metadata
            .image(&name, &digest)
            .await
            .expect("asked")
            .expect("it is there");
        assert_eq!(image.pulled_at, Some(later(want)));
    }
}

async fn names_are_listed_tag_by_tag(metadata: &Metadata) {
    let name = repository("settings/names");
    let tagged = push_image(metadata, &name, "one", &["v2", "v1"], NOW)
        .await
        .expect("pushed");
    let untagged = push_image(metadata, &name, "two", &[], NOW)
        .await
        .expect("pushed");
    let archive =
        metadata.set_storage_class(&name, &untagged, StorageClass::Archive, by("actor", NOW));
    assert!(archive.await.expect("archived"));
    let one = |digest: &Digest, name: Option<&str>| ImageName {
        digest: digest.clone(),
        tag: name.map(tag),
    };
    let mut all = vec![
        one(&tagged, Some("v1")),
        one(&tagged, Some("v2")),
        one(&untagged, None),
    ];
    all.sort_by(|a, b| (&a.digest, &a.tag).cmp(&(&b.digest, &b.tag)));
    let list = |after: Option<ImageName>, filter, limit| {
        let name = &name;
        async move {
            let names = metadata.image_names(name, after.as_ref(), filter, limit);
            names.await.expect("listed")
        }
    };
    let any = ImageFilter::default();
    assert_eq!(list(None, any, 10).await, all);
    for (place, after) in all.iter().enumerate() {
        assert_eq!(list(Some(after.clone()), any, 10).await, all[place + 1..]);
    }
    assert_eq!(list(None, any, 2).await, all[..2]);
    let with = |class, tagged| ImageFilter { class, tagged };
    let only = [one(&untagged, None)];
    assert_eq!(list(None, with(None, Some(false)), 10).await, only);
    let archived = Some(StorageClass::Archive);
    assert_eq!(list(None, with(archived, None), 10).await, only);
    assert_eq!(list(None, with(archived, Some(true)), 10).await, []);
    assert_eq!(list(None, with(None, Some(true)), 10).await.len(), 2);
}

async fn documents_are_kept_by_kind_and_key(metadata: &Metadata) {
    let put = |key: &'static str, text: &'static str, replace, seconds| async move {
        let put = metadata
            .put_document("test", key, text, replace, later(seconds))
            .await;
        put.expect("asked")
    };
    assert_eq!(put("a", "1", Replace::Always, 0).await, None);
    let first = put("a", "1", Replace::Never, 0)
        .await
        .expect("there was none");
    assert_eq!(put("a", "2", Replace::Never, 1).await, None);
    let second = put("a", "2", Replace::Always, 1)
        .await
        .expect("there was one");
    assert_eq!(
        (second.created_at, second.updated_at),
        (first.created_at, later(1))
    );
    put("b", "3", Replace::Allowed, 2).await;
    let keys = |after: Option<&'static str>| async move {
        let found = metadata.documents("test", after, 10).await.expect("listed");
        found
            .into_iter()
            .map(|document| document.key)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        (keys(None).await, keys(Some("a")).await),
        ("a b".into(), "b".into())
    );
    assert_eq!(metadata.document("other", "a").await.expect("asked"), None);
    let removed = metadata
        .remove_document("test", "a")
        .await
        .expect("removed");
    assert_eq!(removed.expect("it was there").text, "2");
    assert_eq!(
        metadata.remove_document("test", "a").await.expect("asked"),
        None
    );
}
