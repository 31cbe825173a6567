//! The gauntlet: faults and bad input, against a server that runs, over what it shows to anybody.
//!
//! Each row of `docs/reliability.md` has its test here, written from what has to hold and not from
//! the code. The short form is a part of every run of the tests; `make gauntlet` runs the long one
//! and writes the figures to the table.
//!
//! | module | rows |
//! |---|---|
//! | `doors`, `byways`, `routes` | 24: who opens which door, with what |
//! | `strangers` | 25: the digest of a private blob |
//! | `tokens`, `forgeries`, `jwt` | 26: forged tokens |
//! | `signatures`, `sigv4` | 27: requests that are signed as AWS's are |
//! | `inside`, `resolver` | 28: addresses that lead the server inside |
//! | `forwarded` | 29: what a caller says of the way it came |
//! | `pages` | 31: script |
//! | `log_lines` | 32: line ends and escapes |
//! | `canaries`, `canary_files` | 38: secrets |
//! | `manifests` | 39: manifests that read in two ways |
//! | `uploads` | 41: uploads in other hands |
//! | `realms` | 44: upstreams that send logins elsewhere |
//! | `first_start` | 45: no administrator |
//! | `people`, `site` | who comes, and who is asked |
//!
//! Row 37 is in the tests of the runner, `hostile`.

mod byways;
mod canaries;
mod canary_files;
mod doors;
mod first_start;
mod forgeries;
mod forwarded;
mod inside;
mod jwt;
mod log_lines;
mod manifests;
mod pages;
mod people;
mod realms;
mod resolver;
mod routes;
mod signatures;
mod sigv4;
mod site;
mod strangers;
mod tokens;
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
