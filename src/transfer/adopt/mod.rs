//! Taking over what a docker-registry keeps in a folder or in the bucket, in place.
//!
//! In a folder the bytes of blobs get a second name in the data folder (a hard link), so none are
//! copied and the old tree stays whole. In the bucket they stay where they are, and their location
//! leads there; from then on they are this registry's, which removes what it needs no more. Manifests
//! are read and go to the database. Blobs that no repository has are left, as are those that are
//! manifests only.
//!
//! It can be run again, after a break or to take in what was pushed to the old registry meanwhile: what
//! is known stays as it is, and a tag that names something else here by now is left, unless it shall
//! follow. A run that is killed may leave second names that the database doesn't know, of the last
//! batch at most; `wharf rebuild --merge` takes them in.
//!
//! | module | job |
//! |---|---|
//! | `tree` | what lies where |
//! | [`old`](Old) | what is asked of a place that holds such a tree |
//! | [`folder`](Folder), [`bucket`](Bucket) | such places |

mod bucket;
mod folder;
mod old;
mod tree;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use wharf_storage::clock::Clock;
use wharf_storage::disk::TakeIn;
use wharf_storage::metadata::{Blob, Change, Creation, ManifestPush, Metadata, MissingContent};
use wharf_storage::oci::{ContentKind, Digest, Manifest, Reference, RepositoryName, Tag};

pub use self::bucket::Bucket;
pub use self::folder::Folder;
pub use self::old::Old;
pub(crate) use self::tree::Tree;
use super::Error;
use crate::registry;

/// Who takes in, in the history of tags and in events.
const ACTOR: &str = "adopt";
/// How many blobs are taken in by one transaction.
const BATCH: usize = 200;
/// How many files are taken in or read at once.
const FILES: usize = 8;
/// How many transactions may wait for one commit.
const COMMITS: usize = 32;

/// How to take over.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// How bytes come to the store.
    pub bytes: TakeIn,
    /// Whether all bytes are read and compared with their digests.
    pub check: Check,
    /// What happens to tags that name something else here.
    pub tags: Tags,
}

/// Whether the bytes of blobs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// They are, and those that are wrong are left.
    Read,
    /// They are not.
    Trust,
}

/// What happens to tags that name something else here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// They stay.
    Kept,
    /// They follow the old registry.
    Moved,
}

/// What was taken over so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Repositories that were looked at.
    pub repositories: u64,
    /// How many there are.
    pub of_repositories: u64,
    /// Blobs that were taken in.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that were known.
    pub known_blobs: u64,
    /// Manifests.
    pub manifests: u64,
    /// Tags that name here what they name there.
    pub tags: u64,
    /// Tags that name something else here and stay.
    pub kept_tags: Vec<String>,
    /// What could not be taken over, and why.
    pub left: Vec<String>,
}

/// Who takes over.
#[derive(Clone, Debug)]
pub struct Adopter {
    /// Where to.
    pub metadata: Metadata,
    /// Where from, and how the bytes come.
    pub old: Arc<dyn Old>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// A manifest that can be taken in.
struct Found {
    digest: Digest,
    manifest: Manifest,
}

/// A run.
struct Work<'a> {
    adopter: &'a Adopter,
    tree: Tree,
    how: How,
    adopted: Adopted,
    /// Blobs that were looked at.
    seen: HashSet<Digest>,
}

impl Adopter {
    /// Takes over what lies there. `tell` hears how far it got.
    ///
    /// # Errors
    ///
    /// When there is no such tree, or one of both places can't be used. What is wrong with single things
    /// is told in the outcome.
    pub async fn run(&self, how: How, tell: impl Fn(&Adopted)) -> Result<Adopted, Error> {
        let tree = Tree::open(Arc::clone(&self.old)).await?;
        let (repositories, unnamed) = tree.repositories().await?;
        let mut work = Work {
            adopter: self,
            tree,
            how,
            adopted: Adopted {
                of_repositories: repositories.len() as u64,
                left: unnamed
                    .into_iter()
                    .map(|name| format!("{name}: not a repository's name"))
                    .collect(),
                ..Adopted::default()
            },
            seen: HashSet::new(),
        };
        for repository in repositories {
            work.repository(&repository, &tell).await?;
            work.adopted.repositories += 1;
            tell(&work.adopted);
        }
        Ok(work.adopted)
    }
}

impl Work<'_> {
    async fn repository(
        &mut self,
        repository: &RepositoryName,
        tell: &impl Fn(&Adopted),
    ) -> Result<(), Error> {
        let contents = self.tree.contents(repository).await?;
        let manifests = self.manifests(repository, contents.manifests).await?;

        let mut blobs: BTreeSet<Digest> = contents.layers.iter().cloned().collect();
        let mut named = BTreeSet::new();
        for found in &manifests {
            let references = found.manifest.references().iter();
            let of_blobs = references.filter(|named| named.kind != ContentKind::Manifest);
            named.extend(of_blobs.map(|named| named.digest.clone()));
        }
        for digest in named {
            // A layer that lies elsewhere, or that was lost, has no file.
            let is_new = !blobs.contains(&digest) && !self.seen.contains(&digest);
            if is_new && self.adopter.old.has(&Tree::data(&digest)).await? {
                blobs.insert(digest);
            }
        }
        let mut unseen: Vec<Digest> = Vec::new();
        for blob in blobs {
            if self.seen.insert(blob.clone()) {
                unseen.push(blob);
            }
        }
        for batch in unseen.chunks(BATCH) {
            self.blobs(repository, batch).await?;
            tell(&self.adopted);
        }

        let change = || Change::new(ACTOR, self.adopter.clock.now());
        stream::iter(&contents.layers)
            .map(|layer| {
                self.adopter
                    .metadata
                    .adopt_link(repository, layer, change())
            })
            .buffer_unordered(COMMITS)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
            .map_err(registry::Error::from)?;

        let mut tags: HashMap<Digest, Vec<Tag>> = HashMap::new();
        for (tag, digest) in contents.tags {
            if self.may_set(repository, &tag, &digest).await? {
                tags.entry(digest).or_default().push(tag);
            }
        }
        let pushes = manifests.into_iter().map(|found| ManifestPush {
            repository: repository.clone(),
            tags: tags.remove(&found.digest).unwrap_or_default(),
            manifest: found.manifest,
            digest: found.digest,
            change: change(),
            creation: Creation::Allowed,
            missing_content: MissingContent::Accepted,
        });
        let pushes: Vec<ManifestPush> = pushes.collect();
        let set: usize = pushes.iter().map(|push| push.tags.len()).sum();
        self.adopted.manifests += pushes.len() as u64;
        self.adopted.tags += set as u64;
        stream::iter(pushes)
            .map(|push| self.adopter.metadata.adopt_manifest(push))
            .buffer_unordered(COMMITS)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
            .map_err(registry::Error::from)?;
        for (digest, tags) in tags {
            for tag in tags {
                let line = format!("{repository}:{tag}: names {digest}, which was not taken over");
                self.adopted.left.push(line);
            }
        }
        Ok(())
    }

    /// Whether a tag shall name here what it names there.
    async fn may_set(
        &mut self,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<bool, Error> {
        if self.how.tags == Tags::Moved {
            return Ok(true);
        }
        let reference = Reference::Tag(tag.clone());
        let head = self
            .adopter
            .metadata
            .manifest_head(repository, &reference)
            .await;
        match head.map_err(registry::Error::from)? {
            Some(head) if head.digest != *digest => {
                self.adopted.kept_tags.push(format!("{repository}:{tag}"));
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Reads the manifests of a repository.
    async fn manifests(
        &mut self,
        repository: &RepositoryName,
        digests: Vec<Digest>,
    ) -> Result<Vec<Found>, Error> {
        let old = &self.adopter.old;
        let read: Vec<Result<Found, String>> = stream::iter(digests)
            .map(|digest| async move {
                let named = digest.clone();
                let bytes = old.file(&Tree::data(&digest)).await;
                let read = match bytes {
                    Ok(Some(bytes)) => manifest(digest, bytes),
                    Ok(None) => Err("the bytes are missing".to_owned()),
                    Err(Error::TooLong { .. }) => Err("it is too long".to_owned()),
                    Err(error) => return Err(error),
                };
                Ok(read.map_err(|why| format!("{repository}@{named}: {why}")))
            })
            .buffered(FILES)
            .try_collect()
            .await?;
        let mut found = Vec::new();
        for read in read {
            match read {
                Ok(manifest) => found.push(manifest),
                Err(why) => self.adopted.left.push(why),
            }
        }
        Ok(found)
    }

    /// Takes in those of some blobs that are not known.
    async fn blobs(&mut self, repository: &RepositoryName, batch: &[Digest]) -> Result<(), Error> {
        let (metadata, old) = (&self.adopter.metadata, &self.adopter.old);
        let known = metadata.blob_locations(batch.to_vec()).await;
        let known = known.map_err(registry::Error::from)?;
        self.adopted.known_blobs += known.len() as u64;
        let unknown = batch.iter().filter(|digest| !known.contains_key(digest));
        let how = self.how;
        let taken: Vec<Result<Blob, String>> = stream::iter(unknown)
            .map(|digest| async move {
                let taken = old.take_in(&Tree::data(digest), digest, how).await?;
                let why = |why| format!("{repository}: {digest}: {why}");
                Ok::<_, Error>(taken.map_err(why))
            })
            .buffer_unordered(FILES)
            .try_collect()
            .await?;
        let mut blobs = Vec::new();
        for taken in taken {
            match taken {
                Ok(blob) => blobs.push(blob),
                Err(why) => self.adopted.left.push(why),
            }
        }
        if blobs.is_empty() {
            return Ok(());
        }
        // They are durable before the database names them.
        old.sync().await?;
        let (found, now) = (blobs.clone(), self.adopter.clock.now());
        let adopted = metadata.adopt_blobs(found, now).await;
        adopted.map_err(registry::Error::from)?;
        self.settle(repository, blobs).await
    }

    /// Looks what became of blobs that were taken in: somebody may have pushed one meanwhile, or
    /// removed one that was this registry's before.
    async fn settle(&mut self, repository: &RepositoryName, blobs: Vec<Blob>) -> Result<(), Error> {
        let (metadata, old) = (&self.adopter.metadata, &self.adopter.old);
        let digests = blobs.iter().map(|blob| blob.digest.clone()).collect();
        let recorded = metadata.blob_locations(digests).await;
        let recorded = recorded.map_err(registry::Error::from)?;
        let looked: Vec<(Blob, bool)> = stream::iter(blobs)
            .map(|blob| async move { Ok::<_, Error>((blob.clone(), old.still_has(&blob).await?)) })
            .buffer_unordered(FILES)
            .try_collect()
            .await?;
        let mut gone = Vec::new();
        for (blob, is_there) in looked {
            let digest = &blob.digest;
            match recorded.get(digest) {
                Some(location) if *location == blob.location && is_there => {
                    self.adopted.blobs += 1;
                    self.adopted.bytes += blob.size;
                    continue;
                }
                Some(location) if *location == blob.location => gone.push(blob.clone()),
                Some(_) => self.adopted.known_blobs += 1,
                None => {
                    let why = "its bytes are being removed; try again later";
                    self.adopted
                        .left
                        .push(format!("{repository}: {digest}: {why}"));
                }
            }
            if !gone.contains(&blob) {
                old.give_back(&blob.location).await?;
            }
        }
        for blob in &gone {
            let line = format!("{repository}: {}: the bytes are gone", blob.digest);
            self.adopted.left.push(line);
        }
        let quarantined = metadata.quarantine(gone, self.adopter.clock.now()).await;
        Ok(quarantined.map_err(registry::Error::from)?)
    }
}

/// A manifest, or what is wrong with it.
fn manifest(digest: Digest, bytes: bytes::Bytes) -> Result<Found, String> {
    let actual = Digest::of(digest.algorithm(), &bytes);
    if actual != digest {
        return Err(format!("the bytes have digest {actual}"));
    }
    let manifest = Manifest::parse(bytes, None).map_err(|error| error.to_string())?;
    Ok(Found { digest, manifest })
}
