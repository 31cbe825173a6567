//! Writes down what couriers did, all of them at once.
//!
//! Each delivery for itself would cost a sync of the disk, which pushes wait for too. What a crash
//! takes is told again, under the same ids.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wharf_storage::clock::Clock;
use wharf_storage::metadata::{
    DeadLetter, DeliveryRecord, EndpointProgress, EndpointRecord, Metadata, Resent,
};

/// How often it is written.
const EVERY: Duration = Duration::from_millis(500);
/// How many attempts of an endpoint are written at once; older ones are left out.
const MOST_DELIVERIES: usize = 500;
/// How many dead letters wait to be written before a courier waits too.
const MOST_DEAD: usize = 2000;

/// What has happened since the last write.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    metadata: Metadata,
    clock: Arc<dyn Clock>,
    holder: Arc<str>,
    open: Arc<Mutex<HashMap<String, EndpointProgress>>>,
    /// How far each endpoint came, under which revision. What is noted later on, such as an attempt,
    /// must not set it back to where its courier began.
    came: Arc<Mutex<HashMap<String, (i64, i64)>>>,
    /// Held by who writes: a second one waits until what the first one took is written.
    writing: Arc<tokio::sync::Mutex<()>>,
}

impl Ledger {
    pub(super) fn new(metadata: Metadata, clock: Arc<dyn Clock>, holder: Arc<str>) -> Self {
        Self {
            metadata,
            clock,
            holder,
            open: Arc::default(),
            came: Arc::default(),
            writing: Arc::default(),
        }
    }

    /// Notes something about an endpoint.
    fn note(&self, endpoint: &EndpointRecord, note: impl FnOnce(&mut EndpointProgress)) {
        let came = {
            let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
            let came = came.get(&endpoint.name).copied();
            came.filter(|(revision, _)| *revision == endpoint.revision)
        };
        let cursor = came.map_or(endpoint.cursor, |(_, cursor)| cursor.max(endpoint.cursor));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = open
            .entry(endpoint.name.clone())
            .or_insert_with(|| EndpointProgress {
                endpoint: endpoint.name.clone(),
                revision: endpoint.revision,
                cursor,
                deliveries: Vec::new(),
                dead: Vec::new(),
                resent: Vec::new(),
                disable: None,
            });
        // What was noted about an older revision is of no more use, but for the attempts.
        if progress.revision != endpoint.revision {
            progress.revision = endpoint.revision;
            progress.cursor = cursor;
            progress.dead.clear();
            progress.resent.clear();
            progress.disable = None;
        }
        note(progress);
    }

    /// All up to `cursor` is done, and these events were given up on the way.
    pub(super) fn came_to(&self, endpoint: &EndpointRecord, cursor: i64, dead: Vec<DeadLetter>) {
        {
            let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
            came.insert(endpoint.name.clone(), (endpoint.revision, cursor));
        }
        self.note(endpoint, |progress| {
            progress.cursor = cursor;
            progress.dead.extend(dead);
        });
    }

    /// Something was tried.
    pub(super) fn tried(&self, endpoint: &EndpointRecord, delivery: DeliveryRecord) {
        self.note(endpoint, |progress| {
            if progress.deliveries.len() >= MOST_DELIVERIES {
                progress.deliveries.remove(0);
            }
            progress.deliveries.push(delivery);
        });
    }

    /// A dead letter was sent again.
    pub(super) fn resent(&self, endpoint: &EndpointRecord, resent: Resent) {
        self.note(endpoint, |progress| progress.resent.push(resent));
    }

    /// An endpoint wants no more.
    pub(super) fn disable(&self, endpoint: &EndpointRecord, reason: String) {
        self.note(endpoint, |progress| progress.disable = Some(reason));
    }

    /// Whether so much waits to be written that nothing more should be given up for now.
    pub(super) fn is_full(&self, endpoint: &EndpointRecord) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = open.get(&endpoint.name);
        progress.is_some_and(|progress| progress.dead.len() >= MOST_DEAD)
    }

    /// Writes what was noted up to now, and tells whether that went well. What can't be written is
    /// noted again.
    pub(super) async fn write(&self) -> bool {
        let _turn = self.writing.lock().await;
        let open = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *open)
        };
        if open.is_empty() {
            return true;
        }
        let progress: Vec<EndpointProgress> = open.values().cloned().collect();
        let now = self.clock.now();
        let written = self
            .metadata
            .record_deliveries(&self.holder, progress, now)
            .await;
        let Err(error) = written else {
            return true;
        };
        tracing::warn!(%error, "deliveries of events could not be written down");
        let mut again = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, mut before) in open {
            if let Some(since) = again.remove(&name) {
                before.cursor = since.cursor;
                before.revision = since.revision;
                before.dead.extend(since.dead);
                before.resent.extend(since.resent);
                before.disable = since.disable.or(before.disable);
                before.deliveries.extend(since.deliveries);
                let surplus = before.deliveries.len().saturating_sub(MOST_DELIVERIES);
                before.deliveries.drain(..surplus);
            }
            again.insert(name, before);
        }
        false
    }

    /// Writes every so often until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut turns = tokio::time::interval(EVERY);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(turns.tick()).await.is_some() {
            self.write().await;
        }
    }
}
