//! What a method of the metadata can fail with.

use crate::oci::{Digest, RepositoryName, Tag};

/// Why a transaction did nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such repository, and the call may not create it.
    #[error("repository {0} is unknown")]
    RepositoryUnknown(RepositoryName),
    /// The repository has no such blob.
    #[error("blob {0} is unknown")]
    BlobUnknown(Digest),
    /// The repository has no such manifest or tag.
    #[error("manifest {0} is unknown")]
    ManifestUnknown(String),
    /// A manifest names content that its repository doesn't have.
    #[error("the manifest names content that the repository does not have")]
    ContentMissing(Vec<Digest>),
    /// The tag names another manifest, and stays there.
    #[error("tag {tag} is immutable and names {digest}")]
    TagImmutable {
        /// The tag.
        tag: Tag,
        /// What it names.
        digest: Digest,
    },
    /// There is no such upload.
    #[error("the upload is unknown")]
    UploadUnknown,
    /// Another writer has moved the upload since the caller looked.
    #[error("the upload is no longer where it stood")]
    UploadMoved,
    /// The caller has too many open uploads.
    #[error("{open} uploads are open, {limit} are allowed")]
    TooManyUploads {
        /// How many there are.
        open: u64,
        /// How many there may be.
        limit: u64,
    },
    /// A row holds what no version of this program writes.
    #[error("the database holds {found:?} as {column}")]
    Corrupt {
        /// What the column means.
        column: &'static str,
        /// What stands in it.
        found: String,
    },
    /// There is no room left for the database.
    #[error("no space left for the database")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database can't be asked now; the same call may do later on. What was to be written has
    /// most likely not been, but where the connection was lost during the commit it may have been.
    #[error("the database can not be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database is shut down.
    #[error("the database is shut down")]
    Closed,
}

impl Error {
    /// A column whose content can't be read as what it means.
    pub(crate) fn corrupt(column: &'static str, found: impl ToString) -> Self {
        let found = found.to_string();
        Self::Corrupt { column, found }
    }

    /// The failure of a transaction that several jobs shared, for each of them.
    pub(crate) fn share(&self) -> Self {
        let source = std::error::Error::source(self);
        let text = source.map_or_else(|| self.to_string(), ToString::to_string);
        match self {
            Self::Full(_) => Self::Full(text.into()),
            Self::Unavailable(_) => Self::Unavailable(text.into()),
            Self::Closed => Self::Closed,
            Self::RepositoryUnknown(_)
            | Self::BlobUnknown(_)
            | Self::ManifestUnknown(_)
            | Self::ContentMissing(_)
            | Self::TagImmutable { .. }
            | Self::UploadUnknown
            | Self::UploadMoved
            | Self::TooManyUploads { .. }
            | Self::Corrupt { .. }
            | Self::Database(_) => Self::Database(text.into()),
        }
    }
}
