//! The gauntlet: faults and bad input, against a server that runs, over what it shows to anybody.
//!
//! Each row of `docs/reliability.md` has its test here, written from what has to hold and not from
//! the code. The short form is a part of every run of the tests; `make gauntlet` runs the long one
//! and writes the figures to the table.
//!
//! | module | what it asks |
//! |---|---|
//! | `acknowledged` | what a repository was told to keep, and whether it is there |
//! | `calls` | the disk fails at its Nth call |
//! | `faulty_disk` | a disk that loses what was not synced, and fails when it is told to |
//! | `full` | the disk is full |
//! | `layouts` | a kill in the middle of a migration |
//! | `power` | the power fails |
//! | `rot` | a bit flips in a stored blob |
//! | `syncs` | a sync fails |

mod acknowledged;
mod calls;
mod faulty_disk;
mod full;
mod layouts;
mod power;
mod rot;
mod syncs;

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
