//! Events as others read them.
//!
//! | format | media type |
//! |---|---|
//! | [`cloudevents`] | `application/cloudevents+json` |
//! | [`eventbridge`] | `application/json` |
//! | [`docker`] | `application/vnd.docker.distribution.events.v1+json` |

mod cloudevents;
mod docker;
mod eventbridge;

use std::str::FromStr;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::Event;
use wharf_storage::oci::RepositoryName;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// CloudEvents 1.0, structured, with the detail of EventBridge as their data.
    #[default]
    CloudEvents,
    /// The envelope that Amazon EventBridge delivers.
    EventBridge,
    /// The envelope of the docker registry's notifications.
    Docker,
}

/// A word that stands for no format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the formats are cloudevents, eventbridge and docker")]
pub struct FormatError;

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cloudevents" => Ok(Self::CloudEvents),
            "eventbridge" => Ok(Self::EventBridge),
            "docker" => Ok(Self::Docker),
            _ => Err(FormatError),
        }
    }
}

/// The registry that events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The account, twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// How clients reach the registry, `https://host`; empty where that isn't known.
    pub url: String,
    /// The name of this server.
    pub instance: String,
}

impl Origin {
    /// The ARN of a repository, or of the registry.
    fn arn(&self, repository: Option<&RepositoryName>) -> String {
        let (region, account) = (&self.region, &self.account);
        match repository {
            Some(name) => format!("arn:aws:ecr:{region}:{account}:repository/{name}"),
            None => format!("arn:aws:ecr:{region}:{account}:registry"),
        }
    }
}

impl Format {
    /// The media type of what [`write`](Self::write) gives.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::CloudEvents => "application/cloudevents+json",
            Self::EventBridge => "application/json",
            Self::Docker => "application/vnd.docker.distribution.events.v1+json",
        }
    }

    /// An event in this format; nothing where the format has no words for it.
    #[must_use]
    pub fn write(self, event: &Event, origin: &Origin) -> Option<Value> {
        match self {
            Self::CloudEvents => Some(cloudevents::write(event, origin)),
            Self::EventBridge => Some(eventbridge::write(event, origin)),
            Self::Docker => docker::write(event, origin),
        }
    }
}

/// A moment as all of these formats write it.
fn rfc3339(at: Timestamp) -> Option<String> {
    let nanoseconds = i128::from(at.as_micros()) * 1000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?;
    time.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests;
