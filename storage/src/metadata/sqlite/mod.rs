//! The driver for SQLite: one writer, several readers, each a thread with its own connection.
//!
//! SQLite has one writer at a time, so one thread does all the writing and nobody waits for a
//! lock. What has queued up while it was busy it runs as one transaction with a savepoint for each
//! job, and so several callers share one sync of the disk (group commit). Readers see the last
//! commit and never wait for the writer (WAL).
//!
//! `synchronous = FULL` makes a commit durable before it is acknowledged: with NORMAL a power cut
//! can take back what was acknowledged.
//!
//! | module | job |
//! |---|---|
//! | `connection` | a connection with its settings; statements and values |
//! | `connections` | all of them, and the checkpoints of the log |
//! | `migrations` | bringing a database to this program's layout |
//! | `reserve` | space for deletes on a full disk |
//! | `threads` | the writer, the readers, and their queues |

mod connection;
mod connections;
mod migrations;
mod reserve;
mod threads;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{SendError, Sender};
use rusqlite::{Connection, ErrorCode};

use super::database::{Database, Job};
use super::error::Error;
use crate::folder;
use connections::{Readers, Writer};
use reserve::Reserve;

/// How many reads run at once. They are short and mostly answered from memory, so more threads
/// than cores only take turns: on two cores four of them cost an answer a tenth more than two. With
/// one, a long list would hold up every pull.
fn reader_count() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8))
}

/// Why a database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite can't open it.
    #[error("failed to open the database {path}")]
    Sqlite {
        /// The file.
        path: String,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer version of this program has changed its layout.
    #[error(
        "the database has layout {found}, and this program knows {known}: it was used by a newer \
         version"
    )]
    Newer {
        /// The layout of the file.
        found: i64,
        /// The newest layout that this program knows.
        known: i64,
    },
    /// Its files can't be made durable.
    #[error("failed to sync the folder of the database {path}")]
    Folder {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("failed to start a thread for the database")]
    Thread(#[source] std::io::Error),
}

/// A database in a file, with the threads that work on it.
pub struct Sqlite {
    /// Taken away to end the threads.
    queues: Option<Queues>,
    reserve: Reserve,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queues {
    writes: Sender<Box<dyn Job>>,
    reads: Sender<Box<dyn Job>>,
}

impl Sqlite {
    /// Opens the database, making or migrating it where needed, and starts its threads. Blocks.
    ///
    /// # Errors
    ///
    /// When the file is no database of ours or can't be used.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Sqlite {
            path: path.display().to_string(),
            source,
        };
        let mut writer = Connection::open(path).map_err(failed)?;
        connection::set_up_writer(&writer).map_err(failed)?;
        migrations::run(&mut writer, path)?;
        // What a crash left in the log may have been written and never synced, where a sync had
        // failed before; copied to the database it is safe. A full disk is no reason not to start.
        match connections::checkpoint(&writer) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {}
            outcome => outcome.map_err(failed)?,
        }
        // SQLite syncs the folder of its files too, but says nothing where that fails.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        folder::sync(folder.unwrap_or(Path::new("."))).map_err(|source| OpenError::Folder {
            path: path.display().to_string(),
            source,
        })?;

        let count = reader_count();
        let reserve = Reserve::beside(path);
        let readers = Readers::open(path, count).map_err(failed)?;
        let writer = Writer::new(path, writer, readers.clone()).map_err(failed)?;
        let (writes, write_queue) = crossbeam_channel::unbounded();
        let (reads, read_queue) = crossbeam_channel::unbounded();
        let mut handles = Vec::with_capacity(count + 1);
        let spawn = |name: String, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name)
                .spawn(work)
                .map_err(OpenError::Thread)
        };
        handles.push(spawn(
            "sqlite-writer".into(),
            Box::new({
                let reserve = reserve.clone();
                move || threads::write_until_closed(writer, &write_queue, &reserve)
            }),
        )?);
        for number in 0..count {
            let (readers, queue) = (readers.clone(), read_queue.clone());
            handles.push(spawn(
                format!("sqlite-reader-{number}"),
                Box::new(move || threads::read_until_closed(&readers, number, &queue)),
            )?);
        }
        Ok(Self {
            queues: Some(Queues { writes, reads }),
            reserve,
            threads: Mutex::new(handles),
        })
    }
}

impl Database for Sqlite {
    fn write(&self, job: Box<dyn Job>) {
        enqueue(self.queues.as_ref().map(|queues| &queues.writes), job);
    }

    fn read(&self, job: Box<dyn Job>) {
        enqueue(self.queues.as_ref().map(|queues| &queues.reads), job);
    }

    fn is_short(&self) -> bool {
        self.reserve.is_short()
    }
}

fn enqueue(queue: Option<&Sender<Box<dyn Job>>>, job: Box<dyn Job>) {
    let refused = match queue {
        Some(queue) => queue.send(job).err().map(SendError::into_inner),
        None => Some(job),
    };
    if let Some(job) = refused {
        job.finish(Err(Error::Closed));
    }
}

impl Drop for Sqlite {
    /// Lets the threads finish what is queued, and waits for them: for the writer last, which closes
    /// the connections.
    fn drop(&mut self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut readers = threads.drain(..);
        let writer = readers.next();
        let queues = self.queues.take().map(|Queues { writes, reads }| {
            drop(reads);
            writes
        });
        // A thread that panicked has told so on its own.
        readers.for_each(|thread| drop(thread.join()));
        drop(queues);
        let _ = writer.map(JoinHandle::join);
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sqlite").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
