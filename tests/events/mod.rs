//! What happened, as others are told of it.
//!
//! | module | what it asks |
//! |---|---|
//! | `log` | `GET /events`, `wharf events tail`, and who may read them |
//! | `webhooks` | deliveries: signatures, retries, dead letters, replay, formats |
//! | `backlog` | a target that is down while 100,000 events wait |
//! | `loss` | a thousand pushes, a failing sink, and a server that is killed |
//! | `nats` | a real NATS server |
//! | `hook` | the server that webhooks are delivered to |

mod backlog;
mod hook;
mod log;
mod loss;
mod nats;
mod webhooks;

use serde_json::{Value, json};

use crate::api::http::{Answer, Client};
use crate::support::Registry;

/// Wharf that may reach this machine's own addresses.
fn registry() -> Registry {
    Registry::wharf_with(&[("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]")])
}

/// Pushes a small artifact, and gives its digest.
fn push(client: &Client, repository: &str, tag: &str, content: &str) -> String {
    let manifest = manifest(content);
    let path = format!("/v2/{repository}/manifests/{tag}");
    let headers = [("Content-Type", crate::api::IMAGE)];
    let answer = client.send("PUT", &path, &headers, manifest.as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
    crate::api::digest(manifest.as_bytes())
}

/// A manifest whose blobs need not be there.
fn manifest(content: &str) -> String {
    let config = "application/vnd.oci.image.config.v1+json";
    json!({
        "schemaVersion": 2,
        "mediaType": crate::api::IMAGE,
        "config": {"mediaType": config, "digest": crate::api::digest(b"{}"), "size": 2},
        "layers": [],
        "annotations": {"content": content},
    })
    .to_string()
}

/// A page of events behind a cursor.
fn page(client: &Client, query: &str) -> Answer {
    client.get(&format!("/events?{query}"))
}

fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    answer["events"].as_array().expect("a list").clone()
}

/// Makes an endpoint, and gives its secret.
fn endpoint(registry: &Registry, name: &str, url: &str, options: &[&str]) -> String {
    let told = registry
        .administer(["endpoint", "add", name, url])
        .args(options)
        .env("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]")
        .succeeds();
    let secret = told.trim().strip_prefix("secret: ");
    secret.unwrap_or_default().to_owned()
}
