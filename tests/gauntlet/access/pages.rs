//! Row 31: script wherever a caller can leave text. No answer is a page, so none of it runs.

use serde_json::{Value, json};

use super::people::{House, raw};
use super::row;
use crate::api::IMAGE;
use crate::api::http::Answer;
use crate::support::image::digest;

/// Script in the ways that pages have been tricked with.
const SCRIPTS: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "javascript:alert(1)//",
    "<svg/onload=alert(1)>",
    "\u{feff}<!doctype html><body onload=alert(1)>",
    "%3Cscript%3Ealert(1)%3C/script%3E",
];

#[test]
fn no_answer_is_a_page_that_could_run_what_somebody_left() {
    let house = House::new(&[]);
    let mut answers: Vec<(String, Answer)> = Vec::new();
    let mut stored = 0;
    for (number, script) in SCRIPTS.iter().enumerate() {
        let repository = format!("team/app{number}");
        let page = format!("<html>{script}</html>");
        let config = house.blob(&repository, b"{}");
        let layer = house.blob(&repository, page.as_bytes());
        let annotations =
            json!({script.to_owned(): script, "org.opencontainers.image.description": script});
        let text = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "annotations": annotations, "artifactType": "text/html",
            "config": {"mediaType": "text/html", "digest": config, "size": 2},
            "layers": [{"mediaType": "text/html", "digest": layer, "size": page.len(), "annotations": annotations}],
            "subject": {"mediaType": IMAGE, "digest": digest(b"subject"), "size": 1},
        })
        .to_string();
        let put = |path: &str, content_type: &str, bytes: &[u8]| {
            let headers = [
                ("Authorization", &*house.admin),
                ("Content-Type", content_type),
            ];
            let method = if path.contains("/uploads/") {
                "POST"
            } else {
                "PUT"
            };
            house.client.send(method, path, &headers, bytes)
        };
        let at = |path: &str| format!("/v2/{repository}/{path}");
        assert_eq!(put(&at("manifests/1"), IMAGE, text.as_bytes()).status, 201);
        stored += 1;
        // A blob that is sent as a page, and pages as manifests.
        let blob = format!("<p>{page}");
        let path = at(&format!(
            "blobs/uploads/?digest={}",
            digest(blob.as_bytes())
        ));
        answers.push((
            "a push of a page".into(),
            put(&path, "text/html", blob.as_bytes()),
        ));
        for content_type in [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "TEXT/HTML; charset=utf-7",
        ] {
            let answer = put(&at("manifests/page"), content_type, text.as_bytes());
            assert_eq!(answer.status, 400, "{content_type}: {answer:?}");
            answers.push((content_type.into(), answer));
        }
        let manifest = digest(text.as_bytes());
        for path in [
            at("manifests/1"),
            at(&format!("manifests/{manifest}")),
            at(&format!("blobs/{layer}")),
            at(&format!("blobs/{}", digest(blob.as_bytes()))),
            at("tags/list"),
            at(&format!("referrers/{}", digest(b"subject"))),
            at(&format!(
                "referrers/{}?artifactType=text/html",
                digest(b"subject")
            )),
            "/v2/_catalog".to_owned(),
            "/events?after=oldest".to_owned(),
        ] {
            for accept in ["text/html", "*/*"] {
                let headers = [("Authorization", &*house.admin), ("Accept", accept)];
                let answer = house.client.send("GET", &path, &headers, b"");
                assert_eq!(answer.status, 200, "{path}: {answer:?}");
                answers.push((path.clone(), answer));
            }
        }
        answers.extend(administration(&house, script, number));
        answers.extend(errors(&house, script));
    }
    for (what, answer) in &answers {
        harmless(what, answer);
    }
    row(
        31,
        "",
        &format!(
            "{stored} images full of script, {} answers, 0 pages",
            answers.len()
        ),
    );
}

/// Texts of users, robots, endpoints, policies and repositories.
fn administration(house: &House, script: &str, number: usize) -> Vec<(String, Answer)> {
    let name = format!("robot{number}");
    let made = house.manage(
        "POST",
        "/robots",
        &json!({"name": name, "description": script}),
    );
    let key = house.key("user/warden");
    let mut answers = vec![
        ("a robot".to_owned(), made),
        (
            "robots".to_owned(),
            house.manage("GET", "/robots", &Value::Null),
        ),
        (
            "a user".to_owned(),
            house.manage("POST", "/users", &json!({"name": script})),
        ),
        (
            "a policy".to_owned(),
            house.manage(
                "PUT",
                "/policies/registry",
                &json!({"Statement": [{"Sid": script, "Effect": script}]}),
            ),
        ),
        (
            "an endpoint".to_owned(),
            house.manage(
                "POST",
                "/endpoints",
                &json!({"name": script, "url": script}),
            ),
        ),
        (
            "a question".to_owned(),
            house.manage("POST", "/can", &json!({"who": script, "action": script})),
        ),
        (
            "the audit log".to_owned(),
            house.manage("GET", "/audit", &Value::Null),
        ),
    ];
    let tags = json!([{"Key": script, "Value": script}]);
    for (operation, body) in [
        (
            "CreateRepository",
            json!({"repositoryName": format!("tagged/{name}"), "tags": tags}),
        ),
        ("CreateRepository", json!({"repositoryName": script})),
        ("DescribeRepositories", json!({"nextToken": script})),
        (
            "PutImage",
            json!({"repositoryName": "team/app0", "imageManifest": script}),
        ),
        (script, json!({})),
    ] {
        if operation.is_ascii() {
            answers.push((
                format!("{operation} {body}"),
                house.call(&key, operation, &body),
            ));
        }
    }
    answers
}

/// Errors that tell what was asked for.
fn errors(house: &House, script: &str) -> Vec<(String, Answer)> {
    let encoded: String = script.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut answers = Vec::new();
    for path in [
        format!("/{encoded}"),
        format!("/v2/{encoded}/manifests/1"),
        format!("/v2/team/app0/manifests/{encoded}"),
        format!("/v2/team/app0/blobs/{encoded}"),
        format!("/v2/team/app0/blobs/uploads/{encoded}"),
        format!("/v2/team/app0/referrers/{encoded}"),
        format!("/v2/team/app0/tags/list?n={encoded}&last={encoded}"),
        format!("/v2/_catalog?n={encoded}"),
        format!("/token?scope={encoded}&service={encoded}&account={encoded}"),
        format!("/events?after={encoded}"),
        format!("/admin/v1/users/{encoded}"),
        format!("/admin/v1/policies/{encoded}"),
        format!("/admin/v1/{encoded}"),
    ] {
        for who in [house.admin.as_str(), ""] {
            for accept in ["text/html", ""] {
                let mut headers = vec![("Accept", accept)];
                if !who.is_empty() {
                    headers.push(("Authorization", who));
                }
                answers.push((path.clone(), house.client.send("GET", &path, &headers, b"")));
            }
        }
    }
    // Without any encoding, as no browser would send it, and errors of the protocol itself.
    for request in [
        format!("GET /{script} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        format!("{script} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {script}\r\nConnection: close\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{script}: 1\r\nConnection: close\r\n\r\n"),
        format!("GET / HTTP/9.{script}\r\n\r\n"),
    ] {
        answers.push((
            request.clone(),
            raw(house.client.address(), request.as_bytes()),
        ));
    }
    answers
}

/// Asserts that a browser shows no page when it is led to an answer.
fn harmless(what: &str, answer: &Answer) {
    let Answer {
        status,
        headers,
        body,
    } = answer;
    assert!(*status < 500, "{what}: {answer:?}");
    let all = |name: &str| {
        headers
            .get(name)
            .map(|values| values.join(", "))
            .unwrap_or_default()
    };
    if body.is_empty() && headers.len() <= 3 {
        // The bare refusal of what is no HTTP.
        return;
    }
    assert_eq!(
        all("x-content-type-options"),
        "nosniff",
        "{what}: {answer:?}"
    );
    let policy = all("content-security-policy");
    let is_strict = policy.contains("default-src 'none'") && policy.contains("sandbox");
    assert!(is_strict && !policy.contains("allow-"), "{what}: {policy}");
    let content_type = all("content-type").to_lowercase();
    let is_page = ["html", "svg", "xml", "javascript", "pdf"]
        .iter()
        .any(|part| content_type.contains(part));
    assert!(!is_page, "{what}: {content_type}");
    assert!(
        body.is_empty() || !content_type.is_empty(),
        "{what}: a body without a type"
    );
    // Text of a caller that splits a head would stand in it by another name.
    let mut names = headers.keys();
    assert!(
        !names.any(|name| name.contains("script") || name.contains("evil")),
        "{what}: {headers:?}"
    );
    let refresh = all("refresh") + &all("location");
    assert!(
        !refresh.contains("javascript:") && !refresh.contains('<'),
        "{what}: {refresh}"
    );
}
