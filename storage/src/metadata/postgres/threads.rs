//! The writer, the readers, and how they take jobs from their queues.

use crossbeam_channel::Receiver;

use super::connection::Connection;
use super::failure::{Extent, Failure};
use super::link::Link;
use super::transaction::{Ended, PostgresTransaction};
use crate::metadata::database::Job;
use crate::metadata::error::Error;

/// How many jobs share a commit. PostgreSQL keeps 64 savepoints of a transaction at hand, and looks
/// up more of them on its disk.
const BATCH: usize = 60;

/// How often a job that meets somebody else's work is done again.
const RERUNS: u32 = 3;

const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const BEGIN_NEXT_READ: &str = "COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SELECT pg_advisory_xact_lock(8604234232056774657); SAVEPOINT job";
const NEXT_JOB: &str = "RELEASE SAVEPOINT job; SAVEPOINT job";
const UNDO_JOB: &str = "ROLLBACK TO SAVEPOINT job";
const COMMIT: &str = "COMMIT";
const UNDO_JOB_AND_COMMIT: &str = "ROLLBACK TO SAVEPOINT job; COMMIT";
const ROLLBACK: &str = "ROLLBACK";

/// Runs the jobs that read, until nobody can send any more.
pub(super) fn read_until_closed(mut link: Link, queue: &Receiver<Box<dyn Job>>) {
    while let Some(first) = link.next(queue) {
        let mut next = Some(first);
        while let Some(mut job) = next.take() {
            let outcome = read(&mut link, job.as_mut());
            // Nobody waits for the end of a transaction that only read.
            job.finish(outcome);
            if link.is_up() {
                next = queue.try_recv().ok();
            }
        }
        end_read(&mut link);
    }
}

/// Runs a job on one snapshot of the database. Reading twice does no harm, so a lost connection
/// is made anew once.
fn read(link: &mut Link, job: &mut dyn Job) -> Result<(), Error> {
    let mut is_again = false;
    let mut reruns = 0;
    loop {
        let connection = link.get().map_err(|failure| failure.error)?;
        let opening = match connection.is_left_open {
            true => BEGIN_NEXT_READ,
            false => BEGIN_READ,
        };
        let mut transaction = PostgresTransaction::new(connection, opening);
        let said = job.run(&mut transaction);
        let (is_open, failure) = transaction.left();
        connection.is_left_open |= is_open;
        let failure = match Ended::of(said, failure) {
            Ended::Ran(outcome) => return outcome,
            Ended::Failed(failure) => failure,
        };
        match failure.extent {
            Extent::Connection => {
                link.lose(&failure.error);
                if is_again {
                    return Err(failure.error);
                }
                is_again = true;
            }
            Extent::Conflict if reruns < RERUNS => reruns += 1,
            Extent::Conflict | Extent::Transaction | Extent::Statement => {
                return Err(failure.error);
            }
        }
    }
}

/// Ends the last transaction that only read, so that its snapshot is let go.
fn end_read(link: &mut Link) {
    if !link.is_up() {
        return;
    }
    let Ok(connection) = link.get() else { return };
    if std::mem::take(&mut connection.is_left_open)
        && let Err(failure) = connection.say(COMMIT)
    {
        link.lose(&failure.error);
    }
}

/// Runs the jobs that write, until nobody can send any more.
pub(super) fn write_until_closed(mut link: Link, queue: &Receiver<Box<dyn Job>>) {
    while let Some(first) = link.next(queue) {
        let mut batch = vec![first];
        batch.extend(queue.try_iter().take(BATCH - 1));
        write(&mut link, batch);
    }
}

/// Runs jobs as one transaction. A job that fails takes back its own changes only; a failure of the
/// transaction itself fails them all, and none of them was acknowledged.
///
/// A transaction that had not begun to commit when its connection was lost is rolled back by the
/// database, so its jobs are run once more. After a lost commit nobody knows, and nobody is told
/// that it went well.
fn write(link: &mut Link, mut batch: Vec<Box<dyn Job>>) {
    let mut is_again = false;
    let outcomes = loop {
        let broken = match link.get() {
            Err(failure) => Broken::before_commit(failure),
            Ok(connection) => match transact(connection, &mut batch) {
                Ok(outcomes) => break outcomes,
                Err(broken) => broken,
            },
        };
        let Failure { extent, error } = broken.failure;
        let was_up = link.is_up();
        if extent == Extent::Connection {
            link.lose(&error);
            if was_up && !broken.is_committing && !is_again {
                is_again = true;
                continue;
            }
        }
        break batch.iter().map(|_| Err(error.share())).collect();
    };
    for (job, outcome) in batch.into_iter().zip(outcomes) {
        job.finish(outcome);
    }
}

/// A failure of the transaction as a whole.
struct Broken {
    failure: Failure,
    /// Whether the commit was sent.
    is_committing: bool,
}

impl Broken {
    fn before_commit(failure: Failure) -> Self {
        Self {
            failure,
            is_committing: false,
        }
    }
}

/// Runs a batch and commits it, and gives what came of each job.
fn transact(
    connection: &mut Connection,
    batch: &mut [Box<dyn Job>],
) -> Result<Vec<Result<(), Error>>, Broken> {
    let mut opening = BEGIN_WRITE;
    let mut outcomes = Vec::with_capacity(batch.len());
    for job in batch {
        let ran = run_in_savepoint(connection, job.as_mut(), &mut opening);
        outcomes.push(ran.map_err(|failure| give_up(connection, failure))?);
    }
    let end = match opening {
        // Not one statement was run.
        BEGIN_WRITE => return Ok(outcomes),
        _ if outcomes.iter().all(Result::is_err) => ROLLBACK,
        UNDO_JOB => UNDO_JOB_AND_COMMIT,
        _ => COMMIT,
    };
    match connection.say(end) {
        Ok(()) => Ok(outcomes),
        Err(failure) => Err(Broken {
            failure,
            is_committing: end != ROLLBACK,
        }),
    }
}

/// Runs a job behind `opening`, and leaves there what the next job is opened with.
fn run_in_savepoint(
    connection: &mut Connection,
    job: &mut dyn Job,
    opening: &mut &'static str,
) -> Result<Result<(), Error>, Failure> {
    let mut reruns = 0;
    loop {
        let mut transaction = PostgresTransaction::new(connection, opening);
        let said = job.run(&mut transaction);
        let (is_open, failure) = transaction.left();
        match Ended::of(said, failure) {
            Ended::Ran(outcome) => {
                // A job that ran no statement has left everything as it was.
                if is_open {
                    *opening = if outcome.is_ok() { NEXT_JOB } else { UNDO_JOB };
                }
                return Ok(outcome);
            }
            Ended::Failed(failure) if failure.extent == Extent::Conflict => {
                *opening = UNDO_JOB;
                if reruns == RERUNS {
                    return Ok(Err(failure.error));
                }
                reruns += 1;
            }
            Ended::Failed(failure) => return Err(failure),
        }
    }
}

/// Takes back a transaction that can't go on, so that the connection is free for the next one.
fn give_up(connection: &mut Connection, failure: Failure) -> Broken {
    if failure.extent == Extent::Connection {
        return Broken::before_commit(failure);
    }
    Broken::before_commit(match connection.say(ROLLBACK) {
        Ok(()) => failure,
        Err(worse) => worse,
    })
}
