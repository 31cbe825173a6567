//! Pushes that come while a policy runs.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::sqlite::Sqlite;
use wharf_storage::metadata::{Creation, ManifestPush, MissingContent};
use wharf_storage::oci::{Algorithm, Digest, Manifest, MediaType, Reference};

use super::*;

const UNTAGGED: &str = r#"{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "untagged",
    "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14},
    "action": {"type": "expire"}}]}"#;
const DAY: i64 = 86_400;

/// A clock that is set.
#[derive(Debug, Default)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// A repository with this policy.
struct Place {
    lifecycles: Lifecycles,
    metadata: Metadata,
    name: RepositoryName,
    clock: Arc<Set>,
    _folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Sqlite::open(&folder.path().join("metadata.sqlite3")).expect("opened");
        let metadata = Metadata::new(Arc::new(database));
        let clock = Arc::new(Set(AtomicI64::new(DAY * 10_000)));
        let name: RepositoryName = "team/app".parse().expect("a name");
        let change = Change::new("somebody", clock.now());
        metadata
            .create_repository(&name, Default::default(), Some(UNTAGGED.into()), change)
            .await
            .expect("made");
        Self {
            lifecycles: Lifecycles::new(metadata.clone(), clock.clone()),
            metadata,
            name,
            clock,
            _folder: folder,
        }
    }

    fn pass(&self, days: i64) {
        self.clock.0.fetch_add(DAY * days, Ordering::SeqCst);
    }

    async fn push(&self, document: &Value, tag: Option<&str>) -> Digest {
        let bytes = Bytes::from(document.to_string());
        let manifest = Manifest::parse(bytes, None).expect("a manifest");
        let digest = manifest.digest(Algorithm::Sha256);
        let push = ManifestPush {
            repository: self.name.clone(),
            digest: digest.clone(),
            manifest,
            tags: tag.iter().map(|tag| tag.parse().expect("a tag")).collect(),
            change: Change::new("somebody", self.clock.now()),
            creation: Creation::Forbidden,
            missing_content: MissingContent::Accepted,
        };
        self.metadata.push_manifest(push).await.expect("pushed");
        digest
    }

    async fn is_there(&self, digest: &Digest) -> bool {
        let reference = Reference::Digest(digest.clone());
        let head = self.metadata.manifest_head(&self.name, &reference).await;
        head.expect("asked").is_some()
    }
}

fn image(number: u32) -> Value {
    let content = Digest::of(Algorithm::Sha256, &number.to_be_bytes());
    let descriptor = json!({"mediaType": "a/b", "digest": content, "size": 4});
    json!({"schemaVersion": 2, "mediaType": MediaType::OCI_IMAGE, "config": descriptor,
        "layers": []})
}

fn index(of: &[&Digest]) -> Value {
    let manifests: Vec<Value> = of
        .iter()
        .map(|digest| json!({"mediaType": MediaType::OCI_IMAGE, "digest": digest, "size": 1}))
        .collect();
    json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": manifests})
}

#[tokio::test]
async fn an_index_that_comes_between_the_decision_and_its_end_keeps_its_images() {
    let place = Place::new().await;
    let named = place.push(&image(1), None).await;
    let again = place.push(&image(2), None).await;
    let loose = place.push(&image(3), None).await;
    place.pass(20);
    let decided = place.lifecycles.preview(&place.name, None).await;
    let decided = decided.expect("decided").expect("it has a policy");
    place.push(&index(&[&named]), Some("v1")).await;
    // The index of this one is still on its way.
    place.push(&image(2), None).await;
    let ran = place.lifecycles.apply(&place.name, decided).await;
    assert_eq!(ran.expect("done").expired, 1);
    assert!(place.is_there(&named).await && place.is_there(&again).await);
    assert!(!place.is_there(&loose).await);
    let ran = place.lifecycles.run(&place.name).await.expect("run");
    assert_eq!(ran.expired, 0, "it may still come");
    place.pass(1);
    let ran = place.lifecycles.run(&place.name).await.expect("run");
    assert_eq!(ran.expired, 1, "it never came");
}

#[tokio::test]
async fn nested_indexes_go_with_what_they_hold_in_one_run() {
    let place = Place::new().await;
    let child = place.push(&image(1), None).await;
    let inner = place.push(&index(&[&child]), None).await;
    let outer = place.push(&index(&[&inner, &child]), None).await;
    place.pass(20);
    let ran = place.lifecycles.run(&place.name).await.expect("run");
    assert_eq!(ran.expired, 3);
    for digest in [&child, &inner, &outer] {
        assert!(!place.is_there(digest).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_and_pushes_at_once_leave_no_index_without_its_images() {
    let place = Place::new().await;
    let mut children = Vec::new();
    for number in 0..200 {
        children.push(place.push(&image(number), None).await);
    }
    place.pass(20);
    let runs = async {
        while place
            .lifecycles
            .run(&place.name)
            .await
            .expect("run")
            .expired
            > 0
        {}
    };
    let pushes = async {
        let mut indexes = Vec::new();
        for (number, child) in children.iter().enumerate() {
            // As clients do it: the image is pushed again, and then the index.
            let again = u32::try_from(number).expect("a small number");
            place.push(&image(again), None).await;
            place
                .push(&index(&[child]), Some(&format!("v{number}")))
                .await;
            indexes.push(child);
            tokio::task::yield_now().await;
        }
        indexes
    };
    let both = async { tokio::join!(runs, pushes) };
    let ((), named) = tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("both end");
    for child in named {
        let reference = Reference::Digest(child.clone());
        let head = place.metadata.manifest_head(&place.name, &reference).await;
        assert!(
            head.expect("asked").is_some(),
            "{child} went from under its index"
        );
    }
}
