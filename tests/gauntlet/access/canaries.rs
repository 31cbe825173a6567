//! Row 38: secrets in every place that takes one, and whatever a caller may take for a place, looked for
//! wherever something is written down or told.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::people::{House, basic, raw};
use super::row;
use super::site::{Site, answer};
use crate::api::http::Answer;
use crate::support::postgres::{PASSWORD, Postgres};
use crate::support::s3::{ACCESS_KEY_ID, Bucket, SECRET_ACCESS_KEY};

/// Secrets, and where each of them was put.
#[derive(Debug, Default)]
pub(crate) struct Canaries(pub(crate) BTreeMap<String, String>);

impl Canaries {
    /// A canary that is put somewhere.
    pub(crate) fn of(&mut self, place: &str) -> String {
        let canary = format!("CaNaRy{:03}x{}", self.0.len(), place.len());
        self.0.insert(canary.clone(), place.to_owned());
        canary
    }

    /// A secret that somebody else made.
    fn add(&mut self, place: &str, secret: &str) {
        assert!(secret.len() >= 12, "{place}: {secret}");
        self.0.insert(secret.to_owned(), place.to_owned());
    }

    /// Asserts that a text has none of them.
    pub(crate) fn are_not_in(&self, what: &str, text: &str) {
        for (canary, place) in &self.0 {
            let at = text.find(canary.as_str());
            let near = at.map(|at| {
                let from = (0..=at.saturating_sub(300))
                    .rev()
                    .find(|at| text.is_char_boundary(*at));
                text[from.unwrap_or(0)..]
                    .chars()
                    .take(700)
                    .collect::<String>()
            });
            assert_eq!(near, None, "{what} tells what was put into {place}");
        }
    }
}

#[test]
fn no_secret_is_written_down_or_told() {
    let mut canaries = Canaries::default();
    canaries.add("database.url", PASSWORD);
    canaries.add("s3.secret_access_key", SECRET_ACCESS_KEY);
    let bucket = Bucket::new();
    let database = Postgres::shared().database();
    let mut house = House::new(&[
        ("WHARF__DATABASE__URL", &database),
        ("WHARF__S3__BUCKET", &bucket.name),
        ("WHARF__S3__ENDPOINT", &bucket.endpoint),
        ("WHARF__S3__ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("WHARF__S3__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("WHARF__S3__REDIRECT", "true"),
        ("WHARF__LOG__FORMAT", "json"),
        ("WHARF__LOG__LEVEL", "trace"),
        ("WHARF__AUDIT__READS", "true"),
        ("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]"),
    ]);
    let key = std::fs::read_to_string(house.registry.data().join("keys/secret.key"));
    canaries.add("the server's key", key.expect("a key").trim());
    canaries.add("a password", "the-password-of-warden");
    canaries.add("a login", house.admin.trim_start_matches("Basic "));
    let hook = Site::start("127.0.0.1:0", |_| answer("500 Broken", &[], ""));

    let mut asked = credentials(&house, &mut canaries);
    asked += requests(&house, &mut canaries);
    asked += endpoints(&house, &mut canaries, &hook);
    let begun = std::time::Instant::now();
    while hook.connections() < 1 && begun.elapsed().as_secs() < 10 {
        house.image("team/again", "1", b"so that something is told");
    }

    let mut places = 0;
    let mut look = |what: &str, text: &str| {
        canaries.are_not_in(what, text);
        places += 1;
    };
    let told: [&[&str]; 11] = [
        &["audit", "--limit", "1000"],
        &["endpoint", "list"],
        &["endpoint", "deliveries", "hook"],
        &["endpoint", "dead-letters", "hook"],
        &["events", "tail"],
        &["user", "list"],
        &["robot", "list"],
        &["key", "list"],
        &["key", "list-signing"],
        &["trust", "list"],
        &["check-config"],
    ];
    for words in told {
        let output = house.registry.administer(words.iter().copied()).run();
        look(&words.join(" "), &(output.stdout + &output.stderr));
    }
    look("the measures", &text(&house.client.get("/metrics")));
    for path in [
        "/users",
        "/robots",
        "/keys",
        "/endpoints",
        "/endpoints/hook",
        "/endpoints/hook/deliveries",
        "/trusts",
        "/policies",
        "/signing-keys",
        "/audit?limit=1000",
    ] {
        look(path, &text(&house.manage("GET", path, &Value::Null)));
    }
    let id = house.registry.process().child().id();
    look(
        "the command line",
        &std::fs::read_to_string(format!("/proc/{id}/cmdline")).expect("it runs"),
    );
    house.registry.stop();
    let log = house.registry.log();
    assert!(
        log.len() > 100_000 && log.contains("\"TRACE\""),
        "a log of everything: {}",
        log.len()
    );
    look("the log", &log);
    let count = canaries.0.len();
    let (more, starts) = super::canary_files::configurations();
    row(
        38,
        "",
        &format!(
            "{} secrets, {asked} requests, {} places looked through and {} KiB of log: 0 found",
            count + more,
            places + starts,
            log.len() >> 10
        ),
    );
}

fn text(answer: &Answer) -> String {
    format!(
        "{:?} {}",
        answer.headers,
        String::from_utf8_lossy(&answer.body)
    )
}

/// Secrets of the right kind, each shown once where it is good.
fn credentials(house: &House, canaries: &mut Canaries) -> usize {
    let image = house.image("team/app", "1", b"a private layer");
    let robot = house.robot("canary");
    canaries.add("a robot's login", robot.trim_start_matches("Basic "));
    let key = house.key("user/warden");
    canaries.add("a key's secret", &key.secret);
    let token = house.token(&house.admin, "repository:team/app:pull,push");
    canaries.add("a token", token.trim_start_matches("Bearer "));
    let refresh = house
        .ask(
            &house.admin,
            "GET",
            "/token?offline_token=true&service=wharf",
        )
        .json();
    let refresh = refresh["refresh_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    canaries.add("a refresh token", &refresh);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("grant_type=refresh_token&service=wharf&refresh_token={refresh}");
    assert_eq!(
        house
            .client
            .send("POST", "/token", &form, body.as_bytes())
            .status,
        200
    );
    let aws = house.call(&key, "GetAuthorizationToken", &json!({})).json();
    let aws = aws["authorizationData"][0]["authorizationToken"]
        .as_str()
        .expect("a token")
        .to_owned();
    canaries.add("a login of AWS", &aws);
    let login = json!({"username": "warden", "password": "the-password-of-warden"}).to_string();
    let json_type = ("Content-Type", "application/json");
    let begun = house
        .client
        .send("POST", "/session", &[json_type], login.as_bytes());
    let cookie = begun
        .header("set-cookie")
        .and_then(|set| set.split(';').next())
        .expect("a cookie")
        .to_owned();
    canaries.add("a session", cookie.split_once('=').expect("a value").1);
    let body = json!({"repositoryName": "team/app", "layerDigest": image.layer});
    let url = house.call(&key, "GetDownloadUrlForLayer", &body).json();
    let url = url["downloadUrl"].as_str().expect("an address").to_owned();
    let path = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .expect("a path")
        .1
        .to_owned();
    let signature = path
        .split(['?', '&', '=', '/'])
        .filter(|part| !part.starts_with("sha256"))
        .max_by_key(|part| part.len());
    canaries.add("an address that is signed", signature.expect("a part"));
    let blob = format!("/v2/team/app/blobs/{}", image.layer);
    for (who, path) in [
        (&robot, "/v2/"),
        (&token, "/v2/team/app/manifests/1"),
        (&aws, "/v2/team/app/tags/list"),
        (&token, &blob),
    ] {
        let who = if who.contains(' ') {
            who.clone()
        } else {
            format!("Basic {who}")
        };
        let answer = house.ask(&who, "GET", path);
        assert!(answer.status < 400, "{path}: {answer:?}");
        // The store's signature is good for the blob.
        if let Some(place) = answer.header("location") {
            let signature = place.split("X-Amz-Signature=").nth(1).expect("a signature");
            canaries.add("an address of the store", signature);
        }
    }
    house.client.get(&format!("/{path}"));
    let headers = [("Cookie", &*cookie)];
    assert_eq!(
        house
            .client
            .send("GET", "/admin/v1/users", &headers, b"")
            .status,
        200
    );
    let signer = super::jwt::Signer::ed25519();
    if let super::jwt::Signer::Ed25519(_, pem) = &signer {
        canaries.add("a signing key", pem.lines().nth(1).expect("a line"));
        assert!(
            house
                .manage("POST", "/signing-keys", &json!({"pem": pem}))
                .status
                < 300
        );
        let broken = pem.replace("MC4C", "MC4D");
        house.manage("POST", "/signing-keys", &json!({"pem": broken}));
        canaries.add(
            "a broken signing key",
            broken.lines().nth(1).expect("a line"),
        );
    }
    14
}

/// Secrets where they don't belong, or that are wrong, whole or in something that can't be read.
fn requests(house: &House, canaries: &mut Canaries) -> usize {
    let mut asked = 0;
    let address = house.client.address();
    let mut told = Vec::new();
    let mut send = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        told.push((
            path.to_owned(),
            house.client.send(method, path, headers, body.as_bytes()),
        ));
        asked += 1;
    };
    for path in [
        "/v2/",
        "/v2/team/app/manifests/1",
        "/token",
        "/admin/v1/users",
        "/events",
        "/metrics",
        "/",
        "/nowhere",
    ] {
        let password = canaries.of("a wrong password");
        let shown = basic("somebody", &password);
        canaries.add("a wrong login", shown.trim_start_matches("Basic "));
        send("GET", path, &[("Authorization", &shown)], "");
        for scheme in ["Bearer", "Basic", "Digest", "AWS4-HMAC-SHA256", "Token", ""] {
            let canary = canaries.of("Authorization");
            send(
                "GET",
                path,
                &[("Authorization", &format!("{scheme} {canary}"))],
                "",
            );
        }
        for name in [
            "Cookie",
            "X-Auth-Token",
            "X-Api-Key",
            "Proxy-Authorization",
            "X-Amz-Security-Token",
            "X-Registry-Auth",
            "Private-Token",
        ] {
            let canary = canaries.of(name);
            let value = if name == "Cookie" {
                format!("wharf_session={canary}; other={canary}")
            } else {
                canary
            };
            send("GET", path, &[(name, &value)], "");
        }
        let canary = canaries.of("a query");
        send(
            "GET",
            &format!("{path}?password={canary}&X-Amz-Signature={canary}&access_token={canary}"),
            &[],
            "",
        );
        send(
            "POST",
            &format!("{path}?token={canary}"),
            &[("Authorization", &house.admin)],
            "",
        );
    }
    let json_type = ("Content-Type", "application/json");
    let admin = ("Authorization", house.admin.as_str());
    for (method, path) in [
        ("POST", "/session"),
        ("POST", "/admin/v1/users"),
        ("PATCH", "/admin/v1/users/warden"),
        ("POST", "/admin/v1/robots"),
        ("POST", "/admin/v1/endpoints"),
        ("PUT", "/admin/v1/trusts/x"),
        ("PUT", "/admin/v1/policies/registry"),
        ("POST", "/admin/v1/signing-keys"),
        ("PUT", "/v2/team/app/manifests/x"),
        ("POST", "/"),
    ] {
        for form in [
            r#"{"username": "a", "name": "a", "password": "CANARY"}"#,
            r#"{"username": "a", "password": ["CANARY"]}"#,
            r#"{"password": "CANARY"#,
            r#"{"CANARY": 1}"#,
            r#""CANARY""#,
            r#"{"secret": "CANARY", "url": "CANARY", "issuer": "CANARY", "pem": "CANARY", "name": "CANARY-"}"#,
        ] {
            let canary = canaries.of(path);
            send(
                method,
                path,
                &[json_type, admin],
                &form.replace("CANARY", &canary),
            );
        }
    }
    let form_type = ("Content-Type", "application/x-www-form-urlencoded");
    for grant in [
        "password",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "other",
    ] {
        let canary = canaries.of("a form");
        let body = format!(
            "grant_type={grant}&service=wharf&username=somebody&password={canary}&refresh_token={canary}&subject_token={canary}&client_secret={canary}"
        );
        send("POST", "/token", &[form_type], &body);
        send("POST", "/token", &[json_type], &body);
    }
    // What a caller sent may come back to it in an error, but not what it used to log in.
    for (path, answer) in &told {
        let text = text(answer);
        let secrets = canaries
            .0
            .iter()
            .filter(|(_, place)| place.contains("password") || *place == "Authorization");
        for (canary, place) in secrets {
            assert!(
                !text.contains(canary.as_str()),
                "{path} tells {place}: {text}"
            );
        }
    }
    let canary = canaries.of("what is no HTTP");
    raw(
        address,
        format!("GET / HTTP/1.1\r\nAuthorization: {canary}\r\nbroken {canary}\r\n\r\n").as_bytes(),
    );
    asked + 1
}

/// Endpoints with secrets in all their parts.
fn endpoints(house: &House, canaries: &mut Canaries, hook: &Site) -> usize {
    let secret = canaries.of("a webhook's secret");
    let long = format!(
        "whsec_{}",
        super::people::basic(&secret, "0123456789abcdef")
            .trim_start_matches("Basic ")
            .trim_end_matches('=')
    );
    canaries.add("a webhook's secret", long.trim_start_matches("whsec_"));
    let url = format!("http://{}/hook", hook.address());
    let made = house.manage(
        "POST",
        "/endpoints",
        &json!({"name": "hook", "url": url, "secret": long}),
    );
    let made = if made.status == 201 {
        made
    } else {
        house.manage("POST", "/endpoints", &json!({"name": "hook", "url": url}))
    };
    assert_eq!(made.status, 201, "{made:?}");
    if let Some(secret) = made.json()["secret"].as_str() {
        canaries.add("a webhook's secret", secret);
    }
    let nats = canaries.of("a password of NATS");
    let url = format!("nats://user@{}/x", hook.address());
    house.manage(
        "POST",
        "/endpoints",
        &json!({"name": "nats", "url": url, "secret": nats}),
    );
    let within = canaries.of("the user of an address");
    let port = hook.port();
    for (name, url) in [
        ("within", format!("http://user:{within}@127.0.0.1:{port}/")),
        (
            "nats-within",
            format!("nats://user:{within}@127.0.0.1:{port}/"),
        ),
    ] {
        // Where it is taken at all, it is shown to nobody.
        let _ = house.manage("POST", "/endpoints", &json!({"name": name, "url": url}));
    }
    4
}
