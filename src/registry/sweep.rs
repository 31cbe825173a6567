//! Ending forgotten uploads, and removing bytes that nobody needs.

use std::sync::{Mutex, PoisonError};

use wharf_storage::clock::Timestamp;
use wharf_storage::upload::{Leftover, UploadId};

use super::{Error, Registry};

/// How many rows are looked at in one go.
const BATCH: u64 = 100;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that were ended.
    pub uploads: u64,
    /// Leftovers of uploads that no row knew, as a crash leaves them.
    pub strays: u64,
    /// Blobs whose bytes were removed.
    pub removals: u64,
}

/// How far leftovers have been looked at: behind the upload that is named, nothing that is old can
/// appear any more.
#[derive(Debug, Default)]
pub(super) struct Mark(Mutex<Option<UploadId>>);

impl Registry {
    /// Ends the uploads that nothing happened to for long, or that a reboot may have damaged, and
    /// removes the bytes that wait for removal. Where other servers write to the same store, what
    /// no row knows is removed when it is older than an upload gets.
    ///
    /// # Errors
    ///
    /// When a store fails; what was done until then stays done.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        // What one of them can't do keeps the others from nothing.
        let uploads = self.end_forgotten_uploads().await;
        let removals = self.remove_needless_bytes().await;
        let strays = match self.uploads.is_shared() {
            true => self.remove_old_leftovers().await,
            false => Ok(0),
        };
        Ok(Swept {
            uploads: uploads?,
            strays: strays?,
            removals: removals?,
        })
    }

    /// As [`sweep`](Self::sweep), and also removes what no row knows where this server is alone.
    /// Only for its start: afterwards, an upload's bytes may come before its row.
    ///
    /// # Errors
    ///
    /// When a store fails; what was done until then stays done.
    pub async fn sweep_at_start(&self) -> Result<Swept, Error> {
        let mut swept = self.sweep().await?;
        if !self.uploads.is_shared() {
            let (removed, _) = self.remove_leftovers(None, self.clock.now()).await?;
            swept.strays += removed;
        }
        Ok(swept)
    }

    async fn remove_old_leftovers(&self) -> Result<u64, Error> {
        let Some(until) = self.expiry.limit() else {
            return Ok(0);
        };
        let from = *self.swept.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut removed = 0;
        for multipart in self.uploads.multiparts(until).await? {
            removed += u64::from(self.remove_leftover(&multipart).await?);
        }
        let (objects, mark) = self.remove_leftovers(from, until).await?;
        *self.swept.0.lock().unwrap_or_else(PoisonError::into_inner) = mark;
        Ok(removed + objects)
    }

    /// Removes what no row knows of the uploads behind `after`; tells how much that was, and where
    /// to go on the next time.
    async fn remove_leftovers(
        &self,
        mut after: Option<UploadId>,
        until: Timestamp,
    ) -> Result<(u64, Option<UploadId>), Error> {
        let (mut removed, mut mark, mut is_open) = (0, after, false);
        loop {
            let page = self.uploads.leftovers(after, until).await?;
            let Some(last) = page.last().map(Leftover::upload) else {
                return Ok((removed, mark));
            };
            // All that an upload has stands in one page.
            let mut looked_at = mark;
            for leftover in page {
                if !is_open && looked_at != Some(leftover.upload()) {
                    mark = looked_at;
                }
                looked_at = Some(leftover.upload());
                // A long upload, or a request that came late, leaves something younger than what
                // uploads left that began behind it.
                is_open |= matches!(leftover, Leftover::Young(_));
                removed += u64::from(self.remove_leftover(&leftover).await?);
                // An upload that still goes on may leave something later.
                is_open |= self.metadata.upload(leftover.upload()).await?.is_some();
            }
            if !is_open {
                mark = looked_at;
            }
            after = Some(last);
        }
    }

    /// Removes what was left behind, unless a row knows it.
    async fn remove_leftover(&self, leftover: &Leftover) -> Result<bool, Error> {
        if let Leftover::Young(_) = leftover {
            return Ok(false);
        }
        // In this order: the row of the upload goes in the transaction that makes the blob's.
        if self.metadata.upload(leftover.upload()).await?.is_some() {
            return Ok(false);
        }
        if let Leftover::Object(_, location) = leftover
            && self.metadata.knows_location(location).await?
        {
            return Ok(false);
        }
        Ok(self.uploads.drop_leftover(leftover).await?)
    }

    async fn end_forgotten_uploads(&self) -> Result<u64, Error> {
        let mut ended = 0;
        // What a reboot may have damaged ends however old it is.
        let since = self.expiry.limit();
        let since = since.unwrap_or(Timestamp::from_micros(0));
        loop {
            let epoch = self.uploads.epoch();
            let forgotten = self.metadata.forgotten_uploads(since, epoch, BATCH).await?;
            if forgotten.is_empty() {
                return Ok(ended);
            }
            for upload in forgotten {
                // The row goes first: from then on no request can make a blob of these bytes.
                if self.metadata.remove_upload(upload.id).await? {
                    self.discard(upload.id, Some(upload.progress)).await;
                    ended += 1;
                }
            }
        }
    }

    async fn remove_needless_bytes(&self) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            let locations = self.metadata.removals(BATCH).await?;
            if locations.is_empty() {
                return Ok(removed);
            }
            self.blobs.remove_all(&locations).await?;
            self.metadata.removed(&locations).await?;
            removed += locations.len() as u64;
        }
    }
}
