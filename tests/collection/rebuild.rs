//! A lost database, made anew from the bytes and the records beside them.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::http::Client;
use crate::api::{IMAGE, content, digest};
use crate::support::{Registry, wait};

/// Pushes an image with a layer, and gives its digest.
fn push(client: &Client, repository: &str, tags: &[&str], layer: &[u8]) -> String {
    let config = json!({"of": digest(layer)}).to_string();
    let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
    for bytes in [layer, config.as_bytes()] {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(bytes));
        assert_eq!(client.send("POST", &path, &[], bytes).status, 201);
    }
    let document = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    })
    .to_string();
    let digest = digest(document.as_bytes());
    for reference in tags.iter().copied().chain([digest.as_str()]) {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let headers = [("Content-Type", IMAGE)];
        let answer = client.send("PUT", &path, &headers, document.as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    digest
}

fn tags(client: &Client, repository: &str) -> Value {
    client.get(&format!("/v2/{repository}/tags/list")).json()["tags"].clone()
}

fn lose_the_database(registry: &Registry) {
    for name in [
        "metadata.sqlite3",
        "metadata.sqlite3-wal",
        "metadata.sqlite3-shm",
    ] {
        let _ = fs::remove_file(registry.data().join(name));
    }
}

#[test]
fn images_and_tags_come_back() {
    let mut registry = Registry::wharf();
    let client = Client::new(registry.base());
    let (layer, other) = (content(200_000), content(70_000));
    let first = push(&client, "lost/app", &["v1", "latest"], &layer);
    let untagged = push(&client, "lost/app", &[], &other);
    push(&client, "lost/deleted", &["v1"], &other);
    let gone = push(&client, "lost/app", &["gone"], &content(10));
    let path = format!("/v2/lost/app/manifests/{gone}");
    assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    // A tag that moved, and one that went.
    let moved = push(&client, "lost/app", &["latest", "short"], &content(20));
    let path = "/v2/lost/app/manifests/short";
    assert_eq!(client.send("DELETE", path, &[], b"").status, 202);
    // Records are written when the server stops, at the latest.
    registry.stop();

    lose_the_database(&registry);
    let told = registry.administer(["rebuild"]).succeeds();
    assert!(told.contains("and 4 manifests"), "{told}");
    let again = registry.administer(["rebuild"]).fails();
    assert!(again.contains("--merge"), "{again}");
    let told = registry.administer(["rebuild", "--merge"]).succeeds();
    assert!(told.contains("of which 0 are new"), "{told}");
    registry.start_again();
    let client = Client::new(registry.base());
    assert_eq!(tags(&client, "lost/app"), json!(["latest", "v1"]));
    for (reference, name) in [("v1", &first), ("latest", &moved), (&untagged, &untagged)] {
        let answer = client.get(&format!("/v2/lost/app/manifests/{reference}"));
        assert_eq!(answer.status, 200, "{reference}");
        assert_eq!(digest(&answer.body), **name);
    }
    let blob = client.get(&format!("/v2/lost/app/blobs/{}", digest(&layer)));
    assert_eq!((blob.status, blob.body == layer), (200, true));
    let path = format!("/v2/lost/app/manifests/{gone}");
    assert_eq!(client.get(&path).status, 404);
}

#[test]
fn a_kill_loses_no_record_of_what_was_there_for_a_while() {
    let mut registry = Registry::wharf();
    let client = Client::new(registry.base());
    let pushed = push(&client, "lost/killed", &["v1"], &content(1000));
    let (_, hex) = pushed.split_once(':').expect("a digest");
    let record = format!("records/lost/killed/_manifests/sha256-{hex}.json");
    let record = registry.data().join(record);
    wait::until("the record", Duration::from_secs(10), || {
        let text = fs::read_to_string(&record).ok()?;
        text.contains("\"v1\"").then_some(())
    });
    registry.kill();
    lose_the_database(&registry);
    registry.administer(["rebuild"]).succeeds();
    registry.start_again();
    let client = Client::new(registry.base());
    assert_eq!(tags(&client, "lost/killed"), json!(["v1"]));
}

#[test]
fn a_repository_that_is_deleted_leaves_no_record() {
    let mut registry = Registry::wharf();
    let client = Client::new(registry.base());
    push(&client, "lost/whole", &["v1"], &content(1000));
    let folder = registry.data().join("records/lost/whole/_manifests");
    let count = || fs::read_dir(&folder).map_or(0, Iterator::count);
    wait::until("the record", Duration::from_secs(10), || {
        (count() == 1).then_some(())
    });
    let body = json!({"repositoryName": "lost/whole", "force": true}).to_string();
    let target = "AmazonEC2ContainerRegistry_V20150921.DeleteRepository";
    let headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("X-Amz-Target", target),
    ];
    let answer = client.send("POST", "/", &headers, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    registry.stop();
    assert_eq!(count(), 0);
}
