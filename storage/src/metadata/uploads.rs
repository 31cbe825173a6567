//! The rows of uploads under way.

use super::Metadata;
use super::error::Error;
use super::transaction::{Row, Transaction};
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::upload::{Hasher, Progress, UploadId};

/// An upload that begins.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Its name.
    pub id: UploadId,
    /// The repository that it is meant for, which may not exist yet.
    pub repository: RepositoryName,
    /// Whose it is; nobody else sees it.
    pub principal: String,
    /// The store's epoch, see [`UploadStore::epoch`](crate::upload::UploadStore::epoch).
    pub epoch: String,
    /// Where it stands.
    pub progress: Progress,
    /// How many uploads the principal may have open.
    pub limit: u64,
    /// The present moment.
    pub now: Timestamp,
}

/// An upload under way.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its name.
    pub id: UploadId,
    /// The repository that it is meant for.
    pub repository: RepositoryName,
    /// Whose it is.
    pub principal: String,
    /// The epoch that it was begun in.
    pub epoch: String,
    /// How far it got.
    pub progress: Progress,
}

impl Metadata {
    /// Begins an upload.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyUploads`], or when the database fails.
    pub async fn begin_upload(&self, upload: NewUpload) -> Result<(), Error> {
        self.write(move |transaction| begin(transaction, &upload))
            .await
    }

    /// An upload under way.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn upload(&self, id: UploadId) -> Result<Option<Upload>, Error> {
        self.read(move |transaction| {
            let row = transaction.query_one(
                "SELECT id, repository, principal, epoch, offset_bytes, hash_state, state
                 FROM uploads WHERE id = $1",
                &[id.to_string().as_str().into()],
            )?;
            row.map(read).transpose()
        })
        .await
    }

    /// Records how far an upload got that stood at `from`.
    ///
    /// # Errors
    ///
    /// [`Error::UploadUnknown`]; [`Error::UploadMoved`] when it stands elsewhere, since then another
    /// server has gone on with it; or when the database fails.
    pub async fn record_progress(
        &self,
        id: UploadId,
        from: u64,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<(), Error> {
        let progress = progress.clone();
        self.write(move |transaction| {
            let changed = transaction.execute(
                "UPDATE uploads
                 SET offset_bytes = $2, hash_state = $3, state = $4, updated_at = $5
                 WHERE id = $1 AND offset_bytes = $6",
                &[
                    id.to_string().as_str().into(),
                    progress.offset.into(),
                    progress.hasher.store().as_slice().into(),
                    progress.state.as_str().into(),
                    now.into(),
                    from.into(),
                ],
            )?;
            match changed {
                0 => Err(moved_or_unknown(transaction, id)?),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Ends an upload that becomes no blob, and tells whether it was there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn remove_upload(&self, id: UploadId) -> Result<bool, Error> {
        self.write(move |transaction| remove(transaction, id)).await
    }

    /// Uploads that nothing happened to since `since`, or that were begun in another epoch than
    /// `epoch`; the oldest first, `limit` at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn forgotten_uploads(
        &self,
        since: Timestamp,
        epoch: &str,
        limit: u64,
    ) -> Result<Vec<Upload>, Error> {
        let epoch = epoch.to_owned();
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT id, repository, principal, epoch, offset_bytes, hash_state, state
                 FROM uploads WHERE updated_at < $1 OR epoch <> $2
                 ORDER BY updated_at LIMIT $3",
                &[since.into(), epoch.as_str().into(), limit.into()],
            )?;
            rows.into_iter().map(read).collect()
        })
        .await
    }

    /// How many uploads are under way.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn open_uploads(&self) -> Result<u64, Error> {
        self.read(|transaction| {
            let row = transaction.query_one("SELECT COUNT(*) FROM uploads", &[])?;
            row.expect("a count is a row").size("a number of uploads")
        })
        .await
    }
}

fn begin(transaction: &mut dyn Transaction, upload: &NewUpload) -> Result<(), Error> {
    let row = transaction.query_one(
        "SELECT COUNT(*) FROM uploads WHERE principal = $1",
        &[upload.principal.as_str().into()],
    )?;
    let open = row.expect("a count is a row").size("a number of uploads")?;
    if open >= upload.limit {
        return Err(Error::TooManyUploads {
            open,
            limit: upload.limit,
        });
    }
    transaction.execute(
        "INSERT INTO uploads
             (id, repository, principal, epoch, offset_bytes, hash_state, state, created_at,
              updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        &[
            upload.id.to_string().as_str().into(),
            upload.repository.as_str().into(),
            upload.principal.as_str().into(),
            upload.epoch.as_str().into(),
            upload.progress.offset.into(),
            upload.progress.hasher.store().as_slice().into(),
            upload.progress.state.as_str().into(),
            upload.now.into(),
        ],
    )?;
    Ok(())
}

pub(super) fn remove(transaction: &mut dyn Transaction, id: UploadId) -> Result<bool, Error> {
    let removed = transaction.execute(
        "DELETE FROM uploads WHERE id = $1",
        &[id.to_string().as_str().into()],
    )?;
    Ok(removed > 0)
}

/// Ends an upload that stands at `offset`.
pub(super) fn finish(
    transaction: &mut dyn Transaction,
    id: UploadId,
    offset: u64,
) -> Result<(), Error> {
    let removed = transaction.execute(
        "DELETE FROM uploads WHERE id = $1 AND offset_bytes = $2",
        &[id.to_string().as_str().into(), offset.into()],
    )?;
    match removed {
        0 => Err(moved_or_unknown(transaction, id)?),
        _ => Ok(()),
    }
}

/// Why no upload stands where the caller left it.
fn moved_or_unknown(transaction: &mut dyn Transaction, id: UploadId) -> Result<Error, Error> {
    let row = transaction.query_one(
        "SELECT id FROM uploads WHERE id = $1",
        &[id.to_string().as_str().into()],
    )?;
    Ok(match row {
        Some(_) => Error::UploadMoved,
        None => Error::UploadUnknown,
    })
}

fn read(mut row: Row) -> Result<Upload, Error> {
    let id = row.parsed("an upload's id")?;
    let repository = row.parsed("an upload's repository")?;
    let principal = row.text("an upload's text")?;
    let epoch = row.text("an upload's text")?;
    let offset = row.size("an upload's offset")?;
    let hasher = Hasher::restore(&row.bytes("an upload's hash")?)
        .map_err(|error| Error::corrupt("an upload's hash", error))?;
    let state = row.text("an upload's text")?;
    Ok(Upload {
        id,
        repository,
        principal,
        epoch,
        progress: Progress {
            offset,
            hasher,
            state,
        },
    })
}
