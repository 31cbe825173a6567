//! What lifecycle policies decide about, and doing what they decided.
//!
//! A policy decides on a picture of the repository. Each method here is one transaction that looks
//! again: what was tagged, named by another manifest, leased, locked or pushed again meanwhile stays.

use std::collections::HashMap;
use std::time::Duration;

use super::error::Error;
use super::events::{Change, Journal};
use super::groups::{self, Holders, Member};
use super::images::{self, Image};
use super::transaction::Transaction;
use super::{Metadata, manifests, repositories, storage_class, tags};
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName, Tag};

/// How long a push may wait for what belongs to it: the images of an index come before it, and
/// nothing names them until then.
const GRACE: Duration = Duration::from_secs(3600);

/// An image as lifecycle policies see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// The image, without its bytes.
    pub image: Image,
    /// When it was pushed last.
    pub last_pushed_at: Timestamp,
    /// The manifests that it names, where it is an index.
    pub children: Vec<Digest>,
    /// Whether somebody runs it.
    pub is_leased: bool,
    /// Whether one of its tags is locked.
    pub is_locked: bool,
}

impl ImageFacts {
    /// Whether it may be part of a push that is still going on: it has no tag, or was there before,
    /// and was pushed within the last hour.
    #[must_use]
    pub fn is_settling(&self, now: Timestamp) -> bool {
        let image = &self.image;
        is_settling(image.pushed_at, self.last_pushed_at, &image.tags, now)
    }
}

fn is_settling(pushed: Timestamp, last_pushed: Timestamp, tags: &[Tag], now: Timestamp) -> bool {
    (tags.is_empty() || last_pushed > pushed) && last_pushed.after(GRACE) > now
}

/// An image that a policy chose, with the tags that it was chosen with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The image.
    pub digest: Digest,
    /// Its tags, in ASCII order.
    pub tags: Vec<Tag>,
}

impl Metadata {
    /// Every image of a repository as lifecycle policies see it.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn image_facts(
        &self,
        repository: &RepositoryName,
        now: Timestamp,
    ) -> Result<Vec<ImageFacts>, Error> {
        let repository = repository.clone();
        self.read(move |transaction| {
            let repository_id = repositories::require(transaction, &repository)?;
            facts(transaction, repository_id, now)
        })
        .await
    }

    /// Deletes an image that a policy chose, and with it those of the same choice that nothing holds
    /// any more; tells how many went. The first of them decides: where it isn't any more as it was
    /// chosen, is held by an image that stays, or where its group is leased or locked, all stay.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn expire_images(
        &self,
        repository: &RepositoryName,
        chosen: Vec<Chosen>,
        change: Change,
    ) -> Result<u64, Error> {
        self.act(
            repository,
            chosen,
            change,
            Holders::Live,
            |transaction, journal, repository, member, change| {
                manifests::remove(transaction, journal, repository, member.id, change)?;
                Ok(true)
            },
        )
        .await
    }

    /// Archives an image that a policy chose, in the same way.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn archive_images(
        &self,
        repository: &RepositoryName,
        chosen: Vec<Chosen>,
        change: Change,
    ) -> Result<u64, Error> {
        self.act(
            repository,
            chosen,
            change,
            Holders::Pullable,
            |transaction, journal, repository, member, change| {
                if member.is_archived {
                    return Ok(false);
                }
                storage_class::archive(transaction, journal, repository, member, change)?;
                Ok(true)
            },
        )
        .await
    }

    /// Does `work` to each of the chosen that may go, and tells for how many it did something.
    async fn act(
        &self,
        repository: &RepositoryName,
        chosen: Vec<Chosen>,
        change: Change,
        holders: Holders,
        work: Act,
    ) -> Result<u64, Error> {
        let repository = repository.clone();
        self.commit(change.clone(), move |transaction, journal| {
            let repository_id = repositories::require(transaction, &repository)?;
            let look = Look {
                repository_id,
                holders,
                now: change.now,
            };
            if !look.may_go(transaction, &chosen)? {
                return Ok(0);
            }
            let mut done = 0;
            for one in &chosen {
                if let Some(member) = look.free(transaction, one)? {
                    let acted = work(transaction, journal, &repository, &member, &change)?;
                    done += u64::from(acted);
                }
            }
            Ok(done)
        })
        .await
    }

    /// Takes tags from an image, where they still name it and nothing of its group is leased or
    /// locked; tells how many went.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn untag_image(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        tags: Vec<Tag>,
        change: Change,
    ) -> Result<u64, Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.commit(change.clone(), move |transaction, journal| {
            let repository_id = repositories::require(transaction, &repository)?;
            let Some(image) = groups::find(transaction, repository_id, &digest)? else {
                return Ok(0);
            };
            let present = groups::tags(transaction, &image)?;
            let members = groups::members(transaction, repository_id, image)?;
            if groups::is_protected(transaction, &members, change.now)? {
                return Ok(0);
            }
            let mut gone = 0;
            for tag in tags.iter().filter(|tag| present.contains(tag)) {
                let from = (&repository, repository_id);
                tags::remove(transaction, journal, from, tag, &digest, &change)?;
                gone += 1;
            }
            Ok(gone)
        })
        .await
    }
}

/// What is done to an image that may go; tells whether there was something to do.
type Act = fn(
    &mut dyn Transaction,
    &mut Journal,
    &RepositoryName,
    &Member,
    &Change,
) -> Result<bool, Error>;

/// How a transaction looks at what was chosen.
struct Look {
    repository_id: i64,
    holders: Holders,
    now: Timestamp,
}

impl Look {
    /// Whether the first of these may go with what it holds.
    fn may_go(&self, transaction: &mut dyn Transaction, chosen: &[Chosen]) -> Result<bool, Error> {
        let Some(first) = chosen.first() else {
            return Ok(false);
        };
        let Some(root) = self.free(transaction, first)? else {
            return Ok(false);
        };
        let members = groups::members(transaction, self.repository_id, root)?;
        Ok(!groups::is_protected(transaction, &members, self.now)?)
    }

    /// The image that was chosen, where it is as it was then and nothing holds it.
    fn free(
        &self,
        transaction: &mut dyn Transaction,
        chosen: &Chosen,
    ) -> Result<Option<Member>, Error> {
        let Some(member) = groups::find(transaction, self.repository_id, &chosen.digest)? else {
            return Ok(None);
        };
        let tags = groups::tags(transaction, &member)?;
        let (pushed, last_pushed) = (member.pushed_at, member.last_pushed_at);
        let is_same = tags == chosen.tags;
        let stays = !is_same
            || is_settling(pushed, last_pushed, &tags, self.now)
            || groups::is_held(
                transaction,
                self.repository_id,
                &member,
                &tags,
                self.holders,
            )?;
        Ok((!stays).then_some(member))
    }
}

fn facts(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    now: Timestamp,
) -> Result<Vec<ImageFacts>, Error> {
    let rows = transaction.query(
        "SELECT manifest_id, name, CASE WHEN locked_at IS NULL THEN 0 ELSE 1 END
         FROM tags WHERE repository_id = $1 ORDER BY name",
        &[repository_id.into()],
    )?;
    let mut tags: HashMap<i64, (Vec<Tag>, bool)> = HashMap::new();
    for mut row in rows {
        let entry = tags.entry(row.integer("a manifest's id")?).or_default();
        entry.0.push(row.parsed("a tag")?);
        entry.1 |= row.integer("whether it is locked")? != 0;
    }
    let rows = transaction.query(
        "SELECT manifest_references.manifest_id, manifest_references.digest
         FROM manifest_references
         JOIN manifests ON manifests.id = manifest_references.manifest_id
         WHERE manifests.repository_id = $1 AND manifests.deleted_at IS NULL
           AND manifest_references.kind IN ('manifest', 'either')",
        &[repository_id.into()],
    )?;
    let mut children: HashMap<i64, Vec<Digest>> = HashMap::new();
    for mut row in rows {
        let parent = row.integer("a manifest's id")?;
        children
            .entry(parent)
            .or_default()
            .push(row.parsed("a manifest's digest")?);
    }
    let rows = transaction.query(
        "SELECT id, digest, media_type, artifact_type, subject, pushed_at, last_pulled_at,
                storage_class, archived_at, activated_at,
                CASE WHEN EXISTS (SELECT 1 FROM leases
                                  WHERE leases.digest = manifests.digest AND expires_at > $2)
                     THEN 1 ELSE 0 END,
                COALESCE(last_pushed_at, pushed_at)
         FROM manifests WHERE repository_id = $1 AND deleted_at IS NULL",
        &[repository_id.into(), now.into()],
    )?;
    rows.into_iter()
        .map(|mut row| {
            let id = row.integer("a manifest's id")?;
            let (tags, is_locked) = tags.remove(&id).unwrap_or_default();
            let image = images::head(&mut row, tags)?;
            Ok(ImageFacts {
                image,
                children: children.remove(&id).unwrap_or_default(),
                is_leased: row.integer("whether it is leased")? != 0,
                is_locked,
                last_pushed_at: row.time("last_pushed_at")?,
            })
        })
        .collect()
}
