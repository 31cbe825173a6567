//! Taking manifests, tags and blobs out of sight. They can be restored for a time.

use wharf_auth::identity::Principal;
use wharf_storage::oci::{Digest, Reference, RepositoryName};

use super::{Error, Registry};

impl Registry {
    /// Deletes a tag, or a manifest with all of its tags. It is gone for every reader at once.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`].
    pub async fn delete_manifest(
        &self,
        principal: &Principal,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), Error> {
        let (actor, now) = (principal.to_string(), self.clock.now());
        match reference {
            Reference::Tag(tag) => {
                self.metadata
                    .delete_tag(repository, tag, &actor, now)
                    .await?;
            }
            Reference::Digest(digest) => {
                self.metadata
                    .delete_manifest(repository, digest, &actor, now)
                    .await?;
            }
        }
        Ok(())
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
