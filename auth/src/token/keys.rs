//! The keys that sign tokens.

use aws_lc_rs::signature::Ed25519KeyPair;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde_json::{Value, json};
use wharf_storage::clock::Timestamp;
use zeroize::Zeroizing;

use super::Claims;

/// Why something is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is none of the kinds that sign tokens here.
    #[error("a signing key is an Ed25519 or P-256 private key in PEM (PKCS#8)")]
    Kind,
    /// It can't be read.
    #[error("the signing key can not be read")]
    Malformed(#[source] jsonwebtoken::errors::Error),
}

/// A key that signs tokens, or that signed them until another took its place.
pub struct SigningKey {
    id: String,
    algorithm: Algorithm,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: Value,
    retired_at: Option<Timestamp>,
}

impl SigningKey {
    /// A new Ed25519 key, as it is stored.
    ///
    /// # Panics
    ///
    /// When the system has no randomness.
    #[must_use]
    pub fn generate() -> Zeroizing<Vec<u8>> {
        let pair = Ed25519KeyPair::generate().expect("the system gives randomness");
        let der = pair
            .to_pkcs8v1()
            .expect("a key that was made can be written");
        stored(Algorithm::EdDSA, der.as_ref())
    }

    /// A key in PEM, as it is stored.
    ///
    /// # Errors
    ///
    /// When it is none that signs tokens here.
    pub fn import(pem: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let read = [
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem)),
            (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
        ];
        for (algorithm, key) in read {
            let Ok(key) = key else { continue };
            let bytes = stored(algorithm, key.as_bytes());
            // A key on another curve is found out only when its public part is looked for.
            Self::read(&bytes, None)?;
            return Ok(bytes);
        }
        Err(KeyError::Kind)
    }

    /// The key that was stored as these bytes.
    ///
    /// # Errors
    ///
    /// When they are none.
    pub fn read(stored: &[u8], retired_at: Option<Timestamp>) -> Result<Self, KeyError> {
        let (algorithm, encoding) = match stored.split_first_chunk() {
            Some((b"EdDSA", der)) => (Algorithm::EdDSA, EncodingKey::from_ed_der(der)),
            Some((b"ES256", der)) => (Algorithm::ES256, EncodingKey::from_ec_der(der)),
            _ => return Err(KeyError::Kind),
        };
        let mut jwk = Jwk::from_encoding_key(&encoding, algorithm).map_err(KeyError::Malformed)?;
        let id = jwk
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(KeyError::Malformed)?;
        jwk.common.key_id = Some(id.clone());
        let decoding = DecodingKey::from_jwk(&jwk).map_err(KeyError::Malformed)?;
        let mut public = json!(jwk);
        public["use"] = "sig".into();
        Ok(Self {
            id,
            algorithm,
            encoding,
            decoding,
            public,
            retired_at,
        })
    }

    /// Its name, `kid`: the thumbprint of RFC 7638.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its public part, as a JSON Web Key.
    #[must_use]
    pub fn public(&self) -> &Value {
        &self.public
    }

    /// Since when it only verifies.
    #[must_use]
    pub fn retired_at(&self) -> Option<Timestamp> {
        self.retired_at
    }

    /// The algorithm, `EdDSA` or `ES256`.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// The token that says these claims.
    ///
    /// # Panics
    ///
    /// Never: claims are texts and numbers.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding).expect("claims can be written")
    }
}

#[cfg(test)]
impl SigningKey {
    /// A token that says anything at all.
    pub(crate) fn sign_anything(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.encoding).expect("JSON can be written")
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("SigningKey").field(&self.id).finish()
    }
}

fn stored(algorithm: Algorithm, der: &[u8]) -> Zeroizing<Vec<u8>> {
    let name: &[u8; 5] = match algorithm {
        Algorithm::ES256 => b"ES256",
        _ => b"EdDSA",
    };
    Zeroizing::new([name.as_slice(), der].concat())
}
