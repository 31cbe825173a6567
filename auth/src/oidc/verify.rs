//! Whether to believe another issuer's token.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use wharf_storage::clock::Timestamp;

use super::{FetchError, Issuers, Trust};
use crate::identity::is_subject;
use crate::token::{brings_its_own_key, plain};

/// How far the issuer's clock may be off, in seconds.
const LEEWAY: i64 = 60;
/// No platform gives longer tokens.
const LONGEST: usize = 16 << 10;

/// Why a token is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FederationError {
    /// It is malformed, of nobody that is trusted, or doesn't meet what is asked for.
    #[error("no trust takes this token")]
    Refused,
    /// It has ended, or has not begun.
    #[error("the token has expired")]
    Expired,
    /// The issuer's keys can't be had.
    #[error("the issuer of the token can not be asked for its keys")]
    Issuer(#[from] FetchError),
}

/// Who came with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Federated {
    /// The trust that was met.
    pub trust: String,
    /// The token's subject.
    pub subject: String,
    /// When the token ends.
    pub ends_at: Timestamp,
    /// What the token claims.
    pub claims: BTreeMap<String, String>,
}

/// Finds out who comes with a token.
///
/// # Errors
///
/// When it is not taken.
pub async fn identify(
    trusts: &BTreeMap<String, Trust>,
    only: Option<&str>,
    issuers: &Issuers,
    token: &str,
    now: Timestamp,
) -> Result<Federated, FederationError> {
    let refused = FederationError::Refused;
    if token.len() > LONGEST {
        return Err(refused);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| FederationError::Refused)?;
    if brings_its_own_key(&header) || is_symmetric(header.alg) {
        return Err(refused);
    }
    // What the token says is used to find the rule, whose issuer's key then proves it.
    let claimed: Map<String, Value> = jsonwebtoken::dangerous::insecure_decode_claims(token)
        .map_err(|_| FederationError::Refused)?;
    let found = trusts
        .iter()
        .filter(|(name, _)| only.is_none_or(|only| only == *name))
        .find(|(_, trust)| trust.is_met_by(&claimed));
    let Some((name, trust)) = found else {
        return Err(refused);
    };
    let key = issuers.key(trust, header.kid.as_deref(), now).await?;
    let key = key.ok_or(FederationError::Refused)?;
    let is_its_algorithm = key
        .common
        .key_algorithm
        .is_none_or(|algorithm| algorithm.to_string() == format!("{:?}", header.alg));
    if !is_its_algorithm {
        return Err(refused);
    }
    let decoding = DecodingKey::from_jwk(&key).map_err(|_| FederationError::Refused)?;
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let proven: Map<String, Value> = jsonwebtoken::decode(token, &decoding, &validation)
        .map_err(|_| FederationError::Refused)?
        .claims;
    let ends_at = counts(&proven, now)?;
    let subject = proven
        .get("sub")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !is_subject(subject) {
        return Err(refused);
    }
    Ok(Federated {
        trust: name.clone(),
        subject: subject.to_owned(),
        ends_at,
        claims: plain(&proven),
    })
}

fn is_symmetric(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    )
}

/// When a token ends that counts now.
fn counts(claims: &Map<String, Value>, now: Timestamp) -> Result<Timestamp, FederationError> {
    let now = now.as_seconds();
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) => Ok(Some(seconds as i64)),
            None => Err(FederationError::Refused),
        },
    };
    let ends = time("exp")?.ok_or(FederationError::Refused)?;
    let begins = time("nbf")?.max(time("iat")?).unwrap_or(now);
    if ends <= now.saturating_sub(LEEWAY) || begins > now.saturating_add(LEEWAY) {
        return Err(FederationError::Expired);
    }
    Ok(Timestamp::from_seconds(ends))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
