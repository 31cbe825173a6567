//! Which blobs' bytes in memory are known to be right, and the check that finds out.
//!
//! Bytes may change on the disk. What is in memory was hashed when it arrived, or when it was read
//! from the disk for an answer: such a blob is trusted for as long as all of it stays in memory, and
//! pulls of it cost no hash. A blob of which a part had to come from the disk again is hashed along
//! with the answer, whose last bytes are held back until the digest is right.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::map::Map;
use crate::blob::{Error, Location};
use crate::oci::Digest;
use crate::upload::Hasher;

/// How many blobs are known at most, 9 bytes each; one more and all are forgotten.
const KNOWN: usize = 1 << 16;
/// How many bytes are hashed at once.
const STEP: usize = 1 << 20;

/// The blobs that are trusted. A location is never used twice, so its hash stands for its bytes.
#[derive(Debug, Default)]
pub(super) struct Trust {
    known: Mutex<HashSet<u64>>,
    hash: RandomState,
}

impl Trust {
    pub(super) fn has(&self, location: &Location) -> bool {
        self.known().contains(&self.hash.hash_one(location))
    }

    pub(super) fn give(&self, location: &Location) {
        let mut known = self.known();
        if known.len() == KNOWN {
            known.clear();
        }
        known.insert(self.hash.hash_one(location));
    }

    pub(super) fn take(&self, location: &Location) {
        self.known().remove(&self.hash.hash_one(location));
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hash of a blob that is being handed out.
#[derive(Debug)]
pub(super) struct Check {
    digest: Digest,
    hasher: Hasher,
    /// How much has been hashed.
    offset: usize,
}

impl Check {
    /// A check of the blob at a location, if its name tells the digest.
    pub(super) fn of(location: &Location) -> Option<Self> {
        // algorithm/ab/hex-id
        let (algorithm, rest) = location.as_str().split_once('/')?;
        let (hex, _) = rest.rsplit('/').next()?.split_once('-')?;
        let digest: Digest = format!("{algorithm}:{hex}").parse().ok()?;
        Some(Self {
            hasher: Hasher::new(digest.algorithm()),
            digest,
            offset: 0,
        })
    }

    /// Hashes up to the end of a part, from where it was; at the end of the blob it has to be the
    /// digest. Blocks.
    pub(super) fn reach(
        &mut self,
        map: &Arc<Map>,
        part: &Range<usize>,
        location: &Location,
    ) -> Result<(), Error> {
        while self.offset < part.end {
            let step = self.offset..part.end.min(self.offset + STEP);
            map.fetch(&step)
                .map_err(|source| Error::from_io("read", location, source))?;
            self.offset = step.end;
            self.hasher.update(&map.slice(step));
        }
        match self.offset == map.length() && self.hasher.digest() != self.digest {
            true => Err(Error::Wrong {
                name: location.to_string(),
            }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_tells_its_digest_or_there_is_no_check() {
        let hex = "a".repeat(64);
        let location = |text: String| text.parse::<Location>().expect("plain");
        assert!(Check::of(&location(format!("sha256/aa/{hex}-1"))).is_some());
        assert!(Check::of(&location(format!("sha256/aa/{hex}"))).is_none());
        assert!(Check::of(&location("other/place".into())).is_none());
    }

    #[test]
    fn trust_is_given_and_taken_and_has_an_end() {
        let trust = Trust::default();
        let location = |number: usize| format!("a/{number}").parse::<Location>().expect("plain");
        trust.give(&location(1));
        assert!(trust.has(&location(1)) && !trust.has(&location(2)));
        trust.take(&location(1));
        assert!(!trust.has(&location(1)));
        (0..=KNOWN).for_each(|number| trust.give(&location(number)));
        assert!(trust.known().len() <= KNOWN);
    }
}
