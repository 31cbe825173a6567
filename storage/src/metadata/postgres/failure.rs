//! Failures of PostgreSQL, sorted by what can be done about them.

use tokio_postgres::error::{DbError, Severity, SqlState};

use super::values::Misfit;
use crate::metadata::error::Error;

/// What a failure has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// The connection is gone, or can't be relied on; the transaction with it, if it had not begun
    /// to commit.
    Connection,
    /// The transaction as a whole can't go on, and its connection can.
    Transaction,
    /// The work has met somebody else's, and may do when it is done again.
    Conflict,
    /// A statement failed, and what came before it in its savepoint is lost with it.
    Statement,
}

/// A failure.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) extent: Extent,
    pub(super) error: Error,
}

impl Failure {
    /// The connection didn't answer in time.
    pub(super) fn silent() -> Self {
        Self {
            extent: Extent::Connection,
            error: Error::Unavailable("no answer in time".into()),
        }
    }

    /// It could not be reached a moment ago, and is not tried yet.
    pub(super) fn away() -> Self {
        Self {
            extent: Extent::Connection,
            error: Error::Unavailable("it could not be reached a moment ago".into()),
        }
    }

    /// An answer can't be read.
    pub(super) fn corrupt(error: Error) -> Self {
        Self {
            extent: Extent::Statement,
            error,
        }
    }

    /// The same for each of several jobs.
    pub(super) fn share(&self) -> Self {
        Self {
            extent: self.extent,
            error: self.error.share(),
        }
    }

    /// The same, where it is the transaction that the statement was to open which failed.
    pub(super) fn of_opening(mut self) -> Self {
        if self.extent != Extent::Connection {
            self.extent = Extent::Transaction;
        }
        self
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let extent = match error.as_db_error() {
            Some(told) => extent(told),
            // A value that can't be written is a fault of ours, and was not sent.
            None if is_misfit(&error) => Extent::Statement,
            // Closed, or out of step.
            None => Extent::Connection,
        };
        let code = error.code().cloned();
        let text: Box<dyn std::error::Error + Send + Sync> = Box::new(Told(error));
        let error = match (extent, code) {
            (Extent::Connection | Extent::Conflict, _) => Error::Unavailable(text),
            (_, Some(SqlState::DISK_FULL)) => Error::Full(text),
            (_, Some(code)) if is_passing(&code) => Error::Unavailable(text),
            _ => Error::Database(text),
        };
        Self { extent, error }
    }
}

fn is_misfit(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<Misfit>)
}

fn extent(told: &DbError) -> Extent {
    let code = told.code();
    let is_over = matches!(
        told.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    );
    // A server that only reads is a standby: another one is to be written to.
    if is_over || code.code().starts_with("08") || *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return Extent::Connection;
    }
    match *code {
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => Extent::Conflict,
        _ => Extent::Statement,
    }
}

/// Whether the same statement may do a moment later: no memory, no slot, a lock or a time limit.
fn is_passing(code: &SqlState) -> bool {
    code.code().starts_with("53")
        || [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED].contains(code)
}

/// What the driver says says little, and its source the rest: both as one text.
#[derive(Debug)]
struct Told(tokio_postgres::Error);

impl std::fmt::Display for Told {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0.as_db_error(), std::error::Error::source(&self.0)) {
            (Some(told), _) => write!(formatter, "{} ({})", told.message(), told.code().code()),
            (None, Some(source)) => write!(formatter, "{}: {source}", self.0),
            (None, None) => self.0.fmt(formatter),
        }
    }
}

impl std::error::Error for Told {}
