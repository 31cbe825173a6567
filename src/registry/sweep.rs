//! Ending forgotten uploads, and removing bytes that nobody needs.

use super::{Error, Registry};

/// How many rows are looked at in one go.
const BATCH: u64 = 100;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that were ended.
    pub uploads: u64,
    /// Bytes of uploads that no row knew, as a crash leaves them.
    pub strays: u64,
    /// Blobs whose bytes were removed.
    pub removals: u64,
}

impl Registry {
    /// Ends the uploads that nothing happened to for long, or that a reboot may have damaged, and
    /// removes the bytes that wait for removal.
    ///
    /// # Errors
    ///
    /// When a store fails; what was done until then stays done.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        Ok(Swept {
            uploads: self.end_forgotten_uploads().await?,
            strays: 0,
            removals: self.remove_needless_bytes().await?,
        })
    }

    /// As [`sweep`](Self::sweep), and also removes the bytes of uploads that have no row. Only for
    /// the start of a server: afterwards, an upload's bytes may come before its row.
    ///
    /// # Errors
    ///
    /// When a store fails; what was done until then stays done.
    pub async fn sweep_at_start(&self) -> Result<Swept, Error> {
        let mut swept = self.sweep().await?;
        for id in self.uploads.list().await? {
            if self.metadata.upload(id).await?.is_none() {
                self.uploads.discard(id, None).await?;
                swept.strays += 1;
            }
        }
        Ok(swept)
    }

    async fn end_forgotten_uploads(&self) -> Result<u64, Error> {
        let mut ended = 0;
        loop {
            let since = self.clock.now().before(self.settings.upload_expiry);
            let epoch = self.uploads.epoch();
            let forgotten = self.metadata.forgotten_uploads(since, epoch, BATCH).await?;
            if forgotten.is_empty() {
                return Ok(ended);
            }
            for upload in forgotten {
                // The row goes first: from then on no request can make a blob of these bytes.
                if self.metadata.remove_upload(upload.id).await? {
                    let unrecorded = upload.progress.hasher.digest();
                    self.uploads.discard(upload.id, Some(&unrecorded)).await?;
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
            for location in locations {
                self.blobs.remove(&location).await?;
                self.metadata.removed(&location).await?;
                removed += 1;
            }
        }
    }
}
