//! Tokens that are made by hand, so that they can be wrong in every way.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use aws_lc_rs::{hmac, signature};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::image::random_bytes;

/// What signs tokens.
#[derive(Debug)]
pub(crate) enum Signer {
    /// With the private key in PEM besides, to be given to a server.
    Ed25519(Ed25519KeyPair, String),
    P256(EcdsaKeyPair),
}

impl Signer {
    pub(crate) fn ed25519() -> Self {
        let seed = random_bytes(32);
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
        // The form of PKCS #8 with the private key alone, which all readers know.
        let prefix = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
        let der = [&prefix[..], &seed].concat();
        let pem = BASE64_STANDARD.encode(der);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
        Self::Ed25519(pair, pem)
    }

    pub(crate) fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self::P256(pair)
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(..) => "EdDSA",
            Self::P256(_) => "ES256",
        }
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair, _) => pair.sign(bytes).as_ref().to_vec(),
            Self::P256(pair) => {
                let signed = pair.sign(&SystemRandom::new(), bytes);
                signed.expect("it signs").as_ref().to_vec()
            }
        }
    }

    /// The public key's bytes: the point of an elliptic curve.
    pub(crate) fn public(&self) -> &[u8] {
        match self {
            Self::Ed25519(pair, _) => pair.public_key().as_ref(),
            Self::P256(pair) => pair.public_key().as_ref(),
        }
    }

    /// The public key as a JSON Web Key.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let public = self.public();
        match self {
            Self::Ed25519(..) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig",
                       "alg": "EdDSA", "x": url(public)})
            }
            Self::P256(_) => {
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
                       "x": url(&public[1..33]), "y": url(&public[33..])})
            }
        }
    }

    /// The public key as others write it down: what somebody could take for a secret.
    pub(crate) fn spellings(&self, kid: &str) -> Vec<Vec<u8>> {
        let public = self.public();
        let prefix: &[u8] = match self {
            Self::Ed25519(..) => &[48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0],
            Self::P256(_) => &[
                48, 89, 48, 19, 6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 8, 42, 134, 72, 206, 61, 3, 1,
                7, 3, 66, 0,
            ],
        };
        let der = [prefix, public].concat();
        let text = BASE64_STANDARD.encode(&der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----");
        vec![
            public.to_vec(),
            url(public).into_bytes(),
            der,
            pem.clone().into_bytes(),
            format!("{pem}\n").into_bytes(),
            self.jwk(kid).to_string().into_bytes(),
            Vec::new(),
        ]
    }

    /// A token with its own algorithm.
    pub(crate) fn token(&self, header: &Value, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            url(header.to_string().as_bytes()),
            url(claims.as_bytes())
        );
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", url(&signature))
    }
}

/// A token whose code is made with a shared secret.
pub(crate) fn with_secret(header: &Value, claims: &str, secret: &[u8]) -> String {
    let signed = format!(
        "{}.{}",
        url(header.to_string().as_bytes()),
        url(claims.as_bytes())
    );
    let algorithm = match header["alg"].as_str() {
        Some("HS384") => hmac::HMAC_SHA384,
        Some("HS512") => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let code = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
    format!("{signed}.{}", url(code.as_ref()))
}

/// The same signature of Ed25519 with another number: that plus the order of the curve's group. One
/// who doesn't look takes both.
pub(crate) fn malleated(signature: &[u8]) -> Vec<u8> {
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut out = signature.to_vec();
    let mut carry = 0;
    for (byte, add) in out[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    out
}

/// The claims of a token, unchecked.
pub(crate) fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("a token has claims");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

pub(crate) fn url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn a_signature_with_the_group_s_order_added_is_not_the_same_one() {
    let signer = Signer::ed25519();
    let signed = signer.sign(b"text");
    let key = signature::UnparsedPublicKey::new(&signature::ED25519, signer.public().to_vec());
    assert!(key.verify(b"text", &signed).is_ok());
    assert!(key.verify(b"text", &malleated(&signed)).is_err());
}
