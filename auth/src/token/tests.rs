//! Tokens that are forged in every way that registries have believed.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::*;
use crate::token::{KeyError, Kind};

const NOW: i64 = 1_800_000_000;
const SERVICE: &str = "wharf";

fn key() -> SigningKey {
    SigningKey::read(&SigningKey::generate(), None).expect("a key")
}

fn claims() -> Claims {
    Claims {
        iss: SERVICE.into(),
        sub: "user/alice".into(),
        aud: SERVICE.into(),
        exp: NOW + 300,
        nbf: NOW,
        iat: NOW,
        iat_us: NOW * 1_000_000,
        jti: "1".into(),
        kind: Kind::Access,
        access: Vec::new(),
        key: None,
        claims: Default::default(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn believed(key: &SigningKey, token: &str) -> Result<Claims, TokenError> {
    verify([key].into_iter(), SERVICE, token, at(NOW + 1))
}

/// A token of these parts, signed by nobody.
fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// The token with its header changed and its signature kept.
fn with_header(token: &str, change: impl Fn(&mut Value)) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let header = BASE64.decode(parts[0]).expect("base64");
    let mut header: Value = serde_json::from_slice(&header).expect("JSON");
    change(&mut header);
    format!(
        "{}.{}.{}",
        BASE64.encode(header.to_string()),
        parts[1],
        parts[2]
    )
}

#[test]
fn a_token_of_our_own_is_believed_for_its_time() {
    let key = key();
    let token = key.sign(&claims());
    assert_eq!(believed(&key, &token), Ok(claims()));
    let when = |seconds| verify([&key].into_iter(), SERVICE, &token, at(seconds)).err();
    assert_eq!(when(NOW + 299), None);
    assert_eq!(when(NOW + 300), Some(TokenError::Expired));
    assert_eq!(when(NOW - LEEWAY), None);
    assert_eq!(when(NOW - LEEWAY - 1), Some(TokenError::Invalid));
    assert_eq!(when(NOW + 10 * 365 * 86_400), Some(TokenError::Expired));
}

#[test]
fn an_imported_key_signs_as_one_of_our_own() {
    // Made for this test with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
    let pem = include_bytes!("../../testdata/p256.pem");
    let stored = SigningKey::import(pem).expect("a key");
    let key = SigningKey::read(&stored, None).expect("a key");
    assert_eq!(key.algorithm(), jsonwebtoken::Algorithm::ES256);
    assert_eq!(key.public()["crv"], "P-256");
    assert!(key.public().get("d").is_none());
    assert_eq!(believed(&key, &key.sign(&claims())), Ok(claims()));
    assert!(matches!(
        SigningKey::import(b"nothing"),
        Err(KeyError::Kind)
    ));
}

#[test]
fn forged_tokens_are_not_believed() {
    let key = key();
    let own = json!(claims());
    let id = key.id();
    let token = key.sign(&claims());
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let public = key.public()["x"].as_str().expect("a point").to_owned();
    let hmac = {
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": id});
        let text = unsigned(&header, &own, "");
        let text = text.trim_end_matches('.');
        let public = BASE64.decode(&public).expect("base64");
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
        let tag = aws_lc_rs::hmac::sign(&key, text.as_bytes());
        format!("{text}.{}", BASE64.encode(tag.as_ref()))
    };
    let mut flipped = BASE64.decode(signature).expect("base64");
    flipped[0] ^= 1;
    let stranger = self::key();
    let forged = [
        ("no token", "nothing".to_owned()),
        ("empty", String::new()),
        (
            "alg none",
            unsigned(&json!({"alg": "none", "kid": id}), &own, ""),
        ),
        (
            "alg None",
            unsigned(&json!({"alg": "None", "kid": id}), &own, signature),
        ),
        ("the public key as a secret", hmac),
        (
            "another algorithm",
            with_header(&token, |header| header["alg"] = "ES256".into()),
        ),
        (
            "no kid",
            with_header(&token, |header| header["kid"] = Value::Null),
        ),
        (
            "an unknown kid",
            with_header(&token, |header| header["kid"] = "../../etc/passwd".into()),
        ),
        (
            "a jwk",
            with_header(&token, |header| header["jwk"] = stranger.public().clone()),
        ),
        (
            "a jku",
            with_header(&token, |header| {
                header["jku"] = "http://evil.example/".into();
            }),
        ),
        (
            "an x5u",
            with_header(&token, |header| {
                header["x5u"] = "http://evil.example/".into();
            }),
        ),
        (
            "a crit",
            with_header(&token, |header| header["crit"] = json!(["exp"])),
        ),
        ("a stranger's", stranger.sign(&claims())),
        (
            "a flipped signature",
            format!("{head}.{}", BASE64.encode(flipped)),
        ),
        ("no signature", format!("{head}.")),
        ("longer than any", format!("{token}{}", "A".repeat(20_000))),
    ];
    for (what, token) in forged {
        assert_eq!(believed(&key, &token), Err(TokenError::Invalid), "{what}");
    }
    // Headers that are signed, too: the token is ours, and yet says where to find another key.
    let mut header = Header::new(key.algorithm());
    header.kid = Some(id.to_owned());
    header.jku = Some("http://evil.example/".into());
    assert!(brings_its_own_key(&header));
}

#[test]
fn claims_of_the_wrong_shape_are_not_believed() {
    let key = key();
    let signed = |value: &Value| {
        let mut header = Header::new(key.algorithm());
        header.kid = Some(key.id().to_owned());
        key.sign_anything(&header, value)
    };
    for (member, value) in [
        ("exp", json!("9999999999")),
        ("exp", json!(1e300)),
        ("exp", json!(null)),
        ("exp", json!([NOW + 300])),
        ("aud", json!([SERVICE])),
        ("aud", json!("another")),
        ("iss", json!("another")),
        ("nbf", json!(NOW + 1000)),
        ("kind", json!("root")),
        ("sub", json!(7)),
    ] {
        let mut claims = json!(claims());
        claims[member] = value.clone();
        assert_eq!(
            believed(&key, &signed(&claims)),
            Err(TokenError::Invalid),
            "{member}: {value}"
        );
        claims.as_object_mut().expect("an object").remove(member);
        assert_eq!(
            believed(&key, &signed(&claims)),
            Err(TokenError::Invalid),
            "no {member}"
        );
    }
}

#[test]
fn the_cache_forgets_with_the_keys_and_never_outlives_a_token() {
    let key = key();
    let cache = Cache::default();
    let token = key.sign(&claims());
    let ask = |keys: &[&SigningKey], revision, seconds| {
        let keys = keys.to_vec();
        cache
            .verify(keys.into_iter(), revision, SERVICE, &token, at(seconds))
            .map(|claims| claims.sub.clone())
    };
    assert_eq!(ask(&[&key], 1, NOW), Ok("user/alice".into()));
    assert_eq!(
        ask(&[], 1, NOW),
        Ok("user/alice".into()),
        "it was checked already"
    );
    assert_eq!(ask(&[], 1, NOW + 300), Err(TokenError::Expired));
    assert_eq!(
        ask(&[], 2, NOW),
        Err(TokenError::Invalid),
        "the keys have changed"
    );
}
