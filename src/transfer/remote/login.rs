//! Tokens, fetched and kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;
use reqwest::Url;
use serde::Deserialize;
use wharf_storage::oci::RepositoryName;

use super::super::Error;
use super::challenge::{Challenge, may_name};
use super::client::{document, host_of, sent};
use super::credentials::Credentials;

/// How long an answer with a token may be.
const TOKEN_LIMIT: usize = 1 << 20;
/// How long a token lives that doesn't say so, by the specification.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long a token may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a request wants to do. Requests with the same right share a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Right {
    Pull(RepositoryName),
    Push(RepositoryName),
    Catalog,
}

/// What is shown to one registry.
#[derive(Debug)]
pub(super) struct Logins {
    registry: Url,
    credentials: Option<Credentials>,
    /// Hosts that may give tokens for it.
    trusted: Vec<String>,
    kept: Mutex<HashMap<Right, Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    header: HeaderValue,
    until: Option<Instant>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Logins {
    pub(super) fn new(
        registry: Url,
        credentials: Option<Credentials>,
        trusted: Vec<String>,
    ) -> Self {
        Self {
            registry,
            credentials,
            trusted,
            kept: Mutex::default(),
        }
    }

    /// What worked before for this right, and still lives.
    pub(super) fn known(&self, right: &Right) -> Option<HeaderValue> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(right)?;
        let lives = found.until.is_none_or(|until| until > Instant::now());
        lives.then(|| found.header.clone())
    }

    /// Does what a challenge asks for, if it may, and gives what to show from now on.
    pub(super) async fn answer(
        &self,
        client: &reqwest::Client,
        challenge: Option<&str>,
        right: &Right,
    ) -> Result<HeaderValue, Error> {
        let failed = |reason: &str| Error::Login {
            host: host_of(&self.registry),
            reason: reason.to_owned(),
        };
        let read = challenge.and_then(Challenge::parse);
        let challenge = read.ok_or_else(|| failed("it does not say how to log in"))?;
        let kept = match challenge {
            Challenge::Basic => {
                let credentials = self.credentials.as_ref();
                let credentials =
                    credentials.ok_or_else(|| failed("it wants a name and a password"))?;
                Kept {
                    header: secret_header(&credentials.basic())
                        .ok_or_else(|| failed("it can not be sent"))?,
                    until: None,
                }
            }
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let foreign = || Error::ForeignRealm {
                    host: host_of(&self.registry),
                    realm: realm.clone(),
                };
                let url = self.registry.join(&realm).map_err(|_| foreign())?;
                if !may_name(&self.registry, &url, &self.trusted) {
                    return Err(foreign());
                }
                self.fetch(client, url, service, scope).await?
            }
        };
        let header = kept.header.clone();
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(right.clone(), kept);
        Ok(header)
    }

    async fn fetch(
        &self,
        client: &reqwest::Client,
        mut url: Url,
        service: Option<String>,
        scope: Option<String>,
    ) -> Result<Kept, Error> {
        let host = host_of(&url);
        let failed = |reason: String| Error::Login {
            host: host.clone(),
            reason,
        };
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &service {
                query.append_pair("service", service);
            }
            for scope in scope.iter().flat_map(|scope| scope.split(' ')) {
                query.append_pair("scope", scope);
            }
        }
        let mut request = client.get(url.clone()).timeout(PATIENCE);
        if let Some(credentials) = &self.credentials {
            let header = secret_header(&credentials.basic());
            let header = header.ok_or_else(|| failed("it can not be sent".into()))?;
            request = request.header(http::header::AUTHORIZATION, header);
        }
        let answer = sent("GET", &url, request.send().await)?;
        let status = answer.status();
        if status == http::StatusCode::UNAUTHORIZED || status == http::StatusCode::FORBIDDEN {
            return Err(failed(format!("it answers {status}")));
        }
        let bytes = document("GET", &url, answer, TOKEN_LIMIT).await?;
        let token: Token =
            serde_json::from_slice(&bytes).map_err(|_| failed("it gives no token".into()))?;
        let text = token
            .token
            .or(token.access_token)
            .filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| failed("it gives no token".into()))?;
        let header = secret_header(&format!("Bearer {text}"));
        let lifetime = token.expires_in.map_or(LIFETIME, Duration::from_secs);
        Ok(Kept {
            header: header.ok_or_else(|| failed("its token can not be sent".into()))?,
            // A token that ends in the middle of an upload would make it begin again.
            until: Some(Instant::now() + lifetime / 2),
        })
    }
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::try_from(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
