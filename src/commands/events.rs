//! `wharf events`: what happened.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::Subcommand;
use wharf_storage::metadata::{Event, Stream};

use super::error::Error;
use super::office::{self, shown};
use crate::app::{self, Office};
use crate::config::{Config, Flags};
use crate::events::{Feed, Filter, Format, feed};

/// How many events are read at once.
const PAGE: usize = 500;
/// How soon what is new is seen.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print events, the oldest first
    Tail(Tail),
}

/// What of the events is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Tail {
    /// Behind this cursor; without it, all that is kept
    #[arg(long, value_name = "CURSOR")]
    after: Option<i64>,
    /// Only of these repositories, * for any characters
    #[arg(long, value_name = "PATTERN")]
    repository: Vec<String>,
    /// Only of these types, such as wharf.image.*
    #[arg(long = "type", value_name = "PATTERN")]
    types: Vec<String>,
    /// What was pulled, in the place of what changed
    #[arg(long)]
    pulls: bool,
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Print CloudEvents, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Does it.
pub(super) fn run(command: Command) -> Result<(), Error> {
    let Command::Tail(tail) = command;
    let flags = tail.flags.clone();
    office::run(&flags, |office, config| async move {
        print(office, &config, tail).await
    })
}

async fn print(office: Office, config: &Config, tail: Tail) -> Result<(), Error> {
    let stream = match tail.pulls {
        true => Stream::Pulls,
        false => Stream::Changes,
    };
    let feed = Feed::open(office.metadata)
        .await
        .map_err(app::Error::Metadata)?;
    let filter = Filter::new(tail.types, tail.repository);
    let origin = app::origin(config, "command line");
    let mut after = match tail.after {
        Some(after) => after,
        None => feed.oldest(stream).await.map_err(app::Error::Metadata)?,
    };
    loop {
        let events = match feed.after(stream, after, PAGE).await {
            Ok(events) => events,
            Err(feed::Error::Metadata(error)) => return Err(app::Error::Metadata(error).into()),
            Err(error @ feed::Error::Gone { .. }) => return Err(Error::Cursor(error)),
        };
        let is_end = events.len() < PAGE;
        let mut out = io::stdout().lock();
        for event in events {
            after = event.seq;
            if !filter.matches(&event) {
                continue;
            }
            let line = match tail.json {
                true => Format::CloudEvents
                    .write(&event, &origin)
                    .unwrap_or_default()
                    .to_string(),
                false => line(&event),
            };
            writeln!(out, "{line}").map_err(Error::Output)?;
        }
        out.flush().map_err(Error::Output)?;
        drop(out);
        match (is_end, tail.follow) {
            (true, false) => return Ok(()),
            (true, true) => tokio::time::sleep(LOOK_EVERY).await,
            (false, _) => {}
        }
    }
}

fn line(event: &Event) -> String {
    let detail = &event.detail;
    let what = match (&event.repository, detail.tags.as_slice(), &detail.digest) {
        (Some(name), [tag], _) => format!("{name}:{tag}"),
        (Some(name), _, Some(digest)) => format!("{name}@{digest}"),
        (Some(name), _, None) => name.to_string(),
        (None, ..) => detail.target.clone().unwrap_or_default(),
    };
    let (seq, at, kind, actor) = (event.seq, shown(Some(event.at)), event.kind, &event.actor);
    format!("{seq}\t{at}\t{}\t{what}\t{actor}", kind.as_str())
}
