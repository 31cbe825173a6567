//! That a database and the data folder with its blobs belong together.
//!
//! With PostgreSQL a second server can be pointed at the database from another machine. With its
//! blobs on a disk of its own it would answer for images whose bytes it doesn't have, and collect
//! what the other one still wants. So the folder has a name, which the database remembers, and a
//! server with another folder doesn't start. Blobs in a bucket are every server's, and SQLite lies
//! in the data folder itself.

use std::fs;
use std::io;
use std::path::Path;

use uuid::Uuid;
use wharf_storage::folder;
use wharf_storage::metadata::Replace;

use super::{Error, Office};
use crate::config::Config;

/// The file with the folder's name.
pub(super) const FILE: &str = "folder-id";

/// The document with the name of the folder that the database belongs to.
const KNOWN: (&str, &str) = ("server", "folder-id");

/// Looks whether the data folder is the one of this database; the first server makes it so.
///
/// # Errors
///
/// When it is another one, or either can't be read.
pub(super) async fn confirm(config: &Config, office: &Office) -> Result<(), Error> {
    if config.database.postgres().is_none() || config.s3.is_on() {
        return Ok(());
    }
    let (metadata, (kind, key)) = (&office.metadata, KNOWN);
    let path = config.data().join(FILE);
    let failed = |source| Error::FolderName {
        path: path.clone(),
        source,
    };
    let own = read(&path).map_err(failed)?;
    let known = match metadata.document(kind, key).await? {
        Some(document) => document.text,
        None => {
            let name = match &own {
                Some(name) => name.clone(),
                None => Uuid::now_v7().to_string(),
            };
            // The folder has its name before the database knows it, so that a kill in between leaves
            // nothing that would be refused.
            if own.is_none() {
                folder::create_file(&path, name.as_bytes()).map_err(failed)?;
            }
            let (never, now) = (Replace::Never, office.clock.now());
            metadata.put_document(kind, key, &name, never, now).await?;
            // Another server may have been faster.
            let known = metadata.document(kind, key).await?;
            known.map_or_else(|| name, |document| document.text)
        }
    };
    let own = read(&path).map_err(failed)?;
    match own.as_deref() == Some(known.as_str()) {
        true => Ok(()),
        false => Err(Error::OtherFolder {
            folder: config.data().to_owned(),
            known,
        }),
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
