//! What outsiders learn of what is private, and whose uploads are whose.

use serde_json::Value;

use super::{Login, push_image, send_as, send_with, token, user};
use crate::api::http::{Answer, Client};
use crate::api::{IMAGE, digest, image};
use crate::support::Registry;

fn start() -> (Registry, Client, Login, Login) {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let inside = user(&registry, "inside", "write", "private/*");
    let outside = user(&registry, "outside", "write", "own/*");
    (registry, client, inside, outside)
}

/// An answer without what differs between any two.
fn told(answer: &Answer, digest: &str) -> (u16, String) {
    let body = String::from_utf8_lossy(&answer.body).replace(digest, "DIGEST");
    (answer.status, body)
}

#[test]
fn the_digest_of_a_private_blob_opens_nothing() {
    let (registry, client, inside, outside) = start();
    let secret = push_image(&client, &inside, "private/app");
    push_image(&client, &outside, "own/app");
    let never = digest(b"never pushed");

    // In a repository of its own an outsider sees the same of both.
    let ask = |method: &str, path: &str, digest: &str| {
        let path = path.replace("DIGEST", digest);
        told(&send_as(&client, &outside, method, &path, b""), digest)
    };
    for (method, path, status) in [
        ("GET", "/v2/own/app/blobs/DIGEST", 404),
        ("HEAD", "/v2/own/app/blobs/DIGEST", 404),
        ("DELETE", "/v2/own/app/blobs/DIGEST", 404),
        ("GET", "/v2/own/app/manifests/DIGEST", 404),
        ("GET", "/v2/own/app/referrers/DIGEST", 200),
    ] {
        let (known, unknown) = (ask(method, path, &secret), ask(method, path, &never));
        assert_eq!(known, unknown, "{method} {path}");
        assert_eq!(known.0, status, "{method} {path}");
    }
    // A part of it neither, and the other door says the same of both.
    let basic = outside.basic();
    let parts = [&secret, &never].map(|digest| {
        let headers = [("Authorization", basic.as_str()), ("Range", "bytes=0-1")];
        let path = format!("/v2/own/app/blobs/{digest}");
        told(&client.send("GET", &path, &headers, b""), digest)
    });
    assert_eq!(parts[0], parts[1]);
    assert_eq!(parts[0].0, 404);
    let key = crate::ecr::key(&registry, "user/outside");
    let layers = [&secret, &never].map(|digest| {
        let check = ["batch-check-layer-availability", "--repository-name"];
        let words = check
            .into_iter()
            .chain(["own/app", "--layer-digests", digest]);
        let said = crate::ecr::aws(&registry, &key, words).succeeds();
        said.replace(digest.as_str(), "DIGEST")
    });
    assert_eq!(layers[0], layers[1]);
    assert!(!layers[0].contains("\"AVAILABLE\""), "{}", layers[0]);

    // A mount from where it may not read begins an upload, as one of nothing does.
    for query in [
        "mount=DIGEST",
        "mount=DIGEST&from=private/app",
        "mount=DIGEST&from=no/where",
    ] {
        for digest in [&secret, &never] {
            let path = format!(
                "/v2/own/app/blobs/uploads/?{}",
                query.replace("DIGEST", digest)
            );
            let answer = send_as(&client, &outside, "POST", &path, b"");
            assert_eq!(answer.status, 202, "{query}");
            assert!(answer.header("docker-content-digest").is_none());
        }
    }
    // A manifest of its own that names the blob doesn't open it.
    let headers = [("Authorization", basic.as_str()), ("Content-Type", IMAGE)];
    let manifest = image(b"private/app");
    let answer = client.send(
        "PUT",
        "/v2/own/app/manifests/thief",
        &headers,
        manifest.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 201);
    assert_eq!(ask("GET", "/v2/own/app/blobs/DIGEST", &secret).0, 404);

    // Where it may do nothing, what is there and what isn't look alike too.
    for path in [
        "blobs/DIGEST",
        "manifests/v1",
        "tags/list",
        "referrers/DIGEST",
    ] {
        let path = path.replace("DIGEST", &secret);
        let there = send_as(
            &client,
            &outside,
            "GET",
            &format!("/v2/private/app/{path}"),
            b"",
        );
        let nowhere = send_as(
            &client,
            &outside,
            "GET",
            &format!("/v2/private/no/{path}"),
            b"",
        );
        assert_eq!((there.status, nowhere.status), (403, 403), "{path}");
        let text = |answer: &Answer| {
            let mut body: Value = answer.json();
            body["errors"][0]["detail"]["repository"].take();
            body.to_string()
        };
        assert_eq!(text(&there), text(&nowhere), "{path}");
    }
}

#[test]
fn a_refusal_names_the_missing_action() {
    let (_registry, client, _, outside) = start();
    for (method, path, action) in [
        ("GET", "/v2/private/app/manifests/v1", "ecr:BatchGetImage"),
        ("PUT", "/v2/private/app/manifests/v1", "ecr:PutImage"),
        (
            "POST",
            "/v2/private/app/blobs/uploads/",
            "ecr:InitiateLayerUpload",
        ),
        (
            "DELETE",
            "/v2/private/app/manifests/v1",
            "ecr:BatchDeleteImage",
        ),
        ("GET", "/admin/v1/users", "wharf:Administer"),
    ] {
        let answer = send_as(&client, &outside, method, path, b"");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "DENIED"),
            "{path}"
        );
        assert_eq!(
            answer.json()["errors"][0]["detail"]["action"],
            action,
            "{path}"
        );
    }
}

#[test]
fn making_a_repository_is_an_action_of_its_own() {
    let (registry, client, inside, _) = start();
    push_image(&client, &inside, "private/there");
    let policy = r#"{"Statement": {"Effect": "Deny", "Principal": "*",
        "Action": "ecr:CreateRepository", "Resource": "*"}}"#;
    registry
        .administer(["policy", "set", "registry"])
        .stdin(policy)
        .succeeds();
    let begin = |name: &str| {
        let path = format!("/v2/{name}/blobs/uploads/");
        send_as(&client, &inside, "POST", &path, b"")
    };
    // Each attempt under a name of its own: what is let through before the server has heard of the
    // policy makes the repository.
    let mut attempts = 0..;
    let refused =
        crate::support::wait::until("the policy", std::time::Duration::from_secs(5), || {
            let attempt = attempts.next()?;
            let answer = begin(&format!("private/new-{attempt}"));
            (answer.status == 403).then_some(answer)
        });
    let detail = &refused.json()["errors"][0]["detail"];
    assert_eq!(detail["action"], "ecr:CreateRepository");
    assert_eq!(begin("private/there").status, 202);
}

#[test]
fn an_upload_is_unknown_in_other_hands() {
    let (registry, client, inside, _) = start();
    let colleague = user(&registry, "colleague", "write", "private/*");
    let answer = send_as(
        &client,
        &inside,
        "POST",
        "/v2/private/app/blobs/uploads/",
        b"",
    );
    let location = answer.header("location").expect("a location").to_owned();
    assert_eq!(
        send_as(&client, &inside, "PATCH", &location, b"mine").status,
        202
    );
    let elsewhere = location.replace("/private/app/", "/private/other/");
    let finish = |path: &str| format!("{path}?digest={}", digest(b"mine"));
    for (login, path) in [(&colleague, &location), (&inside, &elsewhere)] {
        for (method, path) in [
            ("GET", path.clone()),
            ("PATCH", path.clone()),
            ("PUT", finish(path)),
            ("DELETE", path.clone()),
        ] {
            let answer = send_as(&client, login, method, &path, b"x");
            let found = (answer.status, answer.code());
            assert_eq!(
                found,
                (404, "BLOB_UPLOAD_UNKNOWN".into()),
                "{method} {path}"
            );
        }
    }
    // By its owner's password or token, it is the same upload.
    let token = token(&client, &inside, "repository:private/app:pull,push");
    assert_eq!(
        send_with(&client, &token, "PUT", &finish(&location), b"").status,
        201
    );
}

#[test]
fn a_delete_in_one_repository_is_seen_there_at_once_and_nowhere_else() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "write", "*");
    let blob = b"shared";
    let shared = digest(blob);
    let push = format!("/v2/one/blobs/uploads/?digest={shared}");
    assert_eq!(send_as(&client, &alice, "POST", &push, blob).status, 201);
    let mount = format!("/v2/two/blobs/uploads/?mount={shared}&from=one");
    assert_eq!(send_as(&client, &alice, "POST", &mount, b"").status, 201);
    let status = |method: &str, name: &str| {
        let path = format!("/v2/{name}/blobs/{shared}");
        send_as(&client, &alice, method, &path, b"").status
    };
    for name in ["one", "two"] {
        assert_eq!(
            (status("GET", name), status("HEAD", name)),
            (200, 200),
            "{name}"
        );
    }
    assert_eq!(status("DELETE", "one"), 202);
    assert_eq!((status("GET", "one"), status("HEAD", "one")), (404, 404));
    assert_eq!((status("GET", "two"), status("HEAD", "two")), (200, 200));
    assert_eq!(status("DELETE", "two"), 202);
    assert_eq!((status("GET", "two"), status("HEAD", "two")), (404, 404));
}
