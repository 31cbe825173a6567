//! Folders of a local disk, and small files in them, that are still there after the power failed.
//!
//! What is new is an entry in the folder above it, and lasts once that one is synced; syncing what
//! lies in it is not enough.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use uuid::Uuid;

/// Makes a folder with all that is missing above it, so that none of them is lost. One that is
/// there may be what a crash left, so it counts as new. Blocks.
///
/// # Errors
///
/// When one of them can't be made or synced.
pub fn make(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(above(path).ok_or(error)?)?;
            return make(path);
        }
        Err(_) if path.is_dir() => {}
        Err(error) => return Err(error),
    }
    match above(path).map(sync) {
        // Who may not read a folder can't sync it either.
        Some(Err(error)) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// Makes a file with these bytes that only its owner may read, and its folder, unless it is there.
/// It is whole and durable. Of several who do this at once the first one wins. Blocks.
///
/// # Errors
///
/// When it can't be made or synced.
pub fn create_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = above(path).unwrap_or(path);
    make(folder)?;
    let temporary = path.with_extension(format!("{}.new", Uuid::now_v7().simple()));
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    };
    let written = write();
    // After a failure it may not be there.
    let removed = fs::remove_file(&temporary);
    written.and(removed)?;
    sync(folder)
}

/// Makes the entries of a folder durable. Blocks.
///
/// # Errors
///
/// When it can't be read, or the disk fails.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The folder that a path lies in; none above the root.
fn above(path: &Path) -> Option<&Path> {
    let above = path.parent()?;
    Some(if above.as_os_str().is_empty() {
        Path::new(".")
    } else {
        above
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_with_all_above_it_and_again() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("a/b/c");
        make(&path).expect("made");
        make(&path).expect("it may be there");
        assert!(path.is_dir());
    }

    #[test]
    fn a_file_is_made_once_and_alone() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("a/name");
        create_file(&path, b"first").expect("made with its folder");
        create_file(&path, b"second").expect("it may be there");
        assert_eq!(fs::read(&path).expect("it is read"), b"first");
        let listed = fs::read_dir(root.path().join("a")).expect("a folder");
        assert_eq!(listed.count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_in_the_way_is_told_of() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("a"), "").expect("a file");
        assert!(make(&root.path().join("a")).is_err());
        assert!(make(&root.path().join("a/b")).is_err());
    }
}
