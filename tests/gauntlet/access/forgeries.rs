//! The ways in which a token can be forged, for row 26.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Form;
use super::jwt::{Signer, malleated, url, with_secret};

/// Forgeries of one token.
pub(crate) struct Forged<'a> {
    pub(crate) signer: &'a Signer,
    pub(crate) header: &'a Value,
    pub(crate) claims: &'a Value,
    pub(crate) kid: &'a str,
}

impl Forged<'_> {
    /// Heads that name another algorithm, or another key, or where to find one.
    pub(crate) fn headers(&self, elsewhere: &str) -> Vec<(String, String)> {
        let claims = self.claims.to_string();
        let with = |name: &str, value: Value| {
            let mut header = self.header.clone();
            header[name] = value;
            header
        };
        let without = |name: &str| {
            let mut header = self.header.clone();
            header.as_object_mut().expect("an object").remove(name);
            header
        };
        let unsigned = |header: &Value| {
            format!(
                "{}.{}.",
                url(header.to_string().as_bytes()),
                url(claims.as_bytes())
            )
        };
        let mut tokens = Vec::new();
        for name in ["none", "None", "NONE", "nOnE", "none ", "", "null"] {
            let header = with("alg", json!(name));
            tokens.push((format!("{name:?} without a signature"), unsigned(&header)));
            tokens.push((
                format!("{name:?} without a dot"),
                unsigned(&header).trim_end_matches('.').to_owned(),
            ));
            tokens.push((
                format!("{name:?} with one"),
                self.signer.token(&header, &claims),
            ));
        }
        for algorithm in ["HS256", "HS384", "HS512"] {
            for secret in self.signer.spellings(self.kid) {
                let token = with_secret(&with("alg", json!(algorithm)), &claims, &secret);
                tokens.push((format!("{algorithm} with the public key"), token));
            }
        }
        let other = Signer::ed25519();
        let curve = Signer::p256();
        for stranger in [&other, &curve] {
            let name = stranger.algorithm();
            let mut header = with("alg", json!(name));
            tokens.push((
                format!("another key, {name}"),
                stranger.token(&header, &claims),
            ));
            for (member, value) in [
                ("jwk", stranger.jwk(self.kid)),
                ("jku", json!(elsewhere)),
                ("x5u", json!(elsewhere)),
                ("x5c", json!([url(stranger.public())])),
                ("kid", json!(elsewhere)),
                ("kid", json!("../../../../dev/null")),
                ("kid", json!("/proc/self/environ")),
                ("kid", json!("x' UNION SELECT 'x' --")),
                ("kid", json!("")),
                ("kid", json!(null)),
                ("kid", json!(["a"])),
            ] {
                header[member] = value;
                tokens.push((
                    format!("{member}, {name}"),
                    stranger.token(&header, &claims),
                ));
                header = with("alg", json!(name));
            }
        }
        // Rightly signed, with a head that it can't mean.
        for (member, value) in [
            ("alg", json!("HS256")),
            ("alg", json!("ES256")),
            ("alg", json!("RS256")),
            ("alg", json!(["EdDSA"])),
            ("alg", json!(null)),
            ("kid", json!("no such key")),
            ("kid", json!(7)),
        ] {
            let token = self.signer.token(&with(member, value.clone()), &claims);
            tokens.push((format!("{member} {value}"), token));
        }
        tokens.push((
            "no alg".to_owned(),
            self.signer.token(&without("alg"), &claims),
        ));
        let mut critical = with("crit", json!(["exp2"]));
        critical["exp2"] = json!(1);
        tokens.push((
            "what is critical".to_owned(),
            self.signer.token(&critical, &claims),
        ));
        let mut zero = unsigned(&with("alg", json!("ES256")));
        zero += &url(&[0; 64]);
        tokens.push(("a signature of nothing".to_owned(), zero));
        tokens
    }

    /// Rightly signed claims that are wrong.
    pub(crate) fn claims(&self, wrong: &[(&str, Option<Value>)]) -> Vec<(String, String)> {
        let mut tokens = Vec::new();
        for (name, value) in wrong {
            let mut claims = self.claims.clone();
            match value {
                Some(value) => claims[name] = value.clone(),
                None => drop(claims.as_object_mut().expect("an object").remove(*name)),
            }
            let token = self.signer.token(self.header, &claims.to_string());
            tokens.push((format!("{name} {value:?}"), token));
        }
        let text = self.claims.to_string();
        let end = json!(1).to_string();
        for odd in [
            text.replacen('{', &format!("{{\"exp\":{end},"), 1),
            format!("{},\"exp\":{end}}}", text.trim_end_matches('}')),
            format!("[{text}]"),
            format!("{text}{text}"),
            "null".to_owned(),
            String::new(),
            "[".repeat(10_000),
        ] {
            let token = self.signer.token(self.header, &odd);
            tokens.push((format!("claims {odd:.40}"), token));
        }
        for length in [20_000, 1 << 20] {
            let mut claims = self.claims.clone();
            claims["exp"] = json!(1);
            claims["padding"] = json!("x".repeat(length));
            let token = self.signer.token(self.header, &claims.to_string());
            tokens.push((format!("{length} letters, ended"), token));
        }
        tokens
    }

    /// The real token with its bits flipped, cut, or put together anew.
    pub(crate) fn bytes(&self, real: &str) -> Vec<(String, String)> {
        let mut tokens = Vec::new();
        let parts: Vec<_> = real.split('.').collect();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(parts[2]).expect("base64");
        for bit in (0..signature.len() * 8).step_by(Form::pick(7, 1)) {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let token = format!("{}.{}.{}", parts[0], parts[1], url(&flipped));
            tokens.push((format!("bit {bit} of the signature"), token));
        }
        for length in (0..real.len()).step_by(Form::pick(23, 1)) {
            tokens.push((format!("cut at {length}"), real[..length].to_owned()));
        }
        let twin = match self.signer {
            Signer::Ed25519(..) => malleated(&signature),
            Signer::P256(_) => signature.iter().rev().copied().collect(),
        };
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = real
            .chars()
            .last()
            .and_then(|last| letters.find(last))
            .expect("a letter");
        let unused = letters.as_bytes()[last ^ 1] as char;
        let swapped = format!("{}.{}", parts[1], parts[0]);
        for (what, token) in [
            (
                "the same signature by another number",
                format!("{}.{}.{}", parts[0], parts[1], url(&twin)),
            ),
            (
                "bits that mean nothing",
                format!("{}{unused}", &real[..real.len() - 1]),
            ),
            ("padding", format!("{real}==")),
            ("a fourth part", format!("{real}.{}", parts[2])),
            ("five parts", format!("{real}.{}.{}", parts[2], parts[2])),
            ("no signature", format!("{}.{}.", parts[0], parts[1])),
            ("the head for the claims", format!("{swapped}.{}", parts[2])),
            ("a signature that is too long", format!("{real}AAAA")),
            (
                "other claims",
                format!(
                    "{}.{}.{}",
                    parts[0],
                    url(self
                        .claims
                        .to_string()
                        .replacen("\"sub\":\"", "\"sub\":\"x", 1)
                        .as_bytes()),
                    parts[2]
                ),
            ),
        ] {
            tokens.push((what.to_owned(), token));
        }
        tokens
    }
}

/// What may not stand in the registry's own tokens, though they are signed by its key.
pub(crate) fn own_claims() -> Vec<(&'static str, Option<Value>)> {
    let mut wrong = times();
    wrong.extend([
        ("aud", Some(json!(["other"]))),
        ("aud", Some(json!([]))),
        ("aud", Some(json!({"wharf": true}))),
        ("aud", Some(json!("wharf2"))),
        ("aud", Some(json!(null))),
        ("aud", None),
        ("iss", Some(json!("other"))),
        ("iss", Some(json!(["wharf"]))),
        ("iss", None),
        ("sub", Some(json!("user/nobody"))),
        ("sub", Some(json!(["user/warden"]))),
        ("sub", Some(json!(7))),
        ("sub", Some(json!(""))),
        ("sub", None),
        ("kind", Some(json!("refresh"))),
        ("kind", Some(json!("session"))),
        ("kind", Some(json!(null))),
        ("kind", None),
        ("access", Some(json!("repository:team/app:pull"))),
        ("access", Some(json!({"type": "repository"}))),
    ]);
    wrong
}

/// Times that no token has.
pub(crate) fn times() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("exp", Some(json!("9999999999"))),
        ("exp", Some(json!(true))),
        ("exp", Some(json!(null))),
        ("exp", Some(json!([9_999_999_999_u64]))),
        ("exp", Some(json!({"$gt": 0}))),
        ("exp", Some(json!(-1))),
        ("exp", Some(json!(0))),
        ("exp", Some(json!(1_700_000_000))),
        ("exp", None),
        ("nbf", Some(json!("0"))),
        ("nbf", Some(json!([0]))),
        ("nbf", Some(json!(9_999_999_999_u64))),
    ]
}
