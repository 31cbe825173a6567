//! The connections of a database, and what has to be done with all of them at once.
//!
//! A checkpoint copies what is in the log to the database and syncs it. Where readers hold it up it
//! copies a part, which the next one syncs along with its own. When that sync fails the kernel may
//! have dropped pages of both, and SQLite would copy only its own once more: the rest would be lost
//! with the log. So after a checkpoint that failed all connections are closed, without the checkpoint
//! that the last one makes otherwise, and opened anew: SQLite then takes the log as a crash left it,
//! and copies all of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::connection;

/// How long the log gets, in pages, until it is copied to the database.
const CHECKPOINT_FRAMES: u32 = 1000;

/// The connections that read. Each is one thread's, which has it for the time of a job.
#[derive(Clone)]
pub(super) struct Readers {
    path: Arc<Path>,
    slots: Arc<[Mutex<Option<Connection>>]>,
}

impl Readers {
    pub(super) fn open(path: &Path, count: usize) -> rusqlite::Result<Self> {
        let slots: rusqlite::Result<Vec<_>> = (0..count)
            .map(|_| Ok(Mutex::new(Some(open_reader(path)?))))
            .collect();
        Ok(Self {
            path: path.into(),
            slots: slots?.into(),
        })
    }

    /// Runs work on a reader's connection, which is opened where the writer could not do so.
    pub(super) fn with<T>(
        &self,
        number: usize,
        work: impl FnOnce(&Connection) -> T,
    ) -> rusqlite::Result<T> {
        let mut slot = self.take(number);
        if slot.is_none() {
            *slot = Some(open_reader(&self.path)?);
        }
        Ok(work(slot.as_ref().expect("it was opened")))
    }

    fn take(&self, number: usize) -> MutexGuard<'_, Option<Connection>> {
        let slot = &self.slots[number];
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection that writes, and sees to the log.
pub(super) struct Writer {
    path: PathBuf,
    readers: Readers,
    connection: Option<Connection>,
    /// How long the log was after the last commit; 0 once that was looked at.
    frames: Arc<AtomicU32>,
    /// At which length it is copied next.
    due: u32,
}

impl Writer {
    pub(super) fn new(
        path: &Path,
        mut connection: Connection,
        readers: Readers,
    ) -> rusqlite::Result<Self> {
        let frames = Arc::new(AtomicU32::new(0));
        count_frames(&mut connection, &frames)?;
        Ok(Self {
            path: path.to_owned(),
            readers,
            connection: Some(connection),
            frames,
            due: CHECKPOINT_FRAMES,
        })
    }

    /// The connection, opened anew where that failed before.
    pub(super) fn connection(&mut self) -> rusqlite::Result<&Connection> {
        if self.connection.is_none() {
            self.renew()?;
        }
        Ok(self.connection.as_ref().expect("it was opened"))
    }

    /// Copies the log to the database when it is long. Only behind a commit that went well: one that
    /// failed may have left pages at the end of the log, which the next commit writes over.
    pub(super) fn see_to_the_log(&mut self) {
        let frames = self.frames.swap(0, Ordering::Relaxed);
        let Some(connection) = self.connection.as_ref().filter(|_| frames >= self.due) else {
            return;
        };
        self.due = CHECKPOINT_FRAMES;
        let Err(error) = checkpoint(connection) else {
            return;
        };
        tracing::error!(%error, "the log of the database could not be copied to it");
        // Not at once again: each try reads all of the log.
        self.due = frames + CHECKPOINT_FRAMES;
        if let Err(error) = self.renew() {
            tracing::error!(%error, "the database could not be opened again");
        }
    }

    fn renew(&mut self) -> rusqlite::Result<()> {
        let numbers = 0..self.readers.slots.len();
        let mut slots: Vec<_> = numbers.map(|number| self.readers.take(number)).collect();
        slots.iter_mut().for_each(|slot| **slot = None);
        if let Some(connection) = self.connection.take() {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
        let mut connection = Connection::open(&self.path)?;
        connection::set_up_writer(&connection)?;
        count_frames(&mut connection, &self.frames)?;
        for slot in &mut slots {
            **slot = Some(open_reader(&self.path)?);
        }
        self.connection = Some(connection);
        Ok(())
    }
}

impl Drop for Writer {
    /// Closes all connections, the one that writes last: with it the log goes.
    fn drop(&mut self) {
        for number in 0..self.readers.slots.len() {
            *self.readers.take(number) = None;
        }
    }
}

/// Copies the log to the database, as far as readers let it.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Counts the pages of the log, in the place of SQLite's own checkpoints, whose failures nobody sees.
fn count_frames(connection: &mut Connection, frames: &Arc<AtomicU32>) -> rusqlite::Result<()> {
    let frames = Arc::clone(frames);
    connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: i32| {
        frames.store(count.unsigned_abs(), Ordering::Relaxed);
        Ok(())
    }))
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let reader = Connection::open(path)?;
    connection::set_up_reader(&reader)?;
    Ok(reader)
}
