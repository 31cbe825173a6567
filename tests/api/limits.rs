//! What is too much is refused in time.

use serde_json::json;

use super::http::Client;
use super::{IMAGE, begin, image};
use crate::support::Registry;

#[test]
fn a_manifest_over_the_limit_is_refused() {
    let registry = Registry::wharf_with(&[("WHARF__REGISTRY__MANIFEST_LIMIT", "64KiB")]);
    let client = Client::new(registry.base());
    let mut manifest = image(b"{}");
    manifest["annotations"] = json!({"filler": "x".repeat(64 << 10)});
    let text = manifest.to_string();
    let answer = client.send(
        "PUT",
        "/v2/a/manifests/v1",
        &[("Content-Type", IMAGE)],
        text.as_bytes(),
    );
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "MANIFEST_INVALID")
    );
}

#[test]
fn open_uploads_are_limited() {
    let registry = Registry::wharf_with(&[("WHARF__UPLOADS__OPEN_PER_PRINCIPAL", "3")]);
    let client = Client::new(registry.base());
    let locations = [0; 3].map(|_| begin(&client, "many"));
    let refused = client.send("POST", "/v2/many/blobs/uploads/", &[], b"");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "TOOMANYREQUESTS")
    );
    assert!(refused.header("retry-after").is_some());
    assert_eq!(client.send("DELETE", &locations[0], &[], b"").status, 204);
    begin(&client, "many");
}

#[test]
fn repositories_appear_only_where_that_is_allowed() {
    let registry = Registry::wharf_with(&[("WHARF__REGISTRY__CREATE_ON_PUSH", "false")]);
    let client = Client::new(registry.base());
    let upload = client.send("POST", "/v2/new/blobs/uploads/", &[], b"");
    assert_eq!(
        (upload.status, upload.code().as_str()),
        (404, "NAME_UNKNOWN")
    );
    let manifest = super::push_manifest(&client, "new", "v1", &image(b"{}"));
    assert_eq!(
        (manifest.status, manifest.code().as_str()),
        (404, "NAME_UNKNOWN")
    );
    assert_eq!(client.get("/v2/_catalog").json()["repositories"], json!([]));
}

#[test]
fn missing_content_is_refused_where_that_is_set() {
    let registry = Registry::wharf_with(&[("WHARF__REGISTRY__MISSING_CONTENT", "reject")]);
    let client = Client::new(registry.base());
    let refused = super::push_manifest(&client, "strict", "v1", &image(b"{}"));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (404, "MANIFEST_BLOB_UNKNOWN")
    );
    assert_eq!(
        refused.json()["errors"][0]["detail"]["digest"],
        super::digest(b"{}")
    );
    super::push_blob(&client, "strict", b"{}");
    assert_eq!(
        super::push_manifest(&client, "strict", "v1", &image(b"{}")).status,
        201
    );
}
