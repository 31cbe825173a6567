//! The runner's own state, in SQLite: what callers wish, durable before they are answered.
//!
//! One writer thread runs what has queued up under one commit with a savepoint each, so ten
//! thousand acknowledged jobs cost few syncs. Readers see the last commit.
//!
//! ```text
//! documents(kind, name, body)            clusters, services, functions, rules, … as JSON
//! jobs(id, queue, status, …, body)       see `batch::ledger`
//! ```
//!
//! | module | job |
//! |---|---|
//! | `shelf` | documents of one kind, in memory and here |

mod shelf;

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use rusqlite::Connection;
use tokio::sync::oneshot;

pub(crate) use shelf::Shelf;

/// How many writes share a commit at most.
const BATCH: usize = 1000;

const LAYOUT: &str = "
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, queue TEXT NOT NULL,
    status TEXT NOT NULL, parent TEXT NOT NULL DEFAULT '', body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (queue, status, number);
CREATE INDEX IF NOT EXISTS jobs_by_parent ON jobs (parent, status) WHERE parent <> '';
CREATE TABLE IF NOT EXISTS job_waits (
    job TEXT NOT NULL, awaited TEXT NOT NULL, PRIMARY KEY (job, awaited)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_waits_by_awaited ON job_waits (awaited);
";

/// Why the state can't be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The folder can't be made.
    #[error("failed to make the folder of the state")]
    Folder(#[source] std::io::Error),
    /// SQLite failed.
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    /// A document isn't what was written.
    #[error("a document of the state is not understood")]
    Document(#[from] serde_json::Error),
    /// The writer has ended.
    #[error("the database is closed")]
    Closed,
}

/// What is told when a commit has come to its end.
type Finish = Box<dyn FnOnce(Result<(), Error>) + Send>;
type Write = Box<dyn FnOnce(&Connection) -> Finish + Send>;

/// The state. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    writer: mpsc::Sender<Write>,
    reader: Arc<Mutex<Connection>>,
}

impl Store {
    /// Opens the state in a folder, and makes it where it isn't there.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(Error::Folder)?;
        let path = folder.join("runner.sqlite3");
        let writer = connect(&path)?;
        writer.execute_batch(LAYOUT)?;
        let reader = connect(&path)?;
        let (sender, receiver) = mpsc::channel();
        let spawned = std::thread::Builder::new()
            .name("state".into())
            .spawn(move || work(&writer, &receiver));
        spawned.map_err(Error::Folder)?;
        Ok(Self {
            writer: sender,
            reader: Arc::new(Mutex::new(reader)),
        })
    }

    /// Queues a write, in the order of the calls; the answer comes when it is durable.
    pub(crate) fn write<T, W>(&self, work: W) -> impl Future<Output = Result<T, Error>> + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let queued = self.writer.send(Box::new(move |connection| {
            let outcome = in_savepoint(connection, work);
            Box::new(move |committed| {
                let outcome = committed.and(outcome);
                // Nobody may wait any more.
                let _ = answer.send(outcome);
            })
        }));
        async move {
            queued.map_err(|_| Error::Closed)?;
            answered.await.map_err(|_| Error::Closed)?
        }
    }

    /// Reads what is committed.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let reader = Arc::clone(&self.reader);
        let read = tokio::task::spawn_blocking(move || {
            let connection = reader.lock().expect("no reader panics");
            work(&connection)
        });
        Ok(read.await.map_err(|_| Error::Closed)??)
    }
}

fn connect(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, Error> {
    connection.execute_batch("SAVEPOINT one")?;
    let outcome = work(connection);
    if outcome.is_err() {
        connection.execute_batch("ROLLBACK TO one")?;
    }
    connection.execute_batch("RELEASE one")?;
    Ok(outcome?)
}

fn work(connection: &Connection, writes: &mpsc::Receiver<Write>) {
    while let Ok(first) = writes.recv() {
        let begun = connection.execute_batch("BEGIN IMMEDIATE");
        let batch = std::iter::once(first).chain(writes.try_iter()).take(BATCH);
        let finishes: Vec<Finish> = batch.map(|write| write(connection)).collect();
        let ended = begun.and_then(|()| connection.execute_batch("COMMIT"));
        if let Err(error) = &ended {
            tracing::error!(%error, "the state can't be written");
            let _ = connection.execute_batch("ROLLBACK");
        }
        let failed = ended.err();
        for finish in finishes {
            match &failed {
                None => finish(Ok(())),
                Some(_) => finish(Err(Error::Closed)),
            }
        }
    }
}
