//! The distribution API, asked with requests that no library mends: what is refused, what is kept
//! apart, and what goes on after a break. The whole of the specification is asked for by the two
//! conformance suites.

mod bad_input;
mod content;
pub(crate) mod http;
mod isolation;
mod limits;
mod parts;
pub(crate) mod resume;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use self::http::{Answer, Client};
use crate::support::Registry;

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry of its own, and a client of it.
pub(crate) fn start() -> (Registry, Client) {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    (registry, client)
}

/// The digest of bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// Bytes that differ from place to place.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8)
        .collect()
}

/// Pushes a blob in one request.
pub(crate) fn push_blob(client: &Client, repository: &str, bytes: &[u8]) -> String {
    let digest = digest(bytes);
    let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    let answer = client.send("POST", &path, &[], bytes);
    assert_eq!(answer.status, 201, "{answer:?}");
    digest
}

/// Begins an upload, and gives its location.
pub(crate) fn begin(client: &Client, repository: &str) -> String {
    let answer = client.send(
        "POST",
        &format!("/v2/{repository}/blobs/uploads/"),
        &[],
        b"",
    );
    assert_eq!(answer.status, 202, "{answer:?}");
    answer
        .header("location")
        .expect("an upload has a location")
        .to_owned()
}

/// A descriptor of bytes.
fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// An image manifest without layers.
pub(crate) fn image(config: &[u8]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [],
    })
}

/// Pushes a manifest under a reference.
pub(crate) fn push_manifest(
    client: &Client,
    repository: &str,
    reference: &str,
    manifest: &Value,
) -> Answer {
    let path = format!("/v2/{repository}/manifests/{reference}");
    let body = manifest.to_string();
    client.send("PUT", &path, &[("Content-Type", IMAGE)], body.as_bytes())
}
