//! Space that is kept for when there is none left.
//!
//! A delete is written like anything else, and so is each step of the collection that gives space
//! back: on a disk that is full to its last byte nothing could ever be mended. So a file without
//! meaning lies beside the database. Where a transaction finds no space, the file goes, and the
//! transaction runs once more. From then on until the file could be made again the database is
//! short: what is left belongs to those who make space, and whoever brings something is refused.
//!
//! Commands that run beside a server share the file with it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FallocateFlags;

/// How much is kept: twice the log of a database between two checkpoints.
const RESERVE_BYTES: u64 = 8 << 20;

/// The file, and whether it is there.
#[derive(Clone, Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    is_short: Arc<AtomicBool>,
}

impl Reserve {
    /// Makes the file beside a database, or finds that there is no space for it. Blocks.
    pub(super) fn beside(database: &Path) -> Self {
        let reserve = Self {
            path: database.with_file_name("reserve"),
            is_short: Arc::new(AtomicBool::new(true)),
        };
        reserve.restore();
        reserve
    }

    /// Whether the file is missing, as far as is known.
    pub(super) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Acquire)
    }

    /// Makes the file again where it is missing and there is space. Blocks.
    pub(super) fn restore(&self) {
        if !self.is_short() {
            return;
        }
        let is_there = fs::metadata(&self.path).is_ok_and(|file| file.len() == RESERVE_BYTES);
        if is_there || self.make().is_ok() {
            self.is_short.store(false, Ordering::Release);
        } else {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Gives its space away; false where it has none. Blocks.
    pub(super) fn release(&self) -> bool {
        if !self.is_short.swap(true, Ordering::AcqRel) {
            tracing::warn!("the disk is full: nothing new is taken until there is space again");
        }
        fs::remove_file(&self.path).is_ok()
    }

    fn make(&self) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let chunk = vec![0; 1 << 20];
                (0..RESERVE_BYTES >> 20).try_for_each(|_| file.write_all(&chunk))
            }
            outcome => Ok(outcome?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_given_away_once_and_made_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let reserve = Reserve::beside(&folder.path().join("metadata.sqlite3"));
        let length = || fs::metadata(folder.path().join("reserve")).map_or(0, |file| file.len());
        assert!(!reserve.is_short());
        assert_eq!(length(), RESERVE_BYTES);
        assert!(reserve.release() && reserve.is_short());
        assert!(!reserve.release(), "there is no more");
        reserve.restore();
        assert!(!reserve.is_short());
        assert_eq!(length(), RESERVE_BYTES);
    }

    #[test]
    fn where_it_cannot_be_made_the_database_is_short() {
        let reserve = Reserve::beside(Path::new("/proc/nowhere/metadata.sqlite3"));
        assert!(reserve.is_short());
        reserve.restore();
        assert!(reserve.is_short());
    }
}
