//! Images on their way to other places and back, with the programs that others read them with.
//!
//! | module | what it asks |
//! |---|---|
//! | `layouts` | folders and archives, there and back, read by skopeo, crane and oras |
//! | `registries` | to and from docker-registry and another Wharf, with a login |
//! | `trouble` | downloads that break, realms and redirects that lead away, wrong bytes |
//! | `breaks` | runs that are killed, beside servers that restart |
//! | `adoption` | a docker-registry's folder, taken over in place |

mod adoption;
mod breaks;
mod layouts;
mod registries;
mod trouble;

use std::path::Path;

use serde_json::{Value, json};

use crate::api::http::Client;
use crate::api::{IMAGE, digest};
use crate::support::{Command, Registry, image};

const ARTIFACT: &str = "application/vnd.example.signature";

/// A command of the registry's own command line, which finds no login by itself.
fn wharf<'a>(registry: &Registry, words: impl IntoIterator<Item = &'a str>) -> Command {
    registry
        .administer(words)
        .env("HOME", registry.data())
        .env("DOCKER_CONFIG", registry.data())
}

/// Pushes an index of two architectures, tagged v1, and a signature of it; gives both digests.
fn signed_index(registry: &Registry, folder: &Path, repository: &str) -> (String, String) {
    let (layout, index) = image::two_architectures(folder.join("made"), "v1");
    let name = format!("oci:{}:v1", layout.display());
    Command::tool("skopeo")
        .args([
            "--insecure-policy",
            "copy",
            "--all",
            "--dest-tls-verify=false",
        ])
        .args([
            &name,
            &format!("docker://{}/{repository}:v1", registry.host()),
        ])
        .succeeds();
    let client = Client::new(registry.base());
    let size = client
        .get(&format!("/v2/{repository}/manifests/{index}"))
        .body
        .len();
    let subject = json!({
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": index,
        "size": size,
    });
    let signature = refer(&client, repository, &subject);
    (index, signature)
}

/// Pushes a blob in two requests, as docker-registry wants it, and gives its digest.
fn push_blob(client: &Client, repository: &str, bytes: &[u8]) -> String {
    let path = format!("/v2/{repository}/blobs/uploads/");
    let begun = client.send("POST", &path, &[], b"");
    let location = begun.header("location").expect("a location");
    let base = format!("http://{}", client.address());
    let location = location.strip_prefix(&base).unwrap_or(location);
    let join = if location.contains('?') { '&' } else { '?' };
    let digest = digest(bytes);
    let path = format!("{location}{join}digest={digest}");
    let headers = [("Content-Type", "application/octet-stream")];
    assert_eq!(client.send("PUT", &path, &headers, bytes).status, 201);
    digest
}

/// Pushes an artifact that refers to a subject, and gives its digest.
fn refer(client: &Client, repository: &str, subject: &Value) -> String {
    let empty = push_blob(client, repository, b"{}");
    let config =
        json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2});
    let artifact = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "artifactType": ARTIFACT,
        "config": config,
        "layers": [config],
        "subject": subject,
    })
    .to_string();
    let digest = digest(artifact.as_bytes());
    let path = format!("/v2/{repository}/manifests/{digest}");
    let headers = [("Content-Type", IMAGE)];
    assert_eq!(
        client
            .send("PUT", &path, &headers, artifact.as_bytes())
            .status,
        201
    );
    digest
}

/// Asserts that a registry has an image or an index whole, each byte by its digest.
fn is_whole(client: &Client, repository: &str, reference: &str) -> String {
    let path = format!("/v2/{repository}/manifests/{reference}");
    let all = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
               application/vnd.docker.distribution.manifest.v2+json";
    let answer = client.send("GET", &path, &[("Accept", all)], b"");
    assert_eq!(answer.status, 200, "{repository} {reference}: {answer:?}");
    let own = digest(&answer.body);
    if reference.contains(':') {
        assert_eq!(own, reference);
    }
    let document = answer.json();
    for child in document["manifests"].as_array().into_iter().flatten() {
        is_whole(
            client,
            repository,
            child["digest"].as_str().expect("a digest"),
        );
    }
    let layers = document["layers"].as_array().into_iter().flatten();
    for blob in layers.chain(document.get("config")) {
        let name = blob["digest"].as_str().expect("a digest");
        let answer = client.get(&format!("/v2/{repository}/blobs/{name}"));
        assert_eq!((answer.status, digest(&answer.body).as_str()), (200, name));
    }
    own
}

/// The digests of what refers to an image.
fn referrers(client: &Client, repository: &str, subject: &str) -> Vec<String> {
    let answer = client.get(&format!("/v2/{repository}/referrers/{subject}"));
    let listed = answer.json()["manifests"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    listed
        .iter()
        .map(|one| one["digest"].as_str().expect("a digest").to_owned())
        .collect()
}
