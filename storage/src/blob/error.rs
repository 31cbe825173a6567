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
