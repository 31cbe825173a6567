//! Reading blobs and manifests, and the lists.

use std::ops::Range;

use wharf_storage::blob::ByteStream;
use wharf_storage::metadata::{Blob, ManifestBytes, ManifestHead};
use wharf_storage::oci::{Digest, Reference, RepositoryName, Tag};

use super::{Error, Page, Registry};

impl Registry {
    /// A blob of a repository.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`], whether the digest is unknown everywhere or only here.
    pub async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Blob, Error> {
        let blob = self.metadata.blob(repository, digest).await?;
        blob.ok_or_else(|| Error::BlobUnknown(digest.clone()))
    }

    /// A blob of a repository, for one who wants to rely on its being there: it stays for half a
    /// grace at least.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`].
    pub async fn blob_to_rely_on(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Blob, Error> {
        let found = self.metadata.blob_under_review(repository, digest).await?;
        let (blob, since) = found.ok_or_else(|| Error::BlobUnknown(digest.clone()))?;
        let now = self.clock.now();
        // Most blobs are not under review, or have just come, so that most answers write nothing.
        if since.is_some_and(|since| since < now.before(self.settings.grace / 2)) {
            self.metadata.touch_blob(repository, digest, now).await?;
        }
        Ok(blob)
    }

    /// The bytes of a blob, or of a part of it that lies inside.
    ///
    /// # Errors
    ///
    /// When the store can't read them.
    pub async fn read_blob(&self, blob: &Blob, range: Range<u64>) -> Result<ByteStream, Error> {
        Ok(self.blobs.read(&blob.location, range).await?)
    }

    /// An address of the store where clients read a blob themselves, where they are sent there.
    ///
    /// # Errors
    ///
    /// When the store has nothing to sign an address with.
    pub async fn blob_address(&self, blob: &Blob) -> Result<Option<String>, Error> {
        match self.settings.redirects {
            None => Ok(None),
            Some(lifetime) => Ok(self.blobs.presigned(&blob.location, lifetime).await?),
        }
    }

    /// What is told of a manifest without its bytes.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`].
    pub async fn manifest_head(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestHead, Error> {
        let head = self.metadata.manifest_head(repository, reference).await?;
        head.ok_or_else(|| Error::ManifestUnknown(reference.to_string()))
    }

    /// A manifest with its bytes.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`].
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestBytes, Error> {
        let manifest = self.metadata.manifest(repository, reference).await?;
        manifest.ok_or_else(|| Error::ManifestUnknown(reference.to_string()))
    }

    /// The tags of a repository behind `after`, in ASCII order.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`].
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Page<Tag>, Error> {
        let tags = self
            .metadata
            .tags(repository, after, limit.saturating_add(1))
            .await?;
        Ok(Page::of(tags, limit))
    }

    /// The repositories behind `after`, in ASCII order.
    ///
    /// # Errors
    ///
    /// When the metadata fails.
    pub async fn repositories(
        &self,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Page<RepositoryName>, Error> {
        let names = self
            .metadata
            .repositories(after, limit.saturating_add(1))
            .await?;
        Ok(Page::of(names, limit))
    }
}
