//! Files that another program left, taken in as blobs.
//!
//! A hard link gives the same bytes a second name: nothing is copied, the other program's tree stays as
//! it is, and each of the two can be removed without the other. What holds for a blob's bytes holds
//! only as long as nobody writes into the file under its other name; programs that keep content by its
//! digest don't.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use super::{DiskStore, blocking, location_of};
use crate::blob::{Error, Location};
use crate::oci::Digest;
use crate::upload::UploadId;

/// How the bytes come to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeIn {
    /// By a second name for them, which takes the same file system.
    Link,
    /// By a copy.
    Copy,
}

impl DiskStore {
    /// Gives a file's bytes a location as the blob `digest`, in the name of an id that nothing else
    /// has. They are durable there after [`sync_blobs`](Self::sync_blobs).
    ///
    /// # Errors
    ///
    /// When the system refuses, as it does to link over file systems or others' files.
    pub async fn take_in(
        &self,
        path: PathBuf,
        digest: &Digest,
        id: UploadId,
        how: TakeIn,
    ) -> Result<Location, io::Error> {
        let location = location_of(id, digest);
        let target = self.blob_path(&location);
        let partial = target.with_file_name(format!(".{id}.partial"));
        let work = tokio::task::spawn_blocking(move || match how {
            TakeIn::Link => fs::hard_link(path, target),
            TakeIn::Copy => {
                let copied = fs::copy(path, &partial).and_then(|_| fs::rename(&partial, target));
                if copied.is_err() {
                    let _ = fs::remove_file(&partial);
                }
                copied
            }
        });
        match work.await {
            Ok(outcome) => outcome.map(|()| location),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Makes durable what was taken in, bytes and names: the other program may not have synced them.
    ///
    /// # Errors
    ///
    /// When the system fails.
    pub async fn sync_blobs(&self) -> Result<(), Error> {
        let folder = self.shared.root.join("blobs");
        blocking(move || {
            let failed = |source| Error::from_io("sync", "blobs", source);
            let folder = File::open(folder).map_err(failed)?;
            rustix::fs::syncfs(folder).map_err(|errno| failed(errno.into()))
        })
        .await
    }
}
