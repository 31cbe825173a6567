//! `GET /events`: what happened, as a stream or page by page.
//!
//! | parameter | meaning |
//! |---|---|
//! | `after` | the cursor: what comes behind this place; `oldest`: all that is kept; nothing: from now on |
//! | `repository`, `type` | patterns, any number of times |
//! | `stream` | `changes` or `pulls` |
//! | `wait` | how many seconds a page waits for its first event |
//! | `limit` | how many events a page has at most |
//!
//! With `Accept: text/event-stream` events are sent as they come, and `Last-Event-ID` is the cursor.
//! Otherwise the answer is `{"events": […], "next": CURSOR}`, and waits where there is none yet.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::request::Parts;
use http::{HeaderName, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use wharf_auth::action::Action;
use wharf_auth::authorizer::Answer;
use wharf_storage::metadata::{Event, Stream};
use wharf_storage::oci::RepositoryName;

use super::State as Shared;
use super::access::{Need, queried};
use super::caller::{self, Wanted};
use super::error::{Code, Error};
use super::extract::{Parameters, header_text};
use crate::events::{Feed, Filter, Format, Origin, feed};
use crate::registry;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How many events a page has when nobody says, and at most.
const USUAL: usize = 100;
const MOST: usize = 1000;
/// How long a page waits at most, in seconds.
const LONGEST_WAIT: u64 = 60;
/// How many events are looked at for one page.
const MOST_READ: usize = 20_000;
/// How often a stream asks whether its caller may still read it.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// How often something is sent so that nobody takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a reader needs.
pub(super) const NEED: Need = Need::Queried(Action::ReadEvents);

/// What somebody wants to be told.
struct Wish {
    stream: Stream,
    filter: Filter,
    after: i64,
}

/// `GET /events`.
pub(super) async fn get(
    State(state): State<Shared>,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let repositories: Vec<String> = parameters.all("repository").map(Into::into).collect();
    let accept = header_text(&parts.headers, header::ACCEPT).unwrap_or_default();
    let is_stream = accept.contains("text/event-stream");
    let wish = wish(&state, &parameters, &parts, repositories.clone()).await?;
    if is_stream {
        // A cursor that leads nowhere is told before the stream begins.
        let events = state.feed.after(wish.stream, wish.after, 1).await;
        events.map_err(gone)?;
        return Ok(follow(state, wish, parts, repositories));
    }
    page(&state, wish, &parameters).await
}

/// The place in the log that a cursor stands for.
pub(crate) fn read_cursor(text: &str) -> Option<i64> {
    let place: Option<i64> = text.parse().ok();
    place.filter(|place| *place >= 0)
}

async fn wish(
    state: &Shared,
    parameters: &Parameters,
    parts: &Parts,
    repositories: Vec<String>,
) -> Result<Wish, Error> {
    let stream = match parameters.first("stream") {
        Some(text) => text
            .parse()
            .map_err(|_| wrong("stream is changes or pulls"))?,
        None => Stream::Changes,
    };
    let last = header_text(&parts.headers, LAST_EVENT_ID);
    let after = match last.or_else(|| parameters.first("after")) {
        None => *state.feed.head(stream).borrow(),
        Some("oldest") => {
            let oldest = state.feed.oldest(stream).await;
            oldest.map_err(registry::Error::from)?
        }
        Some(text) => read_cursor(text).ok_or_else(|| wrong("after is a cursor, or oldest"))?,
    };
    let types: Vec<&str> = parameters.all("type").collect();
    Ok(Wish {
        stream,
        filter: Filter::new(types, repositories),
        after,
    })
}

async fn page(state: &Shared, wish: Wish, parameters: &Parameters) -> Result<Response, Error> {
    let number = |name: &str| {
        let number = parameters.parsed::<u64>(name);
        number.map_err(|_| wrong(&format!("{name} is a number, not below 0")))
    };
    let limit = number("limit")?.map_or(USUAL, |limit| {
        usize::try_from(limit).unwrap_or(MOST).clamp(1, MOST)
    });
    let wait = Duration::from_secs(number("wait")?.unwrap_or(0).min(LONGEST_WAIT));
    let deadline = Instant::now() + wait;
    let mut head = state.feed.head(wish.stream);
    let mut after = wish.after;
    let events = loop {
        let _ = head.borrow_and_update();
        let (found, read) = matching(&state.feed, Source::Database, &wish, after, limit).await?;
        after = read;
        if !found.is_empty() {
            break found;
        }
        let waited = tokio::select! {
            changed = head.changed() => changed.is_ok(),
            () = tokio::time::sleep_until(deadline) => false,
            () = state.stopping.cancelled() => false,
        };
        if !waited {
            break found;
        }
    };
    let events: Vec<Value> = events
        .iter()
        .filter_map(|event| Format::CloudEvents.write(event, &state.origin))
        .collect();
    Ok(Json(json!({"events": events, "next": after})).into_response())
}

/// Where events are read.
#[derive(Clone, Copy)]
enum Source {
    /// In memory, where they are known a moment after they were written.
    Memory,
    /// In the database: who has just pushed finds the event of it.
    Database,
}

/// The events behind a place that are wanted, and the place up to which all were looked at.
async fn matching(
    feed: &Feed,
    source: Source,
    wish: &Wish,
    after: i64,
    limit: usize,
) -> Result<(Vec<Arc<Event>>, i64), Error> {
    let (mut found, mut read) = (Vec::new(), after);
    for _ in 0..MOST_READ / MOST {
        let events = match source {
            Source::Memory => feed.after(wish.stream, read, MOST).await,
            Source::Database => feed.written_after(wish.stream, read, MOST).await,
        };
        let events = events.map_err(gone)?;
        let is_last = events.len() < MOST;
        for event in events {
            read = event.seq;
            if wish.filter.matches(&event) {
                found.push(event);
            }
            if found.len() == limit {
                return Ok((found, read));
            }
        }
        if is_last || !found.is_empty() {
            break;
        }
    }
    Ok((found, read))
}

/// What a stream goes on with.
struct Following {
    state: Shared,
    wish: Wish,
    head: watch::Receiver<i64>,
    waiting: std::vec::IntoIter<Arc<Event>>,
    origin: Arc<Origin>,
    parts: Parts,
    repositories: Vec<String>,
    asked: Instant,
}

fn follow(state: Shared, wish: Wish, parts: Parts, repositories: Vec<String>) -> Response {
    let following = Following {
        head: state.feed.head(wish.stream),
        origin: Arc::clone(&state.origin),
        waiting: Vec::new().into_iter(),
        state,
        wish,
        parts,
        repositories,
        asked: Instant::now(),
    };
    let events = stream::unfold(following, |mut following| async {
        let sent = following.next().await?;
        Some((Ok::<_, Infallible>(sent), following))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // A proxy that gathers answers would hold events back.
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    response
}

impl Following {
    /// The next event; nothing when the stream ends, and the client is to come again.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if self.asked.elapsed() >= ASK_EVERY {
                self.asked = Instant::now();
                self.still_may().await?;
            }
            if let Some(event) = self.waiting.next() {
                return Some(self.written(&event));
            }
            let _ = self.head.borrow_and_update();
            let (feed, wish) = (&self.state.feed, &self.wish);
            let found = matching(feed, Source::Memory, wish, wish.after, MOST).await;
            let (found, read) = found.ok()?;
            self.wish.after = read;
            self.waiting = found.into_iter();
            if self.waiting.len() > 0 || read < *self.head.borrow() {
                continue;
            }
            tokio::select! {
                changed = self.head.changed() => changed.ok()?,
                () = tokio::time::sleep(ASK_EVERY) => {}
                () = self.state.stopping.cancelled() => return None,
            }
        }
    }

    /// Whether what the client showed when it came would still open the stream.
    async fn still_may(&self) -> Option<()> {
        let wanted = Wanted {
            need: NEED,
            repository: None,
        };
        let caller = caller::identify(&self.state, &self.parts, wanted).await;
        let caller = caller.ok()?;
        let authority = &self.state.authority;
        let names = queried(self.repositories.iter().map(String::as_str));
        let may = |name: &Option<RepositoryName>| {
            let answer = authority.decide(&caller, Action::ReadEvents, name.as_ref());
            answer == Answer::Allowed
        };
        names.iter().all(may).then_some(())
    }

    fn written(&self, event: &Event) -> Sent {
        let value = Format::CloudEvents.write(event, &self.origin);
        let value = value.unwrap_or_default();
        Sent::default()
            .id(event.seq.to_string())
            .event(event.kind.as_str())
            .data(value.to_string())
    }
}

fn gone(error: feed::Error) -> Error {
    match error {
        feed::Error::Gone { oldest, head, .. } => {
            let message = error.to_string();
            // The cursor before the oldest event, and the present end.
            let detail = json!({"oldest": oldest - 1, "newest": head});
            Error::new(StatusCode::GONE, Code::Unsupported, message).with_detail(detail)
        }
        feed::Error::Metadata(error) => registry::Error::from(error).into(),
    }
}

fn wrong(message: &str) -> Error {
    Error::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
}
