//! Where events go.
//!
//! A sink takes one message at a time, and says whether it has it for good. To add one: a file here
//! with its [`Sink`], and its scheme in [`KINDS`].

mod nats;
mod webhook;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;
use wharf_storage::clock::{Clock, Timestamp};
use zeroize::Zeroizing;

use crate::outbound::{Outbound, Refused};

pub use webhook::{Secret, SecretError, sign};

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Message {
    /// The event's name, the same for every attempt.
    pub id: String,
    /// The event's type.
    pub kind: &'static str,
    /// What the body is.
    pub media_type: &'static str,
    /// The event, in the format of the endpoint.
    pub body: Bytes,
}

/// Why a sink didn't take a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may take it later.
    Retry {
        /// What went wrong.
        reason: String,
        /// When it wants to be asked again, at the earliest.
        after: Option<Duration>,
    },
    /// It won't take this one, though it may take others.
    Refused {
        /// What it said.
        reason: String,
        /// When it wants to be asked again, at the earliest.
        after: Option<Duration>,
    },
    /// It wants no more messages, ever.
    Gone(String),
}

impl Failure {
    /// A failure that says nothing of when to come back.
    fn retry(reason: impl Into<String>) -> Self {
        Self::Retry {
            reason: reason.into(),
            after: None,
        }
    }
}

/// A place that events go to.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync {
    /// Hands a message over, and tells what the sink said. It has the message for good then.
    async fn deliver(&self, message: &Message) -> Result<String, Failure>;
}

/// A secret, and until when it counts.
#[derive(Clone)]
pub struct Timed {
    /// What signs, or a password.
    pub secret: Zeroizing<Vec<u8>>,
    /// The moment from which it counts no more; nothing: it stays.
    pub until: Option<Timestamp>,
}

impl fmt::Debug for Timed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Timed");
        shown.field("until", &self.until).finish_non_exhaustive()
    }
}

/// What a sink is made of.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is.
    pub url: Url,
    /// What deliveries are signed with, the newest first; for some sinks a password.
    pub secrets: Vec<Timed>,
    /// Requests of ours to the outside.
    pub outbound: Arc<Outbound>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Target {
    /// The secrets that count at a moment, the newest first.
    fn secrets_at(&self, now: Timestamp) -> impl Iterator<Item = &[u8]> {
        self.secrets
            .iter()
            .filter(move |timed| timed.until.is_none_or(|until| now < until))
            .map(|timed| timed.secret.as_slice())
    }
}

/// Why there can be no sink at an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is no address.
    #[error("the address is none: {0}")]
    Malformed(url::ParseError),
    /// No sink has this scheme.
    #[error("the address begins with http, https, nats or tls")]
    Scheme,
    /// It holds a password, which would be shown wherever the address is.
    #[error("the address holds a password; give it as the secret")]
    Password,
    /// It leads inside.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// What kind of sink a scheme stands for.
struct Kind {
    schemes: &'static [&'static str],
    /// Whether its messages are signed, so that it needs a secret.
    signs: bool,
    open: fn(Target) -> Box<dyn Sink>,
}

const KINDS: [Kind; 2] = [
    Kind {
        schemes: &["http", "https"],
        signs: true,
        open: |target| Box::new(webhook::Webhook::new(target)),
    },
    Kind {
        schemes: &["nats", "tls"],
        signs: false,
        open: |target| Box::new(nats::JetStream::new(target)),
    },
];

fn kind(url: &Url) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|kind| kind.schemes.contains(&url.scheme()))
}

/// Reads the address of a sink, and looks whether there can be one.
///
/// # Errors
///
/// [`TargetError`].
pub fn check(text: &str, outbound: &Outbound) -> Result<Url, TargetError> {
    let url = Url::parse(text).map_err(TargetError::Malformed)?;
    if kind(&url).is_none() {
        return Err(TargetError::Scheme);
    }
    if url.password().is_some() {
        return Err(TargetError::Password);
    }
    outbound.check_host(&url)?;
    Ok(url)
}

/// Whether what goes to this address is signed.
#[must_use]
pub fn signs(url: &Url) -> bool {
    kind(url).is_some_and(|kind| kind.signs)
}

/// The sink at an address that was checked.
///
/// # Errors
///
/// [`TargetError::Scheme`].
pub fn open(target: Target) -> Result<Box<dyn Sink>, TargetError> {
    let kind = kind(&target.url).ok_or(TargetError::Scheme)?;
    Ok((kind.open)(target))
}
