//! Tags: where they point, and every move of theirs.

use super::Metadata;
use super::error::Error;
use super::events::{Change, EventDetail, EventKind, Journal};
use super::repositories;
use super::transaction::Transaction;
use crate::oci::{Digest, RepositoryName, Tag};

impl Metadata {
    /// The tags of a repository behind `after`, in ASCII order, `limit` at most.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Tag>, Error> {
        let repository = repository.clone();
        let after = after.unwrap_or_default().to_owned();
        self.read(move |transaction| {
            let repository_id = repositories::require(transaction, &repository)?;
            let rows = transaction.query(
                "SELECT name FROM tags WHERE repository_id = $1 AND name > $2
                 ORDER BY name LIMIT $3",
                &[repository_id.into(), after.as_str().into(), limit.into()],
            )?;
            rows.into_iter()
                .map(|mut row| row.parsed("a tag"))
                .collect()
        })
        .await
    }

    /// Takes a tag away. What it named stays.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`] without such a tag, or when the database fails.
    pub async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        change: Change,
    ) -> Result<(), Error> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.commit(change.clone(), move |transaction, journal| {
            let row = transaction.query_one(
                "SELECT tags.repository_id, manifests.digest FROM tags
                 JOIN repositories ON repositories.id = tags.repository_id
                 JOIN manifests ON manifests.id = tags.manifest_id
                 WHERE repositories.name = $1 AND tags.name = $2",
                &[repository.as_str().into(), tag.as_str().into()],
            )?;
            let Some(mut row) = row else {
                return Err(Error::ManifestUnknown(tag.to_string()));
            };
            let repository_id = row.integer("a repository's id")?;
            let previous: Digest = row.parsed("a manifest's digest")?;
            let from = (&repository, repository_id);
            remove(transaction, journal, from, &tag, &previous, &change)
        })
        .await
    }
}

/// A tag that shall name a manifest.
pub(super) struct Assignment<'a> {
    pub(super) repository_id: i64,
    pub(super) tag: &'a Tag,
    pub(super) manifest_id: i64,
    pub(super) digest: &'a Digest,
    pub(super) change: &'a Change,
    /// Whether it stays where it is, if it is set.
    pub(super) is_immutable: bool,
}

/// What became of a tag that was to be set.
pub(super) enum Moved {
    /// It named the manifest already.
    Not,
    /// It names the manifest now, and named this one, or none, before.
    From(Option<Digest>),
}

/// Points a tag at a manifest.
pub(super) fn set(
    transaction: &mut dyn Transaction,
    assignment: &Assignment<'_>,
) -> Result<Moved, Error> {
    let Assignment {
        repository_id,
        tag,
        manifest_id,
        digest,
        change,
        is_immutable,
    } = *assignment;
    let row = transaction.query_one(
        "SELECT manifests.digest FROM tags
         JOIN manifests ON manifests.id = tags.manifest_id
         WHERE tags.repository_id = $1 AND tags.name = $2",
        &[repository_id.into(), tag.as_str().into()],
    )?;
    let previous: Option<Digest> = row
        .map(|mut row| row.parsed("a manifest's digest"))
        .transpose()?;
    if previous.as_ref() == Some(digest) {
        return Ok(Moved::Not);
    }
    if is_immutable && let Some(digest) = previous {
        let tag = tag.clone();
        return Err(Error::TagImmutable { tag, digest });
    }
    transaction.execute(
        "INSERT INTO tags (repository_id, name, manifest_id, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (repository_id, name)
         DO UPDATE SET manifest_id = excluded.manifest_id, updated_at = excluded.updated_at",
        &[
            repository_id.into(),
            tag.as_str().into(),
            manifest_id.into(),
            change.now.into(),
        ],
    )?;
    transaction.execute(
        "INSERT INTO tag_history (repository_id, tag, previous, digest, actor, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            repository_id.into(),
            tag.as_str().into(),
            previous.as_ref().map(Digest::as_str).into(),
            digest.as_str().into(),
            change.actor.as_str().into(),
            change.now.into(),
        ],
    )?;
    Ok(Moved::From(previous))
}

/// Takes a tag away from the manifest that it names, and notes that.
pub(super) fn remove(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    (repository, repository_id): (&RepositoryName, i64),
    tag: &Tag,
    previous: &Digest,
    change: &Change,
) -> Result<(), Error> {
    transaction.execute(
        "DELETE FROM tags WHERE repository_id = $1 AND name = $2",
        &[repository_id.into(), tag.as_str().into()],
    )?;
    transaction.execute(
        "INSERT INTO tag_history (repository_id, tag, previous, actor, changed_at)
         VALUES ($1, $2, $3, $4, $5)",
        &[
            repository_id.into(),
            tag.as_str().into(),
            previous.as_str().into(),
            change.actor.as_str().into(),
            change.now.into(),
        ],
    )?;
    let detail = EventDetail {
        tags: vec![tag.clone()],
        previous: Some(previous.clone()),
        ..EventDetail::default()
    };
    journal.note(EventKind::TagDeleted, Some(repository), detail);
    Ok(())
}

/// Takes away every tag that names a manifest, and gives them.
pub(super) fn remove_all_of(
    transaction: &mut dyn Transaction,
    manifest_id: i64,
    digest: &Digest,
    change: &Change,
) -> Result<Vec<Tag>, Error> {
    transaction.execute(
        "INSERT INTO tag_history (repository_id, tag, previous, actor, changed_at)
         SELECT repository_id, name, $2, $3, $4 FROM tags WHERE manifest_id = $1",
        &[
            manifest_id.into(),
            digest.as_str().into(),
            change.actor.as_str().into(),
            change.now.into(),
        ],
    )?;
    let rows = transaction.query(
        "DELETE FROM tags WHERE manifest_id = $1 RETURNING name",
        &[manifest_id.into()],
    )?;
    let tags = rows.into_iter().map(|mut row| row.parsed("a tag"));
    let mut tags: Vec<Tag> = tags.collect::<Result<_, _>>()?;
    tags.sort_unstable();
    Ok(tags)
}
