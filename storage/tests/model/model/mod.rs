//! What the metadata should say, kept in plain maps.
//!
//! Written from what is documented about [`Metadata`](wharf_storage::metadata::Metadata) and
//! in `docs/storage.md`; it shares no code with what it is compared to.
//!
//! | module | job |
//! |---|---|
//! | `blobs` | uploads, links of blobs |
//! | `manifests` | pushes, deletes, tags and their history |
//! | `repositories` | repositories and their settings |
//! | `trash` | bringing back what was deleted |
//! | `images` | lists of images, leases, the archive |
//! | `collection` | the steps of collection |

mod blobs;
mod collection;
pub(crate) mod images;
mod manifests;
mod repositories;
pub(crate) mod trash;

use std::collections::{BTreeMap, BTreeSet};

use wharf_storage::blob::Location;
use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::{Error, EventKind, RepositoryRecord, StorageClass, TagMove};
use wharf_storage::oci::{Digest, RepositoryName, Tag};
use wharf_storage::upload::UploadId;

use crate::world::World;

/// A refusal that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    RepositoryUnknown,
    BlobUnknown,
    ManifestUnknown,
    ContentMissing(BTreeSet<String>),
    TagImmutable(Tag, Digest),
    UploadUnknown,
    UploadMoved,
    TooManyUploads {
        open: u64,
        limit: u64,
    },
    /// What no model says: the database failed.
    Failed(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::RepositoryUnknown(_) => Self::RepositoryUnknown,
            Error::BlobUnknown(_) => Self::BlobUnknown,
            Error::ManifestUnknown(_) => Self::ManifestUnknown,
            Error::ContentMissing(digests) => {
                Self::ContentMissing(digests.iter().map(ToString::to_string).collect())
            }
            Error::TagImmutable { tag, digest } => Self::TagImmutable(tag, digest),
            Error::UploadUnknown => Self::UploadUnknown,
            Error::UploadMoved => Self::UploadMoved,
            Error::TooManyUploads { open, limit } => Self::TooManyUploads { open, limit },
            error @ (Error::Corrupt { .. }
            | Error::Full(_)
            | Error::Unavailable(_)
            | Error::Database(_)
            | Error::Closed) => Self::Failed(format!("{error:?}")),
        }
    }
}

/// What comes of a call.
pub(crate) type Answer<T> = Result<T, Refusal>;

/// A blob whose bytes lie somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Bytes {
    pub(crate) size: u64,
    pub(crate) location: Location,
    pub(crate) condemned_at: Option<Timestamp>,
}

/// A blob in a repository.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) deleted_at: Option<Timestamp>,
    pub(crate) review_since: Option<Timestamp>,
}

/// A manifest in a repository.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Its place among all manifests, by when it came first.
    pub(crate) row: u64,
    pub(crate) pushed_at: Timestamp,
    pub(crate) last_pushed_at: Timestamp,
    pub(crate) pulled_at: Option<Timestamp>,
    pub(crate) class: StorageClass,
    pub(crate) archived_at: Option<Timestamp>,
    pub(crate) activated_at: Option<Timestamp>,
    /// When it was deleted, and the tags that went with it.
    pub(crate) deleted: Option<(Timestamp, BTreeSet<Tag>)>,
}

/// What a tag names.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) digest: Digest,
    pub(crate) locked: bool,
}

/// A repository. One that was deleted is remembered under its name until it is purged.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    pub(crate) record: RepositoryRecord,
    pub(crate) links: BTreeMap<Digest, Link>,
    pub(crate) manifests: BTreeMap<Digest, Kept>,
    pub(crate) tags: BTreeMap<Tag, Named>,
    /// The moves of each tag, the oldest first.
    pub(crate) history: BTreeMap<Tag, Vec<TagMove>>,
    pub(crate) deleted_at: Option<Timestamp>,
}

impl Repository {
    /// The manifest that is there under this digest.
    pub(crate) fn live(&self, digest: &Digest) -> Option<&Kept> {
        let kept = self.manifests.get(digest)?;
        kept.deleted.is_none().then_some(kept)
    }

    /// Whether it has a blob.
    pub(crate) fn has_blob(&self, digest: &Digest) -> bool {
        let link = self.links.get(digest);
        link.is_some_and(|link| link.deleted_at.is_none())
    }

    /// The tags that name a manifest.
    pub(crate) fn tags_of(&self, digest: &Digest) -> Vec<Tag> {
        let tags = self.tags.iter();
        let naming = tags.filter(|(_, named)| named.digest == *digest);
        naming.map(|(tag, _)| tag.clone()).collect()
    }

    /// Lets a tag name something, or nothing.
    pub(crate) fn move_tag(&mut self, tag: &Tag, digest: Option<&Digest>, by: &str, at: Timestamp) {
        let before = self.tags.get(tag).cloned();
        let previous = before.as_ref().map(|named| named.digest.clone());
        if previous.as_ref() == digest {
            return;
        }
        match digest {
            Some(digest) => {
                let locked = before.is_some_and(|named| named.locked);
                let digest = digest.clone();
                self.tags.insert(tag.clone(), Named { digest, locked });
            }
            None => {
                self.tags.remove(tag);
            }
        }
        self.history.entry(tag.clone()).or_default().push(TagMove {
            at,
            actor: by.to_owned(),
            previous,
            digest: digest.cloned(),
        });
    }
}

/// An upload under way.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) repository: RepositoryName,
    pub(crate) principal: String,
    pub(crate) epoch: String,
    pub(crate) offset: u64,
    pub(crate) touched_at: Timestamp,
}

/// What was told of something that happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    pub(crate) kind: &'static str,
    pub(crate) repository: Option<String>,
    pub(crate) digest: Option<Digest>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) previous: Option<Digest>,
}

/// The model.
#[derive(Debug)]
pub(crate) struct Model<'world> {
    pub(crate) world: &'world World,
    pub(crate) now: Timestamp,
    pub(crate) repositories: BTreeMap<RepositoryName, Repository>,
    pub(crate) blobs: BTreeMap<Digest, Bytes>,
    pub(crate) uploads: BTreeMap<UploadId, Upload>,
    pub(crate) removals: BTreeSet<String>,
    pub(crate) leases: BTreeMap<(Digest, String), Timestamp>,
    /// Who holds the job, until when, and when somebody held it last.
    pub(crate) job: Option<(String, Timestamp, Timestamp)>,
    /// What happened since the log was looked at.
    pub(crate) told: Vec<Told>,
    pub(crate) rows: u64,
}

impl<'world> Model<'world> {
    /// A registry without anything.
    pub(crate) fn new(world: &'world World, now: Timestamp) -> Self {
        Self {
            world,
            now,
            repositories: BTreeMap::new(),
            blobs: BTreeMap::new(),
            uploads: BTreeMap::new(),
            removals: BTreeSet::new(),
            leases: BTreeMap::new(),
            job: None,
            told: Vec::new(),
            rows: 0,
        }
    }

    /// A repository that is there.
    pub(crate) fn repository(&self, name: &RepositoryName) -> Answer<&Repository> {
        self.find(name).ok_or(Refusal::RepositoryUnknown)
    }

    /// The same, where it may be missing.
    pub(crate) fn find(&self, name: &RepositoryName) -> Option<&Repository> {
        let found = self.repositories.get(name);
        found.filter(|repository| repository.deleted_at.is_none())
    }

    /// A repository that is there, to change it.
    pub(crate) fn repository_mut(&mut self, name: &RepositoryName) -> Answer<&mut Repository> {
        let found = self.repositories.get_mut(name);
        let live = found.filter(|repository| repository.deleted_at.is_none());
        live.ok_or(Refusal::RepositoryUnknown)
    }

    /// The repositories that are there.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&RepositoryName, &Repository)> {
        let all = self.repositories.iter();
        all.filter(|(_, repository)| repository.deleted_at.is_none())
    }

    /// Writes down that something happened.
    pub(crate) fn tell(
        &mut self,
        kind: EventKind,
        name: &RepositoryName,
        digest: Option<&Digest>,
        tags: Vec<Tag>,
        previous: Option<Digest>,
    ) {
        self.told.push(Told {
            kind: kind.as_str(),
            repository: Some(name.to_string()),
            digest: digest.cloned(),
            tags,
            previous,
        });
    }

    /// Writes down that a manifest came, or that tags name it now that named something else: once for
    /// each tag, and once where there is none.
    pub(crate) fn tell_push(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        is_new: bool,
        moved: Vec<(Tag, Option<Digest>)>,
    ) {
        let manifest = &self.world.document(digest).manifest;
        let kind = if manifest.subject().is_some() {
            EventKind::ReferrerPushed
        } else if manifest.is_artifact() {
            EventKind::ArtifactPushed
        } else {
            EventKind::ImagePushed
        };
        if is_new && moved.is_empty() {
            self.tell(kind, name, Some(digest), Vec::new(), None);
        }
        for (tag, previous) in moved {
            self.tell(kind, name, Some(digest), vec![tag], previous);
        }
    }
}

/// A page of a sorted list.
pub(crate) fn page<T>(list: impl Iterator<Item = T>, limit: u64) -> Vec<T> {
    let limit = usize::try_from(limit).expect("a page's length fits");
    list.take(limit).collect()
}
