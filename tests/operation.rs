//! Starting, stopping, logs, metrics, and the command line.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::api::http::{Client, read_answer};
use crate::api::{content, digest};
use crate::support::Registry;

fn wharf(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(arguments)
        .output();
    let output = output.expect("wharf runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_request_in_flight_is_finished_when_the_server_is_told_to_stop() {
    let mut registry = Registry::wharf();
    let client = Client::new(registry.base());
    let bytes = content(1_000_000);
    let path = format!("/v2/drain/blobs/uploads/?digest={}", digest(&bytes));
    let mut stream = client.open("POST", &path, &[], Some(bytes.len()));
    stream.write_all(&bytes[..500_000]).expect("a part is sent");
    registry.process().signal("TERM");
    // Once it drains, nobody new is let in.
    while TcpStream::connect(registry.host()).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    stream
        .write_all(&bytes[500_000..])
        .expect("the rest is sent");
    assert_eq!(read_answer(stream, "POST").status, 201);
    let status = registry.process().wait(Duration::from_secs(20));
    assert!(status.success(), "{status}");
    registry.start_again();
    let client = Client::new(registry.base());
    let blob = client.get(&format!("/v2/drain/blobs/{}", digest(&bytes)));
    assert!(blob.body == bytes);
}

#[test]
fn health_and_metrics_answer() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    assert_eq!(client.get("/healthz").body, b"ok\n");
    let ready = client.get("/readyz");
    assert_eq!(
        (ready.status, ready.json()["ready"].as_bool()),
        (200, Some(true))
    );
    client.get("/v2/some/name/tags/list");
    client.get("/v2/other/name/tags/list");
    let text = String::from_utf8(client.get("/metrics").body).expect("UTF-8");
    let series = "wharf_http_requests_total{method=\"GET\",route=\"/v2/{name}/tags/list\",\
                  status=\"404\"} 2";
    assert!(text.contains(series), "{text}");
    for name in [
        "wharf_http_sent_bytes_total",
        "wharf_http_request_duration_seconds_bucket",
    ] {
        assert!(text.contains(name), "{text}");
    }
    let off = Registry::wharf_with(&[("WHARF__METRICS__ENABLED", "false")]);
    assert_eq!(Client::new(off.base()).get("/metrics").status, 404);
}

#[test]
fn a_request_has_one_name_in_the_answer_and_in_the_log() {
    let start = |proxies: &str| {
        Registry::private_with(&[
            ("WHARF__LOG__FORMAT", "json"),
            ("WHARF__SERVER__TRUSTED_PROXIES", proxies),
        ])
    };
    let lines = |registry: &mut Registry| -> Vec<Value> {
        registry.stop();
        let log = registry.log();
        assert!(!log.contains('\u{9b}'));
        log.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    };
    // A client's own name stands beside ours, which it can't choose.
    let mut registry = start("[]");
    let client = Client::new(registry.base());
    let own = [
        ("X-Request-Id", "my-name.1"),
        ("X-Forwarded-For", "192.0.2.9"),
    ];
    let made = client.send("GET", "/v2/", &own, b"");
    let made = made.header("x-request-id").expect("a name").to_owned();
    assert_ne!(made, "my-name.1");
    let hostile = [
        ("X-Request-Id", "a\"b{}"),
        ("User-Agent", "evil\"\\ \u{9b}31m"),
    ];
    let other = client.send("GET", "/v2/x%0d%0aforged/tags/list", &hostile, b"");
    let other = other.header("x-request-id").expect("a name").to_owned();
    let lines_of = lines(&mut registry);
    let line = |id: &str| {
        let found = lines_of.iter().find(|line| line["id"] == id);
        found.unwrap_or_else(|| panic!("{id} in {lines_of:?}"))
    };
    assert_eq!(line(&made)["given"], "my-name.1");
    assert_eq!(line(&made)["address"], "127.0.0.1");
    assert_eq!(line(&made)["principal"], "");
    assert_eq!(line(&other)["given"], "");

    // A trusted proxy's is taken, and the line tells who called it.
    let mut registry = start("[\"127.0.0.0/8\"]");
    let client = Client::new(registry.base());
    let alice = crate::access::user(&registry, "alice", "pull", "*").basic();
    let named = [own[0], own[1], ("Authorization", alice.as_str())];
    let given = client.send("GET", "/v2/", &named, b"");
    assert_eq!(given.header("x-request-id"), Some("my-name.1"));
    let lines_of = lines(&mut registry);
    let line = lines_of.iter().find(|line| line["id"] == "my-name.1");
    let line = line.expect("its line");
    assert_eq!(line["address"], "192.0.2.9");
    assert_eq!(line["principal"], "user/alice");
}

#[test]
fn an_open_server_says_so_and_stays_on_loopback() {
    let mut registry = Registry::wharf();
    registry.stop();
    assert!(
        registry
            .log()
            .contains("whoever reaches this address can push and pull")
    );
    let (ok, _, stderr) = wharf(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(!ok && stderr.contains("server.allow_anonymous"), "{stderr}");
}

#[test]
fn what_lies_on_the_disk_is_for_the_servers_user_alone() {
    use std::os::unix::fs::MetadataExt as _;

    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    let digest = crate::api::digest(b"private");
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(client.send("POST", &path, &[], b"private").status, 201);
    let mut folders = vec![registry.data()];
    let mut seen = 0;
    while let Some(path) = folders.pop() {
        let metadata = std::fs::metadata(&path).expect("it is there");
        assert_eq!(metadata.mode() & 0o077, 0, "{}", path.display());
        seen += 1;
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            folders.extend(entries.map(|entry| entry.expect("an entry").path()));
        }
    }
    assert!(seen > 512, "{seen}");
}

#[test]
fn a_folder_serves_one_server() {
    let registry = Registry::wharf();
    let data = registry.data();
    let data = data.to_str().expect("a path in UTF-8");
    let (ok, _, stderr) = wharf(&["serve", "--listen", "127.0.0.1:0", "--data", data]);
    assert!(
        !ok && stderr.contains("in use by another server"),
        "{stderr}"
    );
}

#[test]
fn the_configuration_is_checked_and_the_health_asked() {
    let (ok, stdout, _) = wharf(&["check-config", "--listen", "127.0.0.1:7"]);
    assert!(
        ok && stdout.contains("listen = \"127.0.0.1:7\""),
        "{stdout}"
    );
    let mut registry = Registry::wharf();
    let (ok, _, stderr) = wharf(&["healthcheck", "--listen", registry.host()]);
    assert!(ok, "{stderr}");
    registry.stop();
    let (ok, _, stderr) = wharf(&["healthcheck", "--listen", registry.host()]);
    assert!(!ok && stderr.contains("no server answers"), "{stderr}");
    // What doesn't answer in HTTP is no server of ours, or one that speaks TLS.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let other = std::thread::spawn(move || {
        for answer in [&b"\x15\x03\x03\x00\x02\x02\x0a"[..], b"220 mail\r\n"] {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut head = [0; 512];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer);
        }
    });
    for want in ["speaks TLS", "does not answer in HTTP"] {
        let (ok, _, stderr) = wharf(&["healthcheck", "--listen", &address]);
        assert!(!ok && stderr.contains(want), "{stderr}");
    }
    other.join().expect("it answered");
}

#[test]
fn heads_that_are_too_large_or_too_many_are_refused() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    let long = "x".repeat(70_000);
    assert_eq!(
        client.send("GET", "/v2/", &[("X-Long", &long)], b"").status,
        431
    );
    let names: Vec<String> = (0..250)
        .map(|number| format!("X-Header-{number}"))
        .collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    assert_eq!(client.send("GET", "/v2/", &many, b"").status, 431);
}

#[test]
fn a_head_that_is_never_finished_ends_its_connection() {
    let registry = Registry::wharf_with(&[("WHARF__SERVER__HEADER_TIMEOUT", "1s")]);
    let mut stream = TcpStream::connect(registry.host()).expect("the server listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .expect("a timeout is set");
    stream
        .write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n")
        .expect("half a head is sent");
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .expect("the server ends the connection");
}
