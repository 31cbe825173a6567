//! Reading the bytes of all blobs again, slowly, to find those that have changed.
//!
//! A scrub goes through the blobs in the order of their rows, and writes down how far it got, so that
//! it goes on there after a break, on another server too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use wharf_storage::blob::{self, BlobStore};
use wharf_storage::clock::Clock;
use wharf_storage::metadata::{Check, Hold, Metadata, Replace, ToCheck, Verdict};
use wharf_storage::upload::Hasher;

use super::Error;

/// What the work is called.
const JOB: &str = "scrub";
/// For how long a server holds the work before it renews that.
const TERM: Duration = Duration::from_secs(120);
/// How often what was found is written down, and the hold renewed.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// How many rows are read at once.
const PAGE: u64 = 200;
/// After how many blobs in a row that are not there the store itself is taken for away, as a disk is
/// that isn't mounted.
const MOST_MISSING: u32 = 10;
/// The document that says how far the scrub got.
const DOCUMENT: (&str, &str) = ("scrub", "progress");

/// How far a scrub got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scrubbed {
    /// The row of the last blob.
    pub after: i64,
    /// How many blobs were read.
    pub blobs: u64,
    /// How many bytes.
    pub bytes: u64,
    /// How many blobs are wrong.
    pub wrong: u64,
    /// How many could not be read.
    pub unreadable: u64,
    /// Whether it has come to the end.
    pub is_done: bool,
}

/// Who reads all bytes again.
#[derive(Clone, Debug)]
pub struct Scrubber {
    metadata: Metadata,
    blobs: Arc<dyn BlobStore>,
    clock: Arc<dyn Clock>,
    holder: Arc<str>,
    /// How many bytes a second are read at most; 0: as many as can be.
    bytes_per_second: u64,
}

/// What was found of a blob.
enum Found {
    Right,
    Wrong,
    /// Nothing lies there.
    Missing,
    /// It can't be read for now.
    Unreadable,
}

/// Why a scrub ends early.
#[derive(Debug, thiserror::Error)]
#[error("{MOST_MISSING} blobs in a row are not there: the store seems to be away")]
struct StoreAway;

/// Keeps to a rate.
struct Pace {
    began: Instant,
    bytes: u64,
    bytes_per_second: u64,
}

impl Pace {
    async fn keep(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes_per_second == 0 {
            return;
        }
        let due = Duration::from_secs_f64(self.bytes as f64 / self.bytes_per_second as f64);
        tokio::time::sleep(due.saturating_sub(self.began.elapsed())).await;
    }
}

impl Scrubber {
    /// A scrubber of these stores, known to others by a name.
    #[must_use]
    pub fn new(
        metadata: Metadata,
        blobs: Arc<dyn BlobStore>,
        clock: Arc<dyn Clock>,
        holder: Arc<str>,
        bytes_per_second: u64,
    ) -> Self {
        Self {
            metadata,
            blobs,
            clock,
            holder,
            bytes_per_second,
        }
    }

    /// How far the last scrub got, and when it said so last.
    ///
    /// # Errors
    ///
    /// When the metadata fails.
    pub async fn progress(
        &self,
    ) -> Result<Option<(Scrubbed, wharf_storage::clock::Timestamp)>, Error> {
        let document = self.metadata.document(DOCUMENT.0, DOCUMENT.1).await?;
        Ok(document.and_then(|document| {
            let scrubbed = serde_json::from_str(&document.text).ok()?;
            Some((scrubbed, document.updated_at))
        }))
    }

    /// Reads all blobs behind where the last scrub was broken off, or from the first one where it
    /// came to its end; nothing when another server is at it. `tell` hears how far it got, and says
    /// whether to go on.
    ///
    /// # Errors
    ///
    /// When a store fails; what was read until then need not be read again.
    pub async fn run(&self, tell: impl Fn(&Scrubbed) -> bool) -> Result<Option<Scrubbed>, Error> {
        if !self.hold().await? {
            return Ok(None);
        }
        let mut scrubbed = match self.progress().await? {
            Some((before, _)) if !before.is_done => before,
            _ => Scrubbed::default(),
        };
        let mut pace = Pace {
            began: Instant::now(),
            bytes: 0,
            bytes_per_second: self.bytes_per_second,
        };
        let (mut found, mut written) = (Vec::new(), Instant::now());
        let mut missing_in_row = 0;
        'pages: loop {
            let page = self.metadata.blobs_to_check(scrubbed.after, PAGE).await?;
            if page.is_empty() {
                scrubbed.is_done = true;
                break;
            }
            for one in page {
                let of = self.check(&one, &mut pace).await;
                missing_in_row = match of {
                    Found::Missing => missing_in_row + 1,
                    Found::Right | Found::Wrong | Found::Unreadable => 0,
                };
                if missing_in_row >= MOST_MISSING {
                    // What was found since the last write is not believed.
                    return Err(Error::Internal(Box::new(StoreAway)));
                }
                scrubbed.after = one.id;
                scrubbed.blobs += 1;
                scrubbed.bytes += one.blob.size;
                let verdict = match of {
                    Found::Right => Some(Verdict::Right),
                    Found::Wrong | Found::Missing => Some(Verdict::Wrong),
                    Found::Unreadable => None,
                };
                scrubbed.wrong += u64::from(verdict == Some(Verdict::Wrong));
                scrubbed.unreadable += u64::from(verdict.is_none());
                found.extend(verdict.map(|verdict| Check { of: one, verdict }));
                if !tell(&scrubbed) {
                    break 'pages;
                }
                if written.elapsed() >= WRITE_EVERY && missing_in_row == 0 {
                    self.write(&mut found, &scrubbed).await?;
                    written = Instant::now();
                    if !self.hold().await? {
                        return Ok(None);
                    }
                }
            }
        }
        self.write(&mut found, &scrubbed).await?;
        self.metadata.release_job(JOB, &self.holder).await?;
        Ok(Some(scrubbed))
    }

    async fn hold(&self) -> Result<bool, Error> {
        let now = self.clock.now();
        let held = self.metadata.hold_job(JOB, &self.holder, now, TERM).await?;
        Ok(held != Hold::ByOther)
    }

    async fn write(&self, found: &mut Vec<Check>, scrubbed: &Scrubbed) -> Result<(), Error> {
        let now = self.clock.now();
        self.metadata
            .record_checks(std::mem::take(found), now)
            .await?;
        let text = serde_json::to_string(scrubbed).expect("numbers have a JSON form");
        let (kind, key) = DOCUMENT;
        self.metadata
            .put_document(kind, key, &text, Replace::Allowed, now)
            .await?;
        Ok(())
    }

    /// Reads the bytes of a blob.
    async fn check(&self, one: &ToCheck, pace: &mut Pace) -> Found {
        let blob = &one.blob;
        let mut hasher = Hasher::new(blob.digest.algorithm());
        let read = async {
            let mut bytes = self.blobs.read(&blob.location, 0..blob.size).await?;
            while let Some(bytes) = bytes.try_next().await? {
                hasher.update(&bytes);
                pace.keep(bytes.len() as u64).await;
                // Hashing is work for a while; others shall have their turn between.
                tokio::task::yield_now().await;
            }
            Ok(())
        };
        let (digest, location) = (&blob.digest, &blob.location);
        match read.await {
            Ok(()) if hasher.digest() == *digest => Found::Right,
            Ok(()) | Err(blob::Error::Wrong { .. }) => {
                tracing::error!(%digest, %location, "a blob has other bytes than its digest says");
                Found::Wrong
            }
            Err(error @ blob::Error::NotFound { .. }) => {
                tracing::error!(%digest, %location, %error, "the bytes of a blob are missing");
                Found::Missing
            }
            Err(error @ blob::Error::Short { .. }) => {
                tracing::error!(%digest, %location, %error, "bytes of a blob are missing");
                Found::Wrong
            }
            Err(error) => {
                tracing::error!(%digest, %location, %error, "the bytes of a blob can not be read");
                Found::Unreadable
            }
        }
    }
}
