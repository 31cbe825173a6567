//! What was pushed, read from the registry's log behind a cursor that is kept.
//!
//! The cursor moves after an event was handed on, so none is missed while either side is down. What
//! is handed on twice does no harm: followers compare digests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::client::Page;
use super::{Client, Error};
use crate::store::{self, Shelf, Store};

/// How long a page waits for its first event, in seconds.
const WAIT: u64 = 30;
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The name of the cursor.
const CURSOR: &str = "changes";

/// What followers are told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// An event, as a CloudEvent.
    Event(Arc<Value>),
    /// Events may have been missed: look at every tag.
    Look,
}

/// What is done with an event before the cursor moves over it.
pub(crate) type Handler =
    Box<dyn Fn(Arc<Value>) -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>;

/// Follows the registry.
pub(crate) struct Follower {
    client: Client,
    cursors: Shelf<u64>,
    told: broadcast::Sender<Told>,
    handler: Handler,
}

impl fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Follower").finish_non_exhaustive()
    }
}

impl Follower {
    pub(crate) async fn open(
        client: &Client,
        store: &Store,
        told: broadcast::Sender<Told>,
        handler: Handler,
    ) -> Result<Self, store::Error> {
        Ok(Self {
            client: client.clone(),
            cursors: Shelf::open(store, "cursor").await?,
            told,
            handler,
        })
    }

    /// Follows until told to stop.
    pub(crate) async fn run(self, look_every: Duration, stop: CancellationToken) {
        let mut look = tokio::time::interval(look_every.max(Duration::from_millis(100)));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pause = PAUSES.0;
        loop {
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {
                    self.tell(Told::Look);
                    continue;
                }
                outcome = self.turn() => outcome,
            };
            match outcome {
                Ok(()) => pause = PAUSES.0,
                Err(error) => {
                    tracing::warn!(%error, "the registry's events can't be read; it is asked again");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Reads one page, hands it on, and keeps the cursor.
    async fn turn(&self) -> Result<(), Turn> {
        let after = self.cursors.get(CURSOR);
        let next = match self.client.events(after, WAIT).await? {
            Page::Events(events, next) => {
                for event in events {
                    let event = Arc::new(event);
                    self.tell(Told::Event(Arc::clone(&event)));
                    (self.handler)(event).await;
                }
                next
            }
            Page::Gone(newest) => {
                tracing::warn!(
                    "events were forgotten before they were read; all tags are looked at"
                );
                self.tell(Told::Look);
                newest
            }
        };
        if after != Some(next) {
            self.cursors.put(CURSOR, next).await?;
        }
        Ok(())
    }

    fn tell(&self, told: Told) {
        // Nobody may follow.
        let _ = self.told.send(told);
    }
}

#[derive(Debug, thiserror::Error)]
enum Turn {
    #[error(transparent)]
    Registry(#[from] Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}
