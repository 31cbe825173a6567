//! Blobs as maps of memory, and a few of them kept.
//!
//! The page cache itself is handed to the socket, so that bytes are copied once, by the kernel. A
//! map is safe to hand out because a blob's file never changes: it is moved into its place when it is
//! whole, and only ever unlinked, which leaves its bytes to those who have them mapped.
//!
//! A page that isn't in memory would be fetched while the runtime's thread waits, and one that the
//! disk can't read would end the process. So it is asked first, which takes no disk; and what is not
//! there is fetched on a blocking thread by `MADV_POPULATE_READ`, which reports what went wrong.

#![expect(
    unsafe_code,
    reason = "mapping a file, and asking which pages are in memory, are calls of the system"
)]

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use memmap2::{Advice, Mmap};

use crate::blob::Location;

/// How many maps are kept. Each costs the kernel some page tables, and no memory of ours.
const KEPT: usize = 256;
/// The size of a page, at least: what is asked about.
const PAGE: usize = 4096;

/// A mapped blob.
#[derive(Debug)]
pub(super) struct Map {
    bytes: Bytes,
    /// The same memory, which `bytes` keeps.
    memory: Arc<Mmap>,
}

/// What keeps the memory for as long as somebody has a part of it.
struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Map {
    /// Maps a file. Blocks.
    pub(super) fn open(file: &File) -> io::Result<Self> {
        // SAFETY: nobody writes to or truncates the file of a blob; see above.
        let memory = Arc::new(unsafe { Mmap::map(file) }?);
        Ok(Self {
            bytes: Bytes::from_owner(Owner(Arc::clone(&memory))),
            memory,
        })
    }

    /// How long the blob is.
    pub(super) fn length(&self) -> usize {
        self.memory.len()
    }

    /// A part of it, which has to lie inside and in memory.
    pub(super) fn slice(&self, range: Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    /// Whether all of a part is in memory. It takes no disk.
    pub(super) fn is_resident(&self, range: &Range<usize>) -> bool {
        let start = range.start / PAGE * PAGE;
        let length = range.end - start;
        let mut pages = [0_u8; 1024];
        let count = length.div_ceil(PAGE);
        if length == 0 || count > pages.len() {
            return length == 0;
        }
        // SAFETY: the range lies inside the map, and the vector has a place for each of its pages.
        let asked = unsafe {
            let address = self.memory.as_ptr().add(start).cast_mut().cast();
            libc::mincore(address, length, pages.as_mut_ptr())
        };
        asked == 0 && pages[..count].iter().all(|page| page & 1 == 1)
    }

    /// Fetches a part into memory. Blocks.
    pub(super) fn fetch(&self, range: &Range<usize>) -> io::Result<()> {
        let length = range.end - range.start;
        self.memory
            .advise_range(Advice::PopulateRead, range.start, length)
    }
}

/// The maps that are kept, the longest unread of them going first.
#[derive(Debug, Default)]
pub(super) struct Maps {
    kept: Mutex<HashMap<Location, Kept>>,
    turn: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    map: Arc<Map>,
    turn: u64,
}

impl Maps {
    /// The map of a blob, if it is kept.
    pub(super) fn get(&self, location: &Location) -> Option<Arc<Map>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get_mut(location)?;
        found.turn = turn;
        Some(Arc::clone(&found.map))
    }

    /// Keeps a map, in the place of others where there are too many.
    pub(super) fn keep(&self, location: Location, map: Arc<Map>) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(location, Kept { map, turn });
        if kept.len() > KEPT {
            // Half of them at once, so that this walk is rare.
            let mut turns: Vec<u64> = kept.values().map(|kept| kept.turn).collect();
            let (_, middle, _) = turns.select_nth_unstable(KEPT / 2);
            let oldest = *middle;
            kept.retain(|_, kept| kept.turn > oldest);
        }
    }

    /// Drops the map of a blob that goes.
    pub(super) fn forget(&self, location: &Location) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(location);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn map(length: usize) -> (Map, Vec<u8>) {
        let mut file = tempfile::tempfile().expect("a file");
        let bytes: Vec<u8> = (0..length).map(|n| (n ^ (n >> 8)) as u8).collect();
        file.write_all(&bytes).expect("written");
        (Map::open(&file).expect("mapped"), bytes)
    }

    #[test]
    fn parts_are_those_of_the_file() {
        let (map, bytes) = map(300_001);
        for range in [0..1, 0..300_001, 4095..4097, 299_999..300_001] {
            map.fetch(&range).expect("fetched");
            assert!(map.is_resident(&range), "{range:?}");
            assert_eq!(map.slice(range.clone()), bytes[range]);
        }
        let part = map.slice(100..200);
        drop(map);
        assert_eq!(part, bytes[100..200], "a part keeps the memory");
    }

    #[test]
    fn few_maps_are_kept() {
        let maps = Maps::default();
        let (map, _) = map(10);
        let map = Arc::new(map);
        let location = |number: usize| format!("a/{number}").parse::<Location>().expect("plain");
        for number in 0..=KEPT {
            maps.keep(location(number), Arc::clone(&map));
            // The first one is read again and again.
            assert!(maps.get(&location(0)).is_some(), "{number}");
        }
        assert!(maps.get(&location(1)).is_none());
        assert!(maps.get(&location(KEPT)).is_some());
        maps.forget(&location(KEPT));
        assert!(maps.get(&location(KEPT)).is_none());
    }
}
