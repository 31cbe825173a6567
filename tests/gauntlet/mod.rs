//! The gauntlet: faults and bad input, against a server that runs, over what it shows to anybody.
//!
//! Each row of `docs/reliability.md` has its test here, written from what has to hold and not from
//! the code. The short form is a part of every run of the tests; `make gauntlet` runs the long one
//! and writes the figures to the table.
//!
//! | module | rows | what it asks |
//! |---|---|---|
//! | `backlog` | 15 | a webhook's target that is down for long |
//! | `bodies` | 19 | bodies that hardly come, and answers that nobody reads |
//! | `caches` | 42 | a delete here, a read there, on one server and on two |
//! | `documents` | 21 | JSON that is made to exhaust its reader |
//! | `heads` | 17, 20 | heads that never end, and heads that are too long |
//! | `http2` | 17 | half open connections, and floods of frames |
//! | `idle` | 18 | ten thousand connections that say nothing |
//! | `lists` | 33, 36 | long lists, and a start with a large database |
//! | `memory` | 22 | many pushes at once in little memory |
//! | `names` | 30 | names that lead elsewhere |
//! | `numbers` | 40 | sizes of pages that nobody means |
//! | `sinks` | 14 | a sink of events that fails, and a server that is killed |
//! | `stopping` | 34 | a server that is told to stop while it works |
//! | `uploads` | 23 | uploads that are begun and left |
//!
//! What they are made of: `fill` (large databases), `frames` (HTTP/2 by hand), `line` (a connection
//! that is kept), `sink` (a receiver of webhooks that fails).

mod backlog;
mod bodies;
mod caches;
mod documents;
mod fill;
mod frames;
mod heads;
mod http2;
mod idle;
mod line;
mod lists;
mod memory;
mod names;
mod numbers;
mod sink;
mod sinks;
mod stopping;
mod uploads;

use std::io::Write as _;

/// How much of each row runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In every run of the tests.
    Short,
    /// With `WHARF_GAUNTLET=long`, as `make gauntlet` sets it.
    Long,
}

impl Form {
    /// The form of this run.
    pub(crate) fn of_this_run() -> Self {
        match std::env::var("WHARF_GAUNTLET").as_deref() {
            Ok("long") => Self::Long,
            Ok(other) => panic!("WHARF_GAUNTLET is {other}, which is no form"),
            Err(_) => Self::Short,
        }
    }

    /// One of two numbers, by the form of this run.
    pub(crate) fn pick<T>(short: T, long: T) -> T {
        match Self::of_this_run() {
            Self::Short => short,
            Self::Long => long,
        }
    }
}

/// Prints what a row showed, past the capture of the test harness. `part` tells apart the tests of
/// one row, such as the databases it ran on. Called once its test has passed.
pub(crate) fn row(number: u8, part: &str, figure: &str) {
    let line = format!("gauntlet {number:02} {part}: {figure}\n");
    let printed = std::io::stdout().write_all(line.as_bytes());
    printed.expect("the line is printed");
}
