//! A layout as a target.
//!
//! In a folder each file is written beside its place, synced and then moved there, so what stands
//! there is whole, and a run that broke off goes on with it. A tar file can't be gone on with: it is
//! written under another name, and gets its own when it is finished.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::Mutex;
use uuid::Uuid;
use wharf_storage::oci::{Algorithm, Descriptor, RepositoryName, Tag};

use super::super::Error;
use super::super::ends::{BlobStream, Target, Verified};
use super::blob_name;
use super::document::{Entry, INDEX, Index, MARKER, VERSION};
use super::pieces::{Pieces, blocking, into_work};

/// A layout that is written.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    index: Mutex<Index>,
    files: Files,
}

/// Where the files of a layout go.
enum Files {
    Folder,
    /// One behind the other into a tar file.
    Archive(Mutex<Archive>),
}

struct Archive {
    partial: Partial,
    /// Taken while a blocking thread writes, and gone for good after a failure.
    builder: Option<tar::Builder<File>>,
    names: HashSet<String>,
}

/// A file that goes with this unless it was moved away.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Folder => "Folder",
            Self::Archive(_) => "Archive",
        })
    }
}

/// A layout as the target of one repository's images.
#[derive(Clone, Debug)]
pub struct Layout {
    writer: Arc<Writer>,
    /// What the full names of its images begin with.
    name: Option<String>,
}

impl Layout {
    /// Images go there with the full name that this registry, reached at `host`, has for them.
    #[must_use]
    pub fn new(writer: Arc<Writer>, host: &str, repository: &RepositoryName) -> Self {
        let name = Some(format!("{host}/{repository}"));
        Self { writer, name }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        action,
        path,
        source,
    }
}

impl Writer {
    /// A folder, which is made, or is a layout already and gets more.
    ///
    /// # Errors
    ///
    /// When it is something else, or can't be written.
    pub async fn folder(path: PathBuf) -> Result<Self, Error> {
        blocking(move || {
            let index = match fs::read(path.join(INDEX)) {
                Ok(text) => serde_json::from_slice(&text).map_err(|error| Error::NoLayout {
                    path: path.clone(),
                    reason: format!("{INDEX}: {error}"),
                })?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
                Err(error) => return Err(failed("read", &path.join(INDEX))(error)),
            };
            if !path.join(MARKER).exists() && is_used(&path).map_err(failed("read", &path))? {
                return Err(Error::NoLayout {
                    path,
                    reason: "it has other files".into(),
                });
            }
            for algorithm in Algorithm::ALL {
                let folder = path.join("blobs").join(algorithm.as_str());
                fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
            }
            replace(&path, MARKER, VERSION.as_bytes())?;
            Ok(Self {
                path,
                index: Mutex::new(index),
                files: Files::Folder,
            })
        })
        .await
    }

    /// A new tar file. One that is there is replaced when the new one is finished.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub async fn archive(path: PathBuf) -> Result<Self, Error> {
        blocking(move || {
            let mut partial = path.clone().into_os_string();
            partial.push(".partial");
            let partial = Partial(partial.into());
            let file = File::create(&partial.0).map_err(failed("make", &partial.0))?;
            let mut builder = tar::Builder::new(file);
            let (marker, size) = (VERSION.as_bytes(), VERSION.len() as u64);
            let appended = append(&mut builder, MARKER, size, marker);
            appended.map_err(failed("write", &partial.0))?;
            let archive = Archive {
                partial,
                builder: Some(builder),
                names: HashSet::new(),
            };
            Ok(Self {
                path,
                index: Mutex::new(Index::default()),
                files: Files::Archive(Mutex::new(archive)),
            })
        })
        .await
    }

    /// Ends the layout: a tar file gets its index and its name, unless nothing is in it.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub async fn finish(&self) -> Result<(), Error> {
        let Files::Archive(archive) = &self.files else {
            return Ok(());
        };
        let index = self.index.lock().await;
        if index.manifests.is_empty() {
            return Ok(());
        }
        let text = index.text();
        let mut archive = archive.lock().await;
        let mut builder = archive.builder.take().ok_or_else(|| archive.broken())?;
        let (partial, path) = (archive.partial.0.clone(), self.path.clone());
        blocking(move || {
            let appended = append(&mut builder, INDEX, text.len() as u64, text.as_slice());
            let file = appended.and_then(|()| builder.into_inner());
            let synced = file.and_then(|file| file.sync_all());
            synced.map_err(failed("write", &partial))?;
            fs::rename(&partial, &path).map_err(failed("write", &path))?;
            sync_folder_of(&path).map_err(failed("sync", &path))
        })
        .await
    }

    async fn put(&self, name: String, size: u64, bytes: BlobStream) -> Result<(), Error> {
        match &self.files {
            Files::Folder => {
                let path = self.path.clone();
                into_work(bytes, move |mut pieces| place(&path, &name, &mut pieces)).await
            }
            Files::Archive(archive) => {
                let mut archive = archive.lock().await;
                if archive.names.contains(&name) {
                    return Ok(());
                }
                let builder = archive.builder.take().ok_or_else(|| archive.broken())?;
                let (partial, entry) = (archive.partial.0.clone(), name.clone());
                let packed = into_work(bytes, move |pieces| {
                    let mut builder = builder;
                    let appended = append(&mut builder, &entry, size, pieces);
                    appended.map_err(failed("write", &partial))?;
                    Ok(builder)
                });
                archive.builder = Some(packed.await?);
                archive.names.insert(name);
                Ok(())
            }
        }
    }

    async fn has(&self, name: &str, size: u64) -> bool {
        match &self.files {
            Files::Folder => {
                let found = fs::metadata(self.path.join(name));
                found.is_ok_and(|found| found.is_file() && found.len() == size)
            }
            Files::Archive(archive) => archive.lock().await.names.contains(name),
        }
    }

    async fn list(&self, entry: Entry) -> Result<(), Error> {
        let mut index = self.index.lock().await;
        index.put(entry);
        if let Files::Folder = self.files {
            let (path, text) = (self.path.clone(), index.text());
            blocking(move || replace(&path, INDEX, &text)).await?;
        }
        Ok(())
    }
}

impl Archive {
    fn broken(&self) -> Error {
        let source = io::Error::other("an earlier blob broke off");
        failed("write", &self.partial.0)(source)
    }
}

fn append(
    builder: &mut tar::Builder<File>,
    name: &str,
    size: u64,
    bytes: impl io::Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    // What is the same has the same archive, whenever it was made.
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(tar::EntryType::Regular);
    builder.append_data(&mut header, name, bytes)
}

/// Writes a file beside its place, and moves it there.
fn place(root: &Path, name: &str, pieces: &mut Pieces) -> Result<(), Error> {
    let path = root.join(name);
    let partial = path.with_file_name(format!(".{}.partial", Uuid::now_v7()));
    let written = (|| {
        let mut file = File::create(&partial)?;
        io::copy(pieces, &mut file)?;
        file.sync_data()?;
        fs::rename(&partial, &path)?;
        sync_folder_of(&path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written.map_err(failed("write", &path))
}

/// Puts a document in the place of the one before.
fn replace(root: &Path, name: &str, text: &[u8]) -> Result<(), Error> {
    let path = root.join(name);
    let partial = root.join(format!(".{name}.partial"));
    let written = (|| {
        let mut file = File::create(&partial)?;
        file.write_all(text)?;
        file.sync_data()?;
        fs::rename(&partial, &path)?;
        sync_folder_of(&path)
    })();
    written.map_err(failed("write", &path))
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Whether there is anything in a folder, which may be missing.
fn is_used(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        entries => Ok(entries?.next().is_some()),
    }
}

#[async_trait]
impl Target for Layout {
    async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error> {
        Ok(self.writer.has(&blob_name(&blob.digest), blob.size).await)
    }

    async fn put_blob(&self, blob: &Descriptor, bytes: BlobStream) -> Result<(), Error> {
        let name = blob_name(&blob.digest);
        self.writer.put(name, blob.size, bytes).await
    }

    async fn put_manifest(
        &self,
        verified: &Verified,
        tag: Option<&Tag>,
        is_root: bool,
    ) -> Result<(), Error> {
        let (digest, manifest) = (&verified.digest, &verified.manifest);
        let (name, size) = (blob_name(digest), manifest.bytes().len() as u64);
        if !self.writer.has(&name, size).await {
            let bytes: Bytes = manifest.bytes().clone();
            let bytes: BlobStream = Box::pin(stream::iter([Ok(bytes)]));
            self.writer.put(name, size, bytes).await?;
        }
        // Whoever looks for what refers to an image finds it by the index alone.
        if !is_root && manifest.subject().is_none() {
            return Ok(());
        }
        let named = tag.and_then(|tag| Some(format!("{}:{tag}", self.name.as_deref()?)));
        let media_type = manifest.media_type().clone();
        let entry = Entry::new(media_type, digest.clone(), size, tag, named);
        self.writer.list(entry).await
    }
}
