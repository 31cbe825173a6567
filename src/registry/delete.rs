//! Taking manifests, tags and blobs out of sight. They can be restored for a time.

use wharf_storage::oci::{Digest, Reference, RepositoryName};

use super::{Error, Registry, Requester};

impl Registry {
    /// Deletes a tag, or a manifest with all of its tags. It is gone for every reader at once.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`].
    pub async fn delete_manifest(
        &self,
        by: &Requester,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        let change = by.change(self.clock.now());
        let deleted = match reference {
            Reference::Tag(tag) => self.metadata.delete_tag(repository, tag, change).await,
            Reference::Digest(digest) => {
                let deleted = self.metadata.delete_manifest(repository, digest, change);
                deleted.await
            }
        };
        Ok(deleted?)
    }

    /// Takes a blob out of a repository; other repositories keep it.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`].
    pub async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), Error> {
        Ok(self
            .metadata
            .unlink_blob(repository, digest, self.clock.now())
            .await?)
    }
}
