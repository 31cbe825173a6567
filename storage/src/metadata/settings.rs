//! What a repository is besides its images: settings, tags of its own, a lifecycle policy.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::Metadata;
use super::error::Error;
use super::events::{Change, EventDetail, EventKind};
use super::repositories;
use super::transaction::{Row, Transaction};
use crate::clock::Timestamp;
use crate::oci::{RepositoryName, Tag};
use crate::pattern::Pattern;

/// Which tags can't be moved once they are set, in ECR's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagMutability {
    /// All can be moved.
    #[default]
    Mutable,
    /// None can.
    Immutable,
    /// None can but those that a filter matches.
    ImmutableWithExclusion,
    /// All can but those that a filter matches.
    MutableWithExclusion,
}

impl TagMutability {
    /// The word that stands for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mutable => "MUTABLE",
            Self::Immutable => "IMMUTABLE",
            Self::ImmutableWithExclusion => "IMMUTABLE_WITH_EXCLUSION",
            Self::MutableWithExclusion => "MUTABLE_WITH_EXCLUSION",
        }
    }
}

/// A word that stands for no mutability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a mutability of tags")]
pub struct TagMutabilityError;

impl FromStr for TagMutability {
    type Err = TagMutabilityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [
            Self::Mutable,
            Self::Immutable,
            Self::ImmutableWithExclusion,
            Self::MutableWithExclusion,
        ];
        let found = all.into_iter().find(|one| one.as_str() == text);
        found.ok_or(TagMutabilityError)
    }
}

/// What can be chosen for a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySettings {
    /// Which tags can't be moved.
    pub tag_mutability: TagMutability,
    /// The filters of a mutability with exclusions.
    pub mutability_filters: Vec<String>,
    /// Whether images shall be scanned when they are pushed.
    pub scan_on_push: bool,
    /// How the content shall be encrypted, JSON.
    pub encryption: String,
    /// The repository's own tags.
    pub resource_tags: BTreeMap<String, String>,
}

impl Default for RepositorySettings {
    fn default() -> Self {
        Self {
            tag_mutability: TagMutability::default(),
            mutability_filters: Vec::new(),
            scan_on_push: false,
            encryption: r#"{"encryptionType":"AES256"}"#.into(),
            resource_tags: BTreeMap::new(),
        }
    }
}

impl RepositorySettings {
    /// Whether a tag can't be moved once it is set.
    #[must_use]
    pub fn is_immutable(&self, tag: &Tag) -> bool {
        let mut filters = self.mutability_filters.iter();
        let mut matched = || filters.any(|text| Pattern::new(text.as_str()).matches(tag.as_str()));
        match self.tag_mutability {
            TagMutability::Mutable => false,
            TagMutability::Immutable => true,
            TagMutability::ImmutableWithExclusion => !matched(),
            TagMutability::MutableWithExclusion => matched(),
        }
    }
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryRecord {
    /// Its name.
    pub name: RepositoryName,
    /// When it was made.
    pub created_at: Timestamp,
    /// What was chosen for it.
    pub settings: RepositorySettings,
    /// Its lifecycle policy, JSON.
    pub lifecycle_policy: Option<String>,
    /// When that was run last.
    pub lifecycle_evaluated_at: Option<Timestamp>,
}

/// What becomes of a repository that shall be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, with all that was in it.
    Gone(RepositoryRecord),
    /// It has images, and nobody said that they may go too.
    NotEmpty,
}

const COLUMNS_OF_ONE: &str = "
    SELECT name, created_at, tag_mutability, mutability_filters, scan_on_push, encryption,
           resource_tags, lifecycle_policy, lifecycle_evaluated_at
    FROM repositories WHERE name = $1 AND deleted_at IS NULL";

const COLUMNS_OF_PAGE: &str = "
    SELECT name, created_at, tag_mutability, mutability_filters, scan_on_push, encryption,
           resource_tags, lifecycle_policy, lifecycle_evaluated_at
    FROM repositories WHERE name > $1 AND deleted_at IS NULL ORDER BY name LIMIT $2";

impl Metadata {
    /// A repository.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn repository(
        &self,
        name: &RepositoryName,
    ) -> Result<Option<RepositoryRecord>, Error> {
        let name = name.clone();
        self.read(move |transaction| one(transaction, &name)).await
    }

    /// The repositories behind `after`, by name, `limit` at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn repository_records(
        &self,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<RepositoryRecord>, Error> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |transaction| {
            let rows =
                transaction.query(COLUMNS_OF_PAGE, &[after.as_str().into(), limit.into()])?;
            rows.into_iter().map(read).collect()
        })
        .await
    }

    /// Makes a repository. Nothing when there is one of this name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn create_repository(
        &self,
        name: &RepositoryName,
        settings: RepositorySettings,
        lifecycle_policy: Option<String>,
        change: Change,
    ) -> Result<Option<RepositoryRecord>, Error> {
        let name = name.clone();
        self.commit(change.clone(), move |transaction, journal| {
            if repositories::find(transaction, &name)?.is_some() {
                return Ok(None);
            }
            repositories::create(transaction, journal, &name, change.now)?;
            store(transaction, &name, &settings)?;
            store_lifecycle(transaction, &name, lifecycle_policy.as_deref())?;
            one(transaction, &name)
        })
        .await
    }

    /// Changes what was chosen for a repository, and gives what it is then.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn change_repository(
        &self,
        name: &RepositoryName,
        mut change: impl FnMut(&mut RepositorySettings) + Send + 'static,
    ) -> Result<RepositoryRecord, Error> {
        let name = name.clone();
        self.write(move |transaction| {
            let unknown = || Error::RepositoryUnknown(name.clone());
            let mut record = one(transaction, &name)?.ok_or_else(unknown)?;
            change(&mut record.settings);
            store(transaction, &name, &record.settings)?;
            Ok(record)
        })
        .await
    }

    /// Sets or removes the lifecycle policy of a repository, and gives what it was before.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn set_lifecycle_policy(
        &self,
        name: &RepositoryName,
        policy: Option<String>,
        change: Change,
    ) -> Result<RepositoryRecord, Error> {
        let name = name.clone();
        self.commit(change, move |transaction, journal| {
            let unknown = || Error::RepositoryUnknown(name.clone());
            let record = one(transaction, &name)?.ok_or_else(unknown)?;
            store_lifecycle(transaction, &name, policy.as_deref())?;
            let detail = EventDetail {
                removed: policy.is_none(),
                ..EventDetail::default()
            };
            journal.note(EventKind::LifecyclePolicyChanged, Some(&name), detail);
            Ok(record)
        })
        .await
    }

    /// Records that the lifecycle policy of a repository was run.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn lifecycle_evaluated(
        &self,
        name: &RepositoryName,
        now: Timestamp,
    ) -> Result<(), Error> {
        let name = name.clone();
        self.write(move |transaction| {
            transaction.execute(
                "UPDATE repositories SET lifecycle_evaluated_at = $2 WHERE name = $1",
                &[name.as_str().into(), now.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Deletes a repository with its policy. One that has images only goes with `force`, and they
    /// with it; all of that can be restored for a time.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn delete_repository(
        &self,
        name: &RepositoryName,
        force: bool,
        change: Change,
    ) -> Result<Deleted, Error> {
        let name = name.clone();
        let Change { actor, now, .. } = change.clone();
        self.commit(change, move |transaction, journal| {
            let unknown = || Error::RepositoryUnknown(name.clone());
            let record = one(transaction, &name)?.ok_or_else(unknown)?;
            let id = repositories::require(transaction, &name)?;
            let image = transaction.query_one(
                "SELECT id FROM manifests WHERE repository_id = $1 AND deleted_at IS NULL LIMIT 1",
                &[id.into()],
            )?;
            if image.is_some() && !force {
                return Ok(Deleted::NotEmpty);
            }
            let policy = format!("repository/{name}");
            for (sql, values) in [
                (
                    "INSERT INTO tag_history (repository_id, tag, previous, actor, changed_at)
                     SELECT tags.repository_id, tags.name, manifests.digest, $2, $3 FROM tags
                     JOIN manifests ON manifests.id = tags.manifest_id
                     WHERE tags.repository_id = $1",
                    &[id.into(), actor.as_str().into(), now.into()][..],
                ),
                ("DELETE FROM tags WHERE repository_id = $1", &[id.into()]),
                (
                    "UPDATE manifests SET deleted_at = $2
                     WHERE repository_id = $1 AND deleted_at IS NULL",
                    &[id.into(), now.into()],
                ),
                (
                    "UPDATE blob_links SET deleted_at = $2
                     WHERE repository_id = $1 AND deleted_at IS NULL",
                    &[id.into(), now.into()],
                ),
                (
                    "INSERT INTO reviews (repository_id, blob_id, since)
                     SELECT repository_id, blob_id, CAST($2 AS BIGINT) FROM blob_links
                     WHERE repository_id = $1
                     ON CONFLICT (repository_id, blob_id) DO UPDATE SET since = excluded.since",
                    &[id.into(), now.into()],
                ),
                (
                    "UPDATE repositories SET deleted_at = $2 WHERE id = $1",
                    &[id.into(), now.into()],
                ),
                (
                    "DELETE FROM policies WHERE target = $1",
                    &[policy.as_str().into()],
                ),
                (
                    "UPDATE access_revision SET revision = revision + 1 WHERE id = 1",
                    &[],
                ),
            ] {
                transaction.execute(sql, values)?;
            }
            journal.note(
                EventKind::RepositoryDeleted,
                Some(&name),
                EventDetail::default(),
            );
            Ok(Deleted::Gone(record))
        })
        .await
    }
}

/// What was chosen for a repository, by its row.
pub(super) fn of(
    transaction: &mut dyn Transaction,
    repository_id: i64,
) -> Result<RepositorySettings, Error> {
    let row = transaction.query_one(
        "SELECT name, created_at, tag_mutability, mutability_filters, scan_on_push, encryption,
                resource_tags, lifecycle_policy, lifecycle_evaluated_at
         FROM repositories WHERE id = $1",
        &[repository_id.into()],
    )?;
    let row = row.ok_or_else(|| Error::corrupt("repository", repository_id))?;
    Ok(read(row)?.settings)
}

fn one(
    transaction: &mut dyn Transaction,
    name: &RepositoryName,
) -> Result<Option<RepositoryRecord>, Error> {
    let row = transaction.query_one(COLUMNS_OF_ONE, &[name.as_str().into()])?;
    row.map(read).transpose()
}

fn store(
    transaction: &mut dyn Transaction,
    name: &RepositoryName,
    settings: &RepositorySettings,
) -> Result<(), Error> {
    let filters = serde_json::to_string(&settings.mutability_filters).expect("texts have a form");
    let tags = serde_json::to_string(&settings.resource_tags).expect("texts have a form");
    transaction.execute(
        "UPDATE repositories SET tag_mutability = $2, mutability_filters = $3, scan_on_push = $4,
             encryption = $5, resource_tags = $6
         WHERE name = $1",
        &[
            name.as_str().into(),
            settings.tag_mutability.as_str().into(),
            filters.as_str().into(),
            i64::from(settings.scan_on_push).into(),
            settings.encryption.as_str().into(),
            tags.as_str().into(),
        ],
    )?;
    Ok(())
}

fn store_lifecycle(
    transaction: &mut dyn Transaction,
    name: &RepositoryName,
    policy: Option<&str>,
) -> Result<(), Error> {
    transaction.execute(
        "UPDATE repositories SET lifecycle_policy = $2, lifecycle_evaluated_at = NULL
         WHERE name = $1",
        &[name.as_str().into(), policy.into()],
    )?;
    Ok(())
}

fn read(mut row: Row) -> Result<RepositoryRecord, Error> {
    fn json<T: serde::de::DeserializeOwned>(name: &'static str, text: &str) -> Result<T, Error> {
        serde_json::from_str(text).map_err(|_| Error::corrupt(name, text))
    }
    Ok(RepositoryRecord {
        name: row.parsed("a repository's name")?,
        created_at: row.time("created_at")?,
        settings: RepositorySettings {
            tag_mutability: row.parsed("tag_mutability")?,
            mutability_filters: json("mutability_filters", &row.text("mutability_filters")?)?,
            scan_on_push: row.integer("scan_on_push")? != 0,
            encryption: row.text("encryption")?,
            resource_tags: json("resource_tags", &row.text("resource_tags")?)?,
        },
        lifecycle_policy: row.optional_text("lifecycle_policy")?,
        lifecycle_evaluated_at: row.optional_time("lifecycle_evaluated_at")?,
    })
}
