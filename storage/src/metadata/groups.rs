//! An index, its images, and what refers to them: one image, as it is in a transaction.
//!
//! An image holds the manifests that it names, and what refers to it: by a subject, or, where it has
//! none, by a tag of the digest ([`Tag::subject`]). What is held by an image that stays must not go
//! before it.

use std::collections::HashSet;

use super::error::Error;
use super::transaction::{Row, Transaction};
use crate::clock::Timestamp;
use crate::oci::{Digest, MediaType, Tag};

/// An image of a group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: i64,
    pub(super) digest: Digest,
    pub(super) media_type: MediaType,
    pub(super) artifact_type: Option<String>,
    pub(super) subject: Option<Digest>,
    pub(super) is_archived: bool,
    pub(super) pushed_at: Timestamp,
    pub(super) last_pushed_at: Timestamp,
}

/// Which images keep what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holders {
    /// All that are there.
    Live,
    /// Those that can be pulled.
    Pullable,
}

impl Holders {
    /// The storage class of those that don't count.
    const fn without(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Pullable => "ARCHIVE",
        }
    }
}

const ONE: &str = "
    SELECT id, digest, media_type, artifact_type, subject, storage_class, pushed_at,
           COALESCE(last_pushed_at, pushed_at)
    FROM manifests WHERE repository_id = $1 AND digest = $2 AND deleted_at IS NULL";

const HELD: &str = "
    SELECT id, digest, media_type, artifact_type, subject, storage_class, pushed_at,
           COALESCE(last_pushed_at, pushed_at)
    FROM manifests
    WHERE repository_id = $1 AND deleted_at IS NULL
      AND digest IN (SELECT manifest_references.digest FROM manifest_references
                     WHERE manifest_id = $2 AND kind IN ('manifest', 'either'))
    UNION
    SELECT id, digest, media_type, artifact_type, subject, storage_class, pushed_at,
           COALESCE(last_pushed_at, pushed_at)
    FROM manifests WHERE repository_id = $1 AND deleted_at IS NULL AND subject = $3
    UNION
    SELECT id, digest, media_type, artifact_type, subject, storage_class, pushed_at,
           COALESCE(last_pushed_at, pushed_at)
    FROM manifests
    WHERE repository_id = $1 AND deleted_at IS NULL AND subject IS NULL
      AND id IN (SELECT manifest_id FROM tags
                 WHERE tags.repository_id = $1
                   AND (name = $4 OR name >= $5 AND name < $6))
    ORDER BY 2";

/// An image, where it is there.
pub(super) fn find(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    digest: &Digest,
) -> Result<Option<Member>, Error> {
    let values = [repository_id.into(), digest.as_str().into()];
    let row = transaction.query_one(ONE, &values)?;
    row.map(read).transpose()
}

/// An image and all that it holds, itself first.
pub(super) fn members(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    root: Member,
) -> Result<Vec<Member>, Error> {
    let mut seen = HashSet::from([root.id]);
    let mut members = vec![root];
    let mut next = 0;
    while let Some(member) = members.get(next) {
        let found = held(transaction, repository_id, member)?;
        members.extend(found.into_iter().filter(|found| seen.insert(found.id)));
        next += 1;
    }
    Ok(members)
}

/// What an image holds directly.
fn held(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    member: &Member,
) -> Result<Vec<Member>, Error> {
    let tag = Tag::of_referrers(&member.digest);
    // The slash stands right behind the dot.
    let (from, to) = (format!("{tag}."), format!("{tag}/"));
    let rows = transaction.query(
        HELD,
        &[
            repository_id.into(),
            member.id.into(),
            member.digest.as_str().into(),
            tag.as_str().into(),
            from.as_str().into(),
            to.as_str().into(),
        ],
    )?;
    rows.into_iter().map(read).collect()
}

/// Whether one of these holds an image that has these tags.
pub(super) fn is_held(
    transaction: &mut dyn Transaction,
    repository_id: i64,
    member: &Member,
    tags: &[Tag],
    holders: Holders,
) -> Result<bool, Error> {
    let without = holders.without();
    let named = transaction.query_one(
        "SELECT manifests.id FROM manifest_references
         JOIN manifests ON manifests.id = manifest_references.manifest_id
         WHERE manifest_references.digest = $2
           AND manifest_references.kind IN ('manifest', 'either')
           AND manifests.repository_id = $1 AND manifests.deleted_at IS NULL
           AND manifests.storage_class <> $3
         LIMIT 1",
        &[
            repository_id.into(),
            member.digest.as_str().into(),
            without.into(),
        ],
    )?;
    if named.is_some() {
        return Ok(true);
    }
    let subjects: Vec<Digest> = match &member.subject {
        Some(subject) => vec![subject.clone()],
        None => tags.iter().filter_map(Tag::subject).collect(),
    };
    for subject in subjects.iter().filter(|digest| **digest != member.digest) {
        let found = transaction.query_one(
            "SELECT id FROM manifests
             WHERE repository_id = $1 AND digest = $2 AND deleted_at IS NULL
               AND storage_class <> $3",
            &[
                repository_id.into(),
                subject.as_str().into(),
                without.into(),
            ],
        )?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether somebody runs one of these images, or has locked a tag of one.
pub(super) fn is_protected(
    transaction: &mut dyn Transaction,
    members: &[Member],
    now: Timestamp,
) -> Result<bool, Error> {
    for member in members {
        let found = transaction.query_one(
            "SELECT digest FROM leases WHERE digest = $1 AND expires_at > $2
             UNION ALL
             SELECT name FROM tags WHERE manifest_id = $3 AND locked_at IS NOT NULL
             LIMIT 1",
            &[member.digest.as_str().into(), now.into(), member.id.into()],
        )?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The tags of an image, in ASCII order.
pub(super) fn tags(transaction: &mut dyn Transaction, member: &Member) -> Result<Vec<Tag>, Error> {
    let rows = transaction.query(
        "SELECT name FROM tags WHERE manifest_id = $1 ORDER BY name",
        &[member.id.into()],
    )?;
    rows.into_iter()
        .map(|mut row| row.parsed("a tag"))
        .collect()
}

fn read(mut row: Row) -> Result<Member, Error> {
    let id = row.integer("a manifest's id")?;
    let digest = row.parsed("a manifest's digest")?;
    let media_type = row.parsed("a manifest's type")?;
    let artifact_type = row.optional_text("an artifact's type")?;
    let subject = row.optional_text("a subject")?;
    let subject = subject
        .map(|text| text.parse().map_err(|_| Error::corrupt("a subject", text)))
        .transpose()?;
    Ok(Member {
        id,
        digest,
        media_type,
        artifact_type,
        subject,
        is_archived: row.text("storage_class")? == "ARCHIVE",
        pushed_at: row.time("pushed_at")?,
        last_pushed_at: row.time("last_pushed_at")?,
    })
}
