//! A transaction that is open on a connection, or is opened with its first statement.

use super::connection::Connection;
use super::failure::{Extent, Failure};
use crate::metadata::error::Error;
use crate::metadata::transaction::{Row, Transaction, Value};

/// A transaction. Whoever makes it ends it.
pub(super) struct PostgresTransaction<'a> {
    connection: &'a mut Connection,
    /// What opens it, as long as it was not sent.
    opening: Option<&'static str>,
    /// The first failure of a statement. From then on nothing more works, whatever the job makes
    /// of it.
    failure: Option<Failure>,
}

impl<'a> PostgresTransaction<'a> {
    /// A transaction that is opened by `opening` before its first statement.
    pub(super) fn new(connection: &'a mut Connection, opening: &'static str) -> Self {
        Self {
            connection,
            opening: Some(opening),
            failure: None,
        }
    }

    /// Whether it was opened at all, and what has failed of it.
    pub(super) fn left(self) -> (bool, Option<Failure>) {
        (self.opening.is_none(), self.failure)
    }

    fn noted<T>(&mut self, answer: Result<T, Failure>) -> Result<T, Error> {
        answer.map_err(|failure| {
            if self.failure.is_none() {
                self.failure = Some(failure.share());
            }
            failure.error
        })
    }

    /// The failure that came before, for whoever goes on in spite of it.
    fn alive(&self) -> Result<(), Error> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => Err(failure.error.share()),
        }
    }
}

impl Transaction for PostgresTransaction<'_> {
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.alive()?;
        let changed = self.connection.execute(&mut self.opening, sql, values);
        self.noted(changed)
    }

    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        self.alive()?;
        let rows = self.connection.query(&mut self.opening, sql, values);
        self.noted(rows)
    }
}

/// How a job has ended that ran in a transaction.
pub(super) enum Ended {
    /// Well, or with a refusal of its own.
    Ran(Result<(), Error>),
    /// By a failure of the database.
    Failed(Failure),
}

impl Ended {
    /// What came of a job, given what it said itself and what failed below it.
    pub(super) fn of(said: Result<(), Error>, failure: Option<Failure>) -> Self {
        match failure {
            None => Self::Ran(said),
            // A plain failure is the job's own affair, but a job that hides it has still failed.
            Some(failure) if failure.extent == Extent::Statement => {
                Self::Ran(Err(said.err().unwrap_or(failure.error)))
            }
            Some(failure) => Self::Failed(failure),
        }
    }
}
