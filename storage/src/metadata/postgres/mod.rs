//! The driver for PostgreSQL: one writer and several readers in each process, each a thread with
//! its own connection. Any number of processes share one database.
//!
//! # Writing
//!
//! Every transaction that writes begins by taking one lock of the database's
//! (`pg_advisory_xact_lock`), which is let go when it has committed. So all servers write one after
//! the other, as on SQLite, and what is proven of a method there holds here. READ COMMITTED is
//! enough under that lock: each statement sees what was committed before it began, it begins after
//! the lock was taken, and nobody else commits until the lock is let go. PostgreSQL lets go of it
//! only after the commit can be seen, so the next holder sees all of it. Numbers are therefore in
//! the order of the commits: no event appears behind one that was read.
//!
//! The price is that a server writes nothing while another one does. What has queued up meanwhile
//! it runs as one transaction with a savepoint for each job, as SQLite's writer does, so that the
//! wait for the disk is shared. How much that comes to is decided by the time between a server and
//! the database: a push takes about ten statements, each a way there and back.
//!
//! `synchronous_commit` is set to `on` for each session, whatever the database's default is.
//!
//! # Reading
//!
//! A job that reads is a transaction of REPEATABLE READ, READ ONLY, so that it sees one moment. Its
//! beginning is sent together with its first statement, and its end together with the beginning of
//! the next one, so most reads wait for the database once.
//!
//! # When the database is away
//!
//! | what was lost | what is done |
//! |---|---|
//! | the connection, before a commit was sent | the jobs are run once more on another one |
//! | the connection, in a commit | the jobs fail with [`Error::Unavailable`]: nobody knows |
//! | a deadlock or a serialization | the job is run again, three times at most |
//! | the database itself | jobs fail at once; each thread tries again after 50 to 800 ms |
//!
//! A statement that takes longer than `statement_timeout` is ended, and so is a session that does
//! nothing in the middle of a transaction: a server that hangs doesn't keep the lock. A queue takes
//! a limited number of jobs.
//!
//! | module | job |
//! |---|---|
//! | `address`, `tls` | where the database is, and how it is reached |
//! | `connection` | a connection with its settings, and what can be said over it |
//! | `values` | values and columns |
//! | `failure` | failures, by what can be done about them |
//! | `transaction` | the face that methods are written against |
//! | `link` | making connections anew |
//! | `migrations` | bringing a database to this program's layout |
//! | `threads` | the writer, the readers, and their queues |
//!
//! The driver is `tokio-postgres`, which the blocking crate `postgres` wraps in the same way as is
//! done here: a thread waits with a runtime of its own. Without the wrapping, two messages can be
//! sent in one go, and a wait has an end.

mod address;
mod connection;
mod failure;
mod link;
mod migrations;
mod threads;
mod tls;
mod transaction;
mod values;

#[cfg(any(test, fuzzing))]
pub(crate) use address::fuzz;

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use self::address::Address;
pub use self::address::AddressError;
use self::link::{Link, Pool};
use super::database::{Database, Job};
use super::error::Error;

/// How many jobs may wait in a queue. A server that is that far behind tells its callers to come
/// back, and not to wait even longer.
const QUEUED: usize = 4096;

/// Why a database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its address can't be used.
    #[error("database.url can not be used")]
    Address(#[from] AddressError),
    /// It can't be reached.
    #[error("failed to connect to the database")]
    Connect(#[source] Error),
    /// It keeps texts in another encoding, where some of them could not be kept.
    #[error("the database has the encoding {0}, and has to have UTF8")]
    Encoding(String),
    /// It can't be brought to this program's layout.
    #[error("failed to migrate the database")]
    Migrate(#[source] Error),
    /// A newer version of this program has changed its layout.
    #[error(
        "the database has layout {found}, and this program knows {known}: it was used by a newer \
         version"
    )]
    Newer {
        /// The layout of the database.
        found: i64,
        /// The newest layout that this program knows.
        known: i64,
    },
    /// A thread could not be started.
    #[error("failed to start a thread for the database")]
    Thread(#[source] std::io::Error),
}

/// What can be chosen.
#[derive(Clone)]
pub struct Settings {
    address: Address,
    readers: NonZero<usize>,
    statement_timeout: Duration,
}

impl Settings {
    /// A database at an address, read over so many connections at most and written to over one
    /// more. A statement that takes longer than `statement_timeout` is ended.
    ///
    /// # Errors
    ///
    /// When the address can't be used. No message has a part of it.
    pub fn new(
        url: &str,
        readers: NonZero<usize>,
        statement_timeout: Duration,
    ) -> Result<Self, AddressError> {
        Ok(Self {
            address: Address::parse(url)?,
            readers,
            statement_timeout,
        })
    }

    /// What every session begins with. Plans for a page of a list must not be made for all of it,
    /// and compiling them takes longer than running them.
    fn session(&self) -> String {
        let limit = self.statement_timeout.as_millis().max(1);
        format!(
            "SET synchronous_commit = on;
             SET statement_timeout = {limit};
             SET lock_timeout = {limit};
             SET idle_in_transaction_session_timeout = {limit};
             SET jit = off"
        )
    }
}

impl std::fmt::Debug for Settings {
    /// Without the address, which holds a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Settings").finish_non_exhaustive()
    }
}

/// A database of PostgreSQL, with the threads that work on it.
pub struct Postgres {
    /// Taken away to end the threads.
    queues: Option<Queues>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queues {
    writes: Sender<Box<dyn Job>>,
    reads: Sender<Box<dyn Job>>,
    /// Its end is what threads notice that wait for the database.
    _open: Sender<()>,
}

impl Postgres {
    /// Connects to the database, makes or migrates its tables where needed, and starts the threads.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// When the database can't be reached or used.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let settings = Arc::new(settings);
        let (writes, write_queue) = crossbeam_channel::bounded(QUEUED);
        let (reads, read_queue) = crossbeam_channel::bounded(QUEUED);
        let (open, closing) = crossbeam_channel::bounded(0);
        let mut postgres = Self {
            queues: Some(Queues {
                writes,
                reads,
                _open: open,
            }),
            threads: Mutex::default(),
        };
        let (report, opened) = mpsc::sync_channel(1);
        let start = Start {
            settings: Arc::clone(&settings),
            pool: Arc::default(),
            closing: closing.clone(),
        };
        postgres.spawn("postgres-writer".into(), move || {
            start.write(&write_queue, &report);
        })?;
        opened.recv().expect("the writer reports before it ends")?;
        let pool: Arc<Pool> = Arc::default();
        for number in 0..settings.readers.get() {
            let start = Start {
                settings: Arc::clone(&settings),
                pool: Arc::clone(&pool),
                closing: closing.clone(),
            };
            let queue = read_queue.clone();
            postgres.spawn(format!("postgres-reader-{number}"), move || {
                start.read(&queue);
            })?;
        }
        Ok(postgres)
    }

    fn spawn(
        &mut self,
        name: String,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), OpenError> {
        let thread = std::thread::Builder::new().name(name).spawn(work);
        let threads = self.threads.get_mut();
        let threads = threads.unwrap_or_else(PoisonError::into_inner);
        threads.push(thread.map_err(OpenError::Thread)?);
        Ok(())
    }
}

/// What a thread starts with.
struct Start {
    settings: Arc<Settings>,
    pool: Arc<Pool>,
    closing: Receiver<()>,
}

impl Start {
    fn link(self) -> Result<Link, OpenError> {
        Link::new(self.settings, self.pool, self.closing).map_err(OpenError::Thread)
    }

    /// Puts the database in order, reports how that went, and writes.
    fn write(
        self,
        queue: &Receiver<Box<dyn Job>>,
        report: &mpsc::SyncSender<Result<(), OpenError>>,
    ) {
        let opened = self.link().and_then(|mut link| {
            prepare(&mut link)?;
            Ok(link)
        });
        // Whoever opens the database waits for it.
        match opened {
            Ok(link) => {
                let _ = report.send(Ok(()));
                threads::write_until_closed(link, queue);
            }
            Err(error) => {
                let _ = report.send(Err(error));
            }
        }
    }

    fn read(self, queue: &Receiver<Box<dyn Job>>) {
        match self.link() {
            Ok(link) => threads::read_until_closed(link, queue),
            Err(error) => tracing::error!(%error, "one reader less of the database"),
        }
    }
}

fn prepare(link: &mut Link) -> Result<(), OpenError> {
    let connect = |failure: failure::Failure| OpenError::Connect(failure.error);
    let connection = link.get().map_err(connect)?;
    let encoding = connection.ask("SHOW server_encoding").map_err(connect)?;
    if encoding != ["UTF8"] {
        return Err(OpenError::Encoding(encoding.concat()));
    }
    for switch in ["fsync", "full_page_writes"] {
        let is_on = connection.ask(&format!("SHOW {switch}")).map_err(connect)?;
        if is_on != ["on"] {
            tracing::warn!(
                "{switch} is off in the database: a power cut takes back what was acknowledged"
            );
        }
    }
    migrations::run(connection)
}

impl Database for Postgres {
    fn write(&self, job: Box<dyn Job>) {
        enqueue(self.queues.as_ref().map(|queues| &queues.writes), job);
    }

    fn read(&self, job: Box<dyn Job>) {
        enqueue(self.queues.as_ref().map(|queues| &queues.reads), job);
    }
}

fn enqueue(queue: Option<&Sender<Box<dyn Job>>>, job: Box<dyn Job>) {
    let Some(queue) = queue else {
        return job.finish(Err(Error::Closed));
    };
    match queue.try_send(job) {
        Ok(()) => {}
        Err(TrySendError::Full(job)) => {
            let reason = format!("{QUEUED} others wait for it already");
            job.finish(Err(Error::Unavailable(reason.into())));
        }
        Err(TrySendError::Disconnected(job)) => job.finish(Err(Error::Closed)),
    }
}

impl Drop for Postgres {
    /// Lets the threads finish what is queued, and waits for them.
    fn drop(&mut self) {
        self.queues = None;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A thread that panicked has told so on its own.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Postgres").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
