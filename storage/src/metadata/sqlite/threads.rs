//! The writer, the readers, and how they take jobs from their queues.

use crossbeam_channel::Receiver;
use rusqlite::Connection;

use super::connection::{SqliteTransaction, from_sqlite};
use super::connections::{Readers, Writer};
use super::reserve::Reserve;
use crate::metadata::database::Job;
use crate::metadata::error::Error;

/// How many jobs share a commit. More would make the first one wait for little more gain.
const BATCH: usize = 64;

/// Runs the jobs that read, until nobody can send any more.
pub(super) fn read_until_closed(readers: &Readers, number: usize, queue: &Receiver<Box<dyn Job>>) {
    for mut job in queue {
        let ran = readers.with(number, |connection| read(connection, job.as_mut()));
        job.finish(ran.unwrap_or_else(|error| Err(from_sqlite(error))));
    }
}

/// Runs the jobs that write, until nobody can send any more.
pub(super) fn write_until_closed(
    mut writer: Writer,
    queue: &Receiver<Box<dyn Job>>,
    reserve: &Reserve,
) {
    for first in queue {
        let mut batch = vec![first];
        batch.extend(queue.try_iter().take(BATCH - 1));
        reserve.restore();
        match writer.connection() {
            Ok(connection) => write(connection, batch, reserve),
            Err(error) => {
                let error = from_sqlite(error);
                finish(
                    batch
                        .into_iter()
                        .map(|job| (job, Err(error.share())))
                        .collect(),
                );
            }
        }
        writer.see_to_the_log();
    }
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

/// A job that has run, and how that ended.
type Ran = (Box<dyn Job>, Result<(), Error>);

/// Runs jobs, those that find the disk full once more with the space that is kept for that.
fn write(connection: &Connection, batch: Vec<Box<dyn Job>>, reserve: &Reserve) {
    let is_full = |(_, outcome): &Ran| matches!(outcome, Err(Error::Full(_)));
    let mut ran = attempt(connection, batch);
    if ran.iter().any(is_full) && reserve.release() {
        let (full, done): (Vec<Ran>, Vec<Ran>) = ran.into_iter().partition(is_full);
        finish(done);
        ran = attempt(connection, full.into_iter().map(|(job, _)| job).collect());
    }
    finish(ran);
}

fn finish(ran: Vec<Ran>) {
    for (job, outcome) in ran {
        job.finish(outcome);
    }
}

/// Runs jobs as one transaction. A job that fails takes back its own changes only; a failure of
/// the transaction itself fails them all, and none of them was acknowledged.
fn attempt(connection: &Connection, batch: Vec<Box<dyn Job>>) -> Vec<Ran> {
    let mut failure = run(connection, "BEGIN IMMEDIATE").err();
    let mut ran: Vec<Ran> = Vec::with_capacity(batch.len());
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
    if let Some(error) = &failure {
        ran.iter_mut()
            .for_each(|(_, outcome)| *outcome = Err(error.share()));
    }
    ran
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
