//! Manifests: pushing, reading, deleting.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::error::Error;
use super::events::{Change, EventDetail, EventKind, Journal};
use super::repositories::{self, Creation};
use super::settings::{self, RepositorySettings};
use super::transaction::{Row, Transaction, Value};
use super::{Metadata, storage_class, tags};
use crate::oci::{ContentKind, Digest, Manifest, MediaType, Reference, RepositoryName, Tag};

/// Whether a manifest may name content that its repository doesn't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingContent {
    /// It may: sparse images and indexes are legal.
    Accepted,
    /// It may not, but for layers that may lie elsewhere.
    Refused,
}

/// A manifest on its way into a repository.
#[derive(Clone, Debug)]
pub struct ManifestPush {
    /// Where it goes.
    pub repository: RepositoryName,
    /// What it is.
    pub manifest: Manifest,
    /// Its digest, in the algorithm that the client asked for.
    pub digest: Digest,
    /// The tags that shall name it.
    pub tags: Vec<Tag>,
    /// Who pushes it, and when.
    pub change: Change,
    /// Whether the repository may be made.
    pub creation: Creation,
    /// Whether it may name what is not there.
    pub missing_content: MissingContent,
}

/// What a push changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The tags that name another manifest now than before.
    pub moved_tags: Vec<Tag>,
    /// Whether the repository didn't have the manifest before.
    pub is_new: bool,
    /// Whether it was archived, and came back by this push.
    pub is_restored: bool,
}

/// What is told of a manifest without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// Its digest.
    pub digest: Digest,
    /// Its type.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub size: u64,
}

/// A manifest with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestBytes {
    /// What is told of it.
    pub head: ManifestHead,
    /// The bytes as they were pushed.
    pub bytes: Bytes,
}

const HEAD_BY_DIGEST: &str = "
    SELECT manifests.digest, manifests.media_type, manifests.size_bytes FROM manifests
    JOIN repositories ON repositories.id = manifests.repository_id
    WHERE repositories.name = $1 AND manifests.digest = $2 AND manifests.deleted_at IS NULL
      AND manifests.storage_class = 'STANDARD'";

const HEAD_BY_TAG: &str = "
    SELECT manifests.digest, manifests.media_type, manifests.size_bytes FROM tags
    JOIN repositories ON repositories.id = tags.repository_id
    JOIN manifests ON manifests.id = tags.manifest_id
    WHERE repositories.name = $1 AND tags.name = $2 AND manifests.deleted_at IS NULL
      AND manifests.storage_class = 'STANDARD'";

const BYTES_BY_DIGEST: &str = "
    SELECT manifests.digest, manifests.media_type, manifests.size_bytes, manifests.bytes
    FROM manifests
    JOIN repositories ON repositories.id = manifests.repository_id
    WHERE repositories.name = $1 AND manifests.digest = $2 AND manifests.deleted_at IS NULL
      AND manifests.storage_class = 'STANDARD'";

const BYTES_BY_TAG: &str = "
    SELECT manifests.digest, manifests.media_type, manifests.size_bytes, manifests.bytes
    FROM tags
    JOIN repositories ON repositories.id = tags.repository_id
    JOIN manifests ON manifests.id = tags.manifest_id
    WHERE repositories.name = $1 AND tags.name = $2 AND manifests.deleted_at IS NULL
      AND manifests.storage_class = 'STANDARD'";

impl Metadata {
    /// Pushes a manifest: the document, what it names, and its tags, as one.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], [`Error::ContentMissing`], [`Error::TagImmutable`], or when the database fails.
    pub async fn push_manifest(&self, push: ManifestPush) -> Result<Pushed, Error> {
        self.commit(push.change.clone(), move |transaction, journal| {
            push_manifest(transaction, journal, &push)
        })
        .await
    }

    /// What is told of a manifest.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn manifest_head(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestHead>, Error> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.read(move |transaction| {
            let sql = match reference {
                Reference::Tag(_) => HEAD_BY_TAG,
                Reference::Digest(_) => HEAD_BY_DIGEST,
            };
            let row = select(transaction, sql, &repository, &reference)?;
            row.map(|mut row| read_head(&mut row)).transpose()
        })
        .await
    }

    /// A manifest with its bytes.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestBytes>, Error> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.read(move |transaction| {
            let sql = match reference {
                Reference::Tag(_) => BYTES_BY_TAG,
                Reference::Digest(_) => BYTES_BY_DIGEST,
            };
            let row = select(transaction, sql, &repository, &reference)?;
            let read = |mut row: Row| {
                let head = read_head(&mut row)?;
                let bytes = row.bytes("a manifest's bytes")?.into();
                Ok(ManifestBytes { head, bytes })
            };
            row.map(read).transpose()
        })
        .await
    }

    /// Deletes a manifest, and with it the tags that name it. It can be restored for a time.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`], or when the database fails.
    pub async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        change: Change,
    ) -> Result<(), Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.commit(change.clone(), move |transaction, journal| {
            let row = transaction.query_one(
                "SELECT id FROM manifests
                 WHERE repository_id = (SELECT id FROM repositories WHERE name = $1)
                   AND digest = $2 AND deleted_at IS NULL",
                &[repository.as_str().into(), digest.as_str().into()],
            )?;
            let Some(mut row) = row else {
                return Err(Error::ManifestUnknown(digest.to_string()));
            };
            let id = row.integer("a manifest's id")?;
            remove(transaction, journal, &repository, id, &change)
        })
        .await
    }
}

fn select(
    transaction: &mut dyn Transaction,
    sql: &'static str,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Option<Row>, Error> {
    let reference = match reference {
        Reference::Tag(tag) => tag.as_str(),
        Reference::Digest(digest) => digest.as_str(),
    };
    transaction.query_one(sql, &[repository.as_str().into(), reference.into()])
}

fn read_head(row: &mut Row) -> Result<ManifestHead, Error> {
    Ok(ManifestHead {
        digest: row.parsed("a manifest's digest")?,
        media_type: row.parsed("a manifest's type")?,
        size: row.size("a manifest's size")?,
    })
}

/// Takes a manifest out of sight, with its tags, and notes that.
pub(super) fn remove(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    repository: &RepositoryName,
    manifest_id: i64,
    change: &Change,
) -> Result<(), Error> {
    let row = transaction.query_one(
        "UPDATE manifests SET deleted_at = $2 WHERE id = $1
         RETURNING digest, media_type, artifact_type, subject",
        &[manifest_id.into(), change.now.into()],
    )?;
    let mut row = row.ok_or_else(|| Error::corrupt("a manifest", manifest_id))?;
    let digest: Digest = row.parsed("a manifest's digest")?;
    let media_type = row.parsed("a manifest's type")?;
    let artifact_type = row.optional_text("an artifact's type")?;
    let subject = row.optional_text("a subject")?;
    let tags = tags::remove_all_of(transaction, manifest_id, &digest, change)?;
    let detail = EventDetail {
        digest: Some(digest),
        tags,
        media_type: Some(media_type),
        artifact_type,
        subject: subject.and_then(|text| text.parse().ok()),
        ..EventDetail::default()
    };
    journal.note(EventKind::ImageDeleted, Some(repository), detail);
    Ok(())
}

pub(super) fn push_manifest(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    push: &ManifestPush,
) -> Result<Pushed, Error> {
    let repository_id = repositories::require_for_push(
        transaction,
        journal,
        &push.repository,
        push.creation,
        push.change.now,
    )?;
    if push.missing_content == MissingContent::Refused {
        let missing = missing_content(transaction, repository_id, &push.manifest)?;
        if !missing.is_empty() {
            return Err(Error::ContentMissing(missing));
        }
    }
    let (manifest_id, found) = insert(transaction, repository_id, push)?;
    let (is_new, is_restored) = (found == Found::Nothing, found == Found::Archived);
    if is_restored {
        storage_class::restore_pushed(
            transaction,
            journal,
            &push.repository,
            repository_id,
            &push.digest,
            &push.change,
        )?;
    }
    let settings = match push.tags.is_empty() {
        true => RepositorySettings::default(),
        false => settings::of(transaction, repository_id)?,
    };
    let mut moves = Vec::new();
    for tag in &push.tags {
        let moved = tags::set(
            transaction,
            &tags::Assignment {
                repository_id,
                tag,
                manifest_id,
                digest: &push.digest,
                change: &push.change,
                is_immutable: settings.is_immutable(tag),
            },
        )?;
        if let tags::Moved::From(previous) = moved {
            moves.push((tag.clone(), previous));
        }
    }
    note(journal, push, is_new, &moves);
    Ok(Pushed {
        moved_tags: moves.into_iter().map(|(tag, _)| tag).collect(),
        is_new,
        is_restored,
    })
}

/// Notes a push: once for each tag that it moved, and once where it moved none and is new.
fn note(journal: &mut Journal, push: &ManifestPush, is_new: bool, moves: &[(Tag, Option<Digest>)]) {
    let manifest = &push.manifest;
    let kind = push_kind(manifest.subject(), manifest.artifact_type());
    let detail = |tags: Vec<Tag>, previous: Option<Digest>| EventDetail {
        digest: Some(push.digest.clone()),
        tags,
        previous,
        media_type: Some(manifest.media_type().clone()),
        artifact_type: manifest.artifact_type().map(ToOwned::to_owned),
        subject: manifest.subject().cloned(),
        size: Some(manifest.bytes().len() as u64),
        ..EventDetail::default()
    };
    let repository = Some(&push.repository);
    if moves.is_empty() && is_new {
        journal.note(kind, repository, detail(Vec::new(), None));
    }
    for (tag, previous) in moves {
        let detail = detail(vec![tag.clone()], previous.clone());
        journal.note(kind, repository, detail);
    }
}

/// What is told of a manifest that is there when it comes back or gets a tag, as if it were pushed:
/// of which kind the event is, and its detail but for the tags.
pub(super) fn told_again(
    transaction: &mut dyn Transaction,
    manifest_id: i64,
) -> Result<(EventKind, EventDetail), Error> {
    let row = transaction.query_one(
        "SELECT digest, media_type, artifact_type, subject, size_bytes FROM manifests
         WHERE id = $1",
        &[manifest_id.into()],
    )?;
    let mut row = row.ok_or_else(|| Error::corrupt("a manifest", manifest_id))?;
    let digest = row.parsed("a manifest's digest")?;
    let media_type = row.parsed("a manifest's type")?;
    let artifact_type = row.optional_text("an artifact's type")?;
    let subject = row.optional_text("a subject")?;
    let detail = EventDetail {
        digest: Some(digest),
        media_type: Some(media_type),
        artifact_type,
        subject: subject.and_then(|text| text.parse().ok()),
        size: Some(row.size("a manifest's size")?),
        ..EventDetail::default()
    };
    let kind = push_kind(detail.subject.as_ref(), detail.artifact_type.as_deref());
    Ok((kind, detail))
}

fn push_kind(subject: Option<&Digest>, artifact_type: Option<&str>) -> EventKind {
    match (subject, artifact_type) {
        (Some(_), _) => EventKind::ReferrerPushed,
        (None, Some(kind)) if !MediaType::IMAGE_CONFIGS.contains(&kind) => {
            EventKind::ArtifactPushed
        }
        (None, _) => EventKind::ImagePushed,
    }
}

/// What a push finds of its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Pullable,
    Archived,
}

fn insert(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    push: &ManifestPush,
) -> Result<(i64, Found), Error> {
    let manifest = &push.manifest;
    let annotations = match manifest.annotations() {
        annotations if annotations.is_empty() => None,
        annotations => {
            Some(serde_json::to_string(annotations).expect("a map of texts has a JSON form"))
        }
    };
    let row = transaction.query_one(
        "SELECT storage_class FROM manifests
         WHERE repository_id = $1 AND digest = $2 AND deleted_at IS NULL",
        &[repository_id.into(), push.digest.as_str().into()],
    )?;
    let found = match row.map(|mut row| row.text("storage_class")).transpose()? {
        None => Found::Nothing,
        Some(class) if class == "ARCHIVE" => Found::Archived,
        Some(_) => Found::Pullable,
    };
    // What is pushed again keeps its times, unless it had been deleted: then it begins anew.
    let row = transaction.query_one(
        "INSERT INTO manifests (repository_id, digest, media_type, artifact_type, subject,
                                annotations, size_bytes, pushed_at, last_pushed_at, bytes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)
         ON CONFLICT (repository_id, digest) DO UPDATE SET
             media_type = excluded.media_type,
             last_pushed_at = excluded.last_pushed_at,
             pushed_at = CASE WHEN manifests.deleted_at IS NULL THEN manifests.pushed_at
                              ELSE excluded.pushed_at END,
             last_pulled_at = CASE WHEN manifests.deleted_at IS NULL
                                   THEN manifests.last_pulled_at ELSE NULL END,
             archived_at = CASE WHEN manifests.deleted_at IS NULL
                                THEN manifests.archived_at ELSE NULL END,
             activated_at = CASE WHEN manifests.deleted_at IS NULL
                                 THEN manifests.activated_at ELSE NULL END,
             storage_class = CASE WHEN manifests.deleted_at IS NULL
                                  THEN manifests.storage_class ELSE 'STANDARD' END,
             deleted_at = NULL
         RETURNING id",
        &[
            repository_id.into(),
            push.digest.as_str().into(),
            manifest.media_type().as_str().into(),
            manifest.artifact_type().into(),
            manifest.subject().map(Digest::as_str).into(),
            annotations.as_deref().into(),
            (manifest.bytes().len() as u64).into(),
            push.change.now.into(),
            Value::Bytes(manifest.bytes()),
        ],
    )?;
    let mut row = row.expect("an insert that updates on conflict returns its row");
    let manifest_id = row.integer("a manifest's id")?;
    for reference in manifest.references() {
        transaction.execute(
            "INSERT INTO manifest_references (manifest_id, digest, kind) VALUES ($1, $2, $3)
             ON CONFLICT (manifest_id, digest, kind) DO NOTHING",
            &[
                manifest_id.into(),
                reference.digest.as_str().into(),
                reference.kind.as_str().into(),
            ],
        )?;
    }
    Ok((manifest_id, found))
}

/// What of the manifest's content the repository doesn't have, each digest once.
fn missing_content(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    manifest: &Manifest,
) -> Result<Vec<Digest>, Error> {
    let mut missing = Vec::new();
    let mut seen = BTreeSet::new();
    for reference in manifest.references() {
        let digest = &reference.digest;
        let needed = match reference.kind {
            ContentKind::Blob | ContentKind::Manifest | ContentKind::Either => seen.insert(digest),
            ContentKind::ForeignBlob => false,
        };
        if !needed {
            continue;
        }
        let row = transaction.query_one(
            "SELECT
                 EXISTS (SELECT 1 FROM manifests
                         WHERE repository_id = $1 AND digest = $2 AND deleted_at IS NULL),
                 EXISTS (SELECT 1 FROM blob_links
                         JOIN blobs ON blobs.id = blob_links.blob_id
                         WHERE blob_links.repository_id = $1 AND blobs.digest = $2
                           AND blob_links.deleted_at IS NULL
                           AND blobs.quarantined_at IS NULL)",
            &[repository_id.into(), digest.as_str().into()],
        )?;
        let mut row = row.expect("a row of two answers");
        let is_manifest = row.integer("whether a manifest is there")? != 0;
        let is_blob = row.integer("whether a blob is there")? != 0;
        let is_there = match reference.kind {
            ContentKind::Blob | ContentKind::ForeignBlob => is_blob,
            ContentKind::Manifest => is_manifest,
            ContentKind::Either => is_manifest || is_blob,
        };
        if !is_there {
            missing.push(digest.clone());
        }
    }
    Ok(missing)
}
