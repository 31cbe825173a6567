//! A thread's connection, made when it is needed and made anew when it was lost.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tokio::runtime::Runtime;

use super::Settings;
use super::connection::Connection;
use super::failure::Failure;
use crate::metadata::database::Job;
use crate::metadata::error::Error;

/// How long after a connection could not be made it is tried again, at first and at most. The
/// latter bounds how long the server is out of order when the database is back.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// What threads that take jobs from one queue know of each other.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// How many of them have a connection.
    connected: AtomicUsize,
    /// Whether it was told that there is none to be had.
    is_told: AtomicBool,
}

/// A thread's connection.
pub(super) struct Link {
    settings: Arc<Settings>,
    pool: Arc<Pool>,
    /// Ends, without a message, when the database is closed.
    closing: Receiver<()>,
    runtime: Rc<Runtime>,
    connection: Option<Connection>,
    /// When it is tried again, after it could not be made.
    again: Option<(Instant, Duration)>,
}

impl Link {
    /// A link without a connection so far.
    pub(super) fn new(
        settings: Arc<Settings>,
        pool: Arc<Pool>,
        closing: Receiver<()>,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            settings,
            pool,
            closing,
            runtime: Rc::new(runtime),
            connection: None,
            again: None,
        })
    }

    /// The connection; it is made where there is none, unless that has just failed.
    ///
    /// # Errors
    ///
    /// When there is none to be had.
    pub(super) fn get(&mut self) -> Result<&mut Connection, Failure> {
        if self.connection.is_none() {
            if self.pause().is_some() {
                return Err(Failure::away());
            }
            self.connect()?;
        }
        Ok(self.connection.as_mut().expect("it was there or was made"))
    }

    /// Whether there is a connection.
    pub(super) fn is_up(&self) -> bool {
        self.connection.is_some()
    }

    /// Lets go of a connection that is no good any more.
    pub(super) fn lose(&mut self, error: &Error) {
        if self.connection.take().is_some() {
            self.pool.connected.fetch_sub(1, Ordering::Relaxed);
            let reason = std::error::Error::source(error).map(ToString::to_string);
            let reason = reason.unwrap_or_else(|| error.to_string());
            tracing::warn!(reason, "lost a connection to the database");
        }
    }

    /// The next job; nothing when no more can come. While the database is away this tries to reach
    /// it, and lets the jobs fail that nobody else can do.
    pub(super) fn next(&mut self, queue: &Receiver<Box<dyn Job>>) -> Option<Box<dyn Job>> {
        loop {
            let Some(pause) = self.pause() else {
                if self.again.is_some() && self.connect().is_err() {
                    continue;
                }
                return queue.recv().ok();
            };
            if self.pool.connected.load(Ordering::Relaxed) > 0 {
                // Those who are connected do the work, also all that is left at the end.
                if self.closing.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                    return None;
                }
                continue;
            }
            match queue.recv_timeout(pause) {
                Ok(job) => job.finish(Err(Failure::away().error)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// How long it is until a connection is tried again.
    fn pause(&self) -> Option<Duration> {
        let (at, _) = self.again?;
        let pause = at.saturating_duration_since(Instant::now());
        (!pause.is_zero()).then_some(pause)
    }

    fn connect(&mut self) -> Result<(), Failure> {
        match Connection::open(&self.runtime, &self.settings) {
            Ok(connection) => {
                self.connection = Some(connection);
                self.again = None;
                self.pool.connected.fetch_add(1, Ordering::Relaxed);
                if self.pool.is_told.swap(false, Ordering::Relaxed) {
                    tracing::info!("the database can be reached again");
                }
                Ok(())
            }
            Err(failure) => {
                let step = self.again.map_or(FIRST_PAUSE, |(_, step)| step * 2);
                let step = step.min(LONGEST_PAUSE);
                self.again = Some((Instant::now() + jittered(step), step));
                if !self.pool.is_told.swap(true, Ordering::Relaxed) {
                    let error = &failure.error as &dyn std::error::Error;
                    tracing::warn!(error, "the database can not be reached");
                }
                Err(failure)
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.connection.is_some() {
            self.pool.connected.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Between three quarters of a pause and all of it, so that not all threads of all servers come at
/// once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    let part = (random % 256) as u32;
    pause * 3 / 4 + pause * part / 1024
}
