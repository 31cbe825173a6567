//! Locations whose bytes nobody needs any more.
//!
//! A location enters this queue in the transaction that made it needless, and leaves it once its
//! bytes are gone; so a crash in between loses neither bytes that are needed nor track of others.

use super::Metadata;
use super::error::Error;
use super::transaction::Transaction;
use crate::blob::Location;
use crate::clock::Timestamp;

impl Metadata {
    /// Locations whose bytes can be removed, `limit` at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn removals(&self, limit: u64) -> Result<Vec<Location>, Error> {
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT location FROM removals ORDER BY location LIMIT $1",
                &[limit.into()],
            )?;
            rows.into_iter()
                .map(|mut row| row.parsed("a location"))
                .collect()
        })
        .await
    }

    /// Lets the bytes of a location be removed that no row names.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn remove_later(&self, location: &Location, now: Timestamp) -> Result<(), Error> {
        let location = location.clone();
        self.write(move |transaction| enqueue(transaction, &location, now))
            .await
    }

    /// Records that the bytes of locations are gone.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn removed(&self, locations: &[Location]) -> Result<(), Error> {
        let locations = locations.to_vec();
        self.write(move |transaction| {
            for location in &locations {
                transaction.execute(
                    "DELETE FROM removals WHERE location = $1",
                    &[location.as_str().into()],
                )?;
            }
            Ok(())
        })
        .await
    }
}

pub(super) fn enqueue(
    transaction: &mut dyn Transaction,
    location: &Location,
    now: Timestamp,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO removals (location, queued_at) VALUES ($1, $2)
         ON CONFLICT (location) DO NOTHING",
        &[location.as_str().into(), now.into()],
    )?;
    Ok(())
}
