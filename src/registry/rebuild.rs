//! Making a lost database anew, as far as the bytes and the records tell.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use wharf_storage::blob::BlobStore;
use wharf_storage::clock::Clock;
use wharf_storage::metadata::{Blob, Change, Creation, ManifestPush, Metadata, MissingContent};
use wharf_storage::oci::Manifest;
use wharf_storage::record::{RecordName, RecordStore};

use super::Error;
use super::records::Record;

/// How many blobs are taken in by one transaction.
const BATCH: usize = 500;
/// Who takes in, in the history of tags and in events.
const ACTOR: &str = "rebuild";

/// What was taken in so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Blobs that were found.
    pub blobs: u64,
    /// Those of them that were unknown.
    pub new_blobs: u64,
    /// Manifests that records had.
    pub manifests: u64,
    /// Records that could not be read as such.
    pub broken_records: u64,
}

/// Who makes a database anew.
#[derive(Clone, Debug)]
pub struct Rebuilder {
    /// Where to.
    pub metadata: Metadata,
    /// The bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// What was known of them.
    pub records: Arc<dyn RecordStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Rebuilder {
    /// Takes in all blobs, and then all manifests with their tags. `tell` hears how far it got. It can
    /// be run again after a break: what is known already stays as it is.
    ///
    /// # Errors
    ///
    /// When a store fails.
    pub async fn run(&self, tell: impl Fn(&Rebuilt)) -> Result<Rebuilt, Error> {
        let mut rebuilt = Rebuilt::default();
        let mut found = self.blobs.stored().await?;
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(stored) = found.try_next().await? {
            batch.push(Blob {
                digest: stored.digest,
                size: stored.size,
                location: stored.location,
            });
            rebuilt.blobs += 1;
            if batch.len() == BATCH {
                rebuilt.new_blobs += self.adopt(&mut batch).await?;
                tell(&rebuilt);
            }
        }
        rebuilt.new_blobs += self.adopt(&mut batch).await?;
        let mut names = self.records.records(None).await?;
        while let Some(name) = names.try_next().await? {
            match self.manifest(&name).await? {
                true => rebuilt.manifests += 1,
                false => {
                    tracing::warn!(record = %name, "a record can not be read");
                    rebuilt.broken_records += 1;
                }
            }
            tell(&rebuilt);
        }
        Ok(rebuilt)
    }

    async fn adopt(&self, batch: &mut Vec<Blob>) -> Result<u64, Error> {
        let (found, now) = (std::mem::take(batch), self.clock.now());
        Ok(self.metadata.adopt_blobs(found, now).await?)
    }

    /// Takes in the manifest of a record, and tells whether it is one.
    async fn manifest(&self, name: &RecordName) -> Result<bool, Error> {
        let bytes = self.records.record(name).await?;
        let Ok(record) = serde_json::from_slice::<Record>(&bytes) else {
            return Ok(false);
        };
        let bytes = record.manifest.into_bytes().into();
        let Ok(manifest) = Manifest::parse(bytes, Some(&record.media_type)) else {
            return Ok(false);
        };
        if manifest.digest(name.digest.algorithm()) != name.digest {
            return Ok(false);
        }
        let push = ManifestPush {
            repository: name.repository.clone(),
            manifest,
            digest: name.digest.clone(),
            tags: record.tags,
            change: Change::new(ACTOR, self.clock.now()),
            creation: Creation::Allowed,
            missing_content: MissingContent::Accepted,
        };
        self.metadata.adopt_manifest(push).await?;
        Ok(true)
    }
}
