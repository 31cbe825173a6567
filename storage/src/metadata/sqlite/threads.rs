//! The writer, the readers, and how they take jobs from their queues.

use crossbeam_channel::Receiver;
use rusqlite::Connection;

use super::connection::{SqliteTransaction, from_sqlite};
use crate::metadata::database::Job;
use crate::metadata::error::Error;

/// How many jobs share a commit. More would make the first one wait for little more gain.
const BATCH: usize = 64;

/// Runs the jobs that read, until nobody can send any more.
pub(super) fn read_until_closed(connection: Connection, queue: &Receiver<Box<dyn Job>>) {
    for mut job in queue {
        let outcome = read(&connection, job.as_mut());
        job.finish(outcome);
    }
    drop(connection);
}

/// Runs the jobs that write, until nobody can send any more.
pub(super) fn write_until_closed(connection: Connection, queue: &Receiver<Box<dyn Job>>) {
    for first in queue {
        let mut batch = vec![first];
        batch.extend(queue.try_iter().take(BATCH - 1));
        write(&connection, batch);
    }
    drop(connection);
}

fn run(connection: &Connection, sql: &'static str) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(sql).map_err(from_sqlite)?;
    statement.raw_execute().map_err(from_sqlite)?;
    Ok(())
}

/// Runs a job on one snapshot of the database.
fn read(connection: &Connection, job: &mut dyn Job) -> Result<(), Error> {
    run(connection, "BEGIN")?;
    let outcome = job.run(&mut SqliteTransaction(connection));
    // Nothing was written, so however this ends the snapshot is let go.
    let ended = run(connection, "ROLLBACK");
    outcome.and(ended)
}

/// Runs jobs as one transaction. A job that fails takes back its own changes only; a failure of
/// the transaction itself fails them all, and none of them was acknowledged.
fn write(connection: &Connection, batch: Vec<Box<dyn Job>>) {
    let mut failure = run(connection, "BEGIN IMMEDIATE").err();
    let mut ran: Vec<(Box<dyn Job>, Result<(), Error>)> = Vec::with_capacity(batch.len());
    for mut job in batch {
        let outcome = match failure {
            Some(_) => Err(Error::Closed),
            None => run_in_savepoint(connection, job.as_mut()),
        };
        // After a full disk or a failing one SQLite may have rolled back all of it on its own.
        if let (Err(error), None, true) = (&outcome, &failure, connection.is_autocommit()) {
            failure = Some(error.share());
        }
        ran.push((job, outcome));
    }
    if failure.is_none() {
        failure = run(connection, "COMMIT").err();
    }
    if failure.is_some() && !connection.is_autocommit() {
        // That this fails too changes nothing: the next BEGIN will tell.
        let _ = run(connection, "ROLLBACK");
    }
    for (job, outcome) in ran {
        job.finish(match &failure {
            None => outcome,
            Some(error) => Err(error.share()),
        });
    }
}

fn run_in_savepoint(connection: &Connection, job: &mut dyn Job) -> Result<(), Error> {
    run(connection, "SAVEPOINT job")?;
    let outcome = job.run(&mut SqliteTransaction(connection));
    if outcome.is_err() && !connection.is_autocommit() {
        run(connection, "ROLLBACK TO job")?;
    }
    if !connection.is_autocommit() {
        run(connection, "RELEASE job")?;
    }
    outcome
}
