//! Taking in what lies in a store already, as when a database is made anew.

use std::collections::HashMap;

use super::Metadata;
use super::blobs::{self, Blob};
use super::error::Error;
use super::manifests::{self, ManifestPush, Pushed};
use super::repositories;
use super::transaction::Transaction;
use crate::blob::Location;
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName};

impl Metadata {
    /// Takes in blobs whose bytes lie in the store, and tells how many were unknown. No repository
    /// sees them by that. They stay, whether or not one ever does: only what was once linked is
    /// collected. Those whose bytes wait for removal are left.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn adopt_blobs(&self, found: Vec<Blob>, now: Timestamp) -> Result<u64, Error> {
        self.write(move |transaction| {
            let mut adopted = 0;
            for blob in &found {
                if is_being_removed(transaction, &blob.location)? {
                    continue;
                }
                adopted += transaction.execute(
                    "INSERT INTO blobs (digest, size_bytes, location, created_at)
                     VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                    &[
                        blob.digest.as_str().into(),
                        blob.size.into(),
                        blob.location.as_str().into(),
                        now.into(),
                    ],
                )?;
            }
            Ok(adopted)
        })
        .await
    }

    /// Takes blobs out of everybody's sight, as a scrub does with those whose bytes are wrong, as far as
    /// they lie where it says.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn quarantine(&self, blobs: Vec<Blob>, now: Timestamp) -> Result<(), Error> {
        self.write(move |transaction| {
            for blob in &blobs {
                transaction.execute(
                    "UPDATE blobs SET quarantined_at = $3
                     WHERE digest = $1 AND location = $2 AND quarantined_at IS NULL",
                    &[
                        blob.digest.as_str().into(),
                        blob.location.as_str().into(),
                        now.into(),
                    ],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Where the bytes of blobs lie, whoever may see them, for those of `digests` that are known.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn blob_locations(
        &self,
        digests: Vec<Digest>,
    ) -> Result<HashMap<Digest, Location>, Error> {
        self.read(move |transaction| {
            let mut found = HashMap::new();
            for digest in &digests {
                let row = transaction.query_one(
                    "SELECT location FROM blobs WHERE digest = $1",
                    &[digest.as_str().into()],
                )?;
                if let Some(mut row) = row {
                    let location = row.parsed("a blob's location")?;
                    found.insert(digest.clone(), location);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Takes in a manifest, and links the blobs that it names in its repository, as far as there are
    /// such.
    ///
    /// # Errors
    ///
    /// As [`push_manifest`](Self::push_manifest).
    pub async fn adopt_manifest(&self, push: ManifestPush) -> Result<Pushed, Error> {
        self.commit(push.change.clone(), move |transaction, journal| {
            let now = push.change.now;
            let pushed = manifests::push_manifest(transaction, journal, &push)?;
            let repository_id = repositories::require(transaction, &push.repository)?;
            for reference in push.manifest.references() {
                link(transaction, repository_id, reference.digest.as_str(), now)?;
            }
            Ok(pushed)
        })
        .await
    }

    /// Links a blob in a repository, which is made where it isn't there, and tells whether there is
    /// such a blob.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn adopt_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        change: super::Change,
    ) -> Result<bool, Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.commit(change.clone(), move |transaction, journal| {
            let creation = repositories::Creation::Allowed;
            let now = change.now;
            let repository_id =
                repositories::require_for_push(transaction, journal, &repository, creation, now)?;
            link(transaction, repository_id, digest.as_str(), now)
        })
        .await
    }
}

/// Whether what lies behind a location waits for removal. Only what another program named may come back
/// under another location: it reads `adopted/<upload id>/<key>`, see `s3::adopt`.
fn is_being_removed(transaction: &mut dyn Transaction, location: &Location) -> Result<bool, Error> {
    let mut parts = location.as_str().splitn(3, '/');
    let (Some("adopted"), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(false);
    };
    let rows = transaction.query(
        "SELECT location FROM removals WHERE location LIKE 'adopted/%'",
        &[],
    )?;
    for mut row in rows {
        let waiting = row.text("a location")?;
        if waiting.splitn(3, '/').nth(2) == Some(key) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn link(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    digest: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let row = transaction.query_one(
        "SELECT id FROM blobs WHERE digest = $1 AND quarantined_at IS NULL",
        &[digest.into()],
    )?;
    let Some(mut row) = row else {
        return Ok(false);
    };
    let blob_id = row.integer("a blob's id")?;
    blobs::link(transaction, repository_id, blob_id, now)?;
    Ok(true)
}
