//! The audit log, written beside the requests.
//!
//! A request hands its record over and goes on; a job writes what came, many records in one
//! transaction. Should the database be away for longer than the queue lasts, records are dropped,
//! counted and told of in the log, rather than requests held up.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wharf_auth::identity::{Caller, Context};
use wharf_storage::clock::{Ageing, Clock, Timestamp};
use wharf_storage::metadata::{self, AuditRecord, Metadata};

/// How many records wait to be written at most.
const QUEUE: usize = 10_000;
/// How many are written at once.
const BATCH: usize = 500;
/// How many records are forgotten at once.
const FORGET: u64 = 10_000;
/// How many characters a detail has at most.
const LONGEST_DETAIL: usize = 512;
/// How soon writing is tried again while the database is away.
const AGAIN: Duration = Duration::from_millis(250);
/// How often old ones are looked for.
const TIDY: Duration = Duration::from_secs(3600);

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was allowed, and done.
    Allowed,
    /// It was not allowed.
    Denied,
    /// It was allowed, and failed.
    Failed,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// What is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an outcome is allowed, denied or failed")]
pub struct OutcomeError;

impl FromStr for Outcome {
    type Err = OutcomeError;

    fn from_str(text: &str) -> Result<Self, OutcomeError> {
        let all = [Self::Allowed, Self::Denied, Self::Failed];
        let found = all.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or(OutcomeError)
    }
}

/// What is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a moment reads 2026-01-31T12:00:00Z, or 2h for two hours ago")]
pub struct MomentError;

/// The moment that a text names: a time of RFC 3339, or how long ago it was.
///
/// # Errors
///
/// When it is neither.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, MomentError> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(Timestamp::from_seconds(time.unix_timestamp()));
    }
    let ago = humantime::parse_duration(text).map_err(|_| MomentError)?;
    Ok(now.before(ago))
}

/// What is known before something ends.
#[derive(Clone, Debug)]
pub struct Note(AuditRecord);

impl Note {
    /// The same with what it is about besides, such as a tag. It is cut where it is long.
    #[must_use]
    pub fn about(mut self, detail: &str) -> Self {
        // A part of it may be a stranger's; what could break a line or a terminal is taken out.
        let shown = |character: char| match character.is_control() {
            true => char::REPLACEMENT_CHARACTER,
            false => character,
        };
        self.0.detail = detail.chars().take(LONGEST_DETAIL).map(shown).collect();
        self
    }

    /// What it is about besides.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The record, now that it is known how it ended.
    #[must_use]
    pub fn ended(mut self, outcome: Outcome) -> AuditRecord {
        outcome.as_str().clone_into(&mut self.0.outcome);
        self.0
    }
}

/// Where records are handed over.
#[derive(Clone, Debug)]
pub struct Audit {
    queue: mpsc::Sender<AuditRecord>,
    clock: Arc<dyn Clock>,
    keeps_reads: bool,
    dropped: Arc<AtomicU64>,
}

/// Who writes them.
#[derive(Debug)]
pub struct Writer {
    queue: mpsc::Receiver<AuditRecord>,
    metadata: Metadata,
    ageing: Ageing,
    dropped: Arc<AtomicU64>,
}

/// Both ends of a log whose records are kept for so long.
#[must_use]
pub fn open(
    metadata: Metadata,
    clock: Arc<dyn Clock>,
    keeps_reads: bool,
    keep: Duration,
) -> (Audit, Writer) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let audit = Audit {
        queue: sender,
        clock: Arc::clone(&clock),
        keeps_reads,
        dropped: Arc::clone(&dropped),
    };
    let writer = Writer {
        queue: receiver,
        metadata,
        ageing: Ageing::new(clock, keep),
        dropped,
    };
    (audit, writer)
}

impl Audit {
    /// Whether what only reads is recorded too.
    #[must_use]
    pub fn keeps_reads(&self) -> bool {
        self.keeps_reads
    }

    /// Something that a caller does.
    #[must_use]
    pub fn note(&self, caller: &Caller, request_id: &str, action: &str, resource: &str) -> Note {
        self.note_of(
            &caller.principal.to_string(),
            &caller.context,
            request_id,
            action,
            resource,
        )
    }

    /// A login under a name that was not believed, or with something else that wasn't.
    #[must_use]
    pub fn failed_login(&self, name: &str, context: &Context, request_id: &str) -> Note {
        // The name is a stranger's: it may be a password that slipped into the wrong field.
        let name: String = name
            .chars()
            .take(64)
            .flat_map(char::escape_default)
            .collect();
        self.note_of("anonymous", context, request_id, "login", &name)
    }

    fn note_of(
        &self,
        principal: &str,
        context: &Context,
        request_id: &str,
        action: &str,
        resource: &str,
    ) -> Note {
        Note(AuditRecord {
            at: self.clock.now(),
            principal: principal.to_owned(),
            address: context.address.to_string(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            outcome: String::new(),
            request_id: request_id.to_owned(),
            detail: String::new(),
        })
    }

    /// Hands a record over.
    pub fn record(&self, record: AuditRecord) {
        if self.queue.try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Writes what comes until it shall stop, and then what is left.
    pub async fn run(mut self, stopping: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut tidy = tokio::time::interval(TIDY);
        loop {
            let came = tokio::select! {
                came = self.queue.recv_many(&mut batch, BATCH) => came,
                _ = tidy.tick() => {
                    self.forget().await;
                    continue;
                }
                () = stopping.cancelled() => break,
            };
            if came == 0 {
                return;
            }
            self.write(&mut batch, &stopping).await;
        }
        // Requests in flight may still end; they hold their own end of the queue.
        while self.queue.recv_many(&mut batch, BATCH).await > 0 {
            self.write(&mut batch, &stopping).await;
        }
    }

    async fn write(&self, batch: &mut Vec<AuditRecord>, stopping: &CancellationToken) {
        let records = std::mem::replace(batch, Vec::with_capacity(BATCH));
        let records: Arc<[AuditRecord]> = records.into();
        loop {
            match self.metadata.record_audit(Arc::clone(&records)).await {
                Ok(()) => break,
                // Meanwhile the queue holds what comes. Where the commit itself was lost, records
                // may stand in the log twice, which is better than not at all.
                Err(metadata::Error::Unavailable(_)) if !stopping.is_cancelled() => {
                    stopping
                        .run_until_cancelled(tokio::time::sleep(AGAIN))
                        .await;
                }
                Err(error) => {
                    tracing::error!(%error, "audit records could not be written");
                    let count = records.len() as u64;
                    self.dropped.fetch_add(count, Ordering::Relaxed);
                    break;
                }
            }
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::error!(dropped, "audit records were lost");
        }
    }

    /// Forgets records that are older than they are kept.
    async fn forget(&self) {
        let Some(before) = self.ageing.limit() else {
            return;
        };
        loop {
            match self.metadata.forget_audit(before, FORGET).await {
                Ok(FORGET) => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "old audit records could not be removed");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_so_long_ago() {
        let now = Timestamp::from_seconds(1_800_000_000);
        for (text, seconds) in [
            ("2027-01-15T08:00:00Z", 1_800_000_000),
            ("2027-01-15T09:00:00+01:00", 1_800_000_000),
            ("2h", 1_800_000_000 - 7200),
            ("1day", 1_800_000_000 - 86_400),
        ] {
            let want = Timestamp::from_seconds(seconds);
            assert_eq!(moment(text, now), Ok(want), "{text}");
        }
        for text in ["", "2020", "yesterday", "2027-01-15", "-2h"] {
            assert_eq!(moment(text, now), Err(MomentError), "{text}");
        }
    }
}
