//! Canaries: secrets in every place that can hold one, none of which may be told again.

use std::fs;

use serde_json::json;

use super::{Login, send_as, send_json, user};
use crate::api::http::Client;
use crate::support::{Registry, folder};

#[test]
fn secrets_are_in_no_log_no_measure_and_no_error() {
    let folder = folder();
    let key = folder.path().join("secret.key");
    let canary_key = "Q0FOQVJZLUtFWS1DQU5BUlktS0VZLUNBTkFSWS1LRVk=";
    fs::write(&key, canary_key).expect("a file");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
    let mut registry = Registry::private_with(&[
        ("WHARF__LOG__LEVEL", "trace"),
        ("WHARF__LOG__FORMAT", "json"),
        ("WHARF__AUDIT__READS", "true"),
        (
            "WHARF__AUTH__SECRET_KEY_FILE",
            key.to_str().expect("plain letters"),
        ),
    ]);
    let client = Client::new(registry.base());
    // The command line has to have the same key.
    let add = [
        "user",
        "add",
        "alice",
        "--allow",
        "admin",
        "--password-stdin",
    ];
    let path = key.to_str().expect("plain letters");
    registry
        .administer(add)
        .env("WHARF__AUTH__SECRET_KEY_FILE", path)
        .stdin("CANARY-password")
        .succeeds();
    let alice = Login {
        name: "alice".into(),
        password: "CANARY-password".into(),
    };
    super::wait_until_known(&registry, &alice);

    let mut answers = Vec::new();
    let mut keep = |answer: crate::api::http::Answer| {
        answers.push(String::from_utf8_lossy(&answer.body).into_owned());
    };
    let wrong = Login {
        name: "alice".into(),
        password: "CANARY-wrong".into(),
    };
    keep(send_as(&client, &wrong, "GET", "/token", b""));
    for (name, value) in [
        ("Authorization", "Bearer CANARY-bearer"),
        ("Authorization", "Basic CANARY-basic"),
        ("Authorization", "CANARY-scheme x"),
        ("Authorization", "AWS4-HMAC-SHA256 Credential=CANARY-sigv4"),
        ("Cookie", "wharf_session=CANARY-cookie"),
        ("X-Amz-Security-Token", "CANARY-session-token"),
        ("Proxy-Authorization", "Basic CANARY-proxy"),
    ] {
        keep(client.send("GET", "/v2/a/tags/list", &[(name, value)], b""));
        keep(client.send("GET", "/admin/v1/users", &[(name, value)], b""));
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = b"grant_type=refresh_token&refresh_token=CANARY-refresh&password=CANARY-form";
    keep(client.send("POST", "/token", &form, body));
    keep(client.send(
        "POST",
        "/token",
        &form,
        b"grant_type=password&username=a&password=CANARY-p",
    ));
    keep(client.get("/token?scope=repository:a:pull&password=CANARY-query"));
    for body in [
        json!({"name": "x", "password": "CANARY-new-password", "unknown": 1}),
        json!({"name": "x y", "password": "CANARY-new-password"}),
        json!({"name": "bob", "password": "CANARY-new-password"}),
    ] {
        keep(send_json(&client, &alice, "POST", "/admin/v1/users", &body));
    }
    let session = json!({"username": "alice", "password": "CANARY-session"}).to_string();
    keep(client.send(
        "POST",
        "/session",
        &[("Content-Type", "application/json")],
        session.as_bytes(),
    ));
    keep(client.get("/metrics"));
    let audit = send_as(&client, &alice, "GET", "/admin/v1/audit?limit=1000", b"");
    keep(audit);
    for (place, answer) in answers.iter().enumerate() {
        assert!(!answer.contains("CANARY"), "answer {place}: {answer}");
    }
    registry.stop();
    let log = registry.log();
    assert!(log.contains("\"path\""), "{log}");
    let told = log
        .lines()
        .find(|line| line.contains("CANARY") || line.contains(canary_key));
    assert_eq!(told, None);
}

#[test]
fn the_configuration_is_printed_without_secrets() {
    let registry = Registry::private();
    let told = registry.administer(["key", "add", "user/admin"]).succeeds();
    let secret = super::behind(&told, "AWS_SECRET_ACCESS_KEY=").to_owned();
    let printed = registry.administer(["check-config"]).succeeds();
    assert!(!printed.contains(&secret));
    // Nor is it in the database as it is.
    let mut bytes = Vec::new();
    for name in ["metadata.sqlite3", "metadata.sqlite3-wal"] {
        bytes.extend(fs::read(registry.data().join(name)).unwrap_or_default());
    }
    let found = bytes
        .windows(secret.len())
        .any(|window| window == secret.as_bytes());
    assert!(!found && !bytes.is_empty());
    let _ = user(&registry, "alice", "pull", "*");
}
