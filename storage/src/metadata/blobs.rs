//! Blobs as repositories see them: through links.

use super::error::Error;
use super::events::{Change, Journal};
use super::repositories::{self, Creation};
use super::transaction::{Row, Transaction};
use super::{Metadata, collection, removals, scrub, uploads};
use crate::blob::Location;
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName};
use crate::upload::UploadId;

/// A blob that a repository has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where its bytes lie.
    pub location: Location,
}

/// An upload whose bytes are durable at their location.
#[derive(Clone, Debug)]
pub struct FinishedUpload {
    /// Which upload it was; its row goes.
    pub id: UploadId,
    /// The repository that the blob is linked in.
    pub repository: RepositoryName,
    /// The blob that it became.
    pub blob: Blob,
    /// Whether the repository may be made.
    pub creation: Creation,
    /// Who pushed it, and when.
    pub change: Change,
}

/// What came of the bytes of a finished upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// They are the blob.
    New,
    /// The blob was there already: the uploaded bytes wait in the queue of removals.
    AlreadyThere,
}

impl Metadata {
    /// The blob that `repository` has under `digest`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Blob>, Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.read(move |transaction| {
            let row = linked(transaction, &repository, &digest)?;
            row.map(|(_, blob)| Ok(blob)).transpose()
        })
        .await
    }

    /// The blob that `repository` has under `digest`, and since when it is up for review, if it is.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn blob_under_review(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(Blob, Option<Timestamp>)>, Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.read(move |transaction| {
            let row = transaction.query_one(
                "SELECT blobs.size_bytes, blobs.location, reviews.since FROM blobs
                 JOIN blob_links ON blob_links.blob_id = blobs.id
                 JOIN repositories ON repositories.id = blob_links.repository_id
                 LEFT JOIN reviews ON reviews.repository_id = blob_links.repository_id
                                  AND reviews.blob_id = blob_links.blob_id
                 WHERE blobs.digest = $1 AND repositories.name = $2
                   AND blob_links.deleted_at IS NULL AND blobs.quarantined_at IS NULL",
                &[digest.as_str().into(), repository.as_str().into()],
            )?;
            let read = |mut row: Row| {
                let blob = Blob {
                    digest: digest.clone(),
                    size: row.size("a blob's size")?,
                    location: row.parsed("a blob's location")?,
                };
                Ok((blob, row.optional_time("since")?))
            };
            row.map(read).transpose()
        })
        .await
    }

    /// Records that an upload became a blob, and links it in its repository.
    ///
    /// # Errors
    ///
    /// [`Error::UploadUnknown`] when the upload's row is gone, as after a cancel;
    /// [`Error::UploadMoved`] when it doesn't stand at the end of the blob;
    /// [`Error::RepositoryUnknown`]; or when the database fails.
    pub async fn finish_upload(&self, upload: FinishedUpload) -> Result<Stored, Error> {
        self.commit(upload.change.clone(), move |transaction, journal| {
            finish_upload(transaction, journal, &upload)
        })
        .await
    }

    /// Links a blob that `source` has in `target` too, and gives it; nothing when `source` has no
    /// such blob.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`] for the target, or when the database fails.
    pub async fn mount(
        &self,
        source: &RepositoryName,
        target: &RepositoryName,
        digest: &Digest,
        creation: Creation,
        change: Change,
    ) -> Result<Option<Blob>, Error> {
        let (source, target, digest) = (source.clone(), target.clone(), digest.clone());
        self.commit(change.clone(), move |transaction, journal| {
            let Some((blob_id, blob)) = linked(transaction, &source, &digest)? else {
                return Ok(None);
            };
            let now = change.now;
            let target =
                repositories::require_for_push(transaction, journal, &target, creation, now)?;
            link(transaction, target, blob_id, now)?;
            Ok(Some(blob))
        })
        .await
    }

    /// The names of the repositories behind `after` that have a blob, in ASCII order, `limit` at
    /// most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn repositories_with_blob(
        &self,
        digest: &Digest,
        after: Option<&RepositoryName>,
        limit: u64,
    ) -> Result<Vec<RepositoryName>, Error> {
        let digest = digest.clone();
        let after = after
            .map(|name| name.as_str().to_owned())
            .unwrap_or_default();
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT repositories.name FROM blobs
                 JOIN blob_links ON blob_links.blob_id = blobs.id
                 JOIN repositories ON repositories.id = blob_links.repository_id
                 WHERE blobs.digest = $1 AND blob_links.deleted_at IS NULL
                   AND blobs.quarantined_at IS NULL AND repositories.name > $2
                 ORDER BY repositories.name LIMIT $3",
                &[digest.as_str().into(), after.as_str().into(), limit.into()],
            )?;
            rows.into_iter()
                .map(|mut row| row.parsed("a repository's name"))
                .collect()
        })
        .await
    }

    /// Whether a blob lies at `location`, or did and waits to be removed.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn knows_location(&self, location: &Location) -> Result<bool, Error> {
        let location = location.clone();
        self.read(move |transaction| {
            let row = transaction.query_one(
                "SELECT location FROM blobs WHERE location = $1
                 UNION ALL SELECT location FROM removals WHERE location = $1",
                &[location.as_str().into()],
            )?;
            Ok(row.is_some())
        })
        .await
    }

    /// Takes a blob out of a repository's sight. Its bytes stay while it can be restored.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`], or when the database fails.
    pub async fn unlink_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.write(move |transaction| {
            let row = transaction.query_one(
                "UPDATE blob_links SET deleted_at = $3
                 WHERE deleted_at IS NULL
                   AND repository_id = (SELECT id FROM repositories WHERE name = $1)
                   AND blob_id = (SELECT id FROM blobs WHERE digest = $2)
                 RETURNING repository_id, blob_id",
                &[
                    repository.as_str().into(),
                    digest.as_str().into(),
                    now.into(),
                ],
            )?;
            let mut row = row.ok_or_else(|| Error::BlobUnknown(digest.clone()))?;
            let repository_id = row.integer("a repository's id")?;
            let blob_id = row.integer("a blob's id")?;
            collection::put_up(transaction, repository_id, blob_id, now)
        })
        .await
    }
}

/// The row and the blob that a repository sees under a digest.
fn linked(
    transaction: &mut dyn Transaction,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<(i64, Blob)>, Error> {
    let row = transaction.query_one(
        "SELECT blobs.id, blobs.size_bytes, blobs.location FROM blobs
         JOIN blob_links ON blob_links.blob_id = blobs.id
         JOIN repositories ON repositories.id = blob_links.repository_id
         WHERE blobs.digest = $1 AND repositories.name = $2 AND blob_links.deleted_at IS NULL
           AND blobs.quarantined_at IS NULL",
        &[digest.as_str().into(), repository.as_str().into()],
    )?;
    let read = |mut row: Row| {
        let id = row.integer("a blob's id")?;
        let size = row.size("a blob's size")?;
        let location = row.parsed("a blob's location")?;
        Ok((
            id,
            Blob {
                digest: digest.clone(),
                size,
                location,
            },
        ))
    };
    row.map(read).transpose()
}

/// Lets a repository see a blob.
pub(super) fn link(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    blob_id: i64,
    now: Timestamp,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO blob_links (repository_id, blob_id, linked_at) VALUES ($1, $2, $3)
         ON CONFLICT (repository_id, blob_id)
         DO UPDATE SET deleted_at = NULL, linked_at = excluded.linked_at",
        &[repository_id.into(), blob_id.into(), now.into()],
    )?;
    collection::revive(transaction, blob_id)?;
    // Perhaps no manifest will ever name it.
    collection::put_up(transaction, repository_id, blob_id, now)
}

fn finish_upload(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    upload: &FinishedUpload,
) -> Result<Stored, Error> {
    let FinishedUpload {
        id,
        repository,
        blob,
        creation,
        change,
    } = upload;
    let now = change.now;
    // A cancel that came first has discarded the bytes, and another writer has made them others:
    // recording them would make a broken blob.
    uploads::finish(transaction, *id, blob.size)?;
    let repository_id =
        repositories::require_for_push(transaction, journal, repository, *creation, now)?;
    transaction.execute(
        "INSERT INTO blobs (digest, size_bytes, location, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (digest) DO NOTHING",
        &[
            blob.digest.as_str().into(),
            blob.size.into(),
            blob.location.as_str().into(),
            now.into(),
        ],
    )?;
    let row = transaction.query_one(
        "SELECT id, location, quarantined_at FROM blobs WHERE digest = $1",
        &[blob.digest.as_str().into()],
    )?;
    let mut row = row.expect("the row was inserted or in the way of it");
    let blob_id = row.integer("a blob's id")?;
    let location: Location = row.parsed("a blob's location")?;
    let is_quarantined = row.optional_time("quarantined_at")?.is_some();
    link(transaction, repository_id, blob_id, now)?;
    if location == blob.location {
        return Ok(Stored::New);
    }
    if is_quarantined {
        scrub::replace(transaction, blob_id, blob, now)?;
        removals::enqueue(transaction, &location, now)?;
        return Ok(Stored::New);
    }
    removals::enqueue(transaction, &blob.location, now)?;
    Ok(Stored::AlreadyThere)
}
