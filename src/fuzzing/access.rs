//! Who calls, and what policies let them do.

use std::sync::LazyLock;

use wharf_auth::action::Action;
use wharf_auth::authorizer::Decision;
use wharf_auth::identity::{Context, Principal};
use wharf_auth::oidc::Trust;
use wharf_auth::policy::{Attached, Attachment, Document, Request, could_allow, decide, explain};
use wharf_auth::scope::Scope;
use wharf_auth::sigv4::{Authorization, SignedRequest, verify as verify_signature};
use wharf_auth::token::{Claims, Kind, SigningKey, verify as verify_token};
use wharf_storage::clock::Timestamp;
use wharf_storage::oci::RepositoryName;

use super::{reads_back, text};
use crate::explanation::Question;

const NOW: i64 = 1_800_000_000;

pub(super) fn scope(bytes: &[u8]) {
    text(bytes, |text| {
        // What isn't known here is asked for in vain, and written nowhere.
        if text.parse() != Ok(Scope::Unknown) {
            reads_back::<Scope>(text);
        }
    });
}

pub(super) fn principal(bytes: &[u8]) {
    text(bytes, |text| {
        reads_back::<Principal>(text);
        if let Ok(principal) = text.parse::<Principal>() {
            assert!(
                !principal.to_string().contains(char::is_control),
                "{text:?}"
            );
        }
    });
}

/// Who, what and where, a line each.
pub(super) fn question(bytes: &[u8]) {
    text(bytes, |text| {
        let mut lines = text.split('\n');
        let (who, what) = (
            lines.next().unwrap_or_default(),
            lines.next().unwrap_or_default(),
        );
        let _ = Question::parse(who, what, lines.next(), Context::default());
    });
}

pub(super) fn trust(bytes: &[u8]) {
    text(bytes, |text| {
        let Ok(trust) = Trust::parse(text) else {
            return;
        };
        let written = serde_json::to_string(&trust).expect("it has a JSON form");
        Trust::parse(&written).expect("what was written can be read");
        assert!(
            !trust.claims.is_empty(),
            "everybody of the issuer would be let in"
        );
    });
}

pub(super) fn policy_document(bytes: &[u8]) {
    text(bytes, |text| {
        let principal = Principal::user("alice");
        let repository: RepositoryName = "team/app".parse().expect("a name");
        let context = Context::default();
        for (attachment, target) in [
            (Attachment::Registry, "registry"),
            (Attachment::Repository, "repository/team/app"),
            (Attachment::Principal, "user/alice"),
        ] {
            assert_eq!(Attachment::of(target), Some(attachment));
            let Ok(document) = Document::parse(text, attachment) else {
                continue;
            };
            let attached = Attached {
                target: target.to_owned(),
                document: Some(document),
            };
            let unread = Attached {
                target: target.to_owned(),
                document: None,
            };
            for action in Action::ALL.iter().copied() {
                let request = Request {
                    principal: &principal,
                    action,
                    repository: Some(&repository),
                    context: &context,
                };
                let decision = decide([&attached], request);
                if decision == Decision::Allowed {
                    assert!(
                        could_allow([&attached], request),
                        "what is allowed could be"
                    );
                }
                // What can't be read denies, whatever else allows.
                assert_ne!(decide([&attached, &unread], request), Decision::Allowed);
                let _ = explain([&attached], request);
            }
        }
    });
}

static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let pem = include_bytes!("../../auth/testdata/p256.pem");
    SigningKey::read(&SigningKey::import(pem).expect("a key"), None).expect("a key")
});

fn claims() -> Claims {
    Claims {
        iss: "wharf".into(),
        sub: "user/alice".into(),
        aud: "wharf".into(),
        exp: NOW + 300,
        nbf: NOW,
        iat: NOW,
        iat_us: NOW * 1_000_000,
        jti: "1".into(),
        kind: Kind::Access,
        access: Vec::new(),
        key: None,
        claims: std::collections::BTreeMap::default(),
    }
}

/// A token, whose signature stands for `SIGNED.` in front: so the rest of the way is tried too.
pub(super) fn token(bytes: &[u8]) {
    static GOOD: LazyLock<String> = LazyLock::new(|| KEY.sign(&claims()));
    text(bytes, |text| {
        let tokens = [text.to_owned(), text.replacen("SIGNED", &GOOD, 1)];
        for token in tokens {
            let keys = [&*KEY].into_iter();
            let believed = verify_token(keys, "wharf", &token, Timestamp::from_seconds(NOW + 1));
            // Nobody else has the key, so nothing but the one token is believed.
            if let Ok(believed) = believed {
                assert_eq!(believed, claims(), "{token:?}");
                let body = |token: &str| token.rsplit_once('.').map(|(body, _)| body.to_owned());
                assert_eq!(body(&token), body(&GOOD), "{token:?}");
            }
        }
    });
}

/// An `Authorization`, a path with a query, and headers: a line each.
pub(super) fn signature(bytes: &[u8]) {
    text(bytes, |text| {
        let mut lines = text.split('\n');
        let header = lines.next().unwrap_or_default();
        let Ok(authorization) = Authorization::parse(header) else {
            return;
        };
        assert!(Authorization::is_one(header));
        assert_eq!(authorization.signature.len(), 64);
        assert!(!authorization.signed_headers.is_empty());
        let target = lines.next().unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let payload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let request = SignedRequest {
            method: "GET",
            path,
            query,
            headers: &headers,
            payload,
        };
        let now = Timestamp::from_seconds(1_440_938_160);
        let outcome = verify_signature(&authorization, &request, "a secret of nobody", now);
        assert!(outcome.is_err(), "nobody signed it");
    });
}
