//! What the store's answers mean for the caller.

use std::fmt::Display;

use http::StatusCode;

use crate::blob::Error;

/// Sorts what object_store says into what the caller can act on.
pub(super) fn failed(
    action: &'static str,
    name: &impl Display,
    source: object_store::Error,
) -> Error {
    use object_store::Error as Cause;

    let name = name.to_string();
    match source {
        Cause::NotFound { .. } => Error::NotFound { name },
        // The status stands in the text alone. Where it isn't found there, a later try is no harm.
        Cause::Generic { .. } if !source.to_string().contains("status code: 4") => {
            unavailable(action, name, source)
        }
        source => Error::Refused {
            action,
            name,
            source: source.into(),
        },
    }
}

/// The store can't be reached, or has too much to do.
pub(super) fn unavailable(
    action: &'static str,
    name: impl Into<String>,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Unavailable {
        action,
        name: name.into(),
        source: source.into(),
    }
}

/// An answer that is no success.
#[derive(Debug, thiserror::Error)]
#[error("it answered {status}: {text}")]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Answer {
    /// Whether the same request may be answered otherwise.
    pub(super) fn is_temporary(&self) -> bool {
        self.status.is_server_error()
            || matches!(
                self.status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            )
            // S3 tells with 400 that a body came too slowly.
            || self.text.contains("<Code>RequestTimeout</Code>")
    }

    pub(super) fn into_error(self, action: &'static str, name: String) -> Error {
        match self.status {
            StatusCode::NOT_FOUND => Error::NotFound { name },
            _ if self.is_temporary() => unavailable(action, name, self),
            _ => Error::Refused {
                action,
                name,
                source: self.into(),
            },
        }
    }
}
