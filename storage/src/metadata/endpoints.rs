//! Who is told of events, and how far that has come.
//!
//! An endpoint has a cursor: all events up to it were delivered, or lie among the dead letters. One
//! server at a time holds it, for a term that it renews; what another one writes down about it does
//! not count. The same holds for who still works on an older revision of it.

use super::Metadata;
use super::error::Error;
use super::events::{self, Event, Stream};
use super::transaction::{Row, Transaction};
use crate::clock::Timestamp;

/// An endpoint that shall be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// How events are written for it.
    pub format: String,
    /// The log that it is told of.
    pub stream: Stream,
    /// Patterns of types; none: all.
    pub types: Vec<String>,
    /// Patterns of repositories; none: all.
    pub repositories: Vec<String>,
    /// What deliveries are signed with, sealed.
    pub sealed_secret: Vec<u8>,
    /// It is told of what comes behind this place; nothing: from now on.
    pub cursor: Option<i64>,
    /// The present moment.
    pub now: Timestamp,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRecord {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// How events are written for it.
    pub format: String,
    /// The log that it is told of.
    pub stream: Stream,
    /// Patterns of types; none: all.
    pub types: Vec<String>,
    /// Patterns of repositories; none: all.
    pub repositories: Vec<String>,
    /// What deliveries are signed with, sealed.
    pub sealed_secret: Vec<u8>,
    /// What they are signed with too, until that ends.
    pub sealed_previous: Option<(Vec<u8>, Timestamp)>,
    /// When it was disabled, and why.
    pub disabled: Option<(Timestamp, String)>,
    /// All up to here is done.
    pub cursor: i64,
    /// Grows with every change that is not progress.
    pub revision: i64,
    /// The server that delivers, empty for none, and until when nobody else does.
    pub held: (String, Timestamp),
    /// When it was made.
    pub created_at: Timestamp,
    /// How many dead letters it has.
    pub dead_letters: u64,
}

/// What of an endpoint changes; nothing where it stays.
#[derive(Clone, Debug, Default)]
pub struct EndpointChange {
    /// Where it is.
    pub url: Option<String>,
    /// How events are written for it.
    pub format: Option<String>,
    /// Patterns of types.
    pub types: Option<Vec<String>>,
    /// Patterns of repositories.
    pub repositories: Option<Vec<String>>,
    /// Another secret, sealed, and until when the one before it goes on.
    pub sealed_secret: Option<(Vec<u8>, Timestamp)>,
    /// All up to here counts as done.
    pub cursor: Option<i64>,
    /// Whether it is disabled, and why.
    pub disabled: Option<Option<(Timestamp, String)>>,
}

/// How far the deliveries of an endpoint have come.
#[derive(Clone, Debug)]
pub struct EndpointProgress {
    /// The endpoint.
    pub endpoint: String,
    /// The revision that was worked on.
    pub revision: i64,
    /// All up to here is done.
    pub cursor: i64,
    /// What was tried.
    pub deliveries: Vec<DeliveryRecord>,
    /// What was given up.
    pub dead: Vec<DeadLetter>,
    /// What was dead and was sent again.
    pub resent: Vec<Resent>,
    /// Why it shall be told of nothing more.
    pub disable: Option<String>,
}

/// One attempt to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its place in the log of deliveries; nothing before it has one.
    pub id: i64,
    /// The event's place in its log.
    pub seq: i64,
    /// The event's name.
    pub event_id: String,
    /// When.
    pub at: Timestamp,
    /// Which attempt it was, from 1.
    pub attempt: u64,
    /// Whether the endpoint took it.
    pub delivered: bool,
    /// What it answered, or why there was no answer.
    pub detail: String,
    /// How long that took, in microseconds.
    pub took_us: u64,
}

/// An event that an endpoint didn't take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event.
    pub event: Event,
    /// How often it was tried.
    pub attempts: u64,
    /// What went wrong last.
    pub reason: String,
    /// When it was given up.
    pub died_at: Timestamp,
    /// Whether it waits to be sent again.
    pub resend: bool,
}

/// What came of a dead letter that was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resent {
    /// The event's place in its log.
    pub seq: i64,
    /// Why the endpoint didn't take it; nothing: it did.
    pub failure: Option<String>,
}

const COLUMNS: &str = "
    SELECT name, url, format, stream, types, repositories, sealed_secret, sealed_previous,
           previous_until, disabled_at, disabled_reason, cursor, revision, holder, held_until,
           created_at,
           (SELECT COUNT(*) FROM dead_letters WHERE dead_letters.endpoint = endpoints.name)
    FROM endpoints ORDER BY name";

impl Metadata {
    /// The endpoints, by name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn endpoints(&self) -> Result<Vec<EndpointRecord>, Error> {
        self.read(|transaction| all(transaction)).await
    }

    /// Makes an endpoint, and tells whether its name was free.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn add_endpoint(&self, endpoint: NewEndpoint) -> Result<bool, Error> {
        self.write(move |transaction| {
            let added = transaction.execute(
                "INSERT INTO endpoints (name, url, format, stream, types, repositories,
                                        sealed_secret, cursor, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7,
                         COALESCE($8, (SELECT head FROM event_streams
                                       WHERE event_streams.name = $4)), $9)
                 ON CONFLICT (name) DO NOTHING",
                &[
                    endpoint.name.as_str().into(),
                    endpoint.url.as_str().into(),
                    endpoint.format.as_str().into(),
                    endpoint.stream.as_str().into(),
                    list(&endpoint.types).as_str().into(),
                    list(&endpoint.repositories).as_str().into(),
                    endpoint.sealed_secret.as_slice().into(),
                    endpoint.cursor.into(),
                    endpoint.now.into(),
                ],
            )?;
            Ok(added > 0)
        })
        .await
    }

    /// Changes an endpoint, and tells whether it is there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn change_endpoint(&self, name: &str, change: EndpointChange) -> Result<bool, Error> {
        let name = name.to_owned();
        self.write(move |transaction| change_endpoint(transaction, &name, &change))
            .await
    }

    /// Removes an endpoint with its dead letters, and tells whether it was there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn remove_endpoint(&self, name: &str) -> Result<bool, Error> {
        let name = name.to_owned();
        self.write(move |transaction| {
            let key = &[name.as_str().into()];
            transaction.execute("DELETE FROM dead_letters WHERE endpoint = $1", key)?;
            transaction.execute("DELETE FROM deliveries WHERE endpoint = $1", key)?;
            Ok(transaction.execute("DELETE FROM endpoints WHERE name = $1", key)? > 0)
        })
        .await
    }

    /// Holds the endpoints that nobody else holds, until a moment, and gives those that `holder`
    /// holds then.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn hold_endpoints(
        &self,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<EndpointRecord>, Error> {
        let known = self.endpoints().await?;
        let is_free = |endpoint: &EndpointRecord| {
            endpoint.disabled.is_none() && (endpoint.held.0 == holder || endpoint.held.1 <= now)
        };
        // Where there is nothing to hold, nothing is written.
        if !known.iter().any(is_free) {
            return Ok(Vec::new());
        }
        let name = holder.to_owned();
        self.write(move |transaction| {
            transaction.execute(
                "UPDATE endpoints SET holder = $1, held_until = $3
                 WHERE disabled_at IS NULL AND (holder = $1 OR held_until <= $2)",
                &[name.as_str().into(), now.into(), until.into()],
            )
        })
        .await?;
        // Counting dead letters takes its time, which pushes shall not wait for.
        let mut held = self.endpoints().await?;
        held.retain(|endpoint| endpoint.disabled.is_none() && endpoint.held.0 == holder);
        Ok(held)
    }

    /// Lets go of all that `holder` holds.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn release_endpoints(&self, holder: &str) -> Result<(), Error> {
        let holder = holder.to_owned();
        self.write(move |transaction| {
            transaction.execute(
                "UPDATE endpoints SET holder = '', held_until = 0 WHERE holder = $1",
                &[holder.as_str().into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Writes down how far deliveries have come. What is about an endpoint that `holder` doesn't
    /// hold, or that was changed meanwhile, does not count.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn record_deliveries(
        &self,
        holder: &str,
        progress: Vec<EndpointProgress>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let holder = holder.to_owned();
        self.write(move |transaction| {
            for one in &progress {
                record(transaction, &holder, one, now)?;
            }
            Ok(())
        })
        .await
    }

    /// The dead letters of an endpoint behind a place, the oldest first, `limit` at most; only
    /// those that wait to be sent again where that is asked for.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn dead_letters(
        &self,
        endpoint: &str,
        after: i64,
        only_resend: bool,
        limit: u64,
    ) -> Result<Vec<DeadLetter>, Error> {
        let endpoint = endpoint.to_owned();
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT event, attempts, reason, died_at, resend_at FROM dead_letters
                 WHERE endpoint = $1 AND seq > $2 AND ($3 = 0 OR resend_at IS NOT NULL)
                 ORDER BY seq LIMIT $4",
                &[
                    endpoint.as_str().into(),
                    after.into(),
                    i64::from(only_resend).into(),
                    limit.into(),
                ],
            )?;
            rows.into_iter().map(letter).collect()
        })
        .await
    }

    /// Lets dead letters be sent again, this one or all of them, and tells how many.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn resend_dead_letters(
        &self,
        endpoint: &str,
        seq: Option<i64>,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let endpoint = endpoint.to_owned();
        self.write(move |transaction| {
            transaction.execute(
                "UPDATE dead_letters SET resend_at = $3
                 WHERE endpoint = $1 AND seq = COALESCE($2, seq)",
                &[endpoint.as_str().into(), seq.into(), now.into()],
            )
        })
        .await
    }

    /// Throws dead letters away, this one or all of them, and tells how many.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn discard_dead_letters(
        &self,
        endpoint: &str,
        seq: Option<i64>,
    ) -> Result<u64, Error> {
        let endpoint = endpoint.to_owned();
        self.write(move |transaction| {
            transaction.execute(
                "DELETE FROM dead_letters WHERE endpoint = $1 AND seq = COALESCE($2, seq)",
                &[endpoint.as_str().into(), seq.into()],
            )
        })
        .await
    }

    /// What was tried for an endpoint before a place, the newest first, `limit` at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn deliveries(
        &self,
        endpoint: &str,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<DeliveryRecord>, Error> {
        let endpoint = endpoint.to_owned();
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT id, seq, event_id, at, attempt, outcome, detail, took_us FROM deliveries
                 WHERE endpoint = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
                &[
                    endpoint.as_str().into(),
                    before.unwrap_or(i64::MAX).into(),
                    limit.into(),
                ],
            )?;
            rows.into_iter()
                .map(|mut row| {
                    Ok(DeliveryRecord {
                        id: row.integer("id")?,
                        seq: row.integer("seq")?,
                        event_id: row.text("event_id")?,
                        at: row.time("at")?,
                        attempt: row.size("attempt")?,
                        delivered: row.text("outcome")? == "delivered",
                        detail: row.text("detail")?,
                        took_us: row.size("took_us")?,
                    })
                })
                .collect()
        })
        .await
    }

    /// Forgets what was tried, but for the newest attempts of each endpoint.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn forget_deliveries(&self, keep: u64) -> Result<(), Error> {
        self.write(move |transaction| {
            for mut row in transaction.query("SELECT name FROM endpoints", &[])? {
                let name = row.text("an endpoint's name")?;
                transaction.execute(
                    "DELETE FROM deliveries WHERE endpoint = $1 AND id <=
                         (SELECT id FROM deliveries WHERE endpoint = $1
                          ORDER BY id DESC LIMIT 1 OFFSET $2)",
                    &[name.as_str().into(), keep.into()],
                )?;
            }
            Ok(())
        })
        .await
    }
}

fn all(transaction: &mut dyn Transaction) -> Result<Vec<EndpointRecord>, Error> {
    let rows = transaction.query(COLUMNS, &[])?;
    rows.into_iter().map(endpoint).collect()
}

fn endpoint(mut row: Row) -> Result<EndpointRecord, Error> {
    fn patterns(row: &mut Row, name: &'static str) -> Result<Vec<String>, Error> {
        let text = row.text(name)?;
        serde_json::from_str(&text).map_err(|_| Error::corrupt(name, text))
    }
    let name = row.text("an endpoint's name")?;
    let url = row.text("url")?;
    let format = row.text("format")?;
    let stream = row.parsed("stream")?;
    let types = patterns(&mut row, "types")?;
    let repositories = patterns(&mut row, "repositories")?;
    let sealed_secret = row.bytes("sealed_secret")?;
    let previous = row.optional_bytes("sealed_previous")?;
    let until = row.optional_time("previous_until")?;
    let disabled_at = row.optional_time("disabled_at")?;
    let reason = row.text("disabled_reason")?;
    Ok(EndpointRecord {
        name,
        url,
        format,
        stream,
        types,
        repositories,
        sealed_secret,
        sealed_previous: previous.zip(until),
        disabled: disabled_at.map(|at| (at, reason)),
        cursor: row.integer("cursor")?,
        revision: row.integer("revision")?,
        held: (row.text("holder")?, row.time("held_until")?),
        created_at: row.time("created_at")?,
        dead_letters: row.size("dead letters")?,
    })
}

fn letter(mut row: Row) -> Result<DeadLetter, Error> {
    let text = row.text("an event")?;
    Ok(DeadLetter {
        event: events::parse(&text)?,
        attempts: row.size("attempts")?,
        reason: row.text("reason")?,
        died_at: row.time("died_at")?,
        resend: row.optional_time("resend_at")?.is_some(),
    })
}

fn list(patterns: &[String]) -> String {
    serde_json::to_string(patterns).expect("texts have a form")
}

fn change_endpoint(
    transaction: &mut dyn Transaction,
    name: &str,
    change: &EndpointChange,
) -> Result<bool, Error> {
    let types = change.types.as_deref().map(list);
    let repositories = change.repositories.as_deref().map(list);
    let changed = transaction.execute(
        "UPDATE endpoints SET url = COALESCE($2, url), format = COALESCE($3, format),
             types = COALESCE($4, types), repositories = COALESCE($5, repositories),
             cursor = COALESCE($6, cursor), revision = revision + 1
         WHERE name = $1",
        &[
            name.into(),
            change.url.as_deref().into(),
            change.format.as_deref().into(),
            types.as_deref().into(),
            repositories.as_deref().into(),
            change.cursor.into(),
        ],
    )?;
    if let Some((sealed, until)) = &change.sealed_secret {
        transaction.execute(
            "UPDATE endpoints SET sealed_previous = sealed_secret, previous_until = $3,
                 sealed_secret = $2
             WHERE name = $1",
            &[name.into(), sealed.as_slice().into(), (*until).into()],
        )?;
    }
    if let Some(disabled) = &change.disabled {
        let (at, reason) = match disabled {
            Some((at, reason)) => (Some(*at), reason.as_str()),
            None => (None, ""),
        };
        transaction.execute(
            "UPDATE endpoints SET disabled_at = $2, disabled_reason = $3 WHERE name = $1",
            &[name.into(), at.into(), reason.into()],
        )?;
    }
    Ok(changed > 0)
}

fn record(
    transaction: &mut dyn Transaction,
    holder: &str,
    progress: &EndpointProgress,
    now: Timestamp,
) -> Result<(), Error> {
    let name: super::Value<'_> = progress.endpoint.as_str().into();
    // The attempts were made, whoever holds the endpoint by now.
    for delivery in &progress.deliveries {
        let outcome = match delivery.delivered {
            true => "delivered",
            false => "failed",
        };
        transaction.execute(
            "INSERT INTO deliveries (endpoint, seq, event_id, at, attempt, outcome, detail, took_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            &[
                name,
                delivery.seq.into(),
                delivery.event_id.as_str().into(),
                delivery.at.into(),
                delivery.attempt.into(),
                outcome.into(),
                delivery.detail.as_str().into(),
                delivery.took_us.into(),
            ],
        )?;
    }
    let counted = transaction.execute(
        "UPDATE endpoints SET cursor = $4 WHERE name = $1 AND holder = $2 AND revision = $3",
        &[
            name,
            holder.into(),
            progress.revision.into(),
            progress.cursor.into(),
        ],
    )?;
    if counted == 0 {
        return Ok(());
    }
    for letter in &progress.dead {
        let text = serde_json::to_string(&letter.event).expect("an event has a JSON form");
        transaction.execute(
            "INSERT INTO dead_letters (endpoint, seq, event, attempts, reason, died_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (endpoint, seq) DO UPDATE SET attempts = excluded.attempts,
                 reason = excluded.reason, died_at = excluded.died_at",
            &[
                name,
                letter.event.seq.into(),
                text.as_str().into(),
                letter.attempts.into(),
                letter.reason.as_str().into(),
                letter.died_at.into(),
            ],
        )?;
    }
    for resent in &progress.resent {
        match &resent.failure {
            None => transaction.execute(
                "DELETE FROM dead_letters WHERE endpoint = $1 AND seq = $2",
                &[name, resent.seq.into()],
            )?,
            Some(reason) => transaction.execute(
                "UPDATE dead_letters SET resend_at = NULL, attempts = attempts + 1, reason = $3
                 WHERE endpoint = $1 AND seq = $2",
                &[name, resent.seq.into(), reason.as_str().into()],
            )?,
        };
    }
    if let Some(reason) = &progress.disable {
        transaction.execute(
            "UPDATE endpoints SET disabled_at = $2, disabled_reason = $3,
                 revision = revision + 1
             WHERE name = $1",
            &[name, now.into(), reason.as_str().into()],
        )?;
    }
    Ok(())
}
