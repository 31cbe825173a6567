//! The end of the log in memory.
//!
//! Whoever follows the log mostly wants what has just been written, and all of them the same; so it
//! is read once and kept for a while. What is older comes from the database.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wharf_storage::metadata::{self, Event, Metadata, Stream};

/// How many events are kept in memory, of each stream.
const KEPT: usize = 2000;
/// How many are read at once.
const PAGE: u64 = 500;
/// How soon what other processes have written is seen.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why a cursor leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What comes behind it is forgotten, or it is ahead of the log, as after a restored backup.
    #[error("events behind {after} are not kept; the oldest one that is kept is {oldest}")]
    Gone {
        /// The cursor.
        after: i64,
        /// The place of the oldest event that is kept.
        oldest: i64,
        /// The place of the newest one.
        head: i64,
    },
    /// The metadata can't be read.
    #[error("the events can not be read")]
    Metadata(#[from] metadata::Error),
}

/// The log, as those who follow it read it.
#[derive(Debug)]
pub struct Feed {
    metadata: Metadata,
    changes: Tail,
    pulls: Tail,
}

#[derive(Debug)]
struct Tail {
    recent: Mutex<VecDeque<Arc<Event>>>,
    head: watch::Sender<i64>,
}

impl Tail {
    fn new(head: i64) -> Self {
        Self {
            recent: Mutex::new(VecDeque::new()),
            head: watch::Sender::new(head),
        }
    }

    /// The events behind a place, if all of them are here.
    fn after(&self, after: i64, limit: usize) -> Option<Vec<Arc<Event>>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let first = recent.front()?.seq;
        let last = recent.back()?.seq;
        if after + 1 < first || after > last {
            return None;
        }
        let start = usize::try_from(after + 1 - first).ok()?;
        Some(recent.iter().skip(start).take(limit).cloned().collect())
    }

    fn add(&self, events: Vec<Event>) {
        let Some(head) = events.last().map(|event| event.seq) else {
            return;
        };
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.extend(events.into_iter().map(Arc::new));
            let surplus = recent.len().saturating_sub(KEPT);
            recent.drain(..surplus);
        }
        self.head.send_replace(head);
    }
}

impl Feed {
    /// The log in this metadata, from its present end.
    ///
    /// # Errors
    ///
    /// When the metadata can't be read.
    pub async fn open(metadata: Metadata) -> Result<Self, metadata::Error> {
        let [changes, pulls] = metadata.event_heads().await?;
        Ok(Self {
            metadata,
            changes: Tail::new(changes),
            pulls: Tail::new(pulls),
        })
    }

    fn tail(&self, stream: Stream) -> &Tail {
        match stream {
            Stream::Changes => &self.changes,
            Stream::Pulls => &self.pulls,
        }
    }

    /// The place of the newest event, which changes as the log grows.
    #[must_use]
    pub fn head(&self, stream: Stream) -> watch::Receiver<i64> {
        self.tail(stream).head.subscribe()
    }

    /// The events behind `after`, the oldest first, `limit` at most.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`], or when the metadata can't be read.
    pub async fn after(
        &self,
        stream: Stream,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, Error> {
        if let Some(events) = self.tail(stream).after(after, limit) {
            return Ok(events);
        }
        self.written_after(stream, after, limit).await
    }

    /// The same, with all that was acknowledged before this was asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`], or when the metadata can't be read.
    pub async fn written_after(
        &self,
        stream: Stream,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, Error> {
        let found = self.metadata.events(stream, after, limit as u64).await?;
        if after + 1 < found.oldest || after > found.head {
            return Err(Error::Gone {
                after,
                oldest: found.oldest,
                head: found.head,
            });
        }
        Ok(found.events.into_iter().map(Arc::new).collect())
    }

    /// The cursor before the oldest event that is kept.
    ///
    /// # Errors
    ///
    /// When the metadata can't be read.
    pub async fn oldest(&self, stream: Stream) -> Result<i64, metadata::Error> {
        Ok(self.metadata.events(stream, 0, 1).await?.oldest - 1)
    }

    /// Follows the log until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut written = self.metadata.events_written();
        let mut turns = tokio::time::interval(LOOK_EVERY);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // A database that is away is told of once.
        let mut is_told = false;
        loop {
            tokio::select! {
                _ = turns.tick() => {}
                changed = written.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = stop.cancelled() => return,
            }
            let Err(error) = self.catch_up().await else {
                is_told = false;
                continue;
            };
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(%error, "events can not be read");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Reads what is new.
    async fn catch_up(&self) -> Result<(), metadata::Error> {
        let heads = self.metadata.event_heads().await?;
        for (stream, head) in Stream::ALL.into_iter().zip(heads) {
            let tail = self.tail(stream);
            loop {
                let known = *tail.head.borrow();
                if known >= head {
                    break;
                }
                let found = self.metadata.events(stream, known, PAGE).await?;
                if found.events.is_empty() {
                    // They were forgotten before anybody read them.
                    tail.head.send_replace(found.head);
                    break;
                }
                tail.add(found.events);
            }
        }
        Ok(())
    }
}
