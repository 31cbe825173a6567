//! What can go wrong on the way from one place to another.

use std::io;
use std::path::PathBuf;

use wharf_storage::oci::{Digest, ManifestError};

use crate::registry;

/// Why something was not copied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The place has nothing of this name.
    #[error("{place} has no {what}")]
    NotFound {
        /// The place.
        place: String,
        /// What was looked for.
        what: String,
    },
    /// The place has several things, and none was named.
    #[error("{place} has {count} images; name one of them, or take --all-tags")]
    Several {
        /// The place.
        place: String,
        /// How many it has.
        count: usize,
    },
    /// This registry did not do what it was asked to.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A file or folder can't be used.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder or archive is no OCI image layout.
    #[error("{} is no OCI image layout: {reason}", path.display())]
    NoLayout {
        /// The folder or archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The other registry could not be asked, or broke off.
    #[error("{asked}: {reason}")]
    Request {
        /// The method and the address.
        asked: String,
        /// What went wrong.
        reason: String,
    },
    /// The other registry gave an answer that is no success.
    #[error("{asked}: answered {status}{reason}")]
    Answer {
        /// The method and the address.
        asked: String,
        /// The status.
        status: u16,
        /// What it said, behind a colon, where it said something.
        reason: String,
    },
    /// The other registry wants to be logged in to at a place that it has no right to name.
    #[error(
        "{host} wants the login to be sent to {realm}, which is another host; if that is right, \
         allow it by --trust-realm"
    )]
    ForeignRealm {
        /// The registry.
        host: String,
        /// Where the login was wanted.
        realm: String,
    },
    /// The login was refused, or there is none.
    #[error("{host} refuses the login: {reason}")]
    Login {
        /// The registry, or who gives its tokens.
        host: String,
        /// Why.
        reason: String,
    },
    /// Bytes have another digest than they should.
    #[error("the content has digest {actual}, not {expected}")]
    DigestMismatch {
        /// What was wanted.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// Content has another length than its descriptor says.
    #[error("{digest} has {actual} bytes, not {expected}")]
    LengthMismatch {
        /// The content.
        digest: Digest,
        /// What its descriptor says.
        expected: u64,
        /// What came, as far as it was read.
        actual: u64,
    },
    /// A manifest can't be read as one.
    #[error("{digest} is not taken")]
    Manifest {
        /// The manifest.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
    /// A manifest is longer than any that is taken.
    #[error("{what} is longer than {limit} bytes")]
    TooLong {
        /// What it is.
        what: String,
        /// How long it may be.
        limit: usize,
    },
    /// Indexes list indexes, and so on, without an end in sight.
    #[error("{0} lies too deep: indexes and referrers nest more than {limit} times", limit = super::copy::DEEPEST)]
    TooDeep(Digest),
}

impl Error {
    /// Whether trying again may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Request { .. } => true,
            Self::Answer { status, .. } => *status >= 500 || *status == 429 || *status == 408,
            // A server that starts meanwhile may take an upload for a stray one.
            Self::Registry(
                registry::Error::UploadUnknown | registry::Error::StoreUnavailable(_),
            ) => true,
            Self::Registry(registry::Error::BodyBroken(source)) => {
                source.downcast_ref::<Self>().is_some_and(Self::may_pass)
            }
            Self::NotFound { .. }
            | Self::Several { .. }
            | Self::Registry(_)
            | Self::Io { .. }
            | Self::NoLayout { .. }
            | Self::ForeignRealm { .. }
            | Self::Login { .. }
            | Self::DigestMismatch { .. }
            | Self::LengthMismatch { .. }
            | Self::Manifest { .. }
            | Self::TooLong { .. }
            | Self::TooDeep(_) => false,
        }
    }

    /// Whether the place just doesn't have it.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::Answer { status: 404, .. } => true,
            Self::Registry(error) => matches!(
                error,
                registry::Error::BlobUnknown(_)
                    | registry::Error::ManifestUnknown(_)
                    | registry::Error::RepositoryUnknown(_)
            ),
            _ => false,
        }
    }

    /// The failure with its causes, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            line.push_str(": ");
            line.push_str(&next.to_string());
            cause = next.source();
        }
        line
    }
}
