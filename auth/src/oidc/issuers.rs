//! The public keys of issuers, fetched when they are needed and kept for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use serde::Deserialize;
use tokio::sync::Mutex;
use wharf_storage::clock::Timestamp;

use super::Trust;

/// How long an issuer's keys are used without asking again.
const FRESH: Duration = Duration::from_secs(600);
/// How long at least lies between two questions to one issuer, whoever sends what.
const PAUSE: Duration = Duration::from_secs(30);

/// Why an issuer's keys can't be had.
#[derive(Debug, thiserror::Error)]
#[error("failed to fetch {url}: {reason}")]
pub struct FetchError {
    /// What was asked for.
    pub url: String,
    /// What went wrong.
    pub reason: String,
}

/// Something that fetches a document from the outside.
#[async_trait]
pub trait Fetcher: std::fmt::Debug + Send + Sync {
    /// The bytes at an address.
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError>;
}

/// The keys of issuers.
#[derive(Debug)]
pub struct Issuers {
    fetcher: Arc<dyn Fetcher>,
    known: Mutex<HashMap<String, Arc<Mutex<Known>>>>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Vec<Jwk>,
    /// When they were asked for last, well or not.
    asked_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Issuers {
    /// Keys that come through `fetcher`.
    #[must_use]
    pub fn new(fetcher: Arc<dyn Fetcher>) -> Self {
        Self {
            fetcher,
            known: Mutex::default(),
        }
    }

    /// The key of an issuer with this name. An unknown name makes it ask again, but not often.
    pub(super) async fn key(
        &self,
        trust: &Trust,
        id: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Jwk>, FetchError> {
        let place = trust.jwks_uri.as_ref().unwrap_or(&trust.issuer);
        let entry = {
            let mut known = self.known.lock().await;
            Arc::clone(known.entry(place.clone()).or_default())
        };
        // Whoever comes meanwhile waits for the same answer.
        let mut known = entry.lock().await;
        let age = |since: Duration| {
            known
                .asked_at
                .is_none_or(|at| at.after(since) <= now || at > now)
        };
        let is_missing = find(&known.keys, id).is_none();
        if age(FRESH) || is_missing && age(PAUSE) {
            known.asked_at = Some(now);
            match self.ask(trust).await {
                Ok(keys) => known.keys = keys,
                // An issuer that is away for a while keeps the keys that it had.
                Err(error) if is_missing => return Err(error),
                Err(error) => tracing::warn!(%error, "an issuer's keys could not be renewed"),
            }
        }
        Ok(find(&known.keys, id).cloned())
    }

    async fn ask(&self, trust: &Trust) -> Result<Vec<Jwk>, FetchError> {
        let uri = match &trust.jwks_uri {
            Some(uri) => uri.clone(),
            None => {
                let base = trust.issuer.trim_end_matches('/');
                let url = format!("{base}/.well-known/openid-configuration");
                let found: Discovery = self.read(&url).await?;
                if found.issuer != trust.issuer {
                    return Err(FetchError {
                        url,
                        reason: "it names another issuer".into(),
                    });
                }
                found.jwks_uri
            }
        };
        let keys: JwkSet = self.read(&uri).await?;
        // A key that the issuer keeps for encryption proves nothing.
        let signs = |key: &Jwk| {
            let usage = key.common.public_key_use.as_ref();
            usage.is_none_or(|usage| *usage == PublicKeyUse::Signature)
        };
        Ok(keys.keys.into_iter().filter(signs).collect())
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let bytes = self.fetcher.fetch(url).await?;
        serde_json::from_slice(&bytes).map_err(|error| FetchError {
            url: url.to_owned(),
            reason: error.to_string(),
        })
    }
}

/// The key of this name; a token may leave the name out where there is only one key.
fn find<'a>(keys: &'a [Jwk], id: Option<&str>) -> Option<&'a Jwk> {
    match (id, keys) {
        (None, [key]) => Some(key),
        (None, _) => None,
        (Some(id), keys) => keys
            .iter()
            .find(|key| key.common.key_id.as_deref() == Some(id)),
    }
}
