//! Two servers on one database: what one does, the other one knows.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{manifest, put, tagged};
use crate::access::{self, send_as, send_with};
use crate::api::IMAGE;
use crate::api::http::Client;
use crate::support::postgres::Postgres;
use crate::support::s3::{ACCESS_KEY_ID, Bucket, SECRET_ACCESS_KEY};
use crate::support::{Command, Registry, folder, wait};

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const PATIENCE: Duration = Duration::from_secs(10);

/// A key for several servers.
pub(super) fn shared_key(folder: &Path) -> String {
    let path = folder.join("secret.key");
    fs::write(&path, KEY).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
    path.to_str().expect("plain letters").to_owned()
}

/// Two servers on an empty database.
fn two(database: &str, key: &str, variables: &[(&str, &str)]) -> [Registry; 2] {
    let bucket = Bucket::new();
    let mut all = vec![
        ("WHARF__S3__BUCKET", bucket.name.as_str()),
        ("WHARF__S3__ENDPOINT", bucket.endpoint.as_str()),
        ("WHARF__S3__ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("WHARF__S3__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("WHARF__DATABASE__URL", database),
        ("WHARF__AUTH__SECRET_KEY_FILE", key),
        ("WHARF__AUTH__REFRESH_EVERY", "20ms"),
    ];
    all.extend(variables);
    [(); 2].map(|()| Registry::wharf_with(&all))
}

#[test]
fn five_thousand_tags_pushed_over_two_servers_are_all_there() {
    const CLIENTS: usize = 8;
    const EACH: usize = 625;
    let folder = folder();
    let database = Postgres::shared().database();
    let servers = two(&database, &shared_key(folder.path()), &[]);
    let clients = servers.each_ref().map(|server| Client::new(server.base()));
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let client = &clients[number % 2];
            scope.spawn(move || {
                for round in 0..EACH {
                    // Every tag is new, and one that all of them fight for moves.
                    let (text, _) = manifest(&format!("{number}"));
                    let tag = match round % 25 {
                        0 => "latest".to_owned(),
                        _ => format!("v{number}-{round}"),
                    };
                    let answer = put(client, "team/app", &tag, &text);
                    assert_eq!(answer.status, 201, "{answer:?}");
                }
            });
        }
    });
    let mut expected = BTreeSet::from(["latest".to_owned()]);
    for number in 0..CLIENTS {
        let rounds = (0..EACH).filter(|round| round % 25 != 0);
        expected.extend(rounds.map(|round| format!("v{number}-{round}")));
    }
    for client in &clients {
        let mut found = BTreeSet::new();
        let mut path = "/v2/team/app/tags/list?n=1000".to_owned();
        loop {
            let page = client.get(&path);
            let tags = page.json()["tags"].as_array().expect("a list").clone();
            found.extend(tags.iter().filter_map(Value::as_str).map(str::to_owned));
            let Some(link) = page.header("link") else {
                break;
            };
            let next = link.split(['<', '>']).nth(1).expect("an address");
            next.clone_into(&mut path);
        }
        assert_eq!(found, expected);
        for number in 0..CLIENTS {
            let (_, digest) = manifest(&format!("{number}"));
            let tag = format!("v{number}-{}", EACH - 1);
            assert_eq!(tagged(client, "team/app", &tag), Some(digest));
        }
    }
    // Each move is told once, and numbers have no gaps, whoever gave them out.
    let history = Postgres::shared().sql(
        &database,
        "SELECT COUNT(*) = (SELECT COUNT(*) FROM events WHERE event LIKE '%\"tags\"%'),
                (SELECT COUNT(*) = MAX(seq) FROM events WHERE stream = 'changes')
         FROM tag_history",
    );
    assert_eq!(history.trim(), "t|t");
}

#[test]
fn what_one_server_is_told_the_other_one_knows() {
    let folder = folder();
    let database = Postgres::shared().database();
    let key = shared_key(folder.path());
    let [one, other] = two(&database, &key, &[("WHARF__AUTH__ENABLED", "true")]);
    let (here, there) = (Client::new(one.base()), Client::new(other.base()));

    // A user, and a token of one server for the other one.
    let alice = access::user(&one, "alice", "admin", "*");
    wait::until("the user is known there", PATIENCE, || {
        (send_as(&there, &alice, "GET", "/v2/", b"").status == 200).then_some(())
    });
    let scope = "repository:team/app:pull,push,delete";
    let token = access::token(&here, &alice, scope);
    let (text, digest) = manifest("shared");
    let basic = alice.basic();
    let headers = [("Authorization", basic.as_str()), ("Content-Type", IMAGE)];
    let path = "/v2/team/app/manifests/v1";
    assert_eq!(
        here.send("PUT", path, &headers, text.as_bytes()).status,
        201
    );
    let pulled = send_with(&there, &token, "GET", path, b"");
    assert_eq!((pulled.status, pulled.body), (200, text.into_bytes()));

    // What is deleted there is gone here at once.
    let path = format!("/v2/team/app/manifests/{digest}");
    assert_eq!(send_as(&there, &alice, "DELETE", &path, b"").status, 202);
    assert_eq!(send_as(&here, &alice, "GET", &path, b"").status, 404);

    // Both tell of all of it, wherever it happened.
    for client in [&here, &there] {
        wait::until("the deletion is told", PATIENCE, || {
            let page = send_as(client, &alice, "GET", "/events?after=oldest", b"");
            let text = String::from_utf8_lossy(&page.body).into_owned();
            (text.contains("image.pushed") && text.contains("image.deleted")).then_some(())
        });
    }

    // Who is taken away here is a stranger there.
    let removed = one.administer(["user", "remove", "alice"]);
    removed.succeeds();
    wait::until("the user is forgotten there", PATIENCE, || {
        (send_as(&there, &alice, "GET", "/v2/", b"").status == 401).then_some(())
    });
    assert_eq!(
        send_with(&there, &token, "GET", "/v2/team/app/tags/list", b"").status,
        401
    );
}

#[test]
fn a_server_with_another_key_is_refused() {
    let folder = folder();
    let database = Postgres::shared().database();
    let first = Registry::wharf_with(&[("WHARF__DATABASE__URL", &database)]);
    let serve = &["serve", "--listen", "127.0.0.1:0"][..];
    // Without the key, and with another one.
    for (words, says) in [
        (
            serve,
            "is missing, and what the database holds is sealed with it",
        ),
        (
            &["key", "list"],
            "is missing, and what the database holds is sealed with it",
        ),
        (serve, "does not open what is sealed in the database"),
        (&["key", "list"], "auth.secret_key_file"),
    ] {
        if !says.starts_with("is missing") {
            shared_key(folder.path());
        }
        let output = Command::program(env!("CARGO_BIN_EXE_wharf"))
            .args(words)
            .arg("--data")
            .arg(folder.path())
            .env("WHARF__DATABASE__URL", &database)
            .env(
                "WHARF__AUTH__SECRET_KEY_FILE",
                folder.path().join("secret.key"),
            )
            .run();
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains(says), "{output:?}");
    }
    let client = Client::new(first.base());
    assert_eq!(client.get("/readyz").json()["ready"], json!(true));
}

#[test]
fn a_second_server_with_blobs_on_a_disk_of_its_own_is_refused() {
    let (keys, other) = (folder(), folder());
    let key = shared_key(keys.path());
    let database = Postgres::shared().database();
    let variables = [
        ("WHARF__DATABASE__URL", database.as_str()),
        ("WHARF__AUTH__SECRET_KEY_FILE", key.as_str()),
    ];
    let mut first = Registry::wharf_with(&variables);
    let on_the_other = |words: &[&str]| {
        Command::program(env!("CARGO_BIN_EXE_wharf"))
            .args(words)
            .arg("--data")
            .arg(other.path())
            .env("WHARF__DATABASE__URL", &database)
            .env("WHARF__AUTH__SECRET_KEY_FILE", &key)
    };
    for words in [&["serve", "--listen", "127.0.0.1:0"][..], &["scrub"]] {
        let told = on_the_other(words).fails();
        assert!(told.contains("keep their blobs in a bucket"), "{told}");
    }
    // The first one's folder stays the one of this database, also where it has moved.
    assert!(first.stop().success());
    first.start_again();
    let client = Client::new(first.base());
    assert_eq!(client.get("/readyz").json()["ready"], json!(true));

    // Whoever has lost the disk says so by giving the new one its name.
    assert!(first.stop().success());
    let name = first.data().join("folder-id");
    fs::copy(name, other.path().join("folder-id")).expect("a copy");
    on_the_other(&["scrub"]).succeeds();
}
