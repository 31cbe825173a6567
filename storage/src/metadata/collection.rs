//! Collection: what nothing needs any more, found and forgotten while everything goes on.
//!
//! # The steps
//!
//! 1. A deleted manifest stays in the trash. When its time there is over, [`purge_trash`] forgets it,
//!    and puts the links of the blobs that it named up for review.
//! 2. A link is reviewed when a grace has passed since it was put up for that: by a push or a mount
//!    that made it, by a purge, by a delete. It stays while a manifest of its repository, even one in
//!    the trash, names the blob; else [`review_links`] takes it away.
//! 3. A blob without a link is condemned by the same transaction. Nobody sees it any more.
//! 4. When another grace has passed, [`forget_condemned`] drops the row, and in the same transaction
//!    the location enters the queue of removals. Locations are never used twice, so a removal that
//!    comes late takes nothing away that was pushed meanwhile.
//!
//! # Races
//!
//! Writes are one after the other, so each step sees a whole picture. What a client may rely on
//! begins its grace anew in a transaction of its own: a push and a mount that make or find the link,
//! and a positive answer to "is it there?" ([`touch_blob`]). A push of what is condemned takes it
//! back. So between such an answer and the manifest that relies on it a whole grace passes at least.
//!
//! [`purge_trash`]: Metadata::purge_trash
//! [`review_links`]: Metadata::review_links
//! [`forget_condemned`]: Metadata::forget_condemned
//! [`touch_blob`]: Metadata::touch_blob

use super::error::Error;
use super::transaction::{Row, Transaction};
use super::{Metadata, removals};
use crate::clock::Timestamp;
use crate::oci::Digest;

/// Up to which moments things are old enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ages {
    /// What was deleted before is purged from the trash.
    pub trash: Timestamp,
    /// What was put up for review before is reviewed.
    pub review: Timestamp,
    /// What was condemned before is forgotten.
    pub condemned: Timestamp,
}

/// What a purge of the trash did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Manifests that can be restored no more.
    pub manifests: u64,
    /// Repositories of which the same holds.
    pub repositories: u64,
}

/// What a review of links did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    /// Links that a manifest needs, or that are in the trash for now.
    pub kept: u64,
    /// Links that went.
    pub unlinked: u64,
    /// Blobs that no repository has any more.
    pub condemned: u64,
}

/// What forgetting condemned blobs did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes, which wait for removal now.
    pub bytes: u64,
}

/// What waits for collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Manifests in the trash.
    pub trashed_manifests: u64,
    /// Those of them whose time is over.
    pub due_manifests: u64,
    /// Links that are up for review.
    pub reviews: u64,
    /// Those of them whose grace is over.
    pub due_reviews: u64,
    /// Of the due ones, those that no manifest needs and that are not in the trash: they will go.
    pub needless_links: u64,
    /// Blobs that no repository has.
    pub condemned_blobs: u64,
    /// Their bytes.
    pub condemned_bytes: u64,
    /// Those of them whose grace is over.
    pub due_blobs: u64,
    /// The bytes of these.
    pub due_bytes: u64,
    /// Locations whose bytes wait for removal.
    pub removals: u64,
}

const IS_NAMED: &str = "
    SELECT 1 FROM manifest_references
    JOIN manifests ON manifests.id = manifest_references.manifest_id
    WHERE manifest_references.digest = $2 AND manifests.repository_id = $1 LIMIT 1";

impl Metadata {
    /// Forgets manifests whose time in the trash is over, `limit` at most, and then repositories.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn purge_trash(
        &self,
        ages: Ages,
        now: Timestamp,
        limit: u64,
    ) -> Result<Purged, Error> {
        self.write(move |transaction| {
            let rows = transaction.query(
                "SELECT manifests.id, manifests.repository_id, manifests.digest,
                        manifests.size_bytes, repositories.name
                 FROM manifests JOIN repositories ON repositories.id = manifests.repository_id
                 WHERE manifests.deleted_at <= $1
                 ORDER BY manifests.deleted_at LIMIT $2",
                &[ages.trash.into(), limit.into()],
            )?;
            let mut purged = Purged::default();
            for row in rows {
                purge_manifest(transaction, row, now)?;
                purged.manifests += 1;
            }
            if purged.manifests < limit {
                purged.repositories = purge_repositories(transaction, ages.trash, limit)?;
            }
            Ok(purged)
        })
        .await
    }

    /// Looks at links whose grace is over, `limit` at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn review_links(
        &self,
        ages: Ages,
        now: Timestamp,
        limit: u64,
    ) -> Result<Reviewed, Error> {
        self.write(move |transaction| {
            let rows = transaction.query(
                "SELECT reviews.repository_id, reviews.blob_id, blobs.digest, blobs.size_bytes,
                        repositories.name, blob_links.deleted_at
                 FROM reviews
                 JOIN blobs ON blobs.id = reviews.blob_id
                 JOIN repositories ON repositories.id = reviews.repository_id
                 LEFT JOIN blob_links ON blob_links.repository_id = reviews.repository_id
                                     AND blob_links.blob_id = reviews.blob_id
                 WHERE reviews.since <= $1
                 ORDER BY reviews.since LIMIT $2",
                &[ages.review.into(), limit.into()],
            )?;
            let mut reviewed = Reviewed::default();
            for row in rows {
                review(transaction, row, ages, now, &mut reviewed)?;
            }
            Ok(reviewed)
        })
        .await
    }

    /// Forgets condemned blobs whose grace is over, `limit` at most. Their bytes go by the queue of
    /// removals.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn forget_condemned(
        &self,
        ages: Ages,
        now: Timestamp,
        limit: u64,
    ) -> Result<Forgotten, Error> {
        self.write(move |transaction| {
            let rows = transaction.query(
                "SELECT id, digest, size_bytes, location FROM blobs
                 WHERE condemned_at <= $1
                   AND NOT EXISTS (SELECT 1 FROM blob_links WHERE blob_links.blob_id = blobs.id)
                 ORDER BY condemned_at LIMIT $2",
                &[ages.condemned.into(), limit.into()],
            )?;
            let mut forgotten = Forgotten::default();
            for mut row in rows {
                let id = row.integer("a blob's id")?;
                let digest = row.text("a blob's digest")?;
                let size = row.size("a blob's size")?;
                let location = row.parsed("a blob's location")?;
                transaction.execute("DELETE FROM reviews WHERE blob_id = $1", &[id.into()])?;
                transaction.execute("DELETE FROM blobs WHERE id = $1", &[id.into()])?;
                removals::enqueue(transaction, &location, now)?;
                let reason = "no repository had it any more";
                record(transaction, &digest, "", size, reason, now)?;
                forgotten.blobs += 1;
                forgotten.bytes += size;
            }
            Ok(forgotten)
        })
        .await
    }

    /// Drops the records of what was collected before a moment.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn forget_collected(&self, before: Timestamp) -> Result<(), Error> {
        self.write(move |transaction| {
            transaction.execute(
                "DELETE FROM collected WHERE collected_at < $1",
                &[before.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Lets the grace of a repository's blob begin anew, since somebody was told that it is there.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`] when it has gone meanwhile, or when the database fails.
    pub async fn touch_blob(
        &self,
        repository: &crate::oci::RepositoryName,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.write(move |transaction| {
            let row = transaction.query_one(
                "SELECT blob_links.repository_id, blob_links.blob_id FROM blob_links
                 JOIN blobs ON blobs.id = blob_links.blob_id
                 JOIN repositories ON repositories.id = blob_links.repository_id
                 WHERE repositories.name = $1 AND blobs.digest = $2
                   AND blob_links.deleted_at IS NULL",
                &[repository.as_str().into(), digest.as_str().into()],
            )?;
            let mut row = row.ok_or_else(|| Error::BlobUnknown(digest.clone()))?;
            let repository_id = row.integer("a repository's id")?;
            let blob_id = row.integer("a blob's id")?;
            put_up(transaction, repository_id, blob_id, now)
        })
        .await
    }

    /// What waits for collection, and how much of it is due.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn collection_plan(&self, ages: Ages) -> Result<Plan, Error> {
        self.read(move |transaction| {
            let mut count = |sql: &'static str, age: Option<Timestamp>| {
                let values: Vec<super::Value<'_>> = age.map(Into::into).into_iter().collect();
                let row = transaction.query_one(sql, &values)?;
                let mut row = row.expect("a count is a row");
                Ok::<_, Error>((row.size("a count")?, row.size("a sum")?))
            };
            let (trashed_manifests, _) = count(
                "SELECT COUNT(*), 0 FROM manifests WHERE deleted_at IS NOT NULL",
                None,
            )?;
            let (due_manifests, _) = count(
                "SELECT COUNT(*), 0 FROM manifests WHERE deleted_at <= $1",
                Some(ages.trash),
            )?;
            let (reviews, _) = count("SELECT COUNT(*), 0 FROM reviews", None)?;
            let (due_reviews, _) = count(
                "SELECT COUNT(*), 0 FROM reviews WHERE since <= $1",
                Some(ages.review),
            )?;
            let (condemned_blobs, condemned_bytes) = count(
                "SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM blobs
                 WHERE condemned_at IS NOT NULL",
                None,
            )?;
            let (due_blobs, due_bytes) = count(
                "SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM blobs
                 WHERE condemned_at <= $1",
                Some(ages.condemned),
            )?;
            let (removals, _) = count("SELECT COUNT(*), 0 FROM removals", None)?;
            let needless_links = needless_links(transaction, ages)?;
            Ok(Plan {
                trashed_manifests,
                due_manifests,
                reviews,
                due_reviews,
                needless_links,
                condemned_blobs,
                condemned_bytes,
                due_blobs,
                due_bytes,
                removals,
            })
        })
        .await
    }
}

/// How many links would go if they were reviewed now.
fn needless_links(transaction: &mut dyn Transaction, ages: Ages) -> Result<u64, Error> {
    let row = transaction.query_one(
        "SELECT COUNT(*) FROM reviews
         JOIN blobs ON blobs.id = reviews.blob_id
         LEFT JOIN blob_links ON blob_links.repository_id = reviews.repository_id
                             AND blob_links.blob_id = reviews.blob_id
         WHERE since <= $1 AND (
             blob_links.deleted_at <= $2
             OR blob_links.deleted_at IS NULL AND NOT EXISTS (
                 SELECT 1 FROM manifest_references
                 JOIN manifests ON manifests.id = manifest_references.manifest_id
                 WHERE manifest_references.digest = blobs.digest
                   AND manifests.repository_id = reviews.repository_id))",
        &[ages.review.into(), ages.trash.into()],
    )?;
    row.expect("a count is a row").size("a count")
}

/// Puts a link up for review, a grace from `since` on.
pub(super) fn put_up(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    blob_id: i64,
    since: Timestamp,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO reviews (repository_id, blob_id, since) VALUES ($1, $2, $3)
         ON CONFLICT (repository_id, blob_id) DO UPDATE SET since = excluded.since",
        &[repository_id.into(), blob_id.into(), since.into()],
    )?;
    Ok(())
}

/// Takes a condemned blob back.
pub(super) fn revive(transaction: &mut dyn Transaction, blob_id: i64) -> Result<(), Error> {
    transaction.execute(
        "UPDATE blobs SET condemned_at = NULL WHERE id = $1 AND condemned_at IS NOT NULL",
        &[blob_id.into()],
    )?;
    Ok(())
}

fn purge_manifest(
    transaction: &mut dyn Transaction,
    mut row: Row,
    now: Timestamp,
) -> Result<(), Error> {
    let id = row.integer("a manifest's id")?;
    let repository_id = row.integer("a repository's id")?;
    let digest = row.text("a manifest's digest")?;
    let size = row.size("a manifest's size")?;
    let repository = row.text("a repository's name")?;
    let blobs = transaction.query(
        "SELECT DISTINCT blobs.id FROM manifest_references
         JOIN blobs ON blobs.digest = manifest_references.digest
         JOIN blob_links ON blob_links.blob_id = blobs.id
         WHERE manifest_references.manifest_id = $1 AND blob_links.repository_id = $2",
        &[id.into(), repository_id.into()],
    )?;
    for mut blob in blobs {
        let blob_id = blob.integer("a blob's id")?;
        // One that was put up before keeps its place: a purge gives nobody a reason to rely on it.
        transaction.execute(
            "INSERT INTO reviews (repository_id, blob_id, since) VALUES ($1, $2, $3)
             ON CONFLICT (repository_id, blob_id) DO NOTHING",
            &[repository_id.into(), blob_id.into(), now.into()],
        )?;
    }
    transaction.execute(
        "DELETE FROM manifest_references WHERE manifest_id = $1",
        &[id.into()],
    )?;
    transaction.execute("DELETE FROM manifests WHERE id = $1", &[id.into()])?;
    let reason = "its time in the trash was over";
    record(transaction, &digest, &repository, size, reason, now)
}

/// Forgets deleted repositories that have nothing left.
fn purge_repositories(
    transaction: &mut dyn Transaction,
    trash: Timestamp,
    limit: u64,
) -> Result<u64, Error> {
    let rows = transaction.query(
        "SELECT id FROM repositories
         WHERE deleted_at <= $1
           AND NOT EXISTS (SELECT 1 FROM manifests WHERE manifests.repository_id = repositories.id)
           AND NOT EXISTS (SELECT 1 FROM blob_links
                           WHERE blob_links.repository_id = repositories.id)
         LIMIT $2",
        &[trash.into(), limit.into()],
    )?;
    let mut purged = 0;
    for mut row in rows {
        let id = row.integer("a repository's id")?;
        for sql in [
            "DELETE FROM reviews WHERE repository_id = $1",
            "DELETE FROM tag_history WHERE repository_id = $1",
            "DELETE FROM repositories WHERE id = $1",
        ] {
            transaction.execute(sql, &[id.into()])?;
        }
        purged += 1;
    }
    Ok(purged)
}

fn review(
    transaction: &mut dyn Transaction,
    mut row: Row,
    ages: Ages,
    now: Timestamp,
    reviewed: &mut Reviewed,
) -> Result<(), Error> {
    let repository_id = row.integer("a repository's id")?;
    let blob_id = row.integer("a blob's id")?;
    let digest = row.text("a blob's digest")?;
    let size = row.size("a blob's size")?;
    let repository = row.text("a repository's name")?;
    let deleted_at = row.optional_time("when a link was deleted")?;
    let place = [repository_id.into(), blob_id.into()];
    match deleted_at {
        // It can be restored for now: it is looked at again a grace later.
        Some(deleted_at) if deleted_at > ages.trash => {
            reviewed.kept += 1;
            return put_up(transaction, repository_id, blob_id, now);
        }
        Some(_) => {}
        None => {
            let values = [repository_id.into(), digest.as_str().into()];
            if transaction.query_one(IS_NAMED, &values)?.is_some() {
                reviewed.kept += 1;
                transaction.execute(
                    "DELETE FROM reviews WHERE repository_id = $1 AND blob_id = $2",
                    &place,
                )?;
                return Ok(());
            }
        }
    }
    transaction.execute(
        "DELETE FROM reviews WHERE repository_id = $1 AND blob_id = $2",
        &place,
    )?;
    let gone = transaction.execute(
        "DELETE FROM blob_links WHERE repository_id = $1 AND blob_id = $2",
        &place,
    )?;
    if gone > 0 {
        reviewed.unlinked += 1;
        let reason = match deleted_at {
            Some(_) => "it was deleted, and its time in the trash was over",
            None => "no manifest of the repository named it",
        };
        record(transaction, &digest, &repository, size, reason, now)?;
    }
    reviewed.condemned += transaction.execute(
        "UPDATE blobs SET condemned_at = $2
         WHERE id = $1 AND condemned_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM blob_links WHERE blob_links.blob_id = blobs.id)",
        &[blob_id.into(), now.into()],
    )?;
    Ok(())
}

/// Writes down that something is gone, and why.
fn record(
    transaction: &mut dyn Transaction,
    digest: &str,
    repository: &str,
    size: u64,
    reason: &str,
    now: Timestamp,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO collected (digest, repository, size_bytes, reason, collected_at)
         VALUES ($1, $2, $3, $4, $5)",
        &[
            digest.into(),
            repository.into(),
            size.into(),
            reason.into(),
            now.into(),
        ],
    )?;
    Ok(())
}
