//! Blobs and uploads on a local disk.
//!
//! ```text
//! DATA/
//!   wharf.lock                             held while a server uses the folder
//!   folder-id                              its name, for a database that lies elsewhere
//!   metadata.sqlite3 (-wal, -shm)          see metadata::sqlite
//!   reserve                                space for deletes on a full disk, likewise
//!   uploads/<upload id>                    bytes that are still arriving
//!   blobs/sha256/ab/<hex>-<upload id>      the bytes of a blob, never changed
//!   blobs/sha512/ab/<hex>-<upload id>
//!   records/<repository>/_manifests/<digest>.json   see record
//! ```
//!
//! An upload becomes a blob by fdatasync of its file, a rename, and fsync of the folder it came
//! to. The 512 folders are made and synced when the store is opened, so that step never meets a
//! folder whose own entry could be lost.
//!
//! Uploads that end at once share commits of the file system's journal without our doing: on ext4, 16
//! writers came to 3.1 times the blobs of one. One `syncfs` for all of them gave 1.1 times as many with
//! 8 and 1.4 with 16, and would make each small push wait for the bytes of every large one.
//!
//! | module | job |
//! |---|---|
//! | `append` | hashes and writes what arrives |
//! | `list` | finds the blobs that lie here |
//! | `records` | records of manifests |
//! | `map` | blobs as maps of memory |
//! | `read` | hands out the bytes of blobs |
//! | `trust` | which bytes in memory are known to be right |
//! | `take_in` | takes in files that another program left |

mod append;
mod list;
mod map;
mod read;
mod records;
mod take_in;
mod trust;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;
use tokio::task::spawn_blocking;

use crate::blob::{BlobStore, ByteStream, Error, Location, StoredBlobs};
use crate::clock::Timestamp;
use crate::folder;
use crate::oci::{Algorithm, Digest};
use crate::upload::{Appender, Hasher, Leftover, Progress, UploadId, UploadStore};

pub use take_in::TakeIn;

/// How many bytes are hashed again at once.
const REHASH_CHUNK: usize = 1 << 20;

/// Why a folder can't be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server uses it.
    #[error("{} is in use by another server", .0.display())]
    Locked(PathBuf),
    /// It can't be made or read.
    #[error("failed to open {}", path.display())]
    Io {
        /// The file or folder at fault.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The right to be the only server that uses a folder.
#[derive(Debug)]
pub struct FolderLock {
    /// The lock goes with the file.
    _file: File,
}

impl FolderLock {
    /// Makes the folder where it is missing, and locks it for this process. Blocks.
    ///
    /// # Errors
    ///
    /// When another server holds the folder, or it can't be written.
    pub fn acquire(root: &Path) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        folder::make(root).map_err(failed(root))?;
        let path = root.join("wharf.lock");
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(failed(&path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked(root.to_owned())),
            Err(errno) => Err(failed(&path)(errno.into())),
        }
    }
}

/// Blobs and uploads in a folder of the local disk.
#[derive(Clone, Debug)]
pub struct DiskStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    epoch: String,
    maps: Arc<map::Maps>,
    trust: Arc<trust::Trust>,
    /// Without one, somebody else has it.
    _lock: Option<FolderLock>,
}

impl DiskStore {
    /// Opens the folder, making what is missing of it, and locks it for this process. Blocks.
    ///
    /// # Errors
    ///
    /// When another server holds the folder, or it can't be written.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        let lock = FolderLock::acquire(root)?;
        make_folders(root)?;
        let shared = Shared {
            root: root.to_owned(),
            epoch: boot_id(),
            maps: Arc::default(),
            trust: Arc::default(),
            _lock: Some(lock),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The folder with all its folders, for writing blobs beside a server that has it or may start
    /// meanwhile. Blocks.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn beside_to_write(root: &Path) -> Result<Self, OpenError> {
        make_folders(root)?;
        Ok(Self::beside(root))
    }

    /// The folder as it is, for reading blobs beside the server that has it.
    #[must_use]
    pub fn beside(root: &Path) -> Self {
        let shared = Shared {
            root: root.to_owned(),
            epoch: boot_id(),
            maps: Arc::default(),
            trust: Arc::default(),
            _lock: None,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    fn upload_path(&self, id: UploadId) -> PathBuf {
        self.shared.root.join("uploads").join(id.to_string())
    }

    fn blob_path(&self, location: &Location) -> PathBuf {
        self.shared.root.join("blobs").join(location.as_str())
    }
}

/// Makes what is missing of the folders.
fn make_folders(root: &Path) -> Result<(), OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    make_folder(&root.join("uploads")).map_err(failed(root))?;
    make_folder(&root.join("blobs")).map_err(failed(root))?;
    for algorithm in Algorithm::ALL {
        let folder = root.join("blobs").join(algorithm.as_str());
        make_folder(&folder).map_err(failed(&folder))?;
        for prefix in 0..=255_u8 {
            make_folder(&folder.join(format!("{prefix:02x}"))).map_err(failed(&folder))?;
        }
        folder::sync(&folder).map_err(failed(&folder))?;
    }
    folder::sync(&root.join("blobs")).map_err(failed(root))?;
    folder::sync(root).map_err(failed(root))
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// What the kernel calls this run of the machine; where it doesn't say, this process's own name,
/// so that uploads then end with the process.
fn boot_id() -> String {
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) => id.trim().to_owned(),
        Err(_) => uuid::Uuid::now_v7().to_string(),
    }
}

/// Where the bytes of an upload lie once they are the blob `digest`.
fn location_of(id: UploadId, digest: &Digest) -> Location {
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    let text = format!("{algorithm}/{prefix}/{hex}-{id}", prefix = &hex[..2]);
    text.parse()
        .expect("digests and upload ids are plain components")
}

/// Gives an upload its file back, where a call that became a blob of it was not recorded: the server
/// was killed then, or the database away. The blob keeps its name, for the commit may still come
/// through; as long as the row is there, nobody reads what lies behind its offset.
fn take_back(upload: &Path, blob: &Path) -> io::Result<()> {
    if upload.exists() || !blob.exists() {
        return Ok(());
    }
    match fs::hard_link(blob, upload) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file that may be gone already.
fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(work).await {
        Ok(outcome) => outcome,
        // Work on files is never cancelled, so the join failed by a panic of ours.
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

#[async_trait::async_trait]
impl BlobStore for DiskStore {
    async fn read(&self, location: &Location, range: Range<u64>) -> Result<ByteStream, Error> {
        let maps = Arc::clone(&self.shared.maps);
        let trust = Arc::clone(&self.shared.trust);
        let path = self.blob_path(location);
        read::open(maps, trust, path, location.clone(), range).await
    }

    async fn remove(&self, location: &Location) -> Result<(), Error> {
        let path = self.blob_path(location);
        let location = location.clone();
        self.shared.maps.forget(&location);
        blocking(move || {
            remove_if_there(&path).map_err(|source| Error::from_io("remove", &location, source))
        })
        .await
    }

    async fn stored(&self) -> Result<StoredBlobs, Error> {
        Ok(list::all(self.shared.root.join("blobs")))
    }
}

#[async_trait::async_trait]
impl UploadStore for DiskStore {
    fn epoch(&self) -> &str {
        &self.shared.epoch
    }

    async fn create(&self, id: UploadId) -> Result<(), Error> {
        let path = self.upload_path(id);
        blocking(move || {
            File::create_new(path).map_err(|source| Error::from_io("create upload", id, source))?;
            Ok(())
        })
        .await
    }

    async fn resume(&self, id: UploadId, progress: Progress) -> Result<Box<dyn Appender>, Error> {
        let path = self.upload_path(id);
        let blob = self.blob_path(&location_of(id, &progress.hasher.digest()));
        let appender = blocking(move || {
            take_back(&path, &blob).map_err(|source| Error::from_io("take back", id, source))?;
            append::DiskAppender::open(&path, id, progress)
        });
        Ok(Box::new(appender.await?))
    }

    async fn rehash(
        &self,
        id: UploadId,
        progress: &Progress,
        algorithm: Algorithm,
    ) -> Result<Hasher, Error> {
        let path = self.upload_path(id);
        let offset = progress.offset;
        blocking(move || {
            let failed = |source| Error::from_io("read upload", id, source);
            let mut file = File::open(path).map_err(failed)?.take(offset);
            let mut hasher = Hasher::new(algorithm);
            let mut chunk = vec![0; REHASH_CHUNK];
            let mut hashed = 0;
            loop {
                match file.read(&mut chunk).map_err(failed)? {
                    0 => break,
                    length => {
                        hasher.update(&chunk[..length]);
                        hashed += length as u64;
                    }
                }
            }
            if hashed < offset {
                return Err(Error::Short {
                    name: id.to_string(),
                    actual: hashed,
                });
            }
            Ok(hasher)
        })
        .await
    }

    async fn finish(
        &self,
        id: UploadId,
        _progress: &Progress,
        digest: &Digest,
    ) -> Result<Location, Error> {
        let upload = self.upload_path(id);
        let location = location_of(id, digest);
        let blob = self.blob_path(&location);
        let trust = Arc::clone(&self.shared.trust);
        blocking(move || {
            match File::open(&upload) {
                Ok(file) => {
                    file.sync_data().map_err(|source| {
                        // The kernel may have dropped the bytes, and would say so only once. What had
                        // become a blob of the same digest before was synced then.
                        let _ = fs::remove_file(&upload);
                        Error::from_io("sync upload", id, source)
                    })?;
                    let failed = |source| Error::from_io("move upload", id, source);
                    fs::rename(&upload, &blob).map_err(failed)?;
                    // Two names of one file, as `take_back` makes them, both outlive a rename.
                    remove_if_there(&upload).map_err(failed)?;
                }
                // A crash came between the rename and the commit of an earlier call.
                Err(error) if error.kind() == io::ErrorKind::NotFound && blob.exists() => {}
                Err(error) => return Err(Error::from_io("open upload", id, error)),
            }
            let folder = blob.parent().expect("a blob lies in a folder");
            folder::sync(folder).map_err(|source| {
                let _ = fs::remove_file(&blob);
                Error::from_io("sync the folder of", &location, source)
            })?;
            trust.give(&location);
            Ok(location)
        })
        .await
    }

    async fn discard(&self, id: UploadId, last: Option<&Progress>) -> Result<(), Error> {
        let upload = self.upload_path(id);
        let digest = last.map(|progress| progress.hasher.digest());
        let blob = digest.map(|digest| self.blob_path(&location_of(id, &digest)));
        blocking(move || {
            for path in [Some(upload), blob].into_iter().flatten() {
                remove_if_there(&path)
                    .map_err(|source| Error::from_io("remove upload", id, source))?;
            }
            Ok(())
        })
        .await
    }

    /// All of them at once, however young: the folder is this server's alone.
    async fn leftovers(
        &self,
        after: Option<UploadId>,
        _until: Timestamp,
    ) -> Result<Vec<Leftover>, Error> {
        let folder = self.shared.root.join("uploads");
        blocking(move || {
            let failed = |source| Error::from_io("list", "uploads", source);
            let mut uploads = Vec::new();
            for entry in fs::read_dir(folder).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                // What isn't named like an upload was not put there by us.
                let id = name.to_str().and_then(|name| name.parse::<UploadId>().ok());
                uploads.extend(id.filter(|id| Some(*id) > after));
            }
            uploads.sort_unstable();
            Ok(uploads.into_iter().map(Leftover::Upload).collect())
        })
        .await
    }

    async fn drop_leftover(&self, leftover: &Leftover) -> Result<bool, Error> {
        self.discard(leftover.upload(), None).await?;
        Ok(true)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
