//! Making, changing and removing endpoints: what the command line and the API have in common.

use std::sync::Arc;
use std::time::Duration;

use url::Url;
use wharf_auth::identity::is_name;
use wharf_auth::seal::{OpenError, Sealer};
use wharf_storage::clock::Clock;
use wharf_storage::metadata::{
    self, EndpointChange, EndpointRecord, Metadata, NewEndpoint, Stream, StreamError,
};
use zeroize::Zeroizing;

use super::format::{Format, FormatError};
use super::sink::{self, Secret, SecretError, TargetError, Timed};
use crate::outbound::Outbound;

/// How many patterns of one sort an endpoint has at most.
const MOST_PATTERNS: usize = 100;
/// How long a pattern is at most.
const LONGEST_PATTERN: usize = 256;
/// How long a password of a sink is at most.
const LONGEST_PASSWORD: usize = 1024;

/// Why something can't be done about an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is none.
    #[error("a name has letters, digits and . _ - within, 128 at most")]
    Name,
    /// There is one of this name.
    #[error("there is an endpoint {0} already")]
    Exists(String),
    /// There is none of this name.
    #[error("there is no endpoint {0}")]
    Missing(String),
    /// There can't be an endpoint at this address.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no such format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// There is no such stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The secret is none.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A password is too long.
    #[error("a password has 1 to {LONGEST_PASSWORD} bytes")]
    Password,
    /// There are too many patterns, or one is too long.
    #[error("there are at most {MOST_PATTERNS} patterns, of 1 to {LONGEST_PATTERN} characters")]
    Patterns,
    /// The log doesn't reach that far.
    #[error("the cursor {after} is ahead of the log, which ends at {head}")]
    Ahead {
        /// The cursor.
        after: i64,
        /// The place of the newest event.
        head: i64,
    },
    /// The secret can't be opened.
    #[error(transparent)]
    Sealed(#[from] OpenError),
    /// The metadata fails.
    #[error("failed to read or write endpoints")]
    Metadata(#[from] metadata::Error),
}

/// What an endpoint shall be.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// The format, if not CloudEvents.
    pub format: Option<String>,
    /// The stream, if not the changes.
    pub stream: Option<String>,
    /// Patterns of types; none: all.
    pub types: Vec<String>,
    /// Patterns of repositories; none: all.
    pub repositories: Vec<String>,
    /// The secret; where none is given, one is made for what is signed.
    pub secret: Option<String>,
    /// It is told of what comes behind this place; nothing: from now on.
    pub after: Option<i64>,
}

/// What of an endpoint shall change.
#[derive(Clone, Debug, Default)]
pub struct Alteration {
    /// Where it is.
    pub url: Option<String>,
    /// The format.
    pub format: Option<String>,
    /// Patterns of types.
    pub types: Option<Vec<String>>,
    /// Patterns of repositories.
    pub repositories: Option<Vec<String>>,
    /// Whether it is told anything.
    pub enabled: Option<bool>,
}

/// Who makes, changes and removes endpoints.
#[derive(Clone, Debug)]
pub struct Endpoints {
    metadata: Metadata,
    sealer: Arc<Sealer>,
    outbound: Arc<Outbound>,
    clock: Arc<dyn Clock>,
}

impl Endpoints {
    /// Endpoints in this metadata.
    #[must_use]
    pub fn new(
        metadata: Metadata,
        sealer: Arc<Sealer>,
        outbound: Arc<Outbound>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            metadata,
            sealer,
            outbound,
            clock,
        }
    }

    /// All of them, by name.
    ///
    /// # Errors
    ///
    /// When the metadata fails.
    pub async fn list(&self) -> Result<Vec<EndpointRecord>, Error> {
        Ok(self.metadata.endpoints().await?)
    }

    /// One of them.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub async fn get(&self, name: &str) -> Result<EndpointRecord, Error> {
        let mut all = self.list().await?.into_iter();
        let found = all.find(|endpoint| endpoint.name == name);
        found.ok_or_else(|| Error::Missing(name.into()))
    }

    /// Makes one, and gives the secret where one was made, which is told once.
    ///
    /// # Errors
    ///
    /// [`Error`], for whatever is wrong with the description.
    pub async fn add(&self, description: Description) -> Result<Option<String>, Error> {
        let Description {
            name,
            url,
            format,
            stream,
            types,
            repositories,
            secret,
            after,
        } = description;
        if !is_name(&name) {
            return Err(Error::Name);
        }
        let target = sink::check(&url, &self.outbound)?;
        let format = format.unwrap_or_else(|| "cloudevents".into());
        format.parse::<Format>()?;
        let stream: Stream = match stream {
            Some(stream) => stream.parse()?,
            None => Stream::Changes,
        };
        let (bytes, made) = secret_for(&target, secret)?;
        let cursor = match after {
            Some(after) => Some(self.cursor(stream, after).await?),
            None => None,
        };
        let endpoint = NewEndpoint {
            sealed_secret: self.sealer.seal(&sealed_as(&name), &bytes),
            types: patterns(types)?,
            repositories: patterns(repositories)?,
            cursor,
            now: self.clock.now(),
            name: name.clone(),
            url,
            format,
            stream,
        };
        match self.metadata.add_endpoint(endpoint).await? {
            true => Ok(made),
            false => Err(Error::Exists(name)),
        }
    }

    /// Changes one.
    ///
    /// # Errors
    ///
    /// [`Error`], for whatever is wrong with what shall change.
    pub async fn change(&self, name: &str, alteration: Alteration) -> Result<(), Error> {
        let Alteration {
            url,
            format,
            types,
            repositories,
            enabled,
        } = alteration;
        let known = self.get(name).await?;
        if let Some(url) = &url {
            let url = sink::check(url, &self.outbound)?;
            let before = Url::parse(&known.url).map_err(TargetError::Malformed)?;
            // The secret of the one is no secret for the other.
            if sink::signs(&url) != sink::signs(&before) {
                return Err(TargetError::Scheme.into());
            }
        }
        if let Some(format) = &format {
            format.parse::<Format>()?;
        }
        let disabled = enabled.map(|enabled| {
            (!enabled).then(|| (self.clock.now(), "an administrator did it".to_owned()))
        });
        let change = EndpointChange {
            url,
            format,
            types: types.map(patterns).transpose()?,
            repositories: repositories.map(patterns).transpose()?,
            disabled,
            ..EndpointChange::default()
        };
        self.store(name, change).await
    }

    /// Gives one another secret, and tells it once where it was made here. What was signed with the
    /// one before goes on to be for a while.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::Secret`], [`Error::Password`].
    pub async fn rotate_secret(
        &self,
        name: &str,
        secret: Option<String>,
        overlap: Duration,
    ) -> Result<Option<String>, Error> {
        let known = self.get(name).await?;
        let url = Url::parse(&known.url).map_err(TargetError::Malformed)?;
        let (bytes, made) = secret_for(&url, secret)?;
        let sealed = self.sealer.seal(&sealed_as(name), &bytes);
        let change = EndpointChange {
            sealed_secret: Some((sealed, self.clock.now().after(overlap))),
            ..EndpointChange::default()
        };
        self.store(name, change).await?;
        Ok(made)
    }

    /// Lets one be told again of all that comes behind a place.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::Ahead`].
    pub async fn replay(&self, name: &str, after: i64) -> Result<(), Error> {
        let known = self.get(name).await?;
        let change = EndpointChange {
            cursor: Some(self.cursor(known.stream, after).await?),
            ..EndpointChange::default()
        };
        self.store(name, change).await
    }

    /// Removes one, with its dead letters.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub async fn remove(&self, name: &str) -> Result<(), Error> {
        match self.metadata.remove_endpoint(name).await? {
            true => Ok(()),
            false => Err(Error::Missing(name.into())),
        }
    }

    /// A cursor in a log. One ahead of it would let what comes up to there be passed over.
    async fn cursor(&self, stream: Stream, after: i64) -> Result<i64, Error> {
        let [changes, pulls] = self.metadata.event_heads().await?;
        let head = match stream {
            Stream::Changes => changes,
            Stream::Pulls => pulls,
        };
        match after <= head {
            true => Ok(after.max(0)),
            false => Err(Error::Ahead { after, head }),
        }
    }

    async fn store(&self, name: &str, change: EndpointChange) -> Result<(), Error> {
        match self.metadata.change_endpoint(name, change).await? {
            true => Ok(()),
            false => Err(Error::Missing(name.into())),
        }
    }
}

/// What deliveries to an endpoint are signed with, and until when, the newest first.
pub(super) fn secrets(sealer: &Sealer, endpoint: &EndpointRecord) -> Result<Vec<Timed>, OpenError> {
    let name = sealed_as(&endpoint.name);
    let previous = endpoint.sealed_previous.as_ref();
    let previous = previous.map(|(sealed, until)| (sealed, Some(*until)));
    let mut secrets = Vec::new();
    for (sealed, until) in std::iter::once((&endpoint.sealed_secret, None)).chain(previous) {
        let secret = sealer.open(&name, sealed)?;
        if !secret.is_empty() {
            secrets.push(Timed { secret, until });
        }
    }
    Ok(secrets)
}

fn sealed_as(name: &str) -> String {
    format!("endpoint/{name}")
}

/// The bytes of a secret for what is at an address, and its text where it was made here.
fn secret_for(
    url: &Url,
    secret: Option<String>,
) -> Result<(Zeroizing<Vec<u8>>, Option<String>), Error> {
    if !sink::signs(url) {
        let password = secret.unwrap_or_default().into_bytes();
        return match password.len() <= LONGEST_PASSWORD {
            true => Ok((Zeroizing::new(password), None)),
            false => Err(Error::Password),
        };
    }
    let (secret, made) = match secret {
        Some(text) => (Secret::parse(&text)?, None),
        None => {
            let secret = Secret::generate();
            let text = secret.reveal();
            (secret, Some(text))
        }
    };
    Ok((Zeroizing::new(secret.as_bytes().to_vec()), made))
}

fn patterns(patterns: Vec<String>) -> Result<Vec<String>, Error> {
    let is_sane = |pattern: &String| (1..=LONGEST_PATTERN).contains(&pattern.chars().count());
    match patterns.len() <= MOST_PATTERNS && patterns.iter().all(is_sane) {
        true => Ok(patterns),
        false => Err(Error::Patterns),
    }
}
