//! Where a docker-registry's tree lies.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use wharf_storage::blob::{self, Location};
use wharf_storage::metadata::Blob;
use wharf_storage::oci::Digest;

use super::super::Error;
use super::How;

/// A place that holds such a tree, and from which bytes are taken in. Paths are those below
/// docker-registry's root.
#[async_trait]
pub trait Old: std::fmt::Debug + Send + Sync {
    /// The place, for messages.
    fn shown(&self) -> PathBuf;

    /// The names of the folders in a folder, none where it is missing.
    ///
    /// # Errors
    ///
    /// When the place fails.
    async fn folders(&self, path: &str) -> Result<Vec<String>, Error>;

    /// A small file; nothing where it is missing.
    ///
    /// # Errors
    ///
    /// When the place fails, or it is longer than any manifest.
    async fn file(&self, path: &str) -> Result<Option<Bytes>, Error>;

    /// Whether a file is there.
    ///
    /// # Errors
    ///
    /// When the place fails.
    async fn has(&self, path: &str) -> Result<bool, Error>;

    /// Takes in a file as a blob, or tells what is wrong with it.
    ///
    /// # Errors
    ///
    /// When the place or the store fails.
    async fn take_in(
        &self,
        path: &str,
        digest: &Digest,
        how: How,
    ) -> Result<Result<Blob, String>, Error>;

    /// Makes durable what was taken in.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn sync(&self) -> Result<(), Error>;

    /// Whether the bytes are still there, now that the database names them.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn still_has(&self, blob: &Blob) -> Result<bool, Error>;

    /// Takes back what was taken in and not recorded. The old tree keeps what it has.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn give_back(&self, location: &Location) -> Result<(), Error>;
}

/// A failure of the store.
pub(super) fn store(error: blob::Error) -> Error {
    Error::Registry(error.into())
}
