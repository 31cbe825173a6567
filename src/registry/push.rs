//! Taking a manifest.

use bytes::Bytes;
use wharf_storage::metadata::{ManifestPush, MissingContent};
use wharf_storage::oci::{Algorithm, Digest, Manifest, MediaType, Reference, RepositoryName, Tag};

use super::{Error, Pusher, Registry};

/// From how many bytes on a manifest is parsed and hashed where that may take a while.
const LARGE_BYTES: usize = 64 << 10;

/// What a manifest is pushed as.
#[derive(Clone, Debug)]
pub struct ManifestTarget {
    /// Where it goes.
    pub repository: RepositoryName,
    /// The tag or the digest that it is pushed under.
    pub reference: Reference,
    /// Further tags that shall name it.
    pub tags: Vec<Tag>,
}

/// A manifest that was pushed.
#[derive(Clone, Debug)]
pub struct PushedManifest {
    /// Its digest.
    pub digest: Digest,
    /// The manifest that it names as its subject.
    pub subject: Option<Digest>,
    /// Whether this push changed anything: the manifest is new or came back from the archive, or a tag
    /// names it now.
    pub is_change: bool,
}

impl Registry {
    /// Takes a manifest. When this returns well, it and its tags are durable.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestInvalid`], [`Error::DigestMismatch`], [`Error::ContentMissing`] and
    /// [`Error::RepositoryUnknown`] where the settings say so, [`Error::TagImmutable`], or when a store fails.
    pub async fn push_manifest(
        &self,
        pusher: &Pusher,
        target: ManifestTarget,
        content_type: Option<MediaType>,
        bytes: Bytes,
    ) -> Result<PushedManifest, Error> {
        let missing_content = self.settings.missing_content;
        self.push(pusher, target, content_type, bytes, missing_content)
            .await
    }

    /// The same for a manifest whose content has to be there, whatever the settings say.
    ///
    /// # Errors
    ///
    /// As [`push_manifest`](Self::push_manifest), and [`Error::ContentMissing`].
    pub async fn push_complete_manifest(
        &self,
        pusher: &Pusher,
        target: ManifestTarget,
        content_type: Option<MediaType>,
        bytes: Bytes,
    ) -> Result<PushedManifest, Error> {
        self.push(pusher, target, content_type, bytes, MissingContent::Refused)
            .await
    }

    async fn push(
        &self,
        pusher: &Pusher,
        target: ManifestTarget,
        content_type: Option<MediaType>,
        bytes: Bytes,
        missing_content: MissingContent,
    ) -> Result<PushedManifest, Error> {
        let ManifestTarget {
            repository,
            reference,
            mut tags,
        } = target;
        let algorithm = match &reference {
            Reference::Digest(digest) => digest.algorithm(),
            Reference::Tag(_) => Algorithm::Sha256,
        };
        let (manifest, digest) = read(bytes, content_type, algorithm).await?;
        match reference {
            Reference::Digest(expected) if expected != digest => {
                return Err(Error::DigestMismatch {
                    expected,
                    actual: digest,
                });
            }
            Reference::Digest(_) => {}
            Reference::Tag(tag) => tags.push(tag),
        }
        self.metadata.room().await?;
        let (pushed_digest, subject) = (digest.clone(), manifest.subject().cloned());
        self.ensure(&repository, pusher).await?;
        let push = ManifestPush {
            repository,
            manifest,
            digest,
            tags,
            change: pusher.by.change(self.clock.now()),
            creation: self.creation(pusher),
            missing_content,
        };
        let pushed = self.metadata.push_manifest(push).await?;
        Ok(PushedManifest {
            digest: pushed_digest,
            subject,
            is_change: pushed.is_new || pushed.is_restored || !pushed.moved_tags.is_empty(),
        })
    }
}

async fn read(
    bytes: Bytes,
    content_type: Option<MediaType>,
    algorithm: Algorithm,
) -> Result<(Manifest, Digest), Error> {
    let is_large = bytes.len() >= LARGE_BYTES;
    let read = move || {
        let manifest = Manifest::parse(bytes, content_type.as_ref())?;
        let digest = manifest.digest(algorithm);
        Ok((manifest, digest))
    };
    if !is_large {
        return read();
    }
    let work = tokio::task::spawn_blocking(read).await;
    work.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
