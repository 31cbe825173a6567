//! Row 29: what a caller says about its own address, scheme and host counts only where a proxy that is
//! trusted says it.

use serde_json::{Value, json};

use super::people::{House, basic, raw};
use super::row;
use crate::api::http::Answer;
use crate::support::wait;

/// All that tells of another way here, each with an address, a scheme or a host of its own.
const LIES: [(&str, &str); 16] = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Scheme", "https"),
    ("X-Forwarded-Ssl", "on"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Server", "evil.example"),
    ("X-Forwarded-Port", "444"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Original-Host", "evil.example"),
    ("X-Host", "evil.example"),
    ("X-Real-IP", "203.0.113.7"),
    ("X-Client-IP", "203.0.113.7"),
    ("True-Client-IP", "203.0.113.7"),
    ("CF-Connecting-IP", "203.0.113.7"),
    ("Forwarded", "for=203.0.113.7;host=evil.example;proto=https"),
    ("Front-End-Https", "on"),
];

#[test]
fn a_stranger_s_word_about_the_way_it_came_counts_for_nothing() {
    let mut asked = 0;
    for (external, base) in [
        ("", None),
        ("https://registry.example", Some("https://registry.example")),
    ] {
        let variables = [
            ("WHARF__SERVER__EXTERNAL_URL", external),
            ("WHARF__LOG__FORMAT", "json"),
        ];
        let mut house = House::new(&variables);
        let own = house.registry.base().to_owned();
        let base = base.unwrap_or(&own).to_owned();
        house.image("team/app", "1", b"a layer");
        let key = house.key("user/warden");
        // An address decides here, and so does encryption.
        let statement = |condition: Value| {
            json!({"Effect": "Allow", "Principal": "*", "Action": "ecr:ListImages",
                   "Resource": "*", "Condition": condition})
        };
        let policy = json!({"Version": "2012-10-17", "Statement": [
            statement(json!({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})),
            statement(json!({"Bool": {"aws:SecureTransport": "true"}})),
        ]});
        assert_eq!(
            house.manage("PUT", "/policies/registry", &policy).status,
            204
        );

        for headers in LIES
            .iter()
            .map(std::slice::from_ref)
            .chain([LIES.as_slice()])
        {
            let told = places(&house, &key, headers);
            for place in &told {
                let is_ours = place.starts_with(&base) || place.starts_with('/');
                assert!(is_ours, "{headers:?}: {place}");
                let is_evil = ["evil", ":444", "203.0.113"]
                    .iter()
                    .any(|part| place.contains(part));
                assert!(!is_evil, "{headers:?}: {place}");
            }
            asked += told.len();
            let listed = house
                .client
                .send("GET", "/v2/team/app/tags/list", headers, b"");
            assert_eq!(listed.status, 401, "{headers:?}: {listed:?}");
        }
        // Nor does another address make a guesser a new one.
        let mut waits = 0;
        for number in 0..12 {
            let from = format!("198.51.100.{number}");
            let shown = basic("warden", "a guess");
            let headers =
                ["X-Forwarded-For", "X-Real-IP", "Forwarded"].map(|name| (name, from.as_str()));
            let headers = [&headers[..], &[("Authorization", &shown)]].concat();
            let answer = house.client.send("GET", "/v2/", &headers, b"");
            waits += usize::from(answer.status == 429);
        }
        assert!(waits >= 5, "{waits} of 12 guesses had to wait");
        let log = house.registry.log();
        let audit = house
            .registry
            .administer(["audit", "--limit", "1000"])
            .succeeds();
        for text in [&log, &audit] {
            assert!(
                text.contains("127.0.0.1") && !text.contains("203.0.113"),
                "{text}"
            );
            assert!(!text.contains("198.51.100"), "{text}");
        }
    }
    asked += hosts();
    let obeyed = a_trusted_proxy();
    row(
        29,
        "",
        &format!(
            "{asked} places told to strangers, 0 of them elsewhere; {obeyed} told through a trusted proxy"
        ),
    );
}

/// Every address that an answer tells.
fn places(house: &House, key: &super::sigv4::Key, headers: &[(&str, &str)]) -> Vec<String> {
    let send = |method: &str, path: &str| -> Answer {
        let headers = [headers, &[("Authorization", &house.admin)]].concat();
        house.client.send(method, path, &headers, b"")
    };
    let mut told = Vec::new();
    let challenged = house.client.send("GET", "/v2/", headers, b"");
    let challenge = challenged.header("www-authenticate").expect("a challenge");
    let realm = challenge.split('"').nth(1).expect("a realm");
    told.push(realm.to_owned());
    let begun = send("POST", "/v2/team/app/blobs/uploads/");
    told.push(begun.header("location").expect("a location").to_owned());
    house.ask(
        &house.admin,
        "DELETE",
        begun.header("location").expect("a location"),
    );
    for path in ["/v2/_catalog?n=1", "/v2/team/app/tags/list?n=1"] {
        let page = send("GET", path);
        assert_eq!(page.status, 200, "{page:?}");
        told.extend(
            page.header("link")
                .map(|link| link.trim_start_matches('<').to_owned()),
        );
    }
    let mut call = |operation: &str, body: &Value, pointer: &str| {
        let mut signed = key.call(house.client.address(), operation, &body.to_string());
        for (name, value) in headers {
            signed.set(name, value);
        }
        let answer = raw(house.client.address(), &signed.bytes());
        let answer = answer.json();
        let place = answer.pointer(pointer).and_then(Value::as_str);
        let place = place.unwrap_or_else(|| panic!("{answer}")).to_owned();
        told.push(if place.contains("://") {
            place
        } else {
            format!("/{place}")
        });
    };
    call(
        "GetAuthorizationToken",
        &json!({}),
        "/authorizationData/0/proxyEndpoint",
    );
    let layer = crate::support::image::digest(b"a layer");
    let body = json!({"repositoryName": "team/app", "layerDigest": layer});
    call("GetDownloadUrlForLayer", &body, "/downloadUrl");
    call(
        "DescribeRepositories",
        &json!({}),
        "/repositories/0/repositoryUri",
    );
    told
}

/// A `Host` that is no host doesn't come back, and none counts where the server knows its own name.
fn hosts() -> usize {
    let mut asked = 0;
    for external in ["", "https://registry.example"] {
        let house = House::new(&[("WHARF__SERVER__EXTERNAL_URL", external)]);
        for host in [
            "evil.example",
            "evil.example/token\",service=\"x",
            "evil.example\" onload=\"x",
            "evil.example, good.example",
            "user:pass@evil.example",
            "evil.example?x=",
            "evil.example#",
            "<script>",
            "evil.example\\",
            "evil.example\t",
            "",
        ] {
            let request = format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let answer = raw(house.client.address(), request.as_bytes());
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            let realm = challenge.split('"').nth(1).unwrap_or_default();
            assert!([400, 401].contains(&answer.status), "{host}: {answer:?}");
            if !external.is_empty() && answer.status == 401 {
                assert_eq!(realm, format!("{external}/token"), "{host}");
            }
            let is_plain = realm
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b":/.-[]_".contains(&byte));
            assert!(
                is_plain && challenge.matches("service=").count() <= 1,
                "{host}: {challenge}"
            );
            asked += 1;
        }
    }
    asked
}

/// Through a proxy that is trusted the nearest address counts that it doesn't know as a proxy, and
/// what the caller itself had put before it doesn't.
fn a_trusted_proxy() -> usize {
    let house = House::new(&[(
        "WHARF__SERVER__TRUSTED_PROXIES",
        "[\"127.0.0.0/8\", \"10.0.0.0/8\"]",
    )]);
    let forwarded = [
        ("X-Forwarded-Host", "registry.example"),
        ("X-Forwarded-Proto", "https"),
    ];
    let challenged = house.client.send("GET", "/v2/", &forwarded, b"");
    let challenge = challenged.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains("realm=\"https://registry.example/token\""),
        "{challenge}"
    );
    let cases = [
        ("198.51.100.1", "198.51.100.1"),
        ("203.0.113.7, 198.51.100.2", "198.51.100.2"),
        ("203.0.113.7, 198.51.100.3, 10.0.0.1", "198.51.100.3"),
        (
            "127.0.0.1, 203.0.113.7, 198.51.100.4, 127.0.0.1",
            "198.51.100.4",
        ),
        ("2001:db8::5", "2001:db8::5"),
    ];
    for (said, _) in cases {
        let shown = basic("warden", "a guess");
        let headers = [("X-Forwarded-For", said), ("Authorization", &*shown)];
        assert_eq!(house.client.send("GET", "/v2/", &headers, b"").status, 401);
    }
    let patience = std::time::Duration::from_secs(10);
    wait::until("the audit log", patience, || {
        let audit = house
            .registry
            .administer(["audit", "--outcome", "denied"])
            .succeeds();
        let audit = format!(
            "{audit}\n{}",
            house
                .registry
                .administer(["audit", "--outcome", "failed"])
                .succeeds()
        );
        assert!(!audit.contains("203.0.113.7"), "{audit}");
        cases
            .iter()
            .all(|(_, counts)| audit.contains(counts))
            .then_some(())
    });
    cases.len() + 1
}
