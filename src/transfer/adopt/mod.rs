//! Taking over what a docker-registry keeps in a folder, in place.
//!
//! The bytes of blobs get a second name in the data folder (a hard link), so none are copied and the
//! old tree stays whole. Manifests are read and go to the database. Blobs that no repository has are
//! left, as are those that are manifests only.
//!
//! It can be run again, after a break or to take in what was pushed to the old registry meanwhile: what
//! is known stays as it is, and a tag that names something else here by now is left, unless it shall
//! follow. A run that is killed may leave second names that the database doesn't know, of the last
//! batch at most; `wharf rebuild --merge` takes them in.

mod tree;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;
use wharf_storage::blob::{BlobStore as _, Location};
use wharf_storage::clock::Clock;
use wharf_storage::disk::{DiskStore, TakeIn};
use wharf_storage::metadata::{Blob, Change, Creation, ManifestPush, Metadata, MissingContent};
use wharf_storage::oci::{ContentKind, Digest, Manifest, Reference, RepositoryName, Tag};
use wharf_storage::upload::{Hasher, UploadId};

use self::tree::Tree;
use super::{Error, MANIFEST_LIMIT};
use crate::registry;

/// Who takes in, in the history of tags and in events.
const ACTOR: &str = "adopt";
/// How many blobs are taken in by one transaction.
const BATCH: usize = 200;
/// How many files are linked or read at once.
const FILES: usize = 4;
/// How many transactions may wait for one commit.
const COMMITS: usize = 32;
/// How many bytes are hashed at once.
const PIECE: usize = 1 << 20;

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
    /// Where the bytes go.
    pub disk: DiskStore,
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
    /// Takes over what lies in a folder. `tell` hears how far it got.
    ///
    /// # Errors
    ///
    /// When the folder is none of docker-registry, or one of both can't be used. What is wrong with
    /// single things is told in the outcome.
    pub async fn run(
        &self,
        folder: &Path,
        how: How,
        tell: impl Fn(&Adopted),
    ) -> Result<Adopted, Error> {
        let folder = folder.to_owned();
        let (tree, (repositories, unnamed)) = blocking(move || {
            let tree = Tree::open(&folder)?;
            let repositories = tree.repositories()?;
            Ok((tree, repositories))
        })
        .await?;
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
        let (tree, name) = (self.tree.clone(), repository.clone());
        let contents = blocking(move || tree.contents(&name)).await?;
        let manifests = self.manifests(repository, contents.manifests).await?;

        let mut blobs: BTreeSet<Digest> = contents.layers.iter().cloned().collect();
        for found in &manifests {
            let references = found.manifest.references().iter();
            let named = references.filter(|named| named.kind != ContentKind::Manifest);
            // A layer that lies elsewhere, or that was lost, has no file.
            let named = named.map(|named| &named.digest);
            let there = named.filter(|digest| self.tree.data(digest).exists());
            blobs.extend(there.cloned());
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
        let read: Vec<Result<Found, String>> = stream::iter(digests)
            .map(|digest| {
                let path = self.tree.data(&digest);
                async move {
                    let named = digest.clone();
                    let read = blocking(move || Ok(manifest(digest, &path))).await;
                    read.map(|read| read.map_err(|why| format!("{repository}@{named}: {why}")))
                }
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
        let (metadata, disk) = (&self.adopter.metadata, &self.adopter.disk);
        let known = metadata.blob_locations(batch.to_vec()).await;
        let known = known.map_err(registry::Error::from)?;
        self.adopted.known_blobs += known.len() as u64;
        let unknown = batch.iter().filter(|digest| !known.contains_key(digest));
        let how = self.how;
        let taken: Vec<Result<Blob, String>> = stream::iter(unknown)
            .map(|digest| {
                let path = self.tree.data(digest);
                async move {
                    let size = match checked(digest, path.clone(), how.check).await? {
                        Ok(size) => size,
                        Err(why) => return Ok(Err(format!("{repository}: {digest}: {why}"))),
                    };
                    let id = UploadId::new(Uuid::now_v7());
                    let taken = disk.take_in(path.clone(), digest, id, how.bytes).await;
                    let location = taken.map_err(|source| refused(path, source))?;
                    let digest = digest.clone();
                    Ok::<_, Error>(Ok(Blob {
                        digest,
                        size,
                        location,
                    }))
                }
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
        disk.sync_blobs().await.map_err(registry::Error::from)?;
        self.adopted.blobs += blobs.len() as u64;
        self.adopted.bytes += blobs.iter().map(|blob| blob.size).sum::<u64>();
        let (found, now) = (blobs.clone(), self.adopter.clock.now());
        let new = metadata
            .adopt_blobs(found, now)
            .await
            .map_err(registry::Error::from)?;
        if new < blobs.len() as u64 {
            self.give_back(blobs).await?;
        }
        Ok(())
    }

    /// Removes the second names of blobs that somebody pushed meanwhile.
    async fn give_back(&self, blobs: Vec<Blob>) -> Result<(), Error> {
        let digests = blobs.iter().map(|blob| blob.digest.clone()).collect();
        let recorded = self.adopter.metadata.blob_locations(digests).await;
        let recorded: HashMap<Digest, Location> = recorded.map_err(registry::Error::from)?;
        for blob in blobs {
            if recorded.get(&blob.digest) != Some(&blob.location) {
                let removed = self.adopter.disk.remove(&blob.location).await;
                removed.map_err(registry::Error::from)?;
            }
        }
        Ok(())
    }
}

/// Why a file was not taken in, with what helps.
fn refused(path: PathBuf, source: io::Error) -> Error {
    let message = match source.kind() {
        io::ErrorKind::CrossesDevices => {
            "it lies on another file system than the data folder: move the data folder there, or copy \
             the bytes by --copy"
        }
        io::ErrorKind::PermissionDenied => {
            "only the owner of the files, or root, may give them a second name: run it as one of \
             them, or copy the bytes by --copy"
        }
        _ => {
            return Error::Io {
                action: "take in",
                path,
                source,
            };
        }
    };
    Error::Io {
        action: "take in",
        path,
        source: io::Error::new(source.kind(), message),
    }
}

/// The length of a file, or what is wrong with it.
async fn checked(
    digest: &Digest,
    path: PathBuf,
    check: Check,
) -> Result<Result<u64, String>, Error> {
    let digest = digest.clone();
    blocking(move || {
        let read = || hashed(&digest, &path).map(|(length, actual)| (length, Some(actual)));
        let looked = match (check, fs::metadata(&path)) {
            // An empty file is what a crash of a registry that syncs nothing leaves.
            (Check::Trust, Ok(found)) if found.len() > 0 => Ok((found.len(), None)),
            (Check::Trust | Check::Read, Ok(_)) => read(),
            (_, Err(error)) => Err(error),
        };
        match looked {
            Ok((_, Some(actual))) if actual != digest => {
                Ok(Err(format!("the bytes have digest {actual}")))
            }
            Ok((length, _)) => Ok(Ok(length)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Err("the bytes are missing".to_owned()))
            }
            Err(source) => Err(Error::Io {
                action: "read",
                path,
                source,
            }),
        }
    })
    .await
}

fn hashed(digest: &Digest, path: &Path) -> io::Result<(u64, Digest)> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new(digest.algorithm());
    let (mut piece, mut length) = (vec![0; PIECE], 0);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((length, hasher.digest())),
            read => {
                hasher.update(&piece[..read]);
                length += read as u64;
            }
        }
    }
}

/// A manifest, or what is wrong with it.
fn manifest(digest: Digest, path: &Path) -> Result<Found, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MANIFEST_LIMIT as u64 {
        return Err(format!("it is longer than {MANIFEST_LIMIT} bytes"));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let actual = Digest::of(digest.algorithm(), &bytes);
    if actual != digest {
        return Err(format!("the bytes have digest {actual}"));
    }
    let manifest = Manifest::parse(bytes.into(), None).map_err(|error| error.to_string())?;
    Ok(Found { digest, manifest })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
