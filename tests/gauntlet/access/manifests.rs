//! Row 39: manifests that two readers would understand differently.

use serde_json::{Value, json};

use super::people::manifest;
use super::row;
use crate::api::{IMAGE, start};
use crate::support::image::digest;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

#[test]
fn a_manifest_that_reads_in_two_ways_is_refused() {
    let (_registry, client) = start();
    let config = digest(b"{}");
    let layer = digest(b"layer");
    for bytes in [b"{}".as_slice(), b"layer"] {
        let path = format!("/v2/team/app/blobs/uploads/?digest={}", digest(bytes));
        assert_eq!(client.send("POST", &path, &[], bytes).status, 201);
    }
    let good = manifest(&config, &layer, 5);
    let put = |reference: &str, content_type: Option<&str>, bytes: &[u8]| {
        let path = format!("/v2/team/app/manifests/{reference}");
        let header = content_type.map(|value| ("Content-Type", value));
        client.send("PUT", &path, header.as_slice(), bytes)
    };
    let ecr = |content_type: Option<&str>, bytes: &str| {
        let mut body =
            json!({"repositoryName": "team/app", "imageManifest": bytes, "imageTag": "odd"});
        if let Some(content_type) = content_type {
            body["imageManifestMediaType"] = json!(content_type);
        }
        let headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            (
                "X-Amz-Target",
                "AmazonEC2ContainerRegistry_V20150921.PutImage",
            ),
        ];
        client.send("POST", "/", &headers, body.to_string().as_bytes())
    };

    let mut refused = 0;
    let mut taken = Vec::new();
    for (what, content_type, text) in odd(&good) {
        let digest = digest(text.as_bytes());
        for reference in ["odd", &digest] {
            let answer = put(reference, content_type, text.as_bytes());
            match answer.status {
                400 => assert_eq!(answer.code(), "MANIFEST_INVALID", "{what}: {answer:?}"),
                _ => taken.push(format!("{what}: {text}: {}", answer.status)),
            }
            refused += 1;
        }
        let answer = ecr(content_type, &text);
        if answer.status != 400 {
            taken.push(format!("{what} by ECR: {text}: {}", answer.status));
        }
        refused += 1;
    }
    assert!(taken.is_empty(), "{taken:#?}");
    assert_eq!(client.get("/v2/team/app/manifests/odd").status, 404);

    // What is plain is taken, with the type from the header, from the document, or from both; and it
    // comes back under that type whatever a reader asks for.
    for content_type in [
        Some(IMAGE),
        None,
        Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
    ] {
        assert_eq!(put("good", content_type, good.as_bytes()).status, 201);
    }
    for accept in [IMAGE, INDEX, DOCKER_LIST, "text/html", "*/*"] {
        let pulled = client.send(
            "GET",
            "/v2/team/app/manifests/good",
            &[("Accept", accept)],
            b"",
        );
        assert_eq!(
            (pulled.status, pulled.header("content-type")),
            (200, Some(IMAGE))
        );
        assert_eq!(pulled.body, good.as_bytes());
    }
    row(
        39,
        "",
        &format!("{refused} pushes of manifests that read in two ways, all refused"),
    );
}

/// Documents that are wrong, under the type that they are pushed with.
fn odd(good: &str) -> Vec<(&'static str, Option<&'static str>, String)> {
    let document: Value = serde_json::from_str(good).expect("JSON");
    let with = |name: &str, value: Value| {
        let mut changed = document.clone();
        changed[name] = value;
        changed.to_string()
    };
    let without_type = || {
        let mut changed = document.clone();
        changed
            .as_object_mut()
            .expect("an object")
            .remove("mediaType");
        changed
    };
    let child =
        json!([{"mediaType": IMAGE, "digest": digest(good.as_bytes()), "size": good.len()}]);
    let both = {
        let mut changed = without_type();
        changed["manifests"] = child.clone();
        changed.to_string()
    };
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": child});
    let index_with = |name: &str, value: Value| {
        let mut changed = index.clone();
        changed[name] = value;
        changed.to_string()
    };
    let opened = |more: &str| good.replacen('{', &format!("{{{more},"), 1);
    let closed = |more: &str| format!("{},{more}}}", good.strip_suffix('}').expect("an object"));
    let layer = |more: &str| good.replacen("\"layers\":[{", &format!("\"layers\":[{{{more},"), 1);
    let config = |more: &str| good.replacen("\"config\":{", &format!("\"config\":{{{more},"), 1);
    let zero = digest(b"evil");
    vec![
        (
            "an image with manifests",
            Some(IMAGE),
            with("manifests", child.clone()),
        ),
        (
            "an image with an empty list",
            Some(IMAGE),
            with("manifests", json!([])),
        ),
        ("both, and no type", None, both.clone()),
        ("both, as an image", Some(IMAGE), both.clone()),
        ("both, as an index", Some(INDEX), both),
        (
            "an index with layers",
            Some(INDEX),
            index_with("layers", json!([])),
        ),
        (
            "an index with a config",
            Some(INDEX),
            index_with("config", document["config"].clone()),
        ),
        (
            "layers of the first schema",
            Some(IMAGE),
            with("fsLayers", json!([{"blobSum": zero}])),
        ),
        ("a doubled member", Some(IMAGE), closed("\"layers\":[]")),
        (
            "the same one twice",
            Some(IMAGE),
            closed("\"schemaVersion\":2"),
        ),
        (
            "a doubled type",
            Some(IMAGE),
            closed(&format!("\"mediaType\":\"{IMAGE}\"")),
        ),
        (
            "a doubled member, escaped",
            Some(IMAGE),
            closed("\"l\\u0061yers\":[]"),
        ),
        (
            "a doubled type, escaped",
            None,
            opened(&format!("\"medi\\u0061Type\":\"{INDEX}\"")),
        ),
        (
            "escaped both times",
            Some(IMAGE),
            closed("\"\\u0061\":1,\"\\u0061\":2"),
        ),
        (
            "a doubled digest of the config",
            Some(IMAGE),
            config(&format!("\"digest\":\"{zero}\"")),
        ),
        (
            "a doubled digest of a layer",
            Some(IMAGE),
            layer(&format!("\"digest\":\"{zero}\"")),
        ),
        (
            "the same, escaped",
            Some(IMAGE),
            layer(&format!("\"dig\\u0065st\":\"{zero}\"")),
        ),
        (
            "a doubled annotation",
            Some(IMAGE),
            closed("\"annotations\":{\"a\":\"1\",\"a\":\"2\"}"),
        ),
        (
            "the same, escaped",
            Some(IMAGE),
            closed("\"annotations\":{\"a\":\"1\",\"\\u0061\":\"2\"}"),
        ),
        (
            "doubled, deep inside",
            Some(IMAGE),
            closed("\"x\":[[{\"y\":{\"a\":1,\"a\":1}}]]"),
        ),
        (
            "a member in another case",
            Some(IMAGE),
            closed("\"Layers\":[]"),
        ),
        (
            "a type in another case",
            None,
            closed(&format!("\"MediaType\":\"{INDEX}\"")),
        ),
        (
            "a long s for an s",
            Some(IMAGE),
            closed("\"layer\u{17f}\":[]"),
        ),
        ("another type in the header", Some(INDEX), good.to_owned()),
        ("Docker's type in the header", Some(DOCKER), good.to_owned()),
        ("a list in the header", Some(DOCKER_LIST), good.to_owned()),
        ("an index as an image", Some(IMAGE), index.to_string()),
        (
            "an image that says index",
            None,
            with("mediaType", json!(INDEX)),
        ),
        (
            "an image that says index twice",
            Some(INDEX),
            with("mediaType", json!(INDEX)),
        ),
        (
            "an image as an index, untyped",
            Some(INDEX),
            without_type().to_string(),
        ),
        (
            "a type that is a number",
            Some(IMAGE),
            with("mediaType", json!(2)),
        ),
        (
            "a page",
            Some("text/html"),
            "<script>alert(1)</script>".to_owned(),
        ),
        (
            "a page's type",
            Some("text/html"),
            with("mediaType", json!("text/html")),
        ),
        (
            "a page's type, untyped",
            Some("text/html"),
            without_type().to_string(),
        ),
        ("something behind it", Some(IMAGE), format!("{good}{{}}")),
        (
            "something before it",
            Some(IMAGE),
            format!("\u{feff}{good}"),
        ),
        ("a list around it", Some(IMAGE), format!("[{good}]")),
        (
            "layers of an object",
            Some(IMAGE),
            with("layers", json!({})),
        ),
        (
            "a digest in another case",
            Some(IMAGE),
            layer(&format!("\"Digest\":\"{zero}\"")),
        ),
        (
            "the first schema",
            Some(IMAGE),
            with("schemaVersion", json!(1)),
        ),
        (
            "a version that is a text",
            Some(IMAGE),
            with("schemaVersion", json!("2")),
        ),
    ]
}
