//! A layout as a source.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use wharf_storage::oci::{Descriptor, Digest, Manifest, MediaType, Reference, RepositoryName, Tag};

use super::super::ends::{BlobStream, Fetched, Source};
use super::super::{Error, MANIFEST_LIMIT};
use super::blob_name;
use super::document::{Entry, INDEX, Index, MARKER};
use super::pieces::{blocking, of_file};

/// A layout that is read. Copies of it share what they read.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    files: Files,
    index: Index,
    referrers: OnceLock<HashMap<Digest, Vec<Descriptor>>>,
}

/// Where the files of a layout lie.
#[derive(Debug)]
enum Files {
    Folder,
    /// In one file, each at its place with its length.
    Archive(HashMap<String, (u64, u64)>),
}

/// An image of a layout under its full name, less the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// The image.
    pub digest: Digest,
}

#[derive(Deserialize)]
struct Lists {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

impl Reader {
    /// Opens a folder.
    ///
    /// # Errors
    ///
    /// When it is no layout, or can't be read.
    pub async fn folder(path: PathBuf) -> Result<Self, Error> {
        blocking(move || Self::open(path, Files::Folder)).await
    }

    /// Opens a tar file.
    ///
    /// # Errors
    ///
    /// As [`folder`](Self::folder).
    pub async fn archive(path: PathBuf) -> Result<Self, Error> {
        blocking(move || {
            let places = File::open(&path).and_then(|mut file| places(&mut file));
            let places = places.map_err(|source| Error::Io {
                action: "read",
                path: path.clone(),
                source,
            })?;
            Self::open(path, Files::Archive(places))
        })
        .await
    }

    fn open(path: PathBuf, files: Files) -> Result<Self, Error> {
        let mut shared = Shared {
            path,
            files,
            index: Index::default(),
            referrers: OnceLock::new(),
        };
        let failed = |path: &Path, reason: &str| Error::NoLayout {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let marker = shared.small(MARKER)?;
        let version: serde_json::Value = serde_json::from_slice(&marker).unwrap_or_default();
        let version = version["imageLayoutVersion"].as_str().unwrap_or_default();
        if !version.starts_with("1.") {
            let reason = format!("its version is {version:?}, 1.0.0 is known");
            return Err(failed(&shared.path, &reason));
        }
        let index = shared.small(INDEX)?;
        shared.index = serde_json::from_slice(&index)
            .map_err(|error| failed(&shared.path, &format!("{INDEX}: {error}")))?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The one image that the layout has, and its tag.
    ///
    /// # Errors
    ///
    /// When it has none or several.
    pub fn only(&self) -> Result<(Digest, Option<Tag>), Error> {
        let index = &self.shared.index;
        let mut named: Vec<&Entry> = index.manifests.iter().filter(|e| e.is_named()).collect();
        if named.is_empty() {
            named.extend(&index.manifests);
        }
        match named.as_slice() {
            [entry] => Ok((entry.digest.clone(), entry.tag())),
            [] => Err(self.shared.none("image")),
            several => Err(Error::Several {
                place: self.shared.path.display().to_string(),
                count: several.len(),
            }),
        }
    }

    /// The images that have a full name, and how many have none that can be used.
    #[must_use]
    pub fn named(&self) -> (Vec<Named>, usize) {
        let (mut named, mut others) = (Vec::new(), 0);
        for entry in &self.shared.index.manifests {
            let read = entry.name().and_then(|name| {
                let (_, rest) = name.split_once('/')?;
                let (repository, tag) = rest.rsplit_once(':')?;
                Some(Named {
                    repository: repository.parse().ok()?,
                    tag: tag.parse().ok()?,
                    digest: entry.digest.clone(),
                })
            });
            match read {
                Some(read) => named.push(read),
                None if entry.is_named() => others += 1,
                None => {}
            }
        }
        (named, others)
    }
}

impl Shared {
    fn none(&self, what: impl ToString) -> Error {
        Error::NotFound {
            place: self.path.display().to_string(),
            what: what.to_string(),
        }
    }

    /// A file of the layout, and where in it the bytes are.
    fn find(&self, name: &str) -> Result<(File, PathBuf, u64, u64), Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io {
                action: "open",
                path,
                source,
            }
        };
        match &self.files {
            Files::Folder => {
                let path = self.path.join(name);
                let file = match File::open(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        return Err(self.none(name));
                    }
                    file => file.map_err(failed(&path))?,
                };
                let length = file.metadata().map_err(failed(&path))?.len();
                Ok((file, path, 0, length))
            }
            Files::Archive(places) => {
                let (start, length) = *places.get(name).ok_or_else(|| self.none(name))?;
                let file = File::open(&self.path).map_err(failed(&self.path))?;
                Ok((file, self.path.clone(), start, length))
            }
        }
    }

    /// A document of the layout.
    fn small(&self, name: &str) -> Result<Bytes, Error> {
        use std::os::unix::fs::FileExt as _;
        let (file, path, start, length) = self.find(name)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MANIFEST_LIMIT {
            return Err(Error::TooLong {
                what: format!("{name} of {}", self.path.display()),
                limit: MANIFEST_LIMIT,
            });
        }
        let mut bytes = vec![0; length];
        let read = file.read_exact_at(&mut bytes, start);
        read.map_err(|source| Error::Io {
            action: "read",
            path,
            source,
        })?;
        Ok(bytes.into())
    }

    /// What refers to what, among all manifests that the layout leads to.
    fn referrers(&self) -> HashMap<Digest, Vec<Descriptor>> {
        let mut found: HashMap<Digest, Vec<Descriptor>> = HashMap::new();
        let mut seen = HashSet::new();
        let entries = self.index.manifests.iter();
        let mut waiting: Vec<(Digest, MediaType)> = entries
            .map(|entry| (entry.digest.clone(), entry.media_type.clone()))
            .collect();
        while let Some((digest, media_type)) = waiting.pop() {
            if !seen.insert(digest.clone()) {
                continue;
            }
            // What can't be read is told of when it is copied.
            let Ok(bytes) = self.small(&blob_name(&digest)) else {
                continue;
            };
            let size = bytes.len() as u64;
            let lists = serde_json::from_slice::<Lists>(&bytes).ok();
            let Ok(manifest) = Manifest::parse(bytes, Some(&media_type)) else {
                continue;
            };
            for child in lists
                .and_then(|lists| lists.manifests)
                .into_iter()
                .flatten()
            {
                waiting.push((child.digest, child.media_type));
            }
            if let Some(subject) = manifest.subject() {
                found.entry(subject.clone()).or_default().push(Descriptor {
                    media_type: manifest.media_type().clone(),
                    digest,
                    size,
                    artifact_type: manifest.artifact_type().map(ToOwned::to_owned),
                    annotations: manifest.annotations().clone(),
                });
            }
        }
        found
    }
}

/// The files in a tar file.
pub(crate) fn places(file: &mut (impl Read + Seek)) -> io::Result<HashMap<String, (u64, u64)>> {
    let mut magic = [0; 2];
    if file.read(&mut magic)? == 2 && magic == [0x1f, 0x8b] {
        let message = "it is compressed; gunzip it first";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    file.rewind()?;
    let mut archive = tar::Archive::new(file);
    let mut places = HashMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path()?.to_string_lossy().into_owned();
        let name = name.trim_start_matches("./").to_owned();
        places.insert(name, (entry.raw_file_position(), entry.size()));
    }
    Ok(places)
}

#[async_trait]
impl Source for Reader {
    async fn manifest(&self, reference: &Reference) -> Result<Fetched, Error> {
        let (shared, reference) = (Arc::clone(&self.shared), reference.clone());
        blocking(move || {
            let entry = shared.index.find(&reference);
            let digest = match (&reference, entry) {
                (Reference::Digest(digest), _) => digest,
                (Reference::Tag(_), Some(entry)) => &entry.digest,
                (Reference::Tag(tag), None) => return Err(shared.none(format!("tag {tag}"))),
            };
            let bytes = shared.small(&blob_name(digest))?;
            // A tag leads to a digest here, and so the bytes have to be those of it.
            let actual = Digest::of(digest.algorithm(), &bytes);
            if actual != *digest {
                let expected = digest.clone();
                return Err(Error::DigestMismatch { expected, actual });
            }
            let media_type = entry.map(|entry| entry.media_type.clone());
            Ok(Fetched { media_type, bytes })
        })
        .await
    }

    async fn blob(&self, blob: &Descriptor) -> Result<BlobStream, Error> {
        let (shared, name) = (Arc::clone(&self.shared), blob_name(&blob.digest));
        let found = blocking(move || shared.find(&name)).await?;
        let (file, path, start, length) = found;
        Ok(of_file(file, path, start, length))
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let (shared, subject) = (Arc::clone(&self.shared), subject.clone());
        blocking(move || {
            let referrers = shared.referrers.get_or_init(|| shared.referrers());
            Ok(referrers.get(&subject).cloned().unwrap_or_default())
        })
        .await
    }

    async fn tags(&self) -> Result<Vec<Tag>, Error> {
        let entries = self.shared.index.manifests.iter();
        let mut tags: Vec<Tag> = entries.filter_map(Entry::tag).collect();
        tags.sort_unstable();
        tags.dedup();
        Ok(tags)
    }
}
