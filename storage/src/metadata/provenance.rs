//! What keeps a digest, or what removed it.

use super::Metadata;
use super::error::Error;
use super::transaction::{Row, Transaction};
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName, Tag};

/// How many repositories are told of at most, and how many manifests of each.
const MOST: u64 = 100;

/// All that is known of a digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The blob, if bytes are kept under the digest.
    pub blob: Option<StoredBlob>,
    /// Where the blob is linked.
    pub links: Vec<Link>,
    /// Where it is a manifest.
    pub manifests: Vec<Place>,
    /// When and why it was collected, the newest first.
    pub collected: Vec<Collected>,
}

/// The bytes of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// How many.
    pub size: u64,
    /// Where they lie.
    pub location: String,
    /// When they came.
    pub created_at: Timestamp,
    /// Since when no repository has them.
    pub condemned_at: Option<Timestamp>,
    /// When they were last read as a whole and found to be right or wrong.
    pub checked_at: Option<Timestamp>,
    /// Since when they are known to be wrong.
    pub quarantined_at: Option<Timestamp>,
}

/// A blob in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where.
    pub repository: RepositoryName,
    /// Since when.
    pub linked_at: Timestamp,
    /// Since when it is in the trash.
    pub deleted_at: Option<Timestamp>,
    /// Since when it is up for review.
    pub review_since: Option<Timestamp>,
    /// The manifests that name it.
    pub named_by: Vec<Named>,
}

/// A manifest that names something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The manifest.
    pub digest: Digest,
    /// Its tags, in ASCII order.
    pub tags: Vec<Tag>,
    /// Since when it is in the trash.
    pub deleted_at: Option<Timestamp>,
}

/// A manifest in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub repository: RepositoryName,
    /// When it was pushed.
    pub pushed_at: Timestamp,
    /// Since when it is in the trash.
    pub deleted_at: Option<Timestamp>,
    /// The tags that name it, in ASCII order.
    pub tags: Vec<Tag>,
    /// The indexes, and the referrers, that name it.
    pub named_by: Vec<Named>,
}

/// A record of what was collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// Where from; nothing: from the registry as a whole, with its bytes.
    pub repository: Option<RepositoryName>,
    /// Its size in bytes.
    pub size: u64,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Metadata {
    /// All that is known of a digest.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn provenance(&self, digest: &Digest) -> Result<Provenance, Error> {
        let digest = digest.clone();
        self.read(move |transaction| {
            Ok(Provenance {
                blob: blob(transaction, &digest)?,
                links: links(transaction, &digest)?,
                manifests: manifests(transaction, &digest)?,
                collected: collected(transaction, &digest)?,
            })
        })
        .await
    }
}

fn blob(transaction: &mut dyn Transaction, digest: &Digest) -> Result<Option<StoredBlob>, Error> {
    let row = transaction.query_one(
        "SELECT size_bytes, location, created_at, condemned_at, checked_at, quarantined_at
         FROM blobs WHERE digest = $1",
        &[digest.as_str().into()],
    )?;
    let read = |mut row: Row| {
        Ok(StoredBlob {
            size: row.size("a blob's size")?,
            location: row.text("a blob's location")?,
            created_at: row.time("created_at")?,
            condemned_at: row.optional_time("condemned_at")?,
            checked_at: row.optional_time("checked_at")?,
            quarantined_at: row.optional_time("quarantined_at")?,
        })
    };
    row.map(read).transpose()
}

fn links(transaction: &mut dyn Transaction, digest: &Digest) -> Result<Vec<Link>, Error> {
    let rows = transaction.query(
        "SELECT repositories.id, repositories.name, blob_links.linked_at, blob_links.deleted_at,
                reviews.since
         FROM blobs
         JOIN blob_links ON blob_links.blob_id = blobs.id
         JOIN repositories ON repositories.id = blob_links.repository_id
         LEFT JOIN reviews ON reviews.repository_id = blob_links.repository_id
                          AND reviews.blob_id = blob_links.blob_id
         WHERE blobs.digest = $1 ORDER BY repositories.name LIMIT $2",
        &[digest.as_str().into(), MOST.into()],
    )?;
    let mut links = Vec::with_capacity(rows.len());
    for mut row in rows {
        let repository_id = row.integer("a repository's id")?;
        links.push(Link {
            repository: row.parsed("a repository's name")?,
            linked_at: row.time("linked_at")?,
            deleted_at: row.optional_time("deleted_at")?,
            review_since: row.optional_time("since")?,
            named_by: named_by(transaction, repository_id, digest)?,
        });
    }
    Ok(links)
}

fn manifests(transaction: &mut dyn Transaction, digest: &Digest) -> Result<Vec<Place>, Error> {
    let rows = transaction.query(
        "SELECT manifests.id, manifests.repository_id, repositories.name, manifests.pushed_at,
                manifests.deleted_at
         FROM repositories
         JOIN manifests ON manifests.repository_id = repositories.id AND manifests.digest = $1
         ORDER BY repositories.name LIMIT $2",
        &[digest.as_str().into(), MOST.into()],
    )?;
    let mut places = Vec::with_capacity(rows.len());
    for mut row in rows {
        let id = row.integer("a manifest's id")?;
        let repository_id = row.integer("a repository's id")?;
        places.push(Place {
            repository: row.parsed("a repository's name")?,
            pushed_at: row.time("pushed_at")?,
            deleted_at: row.optional_time("deleted_at")?,
            tags: tags(transaction, id)?,
            named_by: named_by(transaction, repository_id, digest)?,
        });
    }
    Ok(places)
}

/// The manifests of a repository that name a digest, as their content or as their subject.
fn named_by(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    digest: &Digest,
) -> Result<Vec<Named>, Error> {
    let rows = transaction.query(
        "SELECT id, digest, deleted_at FROM manifests
         WHERE repository_id = $1
           AND (subject = $2 OR id IN (SELECT manifest_id FROM manifest_references
                                       WHERE manifest_references.digest = $2))
         ORDER BY digest LIMIT $3",
        &[repository_id.into(), digest.as_str().into(), MOST.into()],
    )?;
    let mut named = Vec::with_capacity(rows.len());
    for mut row in rows {
        let id = row.integer("a manifest's id")?;
        named.push(Named {
            digest: row.parsed("a manifest's digest")?,
            deleted_at: row.optional_time("deleted_at")?,
            tags: tags(transaction, id)?,
        });
    }
    Ok(named)
}

fn tags(transaction: &mut dyn Transaction, manifest_id: i64) -> Result<Vec<Tag>, Error> {
    let rows = transaction.query(
        "SELECT name FROM tags WHERE manifest_id = $1 ORDER BY name LIMIT $2",
        &[manifest_id.into(), MOST.into()],
    )?;
    rows.into_iter()
        .map(|mut row| row.parsed("a tag"))
        .collect()
}

fn collected(transaction: &mut dyn Transaction, digest: &Digest) -> Result<Vec<Collected>, Error> {
    let rows = transaction.query(
        "SELECT repository, size_bytes, reason, collected_at FROM collected
         WHERE digest = $1 ORDER BY id DESC LIMIT $2",
        &[digest.as_str().into(), MOST.into()],
    )?;
    rows.into_iter()
        .map(|mut row| {
            let repository = row.text("a repository's name")?;
            Ok(Collected {
                repository: repository.parse().ok(),
                size: row.size("a size")?,
                reason: row.text("a reason")?,
                at: row.time("collected_at")?,
            })
        })
        .collect()
}
