//! Delivers for one endpoint.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wharf_auth::random;
use wharf_storage::clock::{Clock, Timestamp};
use wharf_storage::metadata::{
    DeadLetter, DeliveryRecord, EndpointRecord, Event, Metadata, Resent,
};

use super::feed::{self, Feed};
use super::filter::Filter;
use super::format::{Format, Origin};
use super::ledger::Ledger;
use super::sink::{Failure, Message, Sink};
use super::window::{Dead, Fault, Next, Source, Window};
use crate::metrics::Metrics;

/// How many events are read at once.
const PAGE: usize = 500;
/// How many dead letters are read at once.
const LETTERS: u64 = 100;
/// How soon it is tried again to read the log.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is measured, at least, what waits.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// How long the text of a failure may be in the log of deliveries.
const LONGEST_DETAIL: usize = 300;

/// Who delivers for an endpoint.
pub(super) struct Courier {
    pub(super) endpoint: EndpointRecord,
    pub(super) sink: Box<dyn Sink>,
    pub(super) format: Format,
    pub(super) origin: Arc<Origin>,
    pub(super) feed: Arc<Feed>,
    pub(super) ledger: Ledger,
    pub(super) metadata: Metadata,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) give_up_after: Duration,
    /// How many dead letters there are; it is touched when some may wait to be sent again.
    pub(super) letters: watch::Receiver<u64>,
}

/// How a delivery ended.
struct Ended {
    next: Next,
    /// Nothing: the format has no words for the event.
    outcome: Option<Result<String, Failure>>,
    took: Duration,
}

impl Courier {
    /// Delivers until `stop`, or until the endpoint wants no more.
    pub(super) async fn run(self, stop: CancellationToken) {
        let filter = Filter::new(&self.endpoint.types, &self.endpoint.repositories);
        let mut head = self.feed.head(self.endpoint.stream);
        let mut letters = self.letters.clone();
        let mut window = Window::new(self.start(*head.borrow()), self.give_up_after);
        let mut noted = window.cursor();
        let mut running = FuturesUnordered::new();
        let mut may_have_letters = false;
        loop {
            let newest = *head.borrow_and_update();
            let has_come_far = self.fill(&mut window, &filter, newest).await;
            let dead = window.give_up_old(self.clock.now());
            if !dead.is_empty() {
                self.bury(&window, dead, "the endpoint is down");
                // There is room again for what comes behind.
                continue;
            }
            if window.cursor() != noted {
                noted = window.cursor();
                self.ledger.came_to(&self.endpoint, noted, Vec::new());
            }
            if may_have_letters && !window.has_letters() {
                may_have_letters = self.read_letters(&mut window).await;
            }
            self.measure(&window);
            while let Some(next) = window.next(self.clock.now()) {
                running.push(self.deliver(next));
            }
            let due = match has_come_far {
                true => window.due(),
                false => Some(self.clock.now().after(AGAIN)),
            };
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = running.next() => {
                    if self.settle(&mut window, ended) == Settled::Gone {
                        return;
                    }
                }
                () = self.until(due) => {}
                changed = head.changed() => if changed.is_err() { return },
                changed = letters.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    may_have_letters = true;
                }
            }
        }
    }

    /// Where to begin. A log that was set back, as from a backup, ends before the cursor.
    fn start(&self, head: i64) -> i64 {
        let cursor = self.endpoint.cursor;
        if cursor > head {
            let endpoint = &self.endpoint.name;
            tracing::warn!(
                endpoint,
                cursor,
                head,
                "the log of events ends before the cursor"
            );
        }
        cursor.min(head)
    }

    /// Reads on while there is room. Tells whether that went as far as it could: what can't be read
    /// now is worth another look soon.
    async fn fill(&self, window: &mut Window, filter: &Filter, newest: i64) -> bool {
        while window.read() < newest && window.room() > 0 {
            if self.ledger.is_full(&self.endpoint) {
                return false;
            }
            let (room, read) = (window.room().min(PAGE), window.read());
            match self.feed.after(self.endpoint.stream, read, room).await {
                Ok(events) => {
                    for event in events {
                        let wanted = filter.matches(&event);
                        window.add(event, wanted);
                    }
                }
                Err(feed::Error::Gone { after, oldest, .. }) => {
                    let endpoint = &self.endpoint.name;
                    let missed = oldest - 1 - after;
                    tracing::error!(
                        endpoint,
                        missed,
                        "events were forgotten before their delivery"
                    );
                    self.metrics.events_missed(endpoint, missed.unsigned_abs());
                    window.skip_to(oldest - 1);
                }
                Err(feed::Error::Metadata(error)) => {
                    tracing::warn!(%error, "events can not be read for their delivery");
                    return false;
                }
            }
            if window.read() == read {
                return false;
            }
        }
        true
    }

    /// Waits for a moment, but not longer than until it is time to measure.
    async fn until(&self, due: Option<Timestamp>) {
        let wait = due.map_or(MEASURE_EVERY, |due| {
            let micros = due.as_micros().saturating_sub(self.clock.now().as_micros());
            Duration::from_micros(u64::try_from(micros).unwrap_or_default())
        });
        tokio::time::sleep(wait.min(MEASURE_EVERY)).await;
    }

    async fn deliver(&self, next: Next) -> Ended {
        let began = Instant::now();
        let outcome = match self.message(&next.event) {
            Some(message) => Some(self.sink.deliver(&message).await),
            None => None,
        };
        Ended {
            next,
            outcome,
            took: began.elapsed(),
        }
    }

    fn message(&self, event: &Event) -> Option<Message> {
        let body = self.format.write(event, &self.origin)?;
        Some(Message {
            id: event.id.clone(),
            kind: event.kind.as_str(),
            media_type: self.format.media_type(),
            body: Bytes::from(body.to_string()),
        })
    }

    /// Draws the conclusions of a delivery.
    fn settle(&self, window: &mut Window, ended: Ended) -> Settled {
        let Ended {
            next,
            outcome,
            took,
        } = ended;
        let Some(outcome) = outcome else {
            self.note_letter(&next, None);
            window.passed_over(&next);
            return Settled::Goes;
        };
        self.note(&next, &outcome, took);
        match outcome {
            Ok(_) => {
                self.note_letter(&next, None);
                window.delivered(&next);
            }
            Err(Failure::Retry { reason, after }) => {
                self.failed(window, &next, Fault::Unavailable, after, reason);
            }
            Err(Failure::Refused { reason, after }) => {
                self.failed(window, &next, Fault::Refused, after, reason);
            }
            Err(Failure::Gone(reason)) => {
                let endpoint = &self.endpoint.name;
                tracing::warn!(endpoint, reason, "an endpoint wants no more events");
                self.ledger.disable(&self.endpoint, reason);
                return Settled::Gone;
            }
        }
        Settled::Goes
    }

    fn failed(
        &self,
        window: &mut Window,
        next: &Next,
        fault: Fault,
        after: Option<Duration>,
        reason: String,
    ) {
        let now = self.clock.now();
        let [byte] = random::bytes::<1>();
        let dead = window.failed(next, now, fault, after, f64::from(byte) / 255.0);
        self.bury(window, dead, &reason);
        self.note_letter(next, Some(reason));
    }

    /// Notes what came of a dead letter that was sent again, if it was one.
    fn note_letter(&self, next: &Next, failure: Option<String>) {
        if next.source == Source::Letters {
            let seq = next.event.seq;
            self.ledger.resent(&self.endpoint, Resent { seq, failure });
        }
    }

    /// Notes an attempt.
    fn note(&self, next: &Next, outcome: &Result<String, Failure>, took: Duration) {
        let (event, attempt, now) = (&next.event, next.attempt, self.clock.now());
        let endpoint = &self.endpoint.name;
        let (delivered, detail) = match outcome {
            Ok(said) => (true, said),
            Err(
                Failure::Retry { reason, .. }
                | Failure::Refused { reason, .. }
                | Failure::Gone(reason),
            ) => (false, reason),
        };
        match (delivered, next.source) {
            (true, Source::Log) => {
                let since = now.as_micros().saturating_sub(event.at.as_micros());
                let since = Duration::from_micros(u64::try_from(since).unwrap_or_default());
                self.metrics.event_delivered(endpoint, since);
            }
            // How long it lay there says nothing about deliveries.
            (true, Source::Letters) => self.metrics.event_resent(endpoint),
            (false, _) => {
                self.metrics.event_failed(endpoint);
                let (event, reason) = (&event.id, detail);
                tracing::debug!(endpoint, event, attempt, reason, "a delivery failed");
            }
        }
        let delivery = DeliveryRecord {
            id: 0,
            seq: event.seq,
            event_id: event.id.clone(),
            at: now,
            attempt,
            delivered,
            detail: detail.chars().take(LONGEST_DETAIL).collect(),
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        };
        self.ledger.tried(&self.endpoint, delivery);
    }

    /// Notes what was given up.
    fn bury(&self, window: &Window, dead: Vec<Dead>, reason: &str) {
        if dead.is_empty() {
            return;
        }
        let (endpoint, count) = (&self.endpoint.name, dead.len());
        tracing::warn!(endpoint, count, reason, "events were given up");
        let died_at = self.clock.now();
        let letters = dead.into_iter().map(|dead| DeadLetter {
            event: (*dead.event).clone(),
            attempts: dead.attempts,
            reason: reason.chars().take(LONGEST_DETAIL).collect(),
            died_at,
            resend: false,
        });
        self.ledger
            .came_to(&self.endpoint, window.cursor(), letters.collect());
    }

    fn measure(&self, window: &Window) {
        let now = self.clock.now();
        let oldest = window.oldest().map_or(now, |event| event.at);
        let age = now.as_micros().saturating_sub(oldest.as_micros());
        self.metrics
            .event_queue_age(&self.endpoint.name, age as f64 / 1e6);
    }

    /// Reads dead letters that somebody wants to be sent again, and tells whether there may be more.
    async fn read_letters(&self, window: &mut Window) -> bool {
        // What came of the last ones has to be known first, lest they are sent once more.
        if !self.ledger.write().await {
            return false;
        }
        let name = &self.endpoint.name;
        let letters = match self.metadata.dead_letters(name, 0, true, LETTERS).await {
            Ok(letters) => letters,
            Err(error) => {
                tracing::warn!(%error, "dead letters can not be read");
                return false;
            }
        };
        let are_all = (letters.len() as u64) < LETTERS;
        for letter in letters {
            window.add_letter(Arc::new(letter.event), letter.attempts);
        }
        !are_all
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Settled {
    Goes,
    Gone,
}
