//! Records on the disk: a file each, below `records/`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream;

use super::{DiskStore, blocking, remove_if_there};
use crate::blob::Error;
use crate::oci::RepositoryName;
use crate::record::{RecordName, RecordNames, RecordStore};

impl DiskStore {
    fn record_path(&self, name: &RecordName) -> PathBuf {
        self.records_folder().join(name.to_string())
    }

    fn records_folder(&self) -> PathBuf {
        self.shared.root.join("records")
    }
}

#[async_trait::async_trait]
impl RecordStore for DiskStore {
    async fn put_record(&self, name: &RecordName, bytes: Bytes) -> Result<(), Error> {
        let (path, name) = (self.record_path(name), name.clone());
        blocking(move || {
            let failed = |source| Error::from_io("write", &name, source);
            let folder = path.parent().expect("a record lies in a folder");
            let next = path.with_extension("next");
            if let Err(error) = fs::write(&next, &bytes) {
                if error.kind() != io::ErrorKind::NotFound {
                    return Err(failed(error));
                }
                fs::create_dir_all(folder).map_err(failed)?;
                fs::write(&next, &bytes).map_err(failed)?;
            }
            fs::rename(&next, &path).map_err(failed)
        })
        .await
    }

    async fn record(&self, name: &RecordName) -> Result<Bytes, Error> {
        let (path, name) = (self.record_path(name), name.clone());
        blocking(move || {
            let bytes = fs::read(path).map_err(|source| Error::from_io("read", &name, source))?;
            Ok(Bytes::from(bytes))
        })
        .await
    }

    async fn remove_record(&self, name: &RecordName) -> Result<(), Error> {
        let (path, name) = (self.record_path(name), name.clone());
        blocking(move || {
            remove_if_there(&path).map_err(|source| Error::from_io("remove", &name, source))
        })
        .await
    }

    async fn sync_records(&self) -> Result<(), Error> {
        let folder = self.records_folder();
        blocking(move || {
            let failed = |source| Error::from_io("sync", "records", source);
            fs::create_dir_all(&folder).map_err(failed)?;
            // One call for all of them, whichever folders they lie in.
            let folder = File::open(&folder).map_err(failed)?;
            rustix::fs::syncfs(folder).map_err(|errno| failed(errno.into()))
        })
        .await
    }

    async fn records(&self, repository: Option<&RepositoryName>) -> Result<RecordNames, Error> {
        let root = self.records_folder();
        let start = match repository {
            Some(name) => root.join(RecordName::prefix(name)),
            None => root.clone(),
        };
        let names = blocking(move || {
            let mut names = Vec::new();
            walk(&root, &start, &mut names)
                .map_err(|source| Error::from_io("list", "records", source))?;
            Ok(names)
        })
        .await?;
        Ok(Box::pin(stream::iter(names.into_iter().map(Ok))))
    }
}

/// The records in a folder and below it.
fn walk(root: &Path, start: &Path, names: &mut Vec<RecordName>) -> io::Result<()> {
    let mut folders = vec![start.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let path = entry.path();
            let name = path.strip_prefix(root).ok().and_then(Path::to_str);
            // What isn't named like a record was not put there by us, or is not finished.
            names.extend(name.and_then(|name| name.parse::<RecordName>().ok()));
        }
    }
    Ok(())
}
