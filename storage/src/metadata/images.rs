//! Images as lists of them tell: their tags, their times, their storage class.

use std::collections::HashMap;

use bytes::Bytes;

use super::error::Error;
use super::events::{Change, EventDetail};
use super::storage_class::StorageClass;
use super::transaction::{Row, Transaction};
use super::{Metadata, repositories};
use crate::clock::Timestamp;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its manifest's digest.
    pub digest: Digest,
    /// Its manifest's type.
    pub media_type: MediaType,
    /// What kind of artifact it is, where it says so.
    pub artifact_type: Option<String>,
    /// The manifest that it refers to.
    pub subject: Option<Digest>,
    /// The tags that name it, in ASCII order.
    pub tags: Vec<Tag>,
    /// When it was pushed first.
    pub pushed_at: Timestamp,
    /// When it was pulled last, as far as that is known.
    pub pulled_at: Option<Timestamp>,
    /// Where its bytes are meant to lie.
    pub storage_class: StorageClass,
    /// When it was archived last.
    pub archived_at: Option<Timestamp>,
    /// When it came back from the archive last.
    pub activated_at: Option<Timestamp>,
    /// The manifest itself.
    pub bytes: Bytes,
}

/// An image as a list of names tells of it: once for each of its tags, once if it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// Its manifest's digest.
    pub digest: Digest,
    /// One of its tags.
    pub tag: Option<Tag>,
}

/// Which images a list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageFilter {
    /// Only those of this storage class.
    pub class: Option<StorageClass>,
    /// Only those that have a tag, or none.
    pub tagged: Option<bool>,
}

/// What is pulled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pull {
    /// Where.
    pub repository: RepositoryName,
    /// What.
    pub digest: Digest,
}

/// How something was pulled lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// When last.
    pub at: Timestamp,
    /// By whom last.
    pub by: String,
    /// How often.
    pub count: u64,
}

impl Metadata {
    /// The images of a repository behind `after`, by digest, `limit` at most.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn images(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Image>, Error> {
        let repository = repository.clone();
        let after = after.unwrap_or_default().to_owned();
        self.read(move |transaction| {
            let repository_id = repositories::require(transaction, &repository)?;
            let rows = transaction.query(
                "SELECT id, digest, media_type, artifact_type, subject, pushed_at, last_pulled_at,
                        storage_class, archived_at, activated_at, bytes
                 FROM manifests
                 WHERE repository_id = $1 AND digest > $2 AND deleted_at IS NULL
                 ORDER BY digest LIMIT $3",
                &[repository_id.into(), after.as_str().into(), limit.into()],
            )?;
            // One query for the tags of all of them: each one is a way to the database.
            let tagged = transaction.query(
                "SELECT manifest_id, name FROM tags WHERE manifest_id IN
                    (SELECT id FROM manifests
                     WHERE repository_id = $1 AND digest > $2 AND deleted_at IS NULL
                     ORDER BY digest LIMIT $3)
                 ORDER BY name",
                &[repository_id.into(), after.as_str().into(), limit.into()],
            )?;
            let mut tags: HashMap<i64, Vec<Tag>> = HashMap::new();
            for mut row in tagged {
                let id = row.integer("a manifest's id")?;
                tags.entry(id).or_default().push(row.parsed("a tag")?);
            }
            let with_tags = |mut row: Row| {
                let id = row.integer("a manifest's id")?;
                let mut image = head(&mut row, tags.remove(&id).unwrap_or_default())?;
                image.bytes = row.bytes("a manifest's bytes")?.into();
                Ok(image)
            };
            rows.into_iter().map(with_tags).collect()
        })
        .await
    }

    /// The names of images of a repository behind `after`, by digest and tag, `limit` at most.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn image_names(
        &self,
        repository: &RepositoryName,
        after: Option<&ImageName>,
        filter: ImageFilter,
        limit: u64,
    ) -> Result<Vec<ImageName>, Error> {
        let (repository, after) = (repository.clone(), after.cloned());
        self.read(move |transaction| {
            let repository_id = repositories::require(transaction, &repository)?;
            let digest = after.as_ref().map_or("", |after| after.digest.as_str());
            let tag = after.as_ref().and_then(|after| after.tag.as_ref());
            let class = filter.class.map_or("", StorageClass::as_str);
            let tagged = match filter.tagged {
                None => "",
                Some(true) => "TAGGED",
                Some(false) => "UNTAGGED",
            };
            let rows = transaction.query(
                "SELECT manifests.digest, tags.name FROM manifests
                 LEFT JOIN tags ON tags.manifest_id = manifests.id
                 WHERE manifests.repository_id = $1 AND manifests.deleted_at IS NULL
                   AND manifests.digest >= $2
                   AND (manifests.digest > $2 OR tags.name > $3)
                   AND ($4 = '' OR manifests.storage_class = $4)
                   AND ($5 = '' OR $5 = 'TAGGED' AND tags.name IS NOT NULL
                        OR $5 = 'UNTAGGED' AND tags.name IS NULL)
                 ORDER BY manifests.digest, tags.name LIMIT $6",
                &[
                    repository_id.into(),
                    digest.into(),
                    tag.map_or("", Tag::as_str).into(),
                    class.into(),
                    tagged.into(),
                    limit.into(),
                ],
            )?;
            let name = |mut row: Row| {
                let digest = row.parsed("a manifest's digest")?;
                let tag = row.optional_text("a tag")?;
                let tag = tag
                    .map(|text| text.parse().map_err(|_| Error::corrupt("a tag", text)))
                    .transpose()?;
                Ok(ImageName { digest, tag })
            };
            rows.into_iter().map(name).collect()
        })
        .await
    }

    /// An image, whatever its storage class.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn image(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Image>, Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.read(move |transaction| {
            let repository_id = repositories::require(transaction, &repository)?;
            let row = transaction.query_one(
                "SELECT id, digest, media_type, artifact_type, subject, pushed_at, last_pulled_at,
                        storage_class, archived_at, activated_at, bytes
                 FROM manifests
                 WHERE repository_id = $1 AND digest = $2 AND deleted_at IS NULL",
                &[repository_id.into(), digest.as_str().into()],
            )?;
            row.map(|row| image(transaction, row)).transpose()
        })
        .await
    }

    /// The digest that a tag names, whatever the image's storage class.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn tagged(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<Digest>, Error> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.read(move |transaction| {
            let repository_id = repositories::require(transaction, &repository)?;
            let row = transaction.query_one(
                "SELECT manifests.digest FROM tags
                 JOIN manifests ON manifests.id = tags.manifest_id
                 WHERE tags.repository_id = $1 AND tags.name = $2",
                &[repository_id.into(), tag.as_str().into()],
            )?;
            row.map(|mut row| row.parsed("a manifest's digest"))
                .transpose()
        })
        .await
    }

    /// The digests of indexes of a repository that name this manifest.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn indexes_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Digest>, Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT manifests.digest FROM manifest_references
                 JOIN manifests ON manifests.id = manifest_references.manifest_id
                 JOIN repositories ON repositories.id = manifests.repository_id
                 WHERE manifest_references.digest = $2 AND manifest_references.kind = 'manifest'
                   AND repositories.name = $1 AND manifests.deleted_at IS NULL
                 ORDER BY manifests.digest LIMIT 10",
                &[repository.as_str().into(), digest.as_str().into()],
            )?;
            rows.into_iter()
                .map(|mut row| row.parsed("a manifest's digest"))
                .collect()
        })
        .await
    }

    /// Records pulls. A time that is known to be later stays.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn record_pulls(
        &self,
        pulls: Vec<(Pull, Pulled)>,
        change: Change,
    ) -> Result<(), Error> {
        self.commit(change, move |transaction, journal| {
            for (pull, Pulled { at, by, count }) in &pulls {
                transaction.execute(
                    "UPDATE manifests SET last_pulled_at = $3
                     WHERE repository_id = (SELECT id FROM repositories WHERE name = $1)
                       AND digest = $2 AND COALESCE(last_pulled_at, 0) < $3",
                    &[
                        pull.repository.as_str().into(),
                        pull.digest.as_str().into(),
                        (*at).into(),
                    ],
                )?;
                let detail = EventDetail {
                    digest: Some(pull.digest.clone()),
                    count: Some(*count),
                    ..EventDetail::default()
                };
                journal.note_pull(&pull.repository, detail, by, *at);
            }
            Ok(())
        })
        .await
    }

    /// Takes or renews a lease on a digest.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn lease(
        &self,
        digest: &Digest,
        holder: &str,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (digest, holder) = (digest.clone(), holder.to_owned());
        self.write(move |transaction| {
            transaction.execute("DELETE FROM leases WHERE expires_at <= $1", &[now.into()])?;
            transaction.execute(
                "INSERT INTO leases (digest, holder, expires_at) VALUES ($1, $2, $3)
                 ON CONFLICT (digest, holder) DO UPDATE SET expires_at = excluded.expires_at",
                &[
                    digest.as_str().into(),
                    holder.as_str().into(),
                    expires_at.into(),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Gives a lease back, and tells whether it was there. One that has expired is there until
    /// somebody takes a lease.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn release(&self, digest: &Digest, holder: &str) -> Result<bool, Error> {
        let (digest, holder) = (digest.clone(), holder.to_owned());
        self.write(move |transaction| {
            let released = transaction.execute(
                "DELETE FROM leases WHERE digest = $1 AND holder = $2",
                &[digest.as_str().into(), holder.as_str().into()],
            )?;
            Ok(released > 0)
        })
        .await
    }

    /// The leases on a digest that hold: who, and until when.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn leases(
        &self,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<Vec<(String, Timestamp)>, Error> {
        let digest = digest.clone();
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT holder, expires_at FROM leases
                 WHERE digest = $1 AND expires_at > $2 ORDER BY holder",
                &[digest.as_str().into(), now.into()],
            )?;
            rows.into_iter()
                .map(|mut row| Ok((row.text("holder")?, row.time("expires_at")?)))
                .collect()
        })
        .await
    }

    /// Locks a tag or unlocks it, and tells whether it is there.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the database fails.
    pub async fn lock_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        locked_at: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.write(move |transaction| {
            let repository_id = repositories::require(transaction, &repository)?;
            let changed = transaction.execute(
                "UPDATE tags SET locked_at = $3 WHERE repository_id = $1 AND name = $2",
                &[repository_id.into(), tag.as_str().into(), locked_at.into()],
            )?;
            Ok(changed > 0)
        })
        .await
    }
}

fn image(transaction: &mut dyn Transaction, mut row: Row) -> Result<Image, Error> {
    let id = row.integer("a manifest's id")?;
    let rows = transaction.query(
        "SELECT name FROM tags WHERE manifest_id = $1 ORDER BY name",
        &[id.into()],
    )?;
    let tags = rows.into_iter().map(|mut row| row.parsed("a tag"));
    let tags = tags.collect::<Result<_, _>>()?;
    let mut image = head(&mut row, tags)?;
    image.bytes = row.bytes("a manifest's bytes")?.into();
    Ok(image)
}

/// An image without its bytes, from a row of its columns.
pub(super) fn head(row: &mut Row, tags: Vec<Tag>) -> Result<Image, Error> {
    let digest = row.parsed("a manifest's digest")?;
    let media_type = row.parsed("a manifest's type")?;
    let artifact_type = row.optional_text("an artifact's type")?;
    let subject = row.optional_text("a subject")?;
    Ok(Image {
        digest,
        media_type,
        artifact_type,
        subject: match subject {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| Error::corrupt("a subject", text))?,
            ),
        },
        tags,
        pushed_at: row.time("pushed_at")?,
        pulled_at: row.optional_time("last_pulled_at")?,
        storage_class: match row.text("storage_class")?.as_str() {
            "ARCHIVE" => StorageClass::Archive,
            _ => StorageClass::Standard,
        },
        archived_at: row.optional_time("archived_at")?,
        activated_at: row.optional_time("activated_at")?,
        bytes: Bytes::new(),
    })
}
