//! What can go wrong in a store of bytes.

use std::io;

/// A failure of a store, on the side of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing lies at the place that was named.
    #[error("nothing is stored as {name}")]
    NotFound {
        /// The location or the upload.
        name: String,
    },
    /// There is no room left.
    #[error("no space left to {action} {name}")]
    Full {
        /// What was being done.
        action: &'static str,
        /// The location or the upload.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A stored blob is shorter than the metadata says.
    #[error("{name} is {actual} bytes long, too short for what was asked")]
    Short {
        /// The location.
        name: String,
        /// Its length in bytes.
        actual: u64,
    },
    /// A stored blob has other bytes than its digest says.
    #[error("{name} has other bytes than its digest says")]
    Wrong {
        /// The location.
        name: String,
    },
    /// The blob has more bytes than the store can keep as one.
    #[error("{name} is longer than the {limit} bytes that the store keeps as one blob")]
    TooLarge {
        /// The upload.
        name: String,
        /// How many bytes the store can keep.
        limit: u64,
    },
    /// The store can't be reached or is overloaded, and may answer later.
    #[error("the store did not {action} {name}")]
    Unavailable {
        /// What was being done.
        action: &'static str,
        /// The location or the upload.
        name: String,
        /// What went wrong on the way.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store says no, and will say so again.
    #[error("the store refused to {action} {name}")]
    Refused {
        /// What was being done.
        action: &'static str,
        /// The location or the upload.
        name: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system failed otherwise.
    #[error("failed to {action} {name}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The location or the upload.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the same call may go well later, with nothing lost until then.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Sorts a failure of the system into what the caller can act on.
    pub(crate) fn from_io(action: &'static str, name: impl ToString, source: io::Error) -> Self {
        let name = name.to_string();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { name },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full {
                action,
                name,
                source,
            },
            _ => Self::Io {
                action,
                name,
                source,
            },
        }
    }
}
