//! Repositories: how they appear, and their list.

use super::Metadata;
use super::error::Error;
use super::events::{EventDetail, EventKind, Journal};
use super::transaction::Transaction;
use crate::clock::Timestamp;
use crate::oci::RepositoryName;

/// Whether a push may make the repository it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is made at the first push.
    Allowed,
    /// It must be there.
    Forbidden,
}

impl Metadata {
    /// Whether there is such a repository.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn repository_exists(&self, name: &RepositoryName) -> Result<bool, Error> {
        let name = name.clone();
        self.read(move |transaction| Ok(find(transaction, &name)?.is_some()))
            .await
    }

    /// The names of the repositories behind `after`, in ASCII order, `limit` at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn repositories(
        &self,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<RepositoryName>, Error> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT name FROM repositories WHERE name > $1 AND deleted_at IS NULL
                 ORDER BY name LIMIT $2",
                &[after.as_str().into(), limit.into()],
            )?;
            rows.into_iter()
                .map(|mut row| row.parsed("a repository's name"))
                .collect()
        })
        .await
    }
}

/// The row of a repository.
pub(super) fn find(
    transaction: &mut dyn Transaction,
    name: &RepositoryName,
) -> Result<Option<i64>, Error> {
    let row = transaction.query_one(
        "SELECT id FROM repositories WHERE name = $1 AND deleted_at IS NULL",
        &[name.as_str().into()],
    )?;
    row.map(|mut row| row.integer("a repository's id"))
        .transpose()
}

/// The row of a repository that must be there.
pub(super) fn require(
    transaction: &mut dyn Transaction,
    name: &RepositoryName,
) -> Result<i64, Error> {
    find(transaction, name)?.ok_or_else(|| Error::RepositoryUnknown(name.clone()))
}

/// The row of a repository that a push goes to.
pub(super) fn require_for_push(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    name: &RepositoryName,
    creation: Creation,
    now: Timestamp,
) -> Result<i64, Error> {
    if let Some(id) = find(transaction, name)? {
        return Ok(id);
    }
    if creation == Creation::Forbidden {
        return Err(Error::RepositoryUnknown(name.clone()));
    }
    create(transaction, journal, name, now)?;
    require(transaction, name)
}

/// Makes the row of a repository, or revives the one of a repository that was deleted, with nothing
/// of what had been chosen for it.
pub(super) fn create(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    name: &RepositoryName,
    now: Timestamp,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO repositories (name, created_at) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET deleted_at = NULL, created_at = excluded.created_at,
             tag_mutability = excluded.tag_mutability,
             mutability_filters = excluded.mutability_filters,
             scan_on_push = excluded.scan_on_push, encryption = excluded.encryption,
             resource_tags = excluded.resource_tags, lifecycle_policy = NULL,
             lifecycle_evaluated_at = NULL",
        &[name.as_str().into(), now.into()],
    )?;
    journal.note(
        EventKind::RepositoryCreated,
        Some(name),
        EventDetail::default(),
    );
    Ok(())
}
