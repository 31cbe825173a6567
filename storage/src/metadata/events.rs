//! What happened, as a log.
//!
//! An event is written in the transaction that made it true, so it is never lost and never tells of
//! what was taken back. A method that changes something runs through [`Metadata::commit`] and notes
//! what it did in a [`Journal`]; the notes get their sequence numbers when the work is done, right
//! before the commit. The row that numbers are taken from is locked from then on, so who reads up to
//! a number has seen all that is before it.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use super::Metadata;
use super::error::Error;
use super::transaction::{Row, Transaction};
use crate::clock::Timestamp;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// What an event costs besides its text, in bytes, about.
const OVERHEAD_BYTES: u64 = 64;

/// A log of its own, with numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// What changed.
    Changes,
    /// What was pulled, gathered for some seconds.
    Pulls,
}

impl Stream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Changes, Self::Pulls];

    /// The word that stands for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Pulls => "pulls",
        }
    }
}

/// A word that stands for no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the streams are changes and pulls")]
pub struct StreamError;

impl std::str::FromStr for Stream {
    type Err = StreamError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or(StreamError)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The type of the event.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// An image or an index came, or a tag names it now.
    ImagePushed = "wharf.image.pushed";
    /// The same for what is no image: a chart, a signature without a subject.
    ArtifactPushed = "wharf.artifact.pushed";
    /// The same for what refers to another manifest.
    ReferrerPushed = "wharf.referrer.pushed";
    /// A manifest went, with all of its tags.
    ImageDeleted = "wharf.image.deleted";
    /// An image was put into the archive.
    ImageArchived = "wharf.image.archived";
    /// An image came back from the archive.
    ImageRestored = "wharf.image.restored";
    /// An image was pulled.
    ImagePulled = "wharf.image.pulled";
    /// A tag went; what it named stays.
    TagDeleted = "wharf.tag.deleted";
    /// A repository appeared.
    RepositoryCreated = "wharf.repository.created";
    /// A repository went, with all that was in it.
    RepositoryDeleted = "wharf.repository.deleted";
    /// A policy of access was attached or taken away.
    PolicyChanged = "wharf.policy.changed";
    /// The lifecycle policy of a repository was set or taken away.
    LifecyclePolicyChanged = "wharf.lifecycle-policy.changed";
}

/// What made something happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Somebody asked for it.
    User,
    /// A lifecycle policy.
    Lifecycle,
    /// The collection of what nothing names.
    Collection,
}

impl Cause {
    /// The word that stands for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Lifecycle => "lifecycle",
            Self::Collection => "collection",
        }
    }
}

/// Who changes something, why, and when: what its events have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What the ids of its events are made of.
    pub id: Uuid,
    /// Who, `kind/name`, or `anonymous`.
    pub actor: String,
    /// Why.
    pub cause: Cause,
    /// The request's name in the log.
    pub request_id: String,
    /// The present moment.
    pub now: Timestamp,
}

impl Change {
    /// Something that somebody asked for.
    #[must_use]
    pub fn new(actor: impl Into<String>, now: Timestamp) -> Self {
        Self {
            id: Uuid::now_v7(),
            actor: actor.into(),
            cause: Cause::User,
            request_id: String::new(),
            now,
        }
    }

    /// The same, asked for by a request of this name.
    #[must_use]
    pub fn of_request(mut self, id: impl Into<String>) -> Self {
        self.request_id = id.into();
        self
    }

    /// The same for another cause.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Self {
        self.cause = cause;
        self
    }
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The log it is in.
    pub stream: Stream,
    /// Its place in that log.
    pub seq: i64,
    /// Its name, which stays the same however often it is told.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// The repository it happened in.
    pub repository: Option<RepositoryName>,
    /// Who did it.
    pub actor: String,
    /// Why.
    pub cause: Cause,
    /// The request that did it.
    pub request_id: String,
    /// What else there is to say.
    pub detail: EventDetail,
}

/// What else there is to say of an event; nothing where it isn't about such a thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventDetail {
    /// The manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The tags that were set or went.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// What the tag named before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The manifest's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifest that it refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// The manifest's length in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What a policy is attached to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether something was taken away and not set.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

/// A part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The events, the oldest first.
    pub events: Vec<Event>,
    /// The place of the oldest event that is kept; of the next one where there is none.
    pub oldest: i64,
    /// The place of the newest event.
    pub head: i64,
}

/// What a transaction has done so far, for the log.
#[derive(Debug, Default)]
pub(super) struct Journal(Vec<Note>);

#[derive(Debug)]
struct Note {
    stream: Stream,
    kind: EventKind,
    repository: Option<RepositoryName>,
    detail: EventDetail,
    /// Who and when, where it is another one than who writes it.
    by: Option<(String, Timestamp)>,
}

impl Journal {
    /// Notes what was done.
    pub(super) fn note(
        &mut self,
        kind: EventKind,
        repository: Option<&RepositoryName>,
        detail: EventDetail,
    ) {
        self.0.push(Note {
            stream: Stream::Changes,
            kind,
            repository: repository.cloned(),
            detail,
            by: None,
        });
    }

    /// Notes that somebody has pulled.
    pub(super) fn note_pull(
        &mut self,
        repository: &RepositoryName,
        detail: EventDetail,
        by: &str,
        at: Timestamp,
    ) {
        self.0.push(Note {
            stream: Stream::Pulls,
            kind: EventKind::ImagePulled,
            repository: Some(repository.clone()),
            detail,
            by: Some((by.to_owned(), at)),
        });
    }
}

impl Metadata {
    /// Runs `work` as a transaction that may write, with the events of what it did.
    pub(super) async fn commit<T: Send + 'static>(
        &self,
        change: Change,
        mut work: impl FnMut(&mut dyn Transaction, &mut Journal) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let written = self.write(move |transaction| {
            let mut journal = Journal::default();
            let value = work(transaction, &mut journal)?;
            let has_events = !journal.0.is_empty();
            append(transaction, &change, journal)?;
            Ok((value, has_events))
        });
        let (value, has_events) = written.await?;
        if has_events {
            self.written.send_replace(());
        }
        Ok(value)
    }

    /// Tells whenever this process has written events. Others may write some too.
    #[must_use]
    pub fn events_written(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// The places of the newest events, of the changes and of the pulls.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn event_heads(&self) -> Result<[i64; 2], Error> {
        self.read(|transaction| {
            let rows = transaction.query("SELECT head FROM event_streams ORDER BY name", &[])?;
            let mut heads = [0; 2];
            for (head, mut row) in heads.iter_mut().zip(rows) {
                *head = row.integer("head")?;
            }
            Ok(heads)
        })
        .await
    }

    /// The events behind `after`, the oldest first, `limit` at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn events(&self, stream: Stream, after: i64, limit: u64) -> Result<Events, Error> {
        self.read(move |transaction| {
            let name = stream.as_str().into();
            let row = transaction.query_one(
                "SELECT head, COALESCE((SELECT MIN(seq) FROM events WHERE stream = $1), head + 1)
                 FROM event_streams WHERE name = $1",
                &[name],
            )?;
            let mut row = row.ok_or_else(|| Error::corrupt("an event stream", stream.as_str()))?;
            let head = row.integer("head")?;
            let oldest = row.integer("the oldest event")?;
            let rows = transaction.query(
                "SELECT event FROM events WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3",
                &[name, after.into(), limit.into()],
            )?;
            let events = rows.into_iter().map(read).collect::<Result<_, _>>()?;
            Ok(Events {
                events,
                oldest,
                head,
            })
        })
        .await
    }

    /// Forgets events from before a moment, and the oldest ones as long as all of them are larger
    /// than `most_bytes`, `limit` at most; tells how many. The ones behind `needed` stay until they
    /// are forgotten for their size.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn forget_events(
        &self,
        stream: Stream,
        before: Timestamp,
        most_bytes: u64,
        needed: i64,
        limit: u64,
    ) -> Result<u64, Error> {
        self.write(move |transaction| {
            let name = stream.as_str().into();
            let row = transaction.query_one(
                "SELECT size_bytes FROM event_streams WHERE name = $1",
                &[name],
            )?;
            let mut row = row.ok_or_else(|| Error::corrupt("an event stream", stream.as_str()))?;
            let total = row.size("size_bytes")?;
            let rows = transaction.query(
                "SELECT seq, at, OCTET_LENGTH(event) FROM events WHERE stream = $1
                 ORDER BY seq LIMIT $2",
                &[name, limit.into()],
            )?;
            let (mut count, mut freed, mut last) = (0, 0, 0);
            for mut row in rows {
                let seq = row.integer("seq")?;
                let is_old = row.time("at")? < before && seq <= needed;
                let is_too_much = total.saturating_sub(freed) > most_bytes;
                if !is_old && !is_too_much {
                    break;
                }
                freed += row.size("the length of an event")? + OVERHEAD_BYTES;
                (count, last) = (count + 1, seq);
            }
            if count > 0 {
                transaction.execute(
                    "DELETE FROM events WHERE stream = $1 AND seq <= $2",
                    &[name, last.into()],
                )?;
                transaction.execute(
                    "UPDATE event_streams SET size_bytes = $2 WHERE name = $1",
                    &[name, total.saturating_sub(freed).into()],
                )?;
            }
            Ok(count)
        })
        .await
    }
}

fn read(mut row: Row) -> Result<Event, Error> {
    parse(&row.text("an event")?)
}

/// Reads an event back from its text.
pub(super) fn parse(text: &str) -> Result<Event, Error> {
    serde_json::from_str(text).map_err(|_| Error::corrupt("an event", text))
}

fn append(
    transaction: &mut dyn Transaction,
    change: &Change,
    Journal(notes): Journal,
) -> Result<(), Error> {
    for (place, note) in notes.into_iter().enumerate() {
        let name = note.stream.as_str();
        // The row is locked before the number is used, and until the commit.
        let row = transaction.query_one(
            "UPDATE event_streams SET head = head + 1 WHERE name = $1 RETURNING head",
            &[name.into()],
        )?;
        let mut row = row.ok_or_else(|| Error::corrupt("an event stream", name))?;
        let seq = row.integer("head")?;
        let (actor, at) = note
            .by
            .unwrap_or_else(|| (change.actor.clone(), change.now));
        let event = Event {
            stream: note.stream,
            seq,
            id: match place {
                0 => change.id.to_string(),
                place => format!("{}-{place}", change.id),
            },
            at,
            kind: note.kind,
            repository: note.repository,
            actor,
            cause: change.cause,
            request_id: change.request_id.clone(),
            detail: note.detail,
        };
        let text = serde_json::to_string(&event).expect("an event has a JSON form");
        transaction.execute(
            "INSERT INTO events (stream, seq, at, event) VALUES ($1, $2, $3, $4)",
            &[
                name.into(),
                seq.into(),
                event.at.into(),
                text.as_str().into(),
            ],
        )?;
        transaction.execute(
            "UPDATE event_streams SET size_bytes = size_bytes + $2 WHERE name = $1",
            &[name.into(), (text.len() as u64 + OVERHEAD_BYTES).into()],
        )?;
    }
    Ok(())
}
