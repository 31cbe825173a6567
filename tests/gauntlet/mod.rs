//! The gauntlet: faults and bad input, against a server that runs, over what it shows to anybody.
//!
//! Each row of `docs/reliability.md` has its test here, written from what has to hold and not from
//! the code. The short form is a part of every run of the tests; `make gauntlet` runs the long one
//! and writes the figures to the table.
//!
//! | module | what it asks |
//! |---|---|
//! | `access` | whoever tries to get in, or to learn what is not theirs |
//! | `crashes` | kills, races, outages and clocks |
//! | `disk` | a disk that fails, fills up, or loses what was not synced |
//! | `limits` | load, long lists, and input that is made to exhaust its reader |

mod access;
mod crashes;
mod disk;
mod limits;

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
