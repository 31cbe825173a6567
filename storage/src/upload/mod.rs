//! Uploads: bytes that are still arriving, and their running hash.
//!
//! An upload has two halves. Its row in the [`metadata`](crate::metadata) says whose it is, how
//! far it got ([`Progress`]) and under which [`UploadId`]; its bytes lie in an [`UploadStore`].
//! The row is the truth: bytes behind its offset are what a crash left, and [`UploadStore::resume`]
//! drops them.
//!
//! | module | job |
//! |---|---|
//! | [`id`](UploadId) | the name of an upload |
//! | [`hasher`](Hasher) | a hash whose state can be stored and taken up again |

mod hasher;
mod id;

use bytes::Bytes;

pub use hasher::{Hasher, HasherStateError};
pub use id::{UploadId, UploadIdError};

use crate::blob::{Error, Location};
use crate::oci::{Algorithm, Digest};

/// How far an upload got: the bytes that were taken, and their hash.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The number of bytes that were taken.
    pub offset: u64,
    /// The hash over exactly those bytes.
    pub hasher: Hasher,
}

impl Progress {
    /// The beginning of an upload.
    #[must_use]
    pub fn start(algorithm: Algorithm) -> Self {
        Self {
            offset: 0,
            hasher: Hasher::new(algorithm),
        }
    }
}

/// A place where the bytes of uploads gather until they are a blob.
#[async_trait::async_trait]
pub trait UploadStore: std::fmt::Debug + Send + Sync {
    /// Names the time over which bytes that were not synced stay safe: on disk, the machine's
    /// boot. An upload that was begun in another epoch may have lost bytes and can't go on.
    fn epoch(&self) -> &str;

    /// Makes an empty upload.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn create(&self, id: UploadId) -> Result<(), Error>;

    /// Goes on behind `progress`; what lies behind its offset is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] without such an upload, [`Error::Short`] when bytes before the offset
    /// are missing.
    async fn resume(&self, id: UploadId, progress: Progress) -> Result<Box<dyn Appender>, Error>;

    /// Hashes the first `offset` bytes with another algorithm than the one that ran along.
    ///
    /// # Errors
    ///
    /// As [`resume`](Self::resume).
    async fn rehash(
        &self,
        id: UploadId,
        offset: u64,
        algorithm: Algorithm,
    ) -> Result<Hasher, Error>;

    /// Makes the bytes durable and moves them to where the blob `digest` will lie for good.
    ///
    /// It may be called again after a crash, and gives the same location. A failure to sync is
    /// final: the system may have dropped the bytes, so the upload must be discarded.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] without such an upload; else when the store fails.
    async fn finish(&self, id: UploadId, digest: &Digest) -> Result<Location, Error>;

    /// Drops the bytes of an upload, and of a blob that [`finish`](Self::finish) moved and nobody
    /// recorded. That there are none is no error.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn discard(&self, id: UploadId, unrecorded: Option<&Digest>) -> Result<(), Error>;

    /// The uploads that have bytes here.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn list(&self) -> Result<Vec<UploadId>, Error>;
}

/// The open end of an upload.
#[async_trait::async_trait]
pub trait Appender: Send {
    /// Takes more bytes. They may wait in memory until enough have gathered.
    ///
    /// # Errors
    ///
    /// When these or earlier bytes could not be written.
    async fn append(&mut self, bytes: Bytes) -> Result<(), Error>;

    /// Writes what waits, and tells how far the upload got.
    ///
    /// # Errors
    ///
    /// When bytes could not be written; the upload then stands where it stood before.
    async fn pause(&mut self) -> Result<Progress, Error>;
}

#[cfg(test)]
pub(crate) mod contract;
