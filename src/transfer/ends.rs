//! The two ends of a copy.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use wharf_storage::oci::{Descriptor, Digest, Manifest, MediaType, Reference, Tag};

use super::Error;

/// The bytes of a blob on their way.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// A manifest as a place has it, not verified yet.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The type that the place says it has.
    pub media_type: Option<MediaType>,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A manifest that was verified, on its way to a target.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Its digest.
    pub digest: Digest,
    /// What it says.
    pub manifest: Manifest,
}

/// One repository, or a layout, to copy from.
#[async_trait]
pub trait Source: Send + Sync {
    /// A manifest.
    ///
    /// # Errors
    ///
    /// One that [`is_not_found`](Error::is_not_found) where there is none.
    async fn manifest(&self, reference: &Reference) -> Result<Fetched, Error>;

    /// The bytes of a blob, from their beginning.
    ///
    /// # Errors
    ///
    /// One that [`is_not_found`](Error::is_not_found) where there is none.
    async fn blob(&self, blob: &Descriptor) -> Result<BlobStream, Error>;

    /// The manifests that name this one as their subject.
    ///
    /// # Errors
    ///
    /// When they can't be listed; that there are none is no error.
    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error>;

    /// All tags.
    ///
    /// # Errors
    ///
    /// When they can't be listed.
    async fn tags(&self) -> Result<Vec<Tag>, Error>;
}

/// One repository, or a layout, to copy to.
#[async_trait]
pub trait Target: Send + Sync {
    /// Whether it has a blob, or can have it without its bytes being sent.
    ///
    /// # Errors
    ///
    /// When that can't be told.
    async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error>;

    /// Takes a blob. The stream fails where the bytes are not those of the digest; nothing may be
    /// made of them then.
    ///
    /// # Errors
    ///
    /// When the stream or the place fails.
    async fn put_blob(&self, blob: &Descriptor, bytes: BlobStream) -> Result<(), Error>;

    /// Takes a manifest whose content is there, under a tag or none. `is_root` tells that it came
    /// for itself, and not as a part of another one.
    ///
    /// # Errors
    ///
    /// When the place fails or refuses it.
    async fn put_manifest(
        &self,
        manifest: &Verified,
        tag: Option<&Tag>,
        is_root: bool,
    ) -> Result<(), Error>;
}
