//! A line on the terminal that tells how far something got, and takes the place of the one before.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::config::Size;
use crate::transfer::Tally;

/// How often a terminal is told how far it got.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// How wide the bar is.
const BAR: u64 = 25;

/// How far a transfer got, shown while it runs.
#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
    since: Instant,
}

impl Progress {
    /// On the standard error, if that is a terminal.
    pub(super) fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            since: Instant::now(),
        }
    }

    /// Waits for some work, and shows meanwhile how far it got. The line is gone afterwards.
    pub(super) async fn show<T>(&self, tally: &Tally, work: impl Future<Output = T>) -> T {
        if !self.is_terminal {
            return work.await;
        }
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(TELL_EVERY, &mut work).await {
                Ok(done) => {
                    write("\r\x1b[K");
                    return done;
                }
                Err(_) => write(&format!("\r{}\x1b[K", line(tally, self.since.elapsed()))),
            }
        }
    }
}

/// The same for work that tells by itself how far it got.
#[derive(Debug)]
pub(super) struct Line {
    is_terminal: bool,
    told: Cell<Instant>,
}

impl Line {
    /// On the standard error, if that is a terminal.
    pub(super) fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            told: Cell::new(Instant::now()),
        }
    }

    /// Shows how far it got, if it is time for that.
    pub(super) fn tell(&self, text: impl FnOnce() -> String) {
        if self.is_terminal && self.told.get().elapsed() >= TELL_EVERY {
            self.told.set(Instant::now());
            write(&format!("\r{}\x1b[K", text()));
        }
    }

    /// Leaves the line where it is, and goes on below it.
    pub(super) fn leave(&self) {
        if self.is_terminal {
            write("\n");
        }
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        if self.is_terminal {
            write("\r\x1b[K");
        }
    }
}

fn write(text: &str) {
    let mut out = io::stderr().lock();
    // That nobody sees it is no reason to stop.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

fn line(tally: &Tally, elapsed: Duration) -> String {
    let (bytes, total) = (
        Tally::of(&tally.bytes_copied),
        Tally::of(&tally.bytes_to_copy),
    );
    let percent = match total {
        0 => 0,
        total => (bytes.saturating_mul(100) / total).min(100),
    };
    let bar = bar(percent);
    let per_second = bytes.checked_div(elapsed.as_secs()).unwrap_or(bytes);
    let left = total.saturating_sub(bytes).checked_div(per_second);
    let left = match left {
        Some(seconds) if bytes > 0 => {
            humantime::format_duration(Duration::from_secs(seconds)).to_string()
        }
        _ => "?".to_owned(),
    };
    format!(
        "[{bar}] {percent:3} %  {} of {}, {}/s, {left} left",
        shown(bytes),
        shown(total),
        shown(per_second)
    )
}

/// A bar that is filled so far, from 0 to 100.
pub(super) fn bar(percent: u64) -> String {
    let length = |cells: u64| usize::try_from(cells).unwrap_or_default();
    let filled = (percent * BAR / 100).min(BAR);
    format!(
        "{}{}",
        "=".repeat(length(filled)),
        " ".repeat(length(BAR - filled))
    )
}

/// A size as people read it.
pub(super) fn shown(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return Size::new(bytes).to_string();
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_with_one_decimal() {
        assert_eq!(shown(0), "0B");
        assert_eq!(shown(1023), "1023B");
        assert_eq!(shown(1536), "1.5KiB");
        assert_eq!(shown(10 << 20), "10.0MiB");
        assert_eq!(shown((3 << 40) + (1 << 39)), "3.5TiB");
    }

    #[test]
    fn a_line_tells_the_rest_from_the_rate() {
        let tally = Tally::default();
        Tally::add(&tally.bytes_to_copy, 100 << 20);
        Tally::add(&tally.bytes_copied, 50 << 20);
        let line = line(&tally, Duration::from_secs(10));
        assert!(
            line.starts_with("[============             ]  50 %"),
            "{line}"
        );
        assert!(
            line.ends_with("50.0MiB of 100.0MiB, 5.0MiB/s, 10s left"),
            "{line}"
        );
    }
}
