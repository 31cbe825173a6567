//! What was deleted and can be brought back, and the history of tags.
//!
//! A deleted row keeps what it had. The tags of a manifest went when it did, which their history
//! knows: they come back with it where nothing else has taken their names.

use super::error::Error;
use super::events::{Change, EventDetail, EventKind, Journal};
use super::manifests;
use super::repositories;
use super::settings;
use super::tags;
use super::transaction::{Row, Transaction};
use super::{Metadata, collection};
use crate::clock::Timestamp;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// A manifest in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// Where it was.
    pub repository: RepositoryName,
    /// What it is.
    pub digest: Digest,
    /// Its type.
    pub media_type: MediaType,
    /// The tags that went with it, in ASCII order.
    pub tags: Vec<Tag>,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Its row, to go on behind.
    pub id: i64,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Manifests.
    pub manifests: u64,
    /// Blobs.
    pub blobs: u64,
    /// Tags that name what they named.
    pub tags: Vec<Tag>,
    /// Tags that name something else by now, and were left.
    pub taken: Vec<Tag>,
}

/// A move of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagMove {
    /// When.
    pub at: Timestamp,
    /// Who moved it.
    pub actor: String,
    /// What it named before; nothing: it was new.
    pub previous: Option<Digest>,
    /// What it names since then; nothing: it was deleted.
    pub digest: Option<Digest>,
}

/// What a rollback did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolledBack {
    /// The tag names that manifest again.
    Done,
    /// The manifest is gone for good.
    Purged,
    /// The tag has never named it, or never named anything else.
    NoHistory,
}

impl Metadata {
    /// Manifests in the trash behind the row `after`, the oldest row first, `limit` at most; of one
    /// repository or of all.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn trash(
        &self,
        repository: Option<&RepositoryName>,
        after: i64,
        limit: u64,
    ) -> Result<Vec<Trashed>, Error> {
        let name = repository.map(|name| name.as_str().to_owned());
        self.read(move |transaction| {
            let name = name.as_deref();
            let rows = transaction.query(
                "SELECT manifests.id, repositories.name, manifests.digest, manifests.media_type,
                        manifests.deleted_at, manifests.repository_id
                 FROM manifests JOIN repositories ON repositories.id = manifests.repository_id
                 WHERE manifests.deleted_at IS NOT NULL AND manifests.id > $1
                   AND (CAST($2 AS TEXT) IS NULL OR repositories.name = $2)
                 ORDER BY manifests.id LIMIT $3",
                &[after.into(), name.into(), limit.into()],
            )?;
            rows.into_iter()
                .map(|row| trashed(transaction, row))
                .collect()
        })
        .await
    }

    /// Brings a deleted manifest back, with the tags that went with it, or a deleted blob. Nothing
    /// when there is no such thing in the repository's trash.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn restore(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        change: Change,
    ) -> Result<Option<Restored>, Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.commit(change.clone(), move |transaction, journal| {
            let Some(place) = place_of(transaction, &repository)? else {
                return Ok(None);
            };
            let mut restored = Restored::default();
            if let Some(row) = deleted_manifest(transaction, place.id, &digest)? {
                reopen(transaction, journal, &place)?;
                restore_manifest(transaction, journal, &place, row, &change, &mut restored)?;
            }
            let row = transaction.query_one(
                "SELECT blob_links.blob_id FROM blob_links
                 JOIN blobs ON blobs.id = blob_links.blob_id
                 WHERE blob_links.repository_id = $1 AND blobs.digest = $2
                   AND blob_links.deleted_at IS NOT NULL",
                &[place.id.into(), digest.as_str().into()],
            )?;
            if let Some(mut row) = row {
                let blob_id = row.integer("a blob's id")?;
                reopen(transaction, journal, &place)?;
                restore_link(transaction, place.id, blob_id, change.now)?;
                restored.blobs += 1;
            }
            Ok((restored != Restored::default()).then_some(restored))
        })
        .await
    }

    /// Brings a deleted repository back, with what went with it. Nothing when no such repository is
    /// in the trash. Its access policy is not kept.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn restore_repository(
        &self,
        repository: &RepositoryName,
        change: Change,
    ) -> Result<Option<Restored>, Error> {
        let repository = repository.clone();
        self.commit(change.clone(), move |transaction, journal| {
            let place = place_of(transaction, &repository)?;
            let Some((place, deleted_at)) =
                place.and_then(|place| place.deleted_at.map(|at| (place, at)))
            else {
                return Ok(None);
            };
            reopen(transaction, journal, &place)?;
            let mut restored = Restored::default();
            let links = transaction.query(
                "SELECT blob_id FROM blob_links WHERE repository_id = $1 AND deleted_at = $2",
                &[place.id.into(), deleted_at.into()],
            )?;
            for mut link in links {
                let blob_id = link.integer("a blob's id")?;
                restore_link(transaction, place.id, blob_id, change.now)?;
                restored.blobs += 1;
            }
            let manifests = transaction.query(
                "SELECT digest FROM manifests
                 WHERE repository_id = $1 AND deleted_at = $2 ORDER BY id",
                &[place.id.into(), deleted_at.into()],
            )?;
            for mut row in manifests {
                let digest: Digest = row.parsed("a manifest's digest")?;
                // It may have come back with an index.
                if let Some(row) = deleted_manifest(transaction, place.id, &digest)? {
                    restore_manifest(transaction, journal, &place, row, &change, &mut restored)?;
                }
            }
            Ok(Some(restored))
        })
        .await
    }

    /// The moves of a tag, the newest first, `limit` at most.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn tag_history(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        limit: u64,
    ) -> Result<Vec<TagMove>, Error> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.read(move |transaction| {
            let repository_id = repositories::require(transaction, &repository)?;
            moves(transaction, repository_id, &tag, limit)
        })
        .await
    }

    /// Lets a tag name again what it named: `to`, or what it named before its last move. A manifest
    /// that was deleted meanwhile comes back for that.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], [`Error::TagImmutable`], or when the database fails.
    pub async fn roll_back_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        to: Option<Digest>,
        change: Change,
    ) -> Result<RolledBack, Error> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.commit(change.clone(), move |transaction, journal| {
            let repository_id = repositories::require(transaction, &repository)?;
            let moves = moves(transaction, repository_id, &tag, u64::MAX)?;
            let named = moves.iter().filter_map(|moved| moved.previous.as_ref());
            let target = match &to {
                Some(to) => named
                    .chain(moves.iter().filter_map(|moved| moved.digest.as_ref()))
                    .find(|digest| *digest == to),
                None => moves.first().and_then(|moved| moved.previous.as_ref()),
            };
            let Some(target) = target.cloned() else {
                return Ok(RolledBack::NoHistory);
            };
            let row = transaction.query_one(
                "SELECT id, deleted_at FROM manifests
                 WHERE repository_id = $1 AND digest = $2",
                &[repository_id.into(), target.as_str().into()],
            )?;
            let Some(mut row) = row else {
                return Ok(RolledBack::Purged);
            };
            let manifest_id = row.integer("a manifest's id")?;
            if row.optional_time("deleted_at")?.is_some() {
                undelete(transaction, manifest_id, change.now)?;
                let place = Place {
                    id: repository_id,
                    name: repository.clone(),
                    deleted_at: None,
                };
                let mut restored = Restored::default();
                restore_content(
                    transaction,
                    journal,
                    &place,
                    manifest_id,
                    &change,
                    &mut restored,
                )?;
            }
            let is_immutable = settings::of(transaction, repository_id)?.is_immutable(&tag);
            let assignment = tags::Assignment {
                repository_id,
                tag: &tag,
                manifest_id,
                digest: &target,
                change: &change,
                is_immutable,
            };
            if let tags::Moved::From(previous) = tags::set(transaction, &assignment)? {
                let (kind, detail) = manifests::told_again(transaction, manifest_id)?;
                let detail = EventDetail {
                    tags: vec![tag.clone()],
                    previous,
                    ..detail
                };
                journal.note(kind, Some(&repository), detail);
            }
            Ok(RolledBack::Done)
        })
        .await
    }
}

/// A repository's row, whether or not it is deleted.
struct Place {
    id: i64,
    name: RepositoryName,
    deleted_at: Option<Timestamp>,
}

fn place_of(
    transaction: &mut dyn Transaction,
    name: &RepositoryName,
) -> Result<Option<Place>, Error> {
    let row = transaction.query_one(
        "SELECT id, deleted_at FROM repositories WHERE name = $1",
        &[name.as_str().into()],
    )?;
    let read = |mut row: Row| {
        Ok(Place {
            id: row.integer("a repository's id")?,
            name: name.clone(),
            deleted_at: row.optional_time("deleted_at")?,
        })
    };
    row.map(read).transpose()
}

/// Lets a deleted repository be seen again, as it was.
fn reopen(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    place: &Place,
) -> Result<(), Error> {
    let reopened = transaction.execute(
        "UPDATE repositories SET deleted_at = NULL WHERE id = $1 AND deleted_at IS NOT NULL",
        &[place.id.into()],
    )?;
    if reopened > 0 {
        let detail = EventDetail::default();
        journal.note(EventKind::RepositoryCreated, Some(&place.name), detail);
    }
    Ok(())
}

fn deleted_manifest(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    digest: &Digest,
) -> Result<Option<Row>, Error> {
    transaction.query_one(
        "SELECT id, digest, deleted_at FROM manifests
         WHERE repository_id = $1 AND digest = $2 AND deleted_at IS NOT NULL",
        &[repository_id.into(), digest.as_str().into()],
    )
}

fn restore_manifest(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    place: &Place,
    mut row: Row,
    change: &Change,
    restored: &mut Restored,
) -> Result<(), Error> {
    let manifest_id = row.integer("a manifest's id")?;
    let digest: Digest = row.parsed("a manifest's digest")?;
    let deleted_at = row.time("deleted_at")?;
    undelete(transaction, manifest_id, change.now)?;
    restored.manifests += 1;
    restore_content(transaction, journal, place, manifest_id, change, restored)?;
    let (kind, detail) = manifests::told_again(transaction, manifest_id)?;
    let mut named = false;
    for tag in tags_that_went(transaction, place.id, &digest, deleted_at)? {
        let assignment = tags::Assignment {
            repository_id: place.id,
            tag: &tag,
            manifest_id,
            digest: &digest,
            change,
            // What names something else by now stays.
            is_immutable: true,
        };
        match tags::set(transaction, &assignment) {
            Ok(_) => {
                named = true;
                let told = EventDetail {
                    tags: vec![tag.clone()],
                    ..detail.clone()
                };
                journal.note(kind, Some(&place.name), told);
                restored.tags.push(tag);
            }
            Err(Error::TagImmutable { tag, .. }) => restored.taken.push(tag),
            Err(error) => return Err(error),
        }
    }
    if !named {
        journal.note(kind, Some(&place.name), detail);
    }
    Ok(())
}

/// Brings back what a manifest names, where it is in the trash too: without it the manifest would be
/// broken.
fn restore_content(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    place: &Place,
    manifest_id: i64,
    change: &Change,
    restored: &mut Restored,
) -> Result<(), Error> {
    let links = transaction.query(
        "SELECT DISTINCT blob_links.blob_id FROM manifest_references
         JOIN blobs ON blobs.digest = manifest_references.digest
         JOIN blob_links ON blob_links.blob_id = blobs.id
         WHERE manifest_references.manifest_id = $1 AND blob_links.repository_id = $2
           AND blob_links.deleted_at IS NOT NULL",
        &[manifest_id.into(), place.id.into()],
    )?;
    for mut link in links {
        let blob_id = link.integer("a blob's id")?;
        restore_link(transaction, place.id, blob_id, change.now)?;
        restored.blobs += 1;
    }
    let children = transaction.query(
        "SELECT DISTINCT digest FROM manifest_references WHERE manifest_id = $1",
        &[manifest_id.into()],
    )?;
    for mut child in children {
        let digest: Digest = child.parsed("a digest")?;
        // Looked for one by one: a child may have come back with a sibling.
        if let Some(row) = deleted_manifest(transaction, place.id, &digest)? {
            restore_manifest(transaction, journal, place, row, change, restored)?;
        }
    }
    Ok(())
}

fn undelete(
    transaction: &mut dyn Transaction,
    manifest_id: i64,
    now: Timestamp,
) -> Result<(), Error> {
    // As after a push, policies leave it alone for a while.
    transaction.execute(
        "UPDATE manifests SET deleted_at = NULL, last_pushed_at = $2 WHERE id = $1",
        &[manifest_id.into(), now.into()],
    )?;
    Ok(())
}

fn restore_link(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    blob_id: i64,
    now: Timestamp,
) -> Result<(), Error> {
    transaction.execute(
        "UPDATE blob_links SET deleted_at = NULL WHERE repository_id = $1 AND blob_id = $2",
        &[repository_id.into(), blob_id.into()],
    )?;
    collection::put_up(transaction, repository_id, blob_id, now)
}

fn trashed(transaction: &mut dyn Transaction, mut row: Row) -> Result<Trashed, Error> {
    let id = row.integer("a manifest's id")?;
    let repository = row.parsed("a repository's name")?;
    let digest: Digest = row.parsed("a manifest's digest")?;
    let media_type = row.parsed("a manifest's type")?;
    let deleted_at = row.time("deleted_at")?;
    let repository_id = row.integer("a repository's id")?;
    let tags = tags_that_went(transaction, repository_id, &digest, deleted_at)?;
    Ok(Trashed {
        repository,
        digest,
        media_type,
        tags,
        deleted_at,
        id,
    })
}

/// The tags that a manifest lost when it was deleted.
fn tags_that_went(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    digest: &Digest,
    deleted_at: Timestamp,
) -> Result<Vec<Tag>, Error> {
    let rows = transaction.query(
        "SELECT DISTINCT tag FROM tag_history
         WHERE repository_id = $1 AND changed_at = $2 AND previous = $3 AND digest IS NULL
         ORDER BY tag",
        &[
            repository_id.into(),
            deleted_at.into(),
            digest.as_str().into(),
        ],
    )?;
    rows.into_iter()
        .map(|mut row| row.parsed("a tag"))
        .collect()
}

fn moves(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    tag: &Tag,
    limit: u64,
) -> Result<Vec<TagMove>, Error> {
    let digest = |text: Option<String>| {
        let parsed = text.map(|text| text.parse().map_err(|_| Error::corrupt("a digest", text)));
        parsed.transpose()
    };
    let rows = transaction.query(
        "SELECT changed_at, actor, previous, digest FROM tag_history
         WHERE repository_id = $1 AND tag = $2 ORDER BY id DESC LIMIT $3",
        &[repository_id.into(), tag.as_str().into(), limit.into()],
    )?;
    rows.into_iter()
        .map(|mut row| {
            Ok(TagMove {
                at: row.time("changed_at")?,
                actor: row.text("an actor")?,
                previous: digest(row.optional_text("previous")?)?,
                digest: digest(row.optional_text("digest")?)?,
            })
        })
        .collect()
}
