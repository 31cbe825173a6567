//! What can be wrong, in the domain's words.

use wharf_storage::oci::{Digest, ManifestError, RepositoryName, Tag};
use wharf_storage::{blob, metadata};

/// Why the registry did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such repository.
    #[error("repository {0} is unknown")]
    RepositoryUnknown(RepositoryName),
    /// The repository has no such blob.
    #[error("blob {0} is unknown in this repository")]
    BlobUnknown(Digest),
    /// The repository has no such manifest.
    #[error("manifest {0} is unknown in this repository")]
    ManifestUnknown(String),
    /// The bytes are no manifest that the registry takes.
    #[error(transparent)]
    ManifestInvalid(#[from] ManifestError),
    /// The manifest names content that the repository doesn't have.
    #[error("the manifest names content that the repository does not have")]
    ContentMissing(Vec<Digest>),
    /// The tag names another manifest, and stays there.
    #[error(
        "the image tag '{tag}' already exists and cannot be overwritten because the tag is \
         immutable"
    )]
    TagImmutable {
        /// The tag.
        tag: Tag,
        /// What it names.
        digest: Digest,
    },
    /// The bytes have another digest than was said.
    #[error("the content has digest {actual}, not {expected}")]
    DigestMismatch {
        /// What was said.
        expected: Digest,
        /// What was found.
        actual: Digest,
    },
    /// The chunk has another length than was said.
    #[error("the chunk has {actual} bytes, not {expected}")]
    LengthMismatch {
        /// What was said.
        expected: u64,
        /// What was found.
        actual: u64,
    },
    /// There is no such upload, or it is somebody else's, or it can't go on.
    #[error("the upload is unknown")]
    UploadUnknown,
    /// The chunk begins somewhere else than the upload stands.
    #[error("the upload stands at {offset} bytes")]
    OutOfOrder {
        /// Where the upload stands.
        offset: u64,
    },
    /// Another request has been busy with the upload for too long.
    #[error("the upload is in use by another request")]
    UploadBusy,
    /// The caller has too many open uploads.
    #[error("{open} uploads are open, {limit} are allowed: finish or cancel some")]
    TooManyUploads {
        /// How many there are.
        open: u64,
        /// How many there may be.
        limit: u64,
    },
    /// The body of the request ended before its end.
    #[error("the body could not be read to its end")]
    BodyBroken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no room left.
    #[error("the registry has no space left")]
    StorageFull(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The blob is longer than the store can keep.
    #[error("a blob has {limit} bytes at most")]
    BlobTooLarge {
        /// How long one may be.
        limit: u64,
    },
    /// The store of bytes doesn't answer; nothing is lost.
    #[error("the registry can not reach its store")]
    StoreUnavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The registry can't answer now.
    #[error("the registry is shutting down")]
    Unavailable,
    /// The database can't be reached, and may be again in a moment.
    #[error("the registry's database can not be reached")]
    DatabaseUnavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something failed that the caller can't mend.
    #[error("the registry failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<metadata::Error> for Error {
    fn from(error: metadata::Error) -> Self {
        match error {
            metadata::Error::RepositoryUnknown(name) => Self::RepositoryUnknown(name),
            metadata::Error::BlobUnknown(digest) => Self::BlobUnknown(digest),
            metadata::Error::ManifestUnknown(reference) => Self::ManifestUnknown(reference),
            metadata::Error::ContentMissing(digests) => Self::ContentMissing(digests),
            metadata::Error::TagImmutable { tag, digest } => Self::TagImmutable { tag, digest },
            metadata::Error::UploadUnknown => Self::UploadUnknown,
            // Another server is busy with it.
            metadata::Error::UploadMoved => Self::UploadBusy,
            metadata::Error::TooManyUploads { open, limit } => Self::TooManyUploads { open, limit },
            metadata::Error::Full(_) => Self::StorageFull(Box::new(error)),
            metadata::Error::Closed => Self::Unavailable,
            metadata::Error::Unavailable(_) => Self::DatabaseUnavailable(Box::new(error)),
            metadata::Error::Corrupt { .. } | metadata::Error::Database(_) => {
                Self::Internal(Box::new(error))
            }
        }
    }
}

impl From<blob::Error> for Error {
    fn from(error: blob::Error) -> Self {
        match error {
            blob::Error::Full { .. } => Self::StorageFull(Box::new(error)),
            blob::Error::TooLarge { limit, .. } => Self::BlobTooLarge { limit },
            blob::Error::Unavailable { .. } => Self::StoreUnavailable(Box::new(error)),
            // The metadata said that the bytes are there.
            blob::Error::NotFound { .. }
            | blob::Error::Short { .. }
            | blob::Error::Wrong { .. }
            | blob::Error::Refused { .. }
            | blob::Error::Io { .. } => Self::Internal(Box::new(error)),
        }
    }
}
