//! Tokens of other issuers, those that are taken and those that are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jsonwebtoken::Header;
use serde_json::json;

use super::*;
use crate::oidc::{Fetcher, TrustError};
use crate::token::SigningKey;

const ISSUER: &str = "https://issuer.example";
const NOW: i64 = 1_800_000_000;

/// An issuer on paper.
#[derive(Debug)]
struct Issuer {
    key: SigningKey,
    asked: AtomicUsize,
    names: &'static str,
}

impl Issuer {
    fn new(names: &'static str) -> Arc<Self> {
        Arc::new(Self {
            key: SigningKey::read(&SigningKey::generate(), None).expect("a key"),
            asked: AtomicUsize::new(0),
            names,
        })
    }

    fn token(&self, claims: &Value) -> String {
        let mut header = Header::new(self.key.algorithm());
        header.kid = Some(self.key.id().to_owned());
        self.key.sign_anything(&header, claims)
    }
}

#[async_trait]
impl Fetcher for Issuer {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let document = match url {
            "https://issuer.example/.well-known/openid-configuration" => {
                json!({"issuer": self.names, "jwks_uri": "https://issuer.example/keys"})
            }
            "https://issuer.example/keys" => json!({"keys": [self.key.public()]}),
            _ => {
                return Err(FetchError {
                    url: url.into(),
                    reason: "404".into(),
                });
            }
        };
        Ok(document.to_string().into_bytes())
    }
}

fn trusts() -> BTreeMap<String, Trust> {
    let text = json!({
        "issuer": ISSUER,
        "audience": "wharf",
        "claims": {"repository": "org/*", "ref": "refs/heads/main"},
    });
    let trust = Trust::parse(&text.to_string()).expect("a trust");
    [("github".to_owned(), trust)].into()
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "wharf", "sub": "repo:org/app:ref:refs/heads/main",
        "repository": "org/app", "ref": "refs/heads/main", "runner": {"os": "linux"},
        "exp": NOW + 300, "iat": NOW, "nbf": NOW,
    })
}

async fn ask(issuer: &Arc<Issuer>, token: &str) -> Result<Federated, FederationError> {
    let issuers = Issuers::new(Arc::clone(issuer) as Arc<dyn Fetcher>);
    identify(
        &trusts(),
        None,
        &issuers,
        token,
        Timestamp::from_seconds(NOW),
    )
    .await
}

#[tokio::test]
async fn a_token_that_meets_a_trust_names_its_owner() {
    let issuer = Issuer::new(ISSUER);
    let federated = ask(&issuer, &issuer.token(&claims())).await.expect("taken");
    assert_eq!(federated.trust, "github");
    assert_eq!(federated.subject, "repo:org/app:ref:refs/heads/main");
    assert_eq!(federated.claims["repository"], "org/app");
    assert!(!federated.claims.contains_key("runner"));
    let mut several = claims();
    several["aud"] = json!(["other", "wharf"]);
    assert!(ask(&issuer, &issuer.token(&several)).await.is_ok());
}

#[tokio::test]
async fn tokens_that_do_not_meet_a_trust_are_refused_before_anyone_is_asked() {
    let issuer = Issuer::new(ISSUER);
    for (member, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("another")),
        ("aud", json!(null)),
        ("repository", json!("organ/app")),
        ("ref", json!("refs/heads/dev")),
        ("ref", json!(null)),
    ] {
        let mut claims = claims();
        claims[member] = value;
        let answer = ask(&issuer, &issuer.token(&claims)).await;
        assert!(
            matches!(answer, Err(FederationError::Refused)),
            "{member}: {answer:?}"
        );
    }
    assert_eq!(issuer.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn tokens_that_their_issuer_did_not_sign_are_refused() {
    let issuer = Issuer::new(ISSUER);
    let stranger = Issuer::new(ISSUER);
    let answer = ask(&issuer, &stranger.token(&claims())).await;
    assert!(
        matches!(answer, Err(FederationError::Refused)),
        "{answer:?}"
    );

    // Under the issuer's own key name, signed by a stranger.
    let mut header = Header::new(issuer.key.algorithm());
    header.kid = Some(issuer.key.id().to_owned());
    let forged = stranger.key.sign_anything(&header, &claims());
    let answer = ask(&issuer, &forged).await;
    assert!(
        matches!(answer, Err(FederationError::Refused)),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_token_counts_for_its_time_only() {
    let issuer = Issuer::new(ISSUER);
    for (member, value) in [
        ("exp", json!(NOW - 61)),
        ("nbf", json!(NOW + 61)),
        ("iat", json!(NOW + 61)),
    ] {
        let mut claims = claims();
        claims[member] = value;
        let answer = ask(&issuer, &issuer.token(&claims)).await;
        assert!(
            matches!(answer, Err(FederationError::Expired)),
            "{member}: {answer:?}"
        );
    }
    for value in [json!("soon"), json!(null)] {
        let mut claims = claims();
        claims["exp"] = value;
        let answer = ask(&issuer, &issuer.token(&claims)).await;
        assert!(
            matches!(answer, Err(FederationError::Refused)),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn an_issuer_that_calls_itself_otherwise_is_not_believed() {
    let issuer = Issuer::new("https://another.example");
    let answer = ask(&issuer, &issuer.token(&claims())).await;
    assert!(
        matches!(answer, Err(FederationError::Issuer(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn an_issuer_is_asked_once_however_many_tokens_come() {
    let issuer = Issuer::new(ISSUER);
    let stranger = Issuer::new(ISSUER);
    let issuers = Issuers::new(Arc::clone(&issuer) as Arc<dyn Fetcher>);
    let ask = |token: String, seconds: i64| {
        let issuers = &issuers;
        async move {
            let now = Timestamp::from_seconds(NOW + seconds);
            identify(&trusts(), Some("github"), issuers, &token, now)
                .await
                .is_ok()
        }
    };
    for _ in 0..5 {
        assert!(ask(issuer.token(&claims()), 0).await);
        assert!(!ask(stranger.token(&claims()), 1).await);
    }
    assert_eq!(
        issuer.asked.load(Ordering::Relaxed),
        2,
        "its document and its keys"
    );
    assert!(!ask(stranger.token(&claims()), 31).await);
    assert_eq!(issuer.asked.load(Ordering::Relaxed), 4);
}

#[test]
fn a_trust_that_lets_everyone_in_is_refused() {
    for (claims, want) in [
        (json!({}), "let in"),
        (json!({"sub": "*"}), "let in"),
        (json!({"sub": 1}), "not valid"),
    ] {
        let text = json!({"issuer": ISSUER, "audience": "a", "claims": claims}).to_string();
        let error = Trust::parse(&text).expect_err("refused").to_string();
        assert!(error.contains(want), "{error}");
    }
    let text = json!({"issuer": "file:///etc", "audience": "a", "claims": {"sub": "a"}});
    assert!(matches!(
        Trust::parse(&text.to_string()),
        Err(TrustError::Issuer)
    ));
}
