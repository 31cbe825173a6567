//! Whether to believe a token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::{Header, Validation};
use sha2::{Digest as _, Sha256};
use wharf_storage::clock::Timestamp;

use super::{Claims, SigningKey};

/// No token that the registry gives is longer.
const LONGEST: usize = 16 << 10;

/// How far the clocks of two servers may lie apart, in seconds.
const LEEWAY: i64 = 60;

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token of this registry.
    #[error("the token is not one of this registry's")]
    Invalid,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
}

/// What a token says, when one of `keys` signed it for `service` and it counts at `now`.
///
/// # Errors
///
/// When it is not to be believed.
pub fn verify<'a>(
    keys: impl Iterator<Item = &'a SigningKey>,
    service: &str,
    token: &str,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let claims = signed_by(keys, token)?;
    counts(&claims, service, now)?;
    Ok(claims)
}

fn signed_by<'a>(
    mut keys: impl Iterator<Item = &'a SigningKey>,
    token: &str,
) -> Result<Claims, TokenError> {
    if token.len() > LONGEST {
        return Err(TokenError::Invalid);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
    if brings_its_own_key(&header) {
        return Err(TokenError::Invalid);
    }
    // The key is chosen among ours by its name alone, and the key decides the algorithm.
    let id = header.kid.as_deref().ok_or(TokenError::Invalid)?;
    let key = keys.find(|key| key.id() == id).ok_or(TokenError::Invalid)?;
    let mut validation = Validation::new(key.algorithm());
    // Times and the audience are checked below, by our clock and without exceptions.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let decoded = jsonwebtoken::decode(token, key.decoding(), &validation);
    decoded
        .map(|decoded| decoded.claims)
        .map_err(|_| TokenError::Invalid)
}

/// Whether a header names where to find the key that would prove it, or a rule that we don't know.
pub(crate) fn brings_its_own_key(header: &Header) -> bool {
    header.jwk.is_some()
        || header.jku.is_some()
        || header.x5u.is_some()
        || header.x5c.is_some()
        || header.crit.is_some()
        || header.enc.is_some()
        || header.zip.is_some()
}

fn counts(claims: &Claims, service: &str, now: Timestamp) -> Result<(), TokenError> {
    let now = now.as_seconds();
    if claims.aud != service || claims.iss != service {
        return Err(TokenError::Invalid);
    }
    // A token from the future was given while the clock was wrong; it would live too long.
    let begins = claims.nbf.max(claims.iat);
    if begins > now.saturating_add(LEEWAY) {
        return Err(TokenError::Invalid);
    }
    if claims.exp <= now {
        return Err(TokenError::Expired);
    }
    Ok(())
}

/// Tokens whose signature was checked already. Checking one costs more than all else that a pull
/// of a manifest does.
#[derive(Debug, Default)]
pub struct Cache {
    generations: Mutex<Generations>,
}

type Digests = HashMap<[u8; 32], Arc<Claims>>;

/// What is used stays: it moves on to the young generation, and the old one is dropped as a whole.
#[derive(Debug, Default)]
struct Generations {
    /// The keys that the entries were signed by, told by the revision they come from.
    revision: i64,
    young: Digests,
    old: Digests,
}

/// How many tokens a generation has.
const GENERATION: usize = 8192;

impl Cache {
    /// As [`verify`], with the keys of `revision`.
    ///
    /// # Errors
    ///
    /// When the token is not to be believed.
    pub fn verify<'a>(
        &self,
        keys: impl Iterator<Item = &'a SigningKey>,
        revision: i64,
        service: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<Claims>, TokenError> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let claims = match self.find(&digest, revision) {
            Some(claims) => claims,
            None => {
                let claims = Arc::new(signed_by(keys, token)?);
                self.keep(digest, revision, &claims);
                claims
            }
        };
        counts(&claims, service, now)?;
        Ok(claims)
    }

    fn find(&self, digest: &[u8; 32], revision: i64) -> Option<Arc<Claims>> {
        let mut guard = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let generations = &mut *guard;
        if generations.revision != revision {
            return None;
        }
        if let Some(claims) = generations.young.get(digest) {
            return Some(Arc::clone(claims));
        }
        let (digest, claims) = generations.old.remove_entry(digest)?;
        generations.young.insert(digest, Arc::clone(&claims));
        Some(claims)
    }

    fn keep(&self, digest: [u8; 32], revision: i64, claims: &Arc<Claims>) {
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if generations.revision != revision {
            *generations = Generations {
                revision,
                ..Generations::default()
            };
        }
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(digest, Arc::clone(claims));
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
