//! Work that one server does at a time.

use std::time::Duration;

use super::Metadata;
use super::error::Error;
use crate::clock::Timestamp;

/// Whether a server may do a piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It may, and nobody else does until its term is over.
    Held {
        /// When somebody did so last, before this.
        seen_at: Option<Timestamp>,
    },
    /// Another one does.
    ByOther,
}

impl Metadata {
    /// Takes a piece of work, or renews the hold on it, for a term.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn hold_job(
        &self,
        name: &'static str,
        holder: &str,
        now: Timestamp,
        term: Duration,
    ) -> Result<Hold, Error> {
        let holder = holder.to_owned();
        let until = now.after(term);
        self.write(move |transaction| {
            let row = transaction.query_one(
                "SELECT holder, held_until, seen_at FROM jobs WHERE name = $1",
                &[name.into()],
            )?;
            let mut seen_at = None;
            if let Some(mut row) = row {
                let by = row.text("a holder")?;
                let held_until = row.time("held_until")?;
                seen_at = Some(row.time("seen_at")?);
                // A term that ends later than ours was taken by a clock that is wrong.
                if by != holder && now < held_until && held_until <= until {
                    return Ok(Hold::ByOther);
                }
            }
            transaction.execute(
                "INSERT INTO jobs (name, holder, held_until, seen_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,
                     held_until = excluded.held_until, seen_at = excluded.seen_at",
                &[
                    name.into(),
                    holder.as_str().into(),
                    until.into(),
                    now.into(),
                ],
            )?;
            Ok(Hold::Held { seen_at })
        })
        .await
    }

    /// Lets go of a piece of work that was not done. The clock counts as last seen where it was.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn give_up_job(
        &self,
        name: &'static str,
        holder: &str,
        seen_at: Timestamp,
    ) -> Result<(), Error> {
        let holder = holder.to_owned();
        self.write(move |transaction| {
            transaction.execute(
                "UPDATE jobs SET held_until = 0, seen_at = $3 WHERE name = $1 AND holder = $2",
                &[name.into(), holder.as_str().into(), seen_at.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Lets go of a piece of work, so that others need not wait for the end of the term.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn release_job(&self, name: &'static str, holder: &str) -> Result<(), Error> {
        let holder = holder.to_owned();
        self.write(move |transaction| {
            transaction.execute(
                "UPDATE jobs SET held_until = 0 WHERE name = $1 AND holder = $2",
                &[name.into(), holder.as_str().into()],
            )?;
            Ok(())
        })
        .await
    }
}
