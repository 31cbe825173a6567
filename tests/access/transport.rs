//! TLS, certificates that change, certificates of clients, and what proxies say.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{send_as, user};
use crate::api::http::Client;
use crate::support::{Command, Registry, folder, wait};

fn openssl(folder: &Path, line: &str) {
    Command::tool("openssl")
        .directory(folder)
        .args(line.split_whitespace())
        .succeeds();
}

/// An authority, and what it signs.
fn authority(folder: &Path) {
    openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
    );
}

fn certificate(folder: &Path, name: &str, alternative: &str) {
    openssl(
        folder,
        &format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ),
    );
    fs::write(
        folder.join("extensions"),
        format!("subjectAltName={alternative}\n"),
    )
    .expect("a file");
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile extensions"
        ),
    );
}

fn curl(folder: &Path, words: &[&str]) -> String {
    Command::tool("curl")
        .directory(folder)
        .args(["--silent", "--show-error", "--cacert", "ca.pem"])
        .args(words.iter().copied())
        .succeeds()
}

fn secure(folder: &Path) -> Registry {
    authority(folder);
    certificate(folder, "server", "IP:127.0.0.1");
    let path = |name: &str| {
        folder
            .join(name)
            .to_str()
            .expect("plain letters")
            .to_owned()
    };
    Registry::private_with(&[
        ("WHARF__TLS__CERTIFICATE", &path("server.pem")),
        ("WHARF__TLS__KEY", &path("server.key")),
        ("WHARF__TLS__CLIENT_CA", &path("ca.pem")),
    ])
}

#[test]
fn a_client_is_known_by_its_certificate() {
    let folder = folder();
    let folder = folder.path();
    let registry = secure(folder);
    certificate(folder, "node", "URI:spiffe://cluster/ns/build");
    let policy = r#"{"Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "true"}}}}"#;
    registry
        .administer(["policy", "set", "certificate/spiffe://cluster/ns/build"])
        .stdin(policy)
        .succeeds();
    let url = format!("{}/v2/a/tags/list", registry.base());
    let shown = ["--cert", "node.pem", "--key", "node.key", &url];
    wait::until("the policy", Duration::from_secs(5), || {
        curl(folder, &shown).contains("NAME_UNKNOWN").then_some(())
    });
    assert!(curl(folder, &[&url]).contains("UNAUTHORIZED"));
    let version = [
        "--http2",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_version} %{http_code}",
        &url,
    ];
    assert_eq!(curl(folder, &version), "2 401");
    // What the token endpoint gives for the certificate is of no use without it, and ends soon.
    let ask = format!(
        "{}/token?offline_token=true&scope=repository:a:pull",
        registry.base()
    );
    let told = curl(folder, &["--cert", "node.pem", "--key", "node.key", &ask]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told.get("refresh_token"), None);
    let bearer = format!(
        "Authorization: Bearer {}",
        told["token"].as_str().expect("a token")
    );
    let with = [
        "--cert", "node.pem", "--key", "node.key", "-H", &bearer, &url,
    ];
    assert!(curl(folder, &with).contains("NAME_UNKNOWN"));
    let without = curl(folder, &["-H", &bearer, &url]);
    assert!(
        without.contains("with its owner's certificate"),
        "{without}"
    );

    // The realm is on the same scheme, host and port.
    let head = curl(folder, &["--include", &url]);
    assert!(
        head.contains(&format!("realm=\"{}/token\"", registry.base())),
        "{head}"
    );

    // Whom another authority signed is nobody here, and isn't even let to speak.
    let other = folder.join("other");
    fs::create_dir(&other).expect("a folder");
    authority(&other);
    certificate(&other, "thief", "URI:spiffe://cluster/ns/build");
    let thief = Command::tool("curl")
        .directory(folder)
        .args(["--silent", "--show-error", "--cacert", "ca.pem"])
        .args([
            "--cert",
            "other/thief.pem",
            "--key",
            "other/thief.key",
            &url,
        ]);
    thief.fails();
}

#[test]
fn certificates_that_change_are_used_without_a_restart() {
    let folder = folder();
    let folder = folder.path();
    let registry = secure(folder);
    let url = format!("{}/healthz", registry.base());
    assert_eq!(curl(folder, &[&url]), "ok");
    let listen = registry.host().to_owned();
    let healthcheck = registry.administer(["healthcheck", "--listen", &listen]);
    healthcheck
        .env("WHARF__TLS__CERTIFICATE", folder.join("server.pem"))
        .env("WHARF__TLS__KEY", folder.join("server.key"))
        .succeeds();
    // What the configuration names has to be there.
    let check = |certificate: &str| {
        registry
            .administer(["check-config"])
            .env("WHARF__TLS__CERTIFICATE", folder.join(certificate))
            .env("WHARF__TLS__KEY", folder.join("server.key"))
    };
    assert!(check("server.pem").succeeds().starts_with("# ok"));
    let said = check("missing.pem").fails();
    assert!(said.contains("missing.pem"), "{said}");
    // What can't be used leaves the one before in use.
    fs::write(folder.join("server.pem"), "nonsense").expect("a file");
    fs::copy(folder.join("ca.pem"), folder.join("old.pem")).expect("a copy");
    fs::copy(folder.join("server.key"), folder.join("old.key")).expect("a copy");
    authority(folder);
    certificate(folder, "server", "IP:127.0.0.1");
    wait::until("the new certificate", Duration::from_secs(30), || {
        let answer = Command::tool("curl")
            .directory(folder)
            .args(["--silent", "--cacert", "ca.pem", &url])
            .run();
        (answer.stdout.trim() == "ok").then_some(())
    });
}

#[test]
fn what_strangers_say_of_proxies_is_not_believed() {
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "pull", "*");
    let policy = r#"{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*",
        "Condition": {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}}"#;
    registry
        .administer(["policy", "set", "registry"])
        .stdin(policy)
        .succeeds();
    std::thread::sleep(Duration::from_millis(100));
    let basic = alice.basic();
    let lies = [
        ("Authorization", basic.as_str()),
        ("X-Forwarded-For", "198.51.100.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        (
            "Forwarded",
            "for=198.51.100.7;host=evil.example;proto=https",
        ),
    ];
    assert_eq!(
        client.send("GET", "/v2/a/tags/list", &lies, b"").status,
        404
    );
    let answer = client.send("GET", "/v2/", &lies[1..], b"");
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains(&format!("realm=\"{}/token\"", registry.base())),
        "{challenge}"
    );
    let records = registry.administer(["audit"]).succeeds();
    assert!(!records.contains("198.51.100.7"), "{records}");
}

#[test]
fn what_a_trusted_proxy_says_is_believed() {
    let registry =
        Registry::private_with(&[("WHARF__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")]);
    let client = Client::new(registry.base());
    let alice = user(&registry, "alice", "pull", "*");
    let policy = r#"{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*",
        "Condition": {"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}}}}"#;
    registry
        .administer(["policy", "set", "registry"])
        .stdin(policy)
        .succeeds();
    let basic = alice.basic();
    let from = |address: &str| {
        let headers = [
            ("Authorization", basic.as_str()),
            ("X-Forwarded-For", address),
        ];
        client.send("GET", "/v2/a/tags/list", &headers, b"").status
    };
    wait::until("the policy", Duration::from_secs(5), || {
        (from("203.0.113.9") == 403).then_some(())
    });
    assert_eq!(from("198.51.100.7"), 404);
    // The client wrote the first one itself; the proxy added whom it heard from.
    assert_eq!(from("198.51.100.7, 203.0.113.9"), 403);
    assert_eq!(from("203.0.113.9, 198.51.100.7, 127.0.0.5"), 404);
    let headers = [
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "registry.example"),
    ];
    let answer = client.send("GET", "/v2/", &headers, b"");
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains("realm=\"https://registry.example/token\""),
        "{challenge}"
    );
}

#[test]
fn the_configured_address_wins_over_what_requests_say() {
    let registry =
        Registry::private_with(&[("WHARF__SERVER__EXTERNAL_URL", "https://registry.example/")]);
    let client = Client::new(registry.base());
    let answer = client.get("/v2/");
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains("realm=\"https://registry.example/token\""),
        "{challenge}"
    );
    let alice = user(&registry, "alice", "pull", "*");
    assert_eq!(send_as(&client, &alice, "GET", "/v2/", b"").status, 200);
}
