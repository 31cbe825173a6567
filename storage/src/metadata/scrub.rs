//! Which bytes were read as a whole, and found to be right or wrong.
//!
//! A blob whose bytes are wrong is quarantined: no repository sees it, so that nobody gets wrong bytes
//! and the next push sends it again, which takes its place. One that is found to be right later,
//! as after a disk was mended, comes back.

use super::Metadata;
use super::blobs::Blob;
use super::error::Error;
use super::transaction::Transaction;
use crate::clock::Timestamp;
use crate::oci::Digest;

/// A blob whose bytes are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToCheck {
    /// Its row, to go on behind.
    pub id: i64,
    /// The blob.
    pub blob: Blob,
    /// Whether it is quarantined.
    pub is_quarantined: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes are those of the digest.
    Right,
    /// They are not, or not all of them are there.
    Wrong,
}

/// What was found about a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The blob's row, and where its bytes were read.
    pub of: ToCheck,
    /// What was found.
    pub verdict: Verdict,
}

impl Metadata {
    /// The blobs behind the row `after`, in the order of their rows, `limit` at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn blobs_to_check(&self, after: i64, limit: u64) -> Result<Vec<ToCheck>, Error> {
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT id, digest, size_bytes, location, quarantined_at FROM blobs
                 WHERE id > $1 ORDER BY id LIMIT $2",
                &[after.into(), limit.into()],
            )?;
            rows.into_iter()
                .map(|mut row| {
                    Ok(ToCheck {
                        id: row.integer("a blob's id")?,
                        blob: Blob {
                            digest: row.parsed("a blob's digest")?,
                            size: row.size("a blob's size")?,
                            location: row.parsed("a blob's location")?,
                        },
                        is_quarantined: row.optional_time("quarantined_at")?.is_some(),
                    })
                })
                .collect()
        })
        .await
    }

    /// How many blobs there are behind the row `after`, and how many bytes.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn count_blobs(&self, after: i64) -> Result<(u64, u64), Error> {
        self.read(move |transaction| {
            let row = transaction.query_one(
                "SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM blobs
                 WHERE id > $1",
                &[after.into()],
            )?;
            let mut row = row.expect("a count is a row");
            Ok((row.size("a count")?, row.size("a sum")?))
        })
        .await
    }

    /// Blobs whose bytes are known to be wrong, `limit` at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn quarantined_blobs(&self, limit: u64) -> Result<Vec<Digest>, Error> {
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT digest FROM blobs WHERE quarantined_at IS NOT NULL
                 ORDER BY digest LIMIT $1",
                &[limit.into()],
            )?;
            rows.into_iter()
                .map(|mut row| row.parsed("a blob's digest"))
                .collect()
        })
        .await
    }

    /// Writes down what was found. What lies elsewhere by now, or is gone, is passed over.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn record_checks(&self, checks: Vec<Check>, now: Timestamp) -> Result<(), Error> {
        self.write(move |transaction| {
            for Check { of, verdict } in &checks {
                let quarantined_at = match (verdict, of.is_quarantined) {
                    (Verdict::Right, _) => None,
                    (Verdict::Wrong, false) => Some(now),
                    // It keeps the time when it was found first.
                    (Verdict::Wrong, true) => continue,
                };
                transaction.execute(
                    "UPDATE blobs SET checked_at = $3, quarantined_at = $4
                     WHERE id = $1 AND location = $2",
                    &[
                        of.id.into(),
                        of.blob.location.as_str().into(),
                        now.into(),
                        quarantined_at.into(),
                    ],
                )?;
            }
            Ok(())
        })
        .await
    }
}

/// Puts new bytes in the place of quarantined ones.
pub(super) fn replace(
    transaction: &mut dyn Transaction,
    blob_id: i64,
    blob: &Blob,
    now: Timestamp,
) -> Result<(), Error> {
    transaction.execute(
        "UPDATE blobs SET size_bytes = $2, location = $3, created_at = $4, quarantined_at = NULL,
             checked_at = NULL
         WHERE id = $1",
        &[
            blob_id.into(),
            blob.size.into(),
            blob.location.as_str().into(),
            now.into(),
        ],
    )?;
    Ok(())
}
