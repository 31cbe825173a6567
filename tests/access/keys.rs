//! The server's key, which must not be lost in silence, and the keys that sign tokens.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::{send_json, send_with, token, user};
use crate::api::http::Client;
use crate::support::{Command, Registry, folder, wait};

fn wharf(words: &[&str], registry: &Registry) -> Command {
    registry.administer(words.iter().copied())
}

#[test]
fn a_server_whose_key_is_lost_does_not_start_with_another_one() {
    let mut registry = Registry::private();
    let alice = user(&registry, "alice", "pull", "*");
    let told = wharf(&["key", "add", "user/alice"], &registry).succeeds();
    let access_key = super::behind(&told, "AWS_ACCESS_KEY_ID=").to_owned();
    registry.stop();
    let path = registry.data().join("keys/secret.key");
    let serve = || wharf(&["serve", "--listen", "127.0.0.1:0"], &registry);
    let own = fs::read(&path).expect("a key");

    fs::remove_file(&path).expect("it is ours");
    let said = serve().fails();
    assert!(said.contains("secret.key is missing"), "{said}");
    for words in [
        &["user", "list"][..],
        &["user", "add", "bob"],
        &["key", "add", "user/alice"],
    ] {
        let said = wharf(words, &registry).fails();
        assert!(said.contains("secret.key is missing"), "{words:?}: {said}");
    }
    assert!(!path.exists(), "no new one takes its place");

    // Another one is found out, and seals nothing.
    let other = Registry::private();
    fs::copy(other.data().join("keys/secret.key"), &path).expect("a copy");
    for command in [
        serve(),
        wharf(&["key", "add", "user/alice"], &registry),
        wharf(&["key", "rotate-signing"], &registry),
    ] {
        let said = command.fails();
        let is_told = said.contains("another key") || said.contains("does not open");
        assert!(is_told, "{said}");
    }
    // The right one is taken as ever.
    fs::write(&path, own).expect("it is ours");
    registry.start_again();
    registry.stop();

    // Who has lost it for good gives up what it sealed, and goes on.
    fs::remove_file(&path).expect("it is ours");
    let told = wharf(&["key", "drop-unreadable"], &registry).succeeds();
    assert!(told.contains(&format!("removed access key {access_key}")));
    assert!(told.contains("removed signing key "), "{told}");
    registry.start_again();
    let client = Client::new(registry.base());
    let token = token(&client, &alice, "repository:a:pull");
    assert_eq!(send_with(&client, &token, "GET", "/v2/", b"").status, 200);
}

#[test]
fn a_key_that_signs_can_be_taken_away_with_all_that_it_signed() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let admin = user(&registry, "root-of-all", "admin", "*");
    let fresh = || token(&client, &admin, "repository:a:pull");
    let status = |token: &str| send_with(&client, token, "GET", "/v2/", b"").status;
    let names = || {
        let told = wharf(&["key", "list-signing"], &registry).succeeds();
        let names = told
            .lines()
            .map(|line| line.split('\t').next().map(Into::into));
        names.collect::<Option<Vec<String>>>().expect("names")
    };
    let first = fresh();
    let leaked = names().pop().expect("a key");
    wharf(&["key", "rotate-signing"], &registry).succeeds();
    wait::until("the new key", Duration::from_secs(5), || {
        let keys = client.get("/.well-known/jwks.json").json();
        (keys["keys"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
    let second = fresh();
    assert_eq!((status(&first), status(&second)), (200, 200));
    wharf(&["key", "remove-signing", &leaked], &registry).succeeds();
    wait::until("the end of the old key", Duration::from_secs(5), || {
        (status(&first) == 401).then_some(())
    });
    assert_eq!(status(&second), 200);
    let said = wharf(&["key", "remove-signing", &leaked], &registry).fails();
    assert!(said.contains("there is no signing key"), "{said}");

    // The same over HTTP; where the one that signs goes, another does.
    let call = |method: &str, path: &str| {
        let path = format!("/admin/v1/signing-keys{path}");
        send_json(&client, &admin, method, &path, &json!({}))
    };
    let made = call("POST", "");
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json()["id"].as_str().expect("a name").to_owned();
    let listed = call("GET", "").json();
    let keys = listed["signing_keys"].as_array().expect("keys");
    assert_eq!((keys.len(), &keys[1]["id"]), (2, &json!(made)));
    assert!(keys[0]["retired_at"].is_string() && keys[1]["retired_at"].is_null());
    let third = fresh();
    assert_eq!(call("DELETE", &format!("/{made}")).status, 204);
    assert_eq!(call("DELETE", &format!("/{made}")).status, 404);
    assert_eq!((status(&second), status(&third)), (200, 401));
    assert_eq!(status(&fresh()), 200);
    assert_eq!(names().len(), 2);
}

#[test]
fn a_command_makes_no_registry_where_there_is_none() {
    let folder = folder();
    let data = folder.path().join("typo");
    let command = |words: &[&str]| {
        Command::program(env!("CARGO_BIN_EXE_wharf"))
            .args(words)
            .arg("--data")
            .arg(&data)
    };
    for words in [
        &["audit"][..],
        &["user", "list"],
        &["user", "remove", "alice"],
        &["robot", "list"],
        &["key", "list"],
        &["key", "drop-unreadable"],
        &["policy", "list"],
        &["trust", "list"],
        &["can", "alice", "PutImage", "a"],
        &["events", "tail"],
        &["endpoint", "list"],
        &["lifecycle", "run"],
    ] {
        let said = command(words).fails();
        assert!(
            said.contains("there is no registry in"),
            "{words:?}: {said}"
        );
        assert!(!data.exists(), "{words:?}");
    }
    // Whoever makes the first user may do so before the first start.
    command(&["user", "add", "alice"]).succeeds();
    assert!(command(&["user", "list"]).succeeds().contains("alice"));
}
