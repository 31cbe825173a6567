//! The archive: an image goes there and comes back with all that it holds, in one transaction.

use super::Metadata;
use super::error::Error;
use super::events::{Change, EventDetail, EventKind, Journal};
use super::groups::{self, Holders, Member};
use super::repositories;
use super::transaction::Transaction;
use crate::oci::{Digest, RepositoryName, Tag};

/// Where an image's bytes are meant to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StorageClass {
    /// It can be pulled.
    Standard,
    /// It is kept, and can be pulled after it was restored.
    Archive,
}

impl StorageClass {
    /// The word that stands for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::Archive => "ARCHIVE",
        }
    }
}

impl Metadata {
    /// The storage class of an image, where it is there.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn storage_class(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<StorageClass>, Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.read(move |transaction| {
            let repository_id = repositories::require(transaction, &repository)?;
            let found = groups::find(transaction, repository_id, &digest)?;
            Ok(found.map(|member| match member.is_archived {
                true => StorageClass::Archive,
                false => StorageClass::Standard,
            }))
        })
        .await
    }

    /// Puts an image into another storage class, and tells whether it is there. What it holds goes
    /// with it: to the archive, unless something else that can be pulled holds it, or it has a tag
    /// of its own and refers to nothing; and back from there in any case.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn set_storage_class(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        class: StorageClass,
        change: Change,
    ) -> Result<bool, Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.commit(change.clone(), move |transaction, journal| {
            let repository_id = repositories::require(transaction, &repository)?;
            let Some(root) = groups::find(transaction, repository_id, &digest)? else {
                return Ok(false);
            };
            let members = groups::members(transaction, repository_id, root)?;
            match class {
                StorageClass::Standard => {
                    for member in members.iter().filter(|member| member.is_archived) {
                        restore(transaction, journal, &repository, member, &change)?;
                    }
                }
                StorageClass::Archive => {
                    let (root, held) = members.split_first().expect("the image is its own member");
                    if !root.is_archived {
                        archive(transaction, journal, &repository, root, &change)?;
                    }
                    let waiting = held.iter().filter(|member| !member.is_archived).collect();
                    let mut place = Place {
                        transaction,
                        journal,
                        repository: &repository,
                        repository_id,
                        change: &change,
                    };
                    archive_held(&mut place, waiting)?;
                }
            }
            Ok(true)
        })
        .await
    }
}

/// Where something is archived, and by what.
struct Place<'a> {
    transaction: &'a mut dyn Transaction,
    journal: &'a mut Journal,
    repository: &'a RepositoryName,
    repository_id: i64,
    change: &'a Change,
}

/// Archives those that nothing keeps any more, the holders first.
fn archive_held(place: &mut Place<'_>, mut waiting: Vec<&Member>) -> Result<(), Error> {
    loop {
        let before = waiting.len();
        let mut left = Vec::new();
        for member in waiting {
            let tags = groups::tags(place.transaction, member)?;
            let is_own = |tag: &Tag| tag.subject().is_none();
            let stays = member.subject.is_none() && tags.iter().any(is_own)
                || groups::is_held(
                    place.transaction,
                    place.repository_id,
                    member,
                    &tags,
                    Holders::Pullable,
                )?;
            match stays {
                true => left.push(member),
                false => archive(
                    place.transaction,
                    place.journal,
                    place.repository,
                    member,
                    place.change,
                )?,
            }
        }
        if left.len() == before {
            return Ok(());
        }
        waiting = left;
    }
}

/// Restores an image that was pushed while it was archived, with all that it holds.
pub(super) fn restore_pushed(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    repository: &RepositoryName,
    repository_id: i64,
    digest: &Digest,
    change: &Change,
) -> Result<(), Error> {
    let root = groups::find(transaction, repository_id, digest)?
        .ok_or_else(|| Error::corrupt("a manifest", digest))?;
    for member in groups::members(transaction, repository_id, root)? {
        if member.is_archived {
            restore(transaction, journal, repository, &member, change)?;
        }
    }
    Ok(())
}

/// Archives an image, and notes that.
pub(super) fn archive(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    repository: &RepositoryName,
    member: &Member,
    change: &Change,
) -> Result<(), Error> {
    transaction.execute(
        "UPDATE manifests SET archived_at = $2, storage_class = 'ARCHIVE' WHERE id = $1",
        &[member.id.into(), change.now.into()],
    )?;
    note(journal, EventKind::ImageArchived, repository, member);
    Ok(())
}

fn restore(
    transaction: &mut dyn Transaction,
    journal: &mut Journal,
    repository: &RepositoryName,
    member: &Member,
    change: &Change,
) -> Result<(), Error> {
    transaction.execute(
        "UPDATE manifests SET activated_at = $2, storage_class = 'STANDARD' WHERE id = $1",
        &[member.id.into(), change.now.into()],
    )?;
    note(journal, EventKind::ImageRestored, repository, member);
    Ok(())
}

fn note(journal: &mut Journal, kind: EventKind, repository: &RepositoryName, member: &Member) {
    let detail = EventDetail {
        digest: Some(member.digest.clone()),
        media_type: Some(member.media_type.clone()),
        artifact_type: member.artifact_type.clone(),
        ..EventDetail::default()
    };
    journal.note(kind, Some(repository), detail);
}
