//! A server whose metadata lies in PostgreSQL.

use super::{manifest, put, tagged};
use crate::api::http::Client;
use crate::api::{content, digest};
use crate::support::postgres::{PASSWORD, Postgres};
use crate::support::{Command, Registry, folder};

#[test]
fn what_is_pushed_is_pulled_after_a_restart_too() {
    let mut registry = Registry::on_postgres();
    let client = Client::new(registry.base());
    let bytes = content(300_000);
    let blob = digest(&bytes);
    let begun = client.send("POST", "/v2/team/app/blobs/uploads/", &[], b"");
    let location = begun.header("location").expect("a location").to_owned();
    let (first, rest) = bytes.split_at(100_000);
    let range = [("Content-Range", "0-99999")];
    let answer = client.send("PATCH", &location, &range, first);
    assert_eq!(answer.status, 202, "{answer:?}");
    // The upload goes on where its row says.
    registry.kill();
    registry.start_again();
    let client = Client::new(registry.base());
    let range = [("Content-Range", "100000-299999")];
    let answer = client.send("PATCH", &location, &range, rest);
    assert_eq!(answer.status, 202, "{answer:?}");
    let end = format!("{location}?digest={blob}");
    assert_eq!(client.send("PUT", &end, &[], b"").status, 201);
    let (text, named) = manifest("one");
    assert_eq!(put(&client, "team/app", "v1", &text).status, 201);

    assert!(registry.stop().success());
    registry.start_again();
    let client = Client::new(registry.base());
    assert!(client.get(&format!("/v2/team/app/blobs/{blob}")).body == bytes);
    assert_eq!(tagged(&client, "team/app", "v1"), Some(named.clone()));
    let listed = client.get("/v2/team/app/tags/list").json();
    assert_eq!(listed["tags"], serde_json::json!(["v1"]));
    let path = format!("/v2/team/app/manifests/{named}");
    assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    assert_eq!(tagged(&client, "team/app", "v1"), None);
}

#[test]
fn the_database_is_reached_over_tls() {
    let postgres = Postgres::shared();
    let database = postgres.database();
    let url = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        database.replace("127.0.0.1", "localhost"),
        postgres.authority().display()
    );
    let registry = Registry::wharf_with(&[("WHARF__DATABASE__URL", &url)]);
    assert_eq!(Client::new(registry.base()).get("/readyz").status, 200);
    let plain = postgres.sql(
        &database,
        "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE datname = current_database() AND application_name = 'wharf' AND NOT ssl",
    );
    assert_eq!(plain.trim(), "0");
}

#[test]
fn the_password_of_the_database_is_told_nowhere() {
    let database = Postgres::shared().database();
    let variables = [
        ("WHARF__DATABASE__URL", database.as_str()),
        ("WHARF__LOG__LEVEL", "trace"),
    ];
    let mut registry = Registry::wharf_with(&variables);
    let client = Client::new(registry.base());
    let (text, _) = manifest("secret");
    assert_eq!(put(&client, "team/app", "v1", &text).status, 201);
    let metrics = String::from_utf8(client.get("/metrics").body).expect("a text");
    let config = registry.administer(["check-config"]).succeeds();
    assert!(
        config.contains("postgres://wharf:***@127.0.0.1:"),
        "{config}"
    );
    assert!(registry.stop().success());
    let mut told = vec![registry.log(), metrics, config];

    // One that can't be logged in with, and one that isn't understood.
    let wrong = database.replace(PASSWORD, "CANARY-wrong");
    for url in [wrong.as_str(), "postgres://wharf:CANARY@host:port/name"] {
        let folder = folder();
        let output = Command::program(env!("CARGO_BIN_EXE_wharf"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .env("WHARF__DATABASE__URL", url)
            .run();
        assert_ne!(output.code, Some(0));
        assert!(output.stderr.contains("database"), "{output:?}");
        told.extend([output.stdout, output.stderr]);
    }
    for text in told {
        assert!(!text.contains("CANARY"), "{text}");
    }
}
