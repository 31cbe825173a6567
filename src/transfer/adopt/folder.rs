//! A docker-registry's tree in a folder.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;
use wharf_storage::blob::{BlobStore as _, Location};
use wharf_storage::disk::DiskStore;
use wharf_storage::metadata::Blob;
use wharf_storage::oci::Digest;
use wharf_storage::upload::{Hasher, UploadId};

use super::super::{Error, MANIFEST_LIMIT};
use super::old::{Old, store};
use super::{Check, How};

/// How many bytes are hashed at once.
const PIECE: usize = 1 << 20;

/// A folder, and the store on a local disk that its bytes come to.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The root that docker-registry is given.
    pub root: PathBuf,
    /// The store.
    pub disk: DiskStore,
}

#[async_trait]
impl Old for Folder {
    fn shown(&self) -> PathBuf {
        self.root.clone()
    }

    async fn folders(&self, path: &str) -> Result<Vec<String>, Error> {
        let folder = self.root.join(path);
        blocking(move || {
            let entries = match fs::read_dir(&folder) {
                Err(error) if is_none(&error) => return Ok(Vec::new()),
                entries => entries.map_err(failed(&folder))?,
            };
            let mut names = Vec::new();
            for entry in entries {
                let entry = entry.map_err(failed(&folder))?;
                if entry.path().is_dir() {
                    names.extend(entry.file_name().into_string().ok());
                }
            }
            names.sort_unstable();
            Ok(names)
        })
        .await
    }

    async fn file(&self, path: &str) -> Result<Option<Bytes>, Error> {
        let path = self.root.join(path);
        blocking(move || {
            let length = match fs::metadata(&path) {
                Err(error) if is_none(&error) => return Ok(None),
                found => found.map_err(failed(&path))?.len(),
            };
            if length > MANIFEST_LIMIT as u64 {
                return Err(Error::TooLong {
                    what: path.display().to_string(),
                    limit: MANIFEST_LIMIT,
                });
            }
            let bytes = fs::read(&path).map_err(failed(&path))?;
            Ok(Some(bytes.into()))
        })
        .await
    }

    async fn has(&self, path: &str) -> Result<bool, Error> {
        let path = self.root.join(path);
        blocking(move || Ok(path.exists())).await
    }

    async fn take_in(
        &self,
        path: &str,
        digest: &Digest,
        how: How,
    ) -> Result<Result<Blob, String>, Error> {
        let path = self.root.join(path);
        let size = match checked(digest, path.clone(), how.check).await? {
            Ok(size) => size,
            Err(why) => return Ok(Err(why)),
        };
        let id = UploadId::new(Uuid::now_v7());
        let taken = self.disk.take_in(path.clone(), digest, id, how.bytes).await;
        let location = taken.map_err(|source| refused(path, source))?;
        Ok(Ok(Blob {
            digest: digest.clone(),
            size,
            location,
        }))
    }

    async fn sync(&self) -> Result<(), Error> {
        self.disk.sync_blobs().await.map_err(store)
    }

    /// A second name is nobody else's to remove.
    async fn still_has(&self, _blob: &Blob) -> Result<bool, Error> {
        Ok(true)
    }

    async fn give_back(&self, location: &Location) -> Result<(), Error> {
        self.disk.remove(location).await.map_err(store)
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
            Err(error) if is_none(&error) => Ok(Err("the bytes are missing".to_owned())),
            Err(source) => Err(failed(&path)(source)),
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

fn is_none(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        action: "read",
        path: path.clone(),
        source,
    }
}

/// Why a file was not taken in, with what helps.
fn refused(path: PathBuf, source: io::Error) -> Error {
    let action = "take in";
    let message = match source.kind() {
        io::ErrorKind::CrossesDevices => {
            "it lies on another file system than the data folder: move the data folder there, or \
             copy the bytes by --copy"
        }
        io::ErrorKind::PermissionDenied => {
            "only the owner of the files, or root, may give them a second name: run it as one of \
             them, or copy the bytes by --copy"
        }
        _ => {
            return Error::Io {
                action,
                path,
                source,
            };
        }
    };
    let source = io::Error::new(source.kind(), message);
    Error::Io {
        action,
        path,
        source,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
