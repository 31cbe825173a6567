//! Several servers, PostgreSQL, and blobs in a bucket.
//!
//! | module | what it asks |
//! |---|---|
//! | `one_server` | a server whose metadata lies in PostgreSQL |
//! | `servers` | two servers on one database: what one does, the other one knows |
//! | `outage` | PostgreSQL that is killed and comes back |
//! | `s3` | blobs and uploads in a bucket, and what a store may do to them |
//!
//! Both suites of conformance run on PostgreSQL too, beside their other runs. That a page costs the
//! same however long its list is, `metadata::contract` asks of both databases, and `bench/lists`
//! measures it.

mod one_server;
mod outage;
mod s3;
mod servers;

use serde_json::json;

use crate::api::http::{Answer, Client};
use crate::api::{IMAGE, digest};

/// A manifest whose blobs need not be there, and its digest.
fn manifest(content: &str) -> (String, String) {
    let config = "application/vnd.oci.image.config.v1+json";
    let text = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {"mediaType": config, "digest": digest(b"{}"), "size": 2},
        "layers": [],
        "annotations": {"content": content},
    });
    let text = text.to_string();
    let digest = digest(text.as_bytes());
    (text, digest)
}

/// Puts a manifest under a tag.
fn put(client: &Client, repository: &str, tag: &str, manifest: &str) -> Answer {
    let path = format!("/v2/{repository}/manifests/{tag}");
    client.send(
        "PUT",
        &path,
        &[("Content-Type", IMAGE)],
        manifest.as_bytes(),
    )
}

/// The digest that a tag names.
fn tagged(client: &Client, repository: &str, tag: &str) -> Option<String> {
    let path = format!("/v2/{repository}/manifests/{tag}");
    let answer = client.send("HEAD", &path, &[], b"");
    answer.header("docker-content-digest").map(Into::into)
}
