//! Row 21: JSON that is made to exhaust whoever reads it: nested, broad, and with huge numbers.

use std::time::Duration;

use serde_json::json;

use super::line::{Line, Times, milliseconds};
use super::{Form, row};
use crate::api::IMAGE;
use crate::support::Registry;

/// What a refusal may take, and what it may take where nothing is optimized: reading is some twenty
/// times slower then, and the client's side counts too.
const AT_ONCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 100 });
/// How long a document is: what a manifest may be is twice as much.
const LENGTH: usize = 4 << 20;

/// Documents that nobody means.
fn documents() -> Vec<(&'static str, String)> {
    let nested = "[".repeat(LENGTH);
    let objects = "{\"a\":".repeat(LENGTH / 5);
    let closed = format!("{}{}", "[".repeat(LENGTH / 2), "]".repeat(LENGTH / 2));
    let mut keys: String = (0..LENGTH / 12)
        .map(|n| format!("\"k{n:06}\":1,"))
        .collect();
    keys.pop();
    let mut short_keys: String = (0..1_000_000_u32)
        .map(|n| format!("\"{n:x}\":1,"))
        .collect();
    short_keys.pop();
    let members =
        |members: &str| format!("{{\"schemaVersion\":2,\"mediaType\":\"{IMAGE}\",{members}}}");
    let digits = "9".repeat(100_000);
    let descriptor = |size: &str| {
        let digest = format!("sha256:{}", "0".repeat(64));
        members(&format!(
            "\"config\":{{\"mediaType\":\"a/b\",\"digest\":\"{digest}\",\"size\":{size}}},\"layers\":[]"
        ))
    };
    vec![
        ("4 MiB of [", nested.clone()),
        ("4 MiB of [ and ]", closed.clone()),
        ("4 MiB of {\"a\":", objects.clone()),
        (
            "a config of 4 MiB of [",
            members(&format!("\"config\":{nested}")),
        ),
        (
            "annotations of 4 MiB of {\"a\":",
            members(&format!("\"annotations\":{objects}")),
        ),
        (
            "layers of 4 MiB of [ and ]",
            members(&format!("\"layers\":{closed}")),
        ),
        (
            "an unknown member of 4 MiB of [ and ]",
            members(&format!("\"other\":{closed}")),
        ),
        ("349,525 keys", format!("{{{keys}}}")),
        ("a million keys", format!("{{{short_keys}}}")),
        (
            "a million annotations",
            members(&format!("\"annotations\":{{{short_keys}}}")),
        ),
        ("a size of 1e400000", descriptor("1e400000")),
        ("a size of 100,000 digits", descriptor(&digits)),
        ("a size of -1", descriptor("-1")),
        ("a size of 1.5", descriptor("1.5")),
        ("a size of 1e-400000", descriptor("1e-400000")),
        (
            "a version of 1e400000",
            members("\"config\":{}").replace(":2,", ":1e400000,"),
        ),
        ("1e400000", "1e400000".to_owned()),
        ("100,000 digits", digits.clone()),
        ("1e and 100,000 digits", format!("1e{digits}")),
        ("0. and 100,000 digits", format!("[0.{digits}")),
        ("4 MiB of quotes", "\"".repeat(LENGTH)),
        (
            "4 MiB of \\u0000",
            format!("{{\"{}\":1}}", "\\u0000".repeat(LENGTH / 6)),
        ),
        ("half a surrogate", "{\"a\":\"\\ud800\"}".to_owned()),
    ]
}

/// Where documents go: a name, and how one is sent there.
struct Door {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// Wraps the document in the text of a member.
    wrap: fn(&str) -> String,
}

const AMAZON: &str = "application/x-amz-json-1.1";

fn as_it_is(document: &str) -> String {
    document.to_owned()
}

fn doors() -> Vec<Door> {
    let door = |name, method, path, headers, wrap| Door {
        name,
        method,
        path,
        headers,
        wrap,
    };
    macro_rules! operation {
        ($name:literal) => {
            &[
                ("Content-Type", AMAZON),
                (
                    "X-Amz-Target",
                    concat!("AmazonEC2ContainerRegistry_V20150921.", $name),
                ),
            ]
        };
    }
    const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    vec![
        door(
            "an image",
            "PUT",
            "/v2/team/app/manifests/v1",
            &[("Content-Type", IMAGE)],
            as_it_is,
        ),
        door(
            "an index",
            "PUT",
            "/v2/team/app/manifests/v1",
            &[("Content-Type", INDEX)],
            as_it_is,
        ),
        door(
            "an operation",
            "POST",
            "/",
            operation!("PutImage"),
            as_it_is,
        ),
        door(
            "another operation",
            "POST",
            "/",
            operation!("CreateRepository"),
            as_it_is,
        ),
        door(
            "PutImage",
            "POST",
            "/",
            operation!("PutImage"),
            |document| {
                json!({"repositoryName": "team/app", "imageTag": "v1", "imageManifest": document})
                    .to_string()
            },
        ),
        door(
            "PutLifecyclePolicy",
            "POST",
            "/",
            operation!("PutLifecyclePolicy"),
            |document| {
                json!({"repositoryName": "team/app", "lifecyclePolicyText": document}).to_string()
            },
        ),
        door(
            "SetRepositoryPolicy",
            "POST",
            "/",
            operation!("SetRepositoryPolicy"),
            |document| json!({"repositoryName": "team/app", "policyText": document}).to_string(),
        ),
        door(
            "PutRegistryPolicy",
            "POST",
            "/",
            operation!("PutRegistryPolicy"),
            |document| json!({"policyText": document}).to_string(),
        ),
        door(
            "a policy",
            "PUT",
            "/admin/v1/policies/registry",
            JSON,
            as_it_is,
        ),
        door("a trust", "PUT", "/admin/v1/trusts/github", JSON, as_it_is),
        door("an endpoint", "POST", "/admin/v1/endpoints", JSON, as_it_is),
        door("a session", "POST", "/session", JSON, as_it_is),
    ]
}

#[test]
fn documents_that_exhaust_their_reader_are_refused_at_once() {
    let mut registry = Registry::wharf_with(&[("WHARF__LOG__LEVEL", "warn")]);
    let mut line = Line::to(registry.host()).expect("the server listens");
    let made = line.operation("CreateRepository", b"{\"repositoryName\": \"team/app\"}");
    assert_eq!(made.expect("an answer").status, 200);
    let before = registry.process().resident_bytes();
    let mut times = Times::default();
    let mut wrong = Vec::new();
    for (number, (what, document)) in documents().into_iter().enumerate() {
        for (place, door) in doors().into_iter().enumerate() {
            // The short form takes every third of them.
            if (number + place) % Form::pick(3, 1) != 0 {
                continue;
            }
            let body = (door.wrap)(&document);
            // A body that is too long is refused before it came, and its connection ends.
            let mut line = Line::to(registry.host()).expect("the server listens");
            let answer =
                times.note(|| line.ask(door.method, door.path, door.headers, body.as_bytes()));
            match answer {
                Ok(answer) if matches!(answer.status, 400 | 413) => {}
                Ok(answer) => wrong.push(format!("{what} as {}: {}", door.name, answer.status)),
                Err(error) => wrong.push(format!("{what} as {}: {error}", door.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let grown = registry.process().resident_bytes().saturating_sub(before) >> 20;
    assert!(grown < 128, "{grown} MiB");
    let longest = times.longest();
    let p99 = times.p99();
    assert!(longest < AT_ONCE, "{longest:?}");
    row(
        21,
        "",
        &format!(
            "{} documents refused, p99 {} and the slowest {}{}",
            times.count(),
            milliseconds(p99),
            milliseconds(longest),
            if cfg!(debug_assertions) {
                " without optimization"
            } else {
                ""
            },
        ),
    );
}
