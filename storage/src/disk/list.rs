//! Finds the blobs that lie on the disk, by the names of their files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, stream};

use super::blocking;
use crate::blob::{Error, StoredBlob, StoredBlobs};
use crate::oci::Algorithm;

/// All blobs below a folder, one of its folders after the other.
pub(super) fn all(root: PathBuf) -> StoredBlobs {
    let folders = Algorithm::ALL
        .into_iter()
        .flat_map(|algorithm| (0..=255_u8).map(move |prefix| format!("{algorithm}/{prefix:02x}")));
    let found = stream::iter(folders).then(move |folder| {
        let root = root.clone();
        async move {
            let found = blocking(move || {
                in_folder(&root, &folder)
                    .map_err(|source| Error::from_io("list", format!("blobs/{folder}"), source))
            });
            match found.await {
                Ok(found) => stream::iter(found.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => stream::iter(vec![Err(error)]),
            }
        }
    });
    Box::pin(found.flatten())
}

fn in_folder(root: &Path, folder: &str) -> io::Result<Vec<StoredBlob>> {
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // What isn't named like a blob was not put there by us.
        let Some((name, (hex, _))) = name
            .to_str()
            .and_then(|name| Some((name, name.split_once('-')?)))
        else {
            continue;
        };
        let (algorithm, _) = folder.split_once('/').unwrap_or((folder, ""));
        let digest = format!("{algorithm}:{hex}").parse();
        let location = format!("{folder}/{name}").parse();
        let (Ok(digest), Ok(location)) = (digest, location) else {
            continue;
        };
        let size = entry.metadata()?.len();
        found.push(StoredBlob {
            digest,
            size,
            location,
        });
    }
    Ok(found)
}
