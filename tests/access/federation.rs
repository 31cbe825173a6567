//! Tokens of other issuers: an issuer on loopback, and a job that comes with its token.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{Login, claims, send_as};
use crate::api::http::Client;
use crate::support::{Registry, wait};

/// Made for these tests with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
const KEY: &[u8] = include_bytes!("../../auth/testdata/p256.pem");

/// The form of an exchange, up to the token.
const EXCHANGE: &str =
    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=";

/// An issuer, as GitHub Actions or Kubernetes has one.
struct Issuer {
    url: String,
    key: EncodingKey,
}

impl Issuer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let key = EncodingKey::from_ec_pem(KEY).expect("a key");
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).expect("a public key");
        jwk.common.key_id = Some("first".into());
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")}).to_string();
        let keys = json!({"keys": [jwk]}).to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                let mut head = [0; 2048];
                let read = stream.read(&mut head).unwrap_or(0);
                let is_discovery = head[..read].starts_with(b"GET /.well-known/");
                let body = if is_discovery { &discovery } else { &keys };
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ";
                let _ = stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes());
            }
        });
        Self { url, key }
    }

    fn token(&self, change: impl Fn(&mut Value)) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("a time").as_secs();
        let mut claims = json!({
            "iss": self.url, "aud": "wharf", "sub": "repo:org/app:ref:refs/heads/main",
            "repository": "org/app", "exp": now + 300, "iat": now,
        });
        change(&mut claims);
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("first".into());
        jsonwebtoken::encode(&header, &claims, &self.key).expect("a token")
    }
}

#[test]
fn a_job_comes_with_its_platforms_token() {
    let issuer = Issuer::start();
    let registry = Registry::private_with(&[("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]")]);
    let client = Client::new(registry.base());
    let trust = json!({
        "issuer": issuer.url, "audience": "wharf", "claims": {"repository": "org/*"},
    });
    let policy = json!({"Statement": {
        "Effect": "Allow", "Action": "ecr:*", "Resource": "repository/apps/*",
        "Condition": {"StringEquals": {"claim:repository": "org/app"}},
    }});
    let set = ["policy", "set", "federated/ci"];
    registry
        .administer(set)
        .stdin(&policy.to_string())
        .succeeds();
    // The trust comes last: who is let in by it has the policy then.
    registry
        .administer(["trust", "set", "ci"])
        .stdin(&trust.to_string())
        .succeeds();

    let login = |name: &str, token: String| Login {
        name: name.into(),
        password: token,
    };
    let job = login("oidc/ci", issuer.token(|_| {}));
    wait::until("the trust", Duration::from_secs(5), || {
        (send_as(&client, &job, "GET", "/v2/", b"").status == 200).then_some(())
    });
    super::push_image(&client, &job, "apps/one");
    let elsewhere = send_as(&client, &job, "POST", "/v2/other/blobs/uploads/", b"");
    assert_eq!(elsewhere.status, 403);
    // Its token for the registry carries the claims that the policy asks for.
    let token = super::token(&client, &job, "repository:apps/one:pull,push");
    let answer = super::send_with(&client, &token, "GET", "/v2/apps/one/manifests/v1", b"");
    assert_eq!(answer.status, 200);
    // By exchange, as OAuth 2 has it.
    let form = format!("{EXCHANGE}{}", job.password);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let exchanged = client.send("POST", "/token", &headers, form.as_bytes());
    assert_eq!(exchanged.status, 200, "{exchanged:?}");

    let other = login(
        "oidc",
        issuer.token(|claims| claims["repository"] = "org/other".into()),
    );
    assert_eq!(send_as(&client, &other, "GET", "/v2/", b"").status, 200);
    let answer = send_as(&client, &other, "GET", "/v2/apps/one/manifests/v1", b"");
    assert_eq!(answer.status, 403, "the condition of the policy is not met");
    for (what, token) in [
        (
            "another organization",
            issuer.token(|claims| claims["repository"] = "evil/app".into()),
        ),
        (
            "another audience",
            issuer.token(|claims| claims["aud"] = "other".into()),
        ),
        ("an end", issuer.token(|claims| claims["exp"] = 1.into())),
        ("nothing", String::new()),
    ] {
        let answer = send_as(&client, &login("oidc/ci", token), "GET", "/v2/", b"");
        assert_eq!(answer.status, 401, "{what}");
    }

    registry.administer(["trust", "remove", "ci"]).succeeds();
    wait::until("the end of the trust", Duration::from_secs(5), || {
        let answer = super::send_with(&client, &token, "GET", "/v2/", b"");
        (answer.status == 401).then_some(())
    });
}

#[test]
fn a_job_gets_nothing_that_outlives_its_platforms_token_or_its_trust() {
    let issuer = Issuer::start();
    let registry = Registry::private_with(&[("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]")]);
    let client = Client::new(registry.base());
    let trust = |repository: &str| {
        let trust = json!({
            "issuer": issuer.url, "audience": "wharf", "claims": {"repository": repository},
        });
        registry
            .administer(["trust", "set", "ci"])
            .stdin(&trust.to_string())
            .succeeds();
    };
    trust("org/*");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let end = now.expect("a time").as_secs() + 120;
    let job = Login {
        name: "oidc/ci".into(),
        password: issuer.token(|claims| claims["exp"] = end.into()),
    };
    wait::until("the trust", Duration::from_secs(5), || {
        (send_as(&client, &job, "GET", "/v2/", b"").status == 200).then_some(())
    });
    let path = "/token?offline_token=true&scope=repository:apps/one:pull";
    let answer = send_as(&client, &job, "GET", path, b"").json();
    assert_eq!(answer.get("refresh_token"), None);
    let token = answer["token"].as_str().expect("a token");
    assert_eq!(claims(token)["exp"], end);
    let lifetime = answer["expires_in"].as_u64().expect("a number");
    assert!((60..=120).contains(&lifetime), "{lifetime}");
    for grant in ["grant_type=password&username=oidc%2Fci&password=", EXCHANGE] {
        let form = format!("{grant}{}&access_type=offline", job.password);
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = client.send("POST", "/token", &headers, form.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json().get("refresh_token"), None, "{grant}");
    }

    // What was given under the trust ends when the trust asks for something else.
    let status = || super::send_with(&client, token, "GET", "/v2/", b"").status;
    assert_eq!(status(), 200);
    trust("org/other");
    wait::until("the narrower trust", Duration::from_secs(5), || {
        (status() == 401).then_some(())
    });
}

#[test]
fn an_issuer_inside_is_not_asked_unless_it_is_opened() {
    let issuer = Issuer::start();
    let registry = Registry::private();
    let client = Client::new(registry.base());
    let trust = json!({
        "issuer": issuer.url, "audience": "wharf", "claims": {"repository": "org/*"},
    });
    registry
        .administer(["trust", "set", "ci"])
        .stdin(&trust.to_string())
        .succeeds();
    let job = Login {
        name: "oidc".into(),
        password: issuer.token(|_| {}),
    };
    wait::until("the trust", Duration::from_secs(5), || {
        let answer = send_as(&client, &job, "GET", "/v2/", b"");
        assert!(matches!(answer.status, 401 | 429), "{answer:?}");
        let message = answer.json()["errors"][0]["message"].to_string();
        message.contains("can not be asked").then_some(())
    });
}
