//! How far a run got, for whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was copied so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Bytes of blobs that are to be copied, as far as manifests were read.
    pub bytes_to_copy: AtomicU64,
    /// Bytes of blobs that were copied.
    pub bytes_copied: AtomicU64,
    /// Blobs that were copied.
    pub blobs_copied: AtomicU64,
    /// Blobs that the target had already.
    pub blobs_there: AtomicU64,
    /// Manifests that the target was given.
    pub manifests: AtomicU64,
    /// Manifests that an index lists and the source doesn't have.
    pub missing: AtomicU64,
}

impl Tally {
    /// Adds to one of the numbers.
    pub fn add(number: &AtomicU64, count: u64) {
        number.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes from one of the numbers what was added before.
    pub fn take(number: &AtomicU64, count: u64) {
        number.fetch_sub(count, Ordering::Relaxed);
    }

    /// One of the numbers.
    #[must_use]
    pub fn of(number: &AtomicU64) -> u64 {
        number.load(Ordering::Relaxed)
    }
}
