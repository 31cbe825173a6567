//! The outcome as a table for a person.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use super::Counts;
use crate::check::Ended;
use crate::suite::Made;

/// The table, with colours on a terminal that doesn't forbid them, and the closing line.
pub(crate) fn table(made: &[Made]) -> String {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    write_table(made, colours)
}

fn write_table(made: &[Made], colours: bool) -> String {
    let paint = |code: &str, text: &str| match colours {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    let width = made
        .iter()
        .map(|made| made.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    let mut family = "";
    for made in made {
        if made.family != family {
            family = made.family;
            let _ = writeln!(text, "\n{}", paint("1", family));
        }
        let (mark, reason) = match &made.outcome {
            Ok(()) => (paint("32", "pass"), None),
            Err(Ended::Failed(reason)) => (paint("31", "FAIL"), Some(reason)),
            Err(Ended::Skipped(reason)) => (paint("33", "skip"), Some(reason)),
        };
        let milliseconds = made.took.as_secs_f64() * 1000.0;
        let _ = writeln!(
            text,
            "  {mark}  {:<width$}  {milliseconds:>8.1} ms",
            made.name
        );
        if let Some(reason) = reason {
            // What the registry sent may hold anything.
            let _ = writeln!(text, "        {}", printable(reason));
        }
    }
    let Counts {
        passed,
        failed,
        skipped,
    } = Counts::of(made);
    let _ = writeln!(
        text,
        "\nconformance: {passed} passed, {failed} failed, {skipped} skipped"
    );
    text
}

/// The text with its control characters escaped.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| match character.is_control() {
            true => character.escape_default().collect::<Vec<_>>(),
            false => vec![character],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    #[test]
    fn the_table_tells_each_check_and_closes_with_the_counts() {
        let text = write_table(&examples(), false);
        assert!(text.contains("  pass  a passes"));
        assert!(text.contains("  FAIL  b fails"));
        assert!(text.contains("        GET /v2/<x>: 500"));
        assert!(text.ends_with("\nconformance: 1 passed, 1 failed, 1 skipped\n"));
        assert!(!text.contains('\u{1b}'));
        assert!(write_table(&examples(), true).contains("\u{1b}[31mFAIL"));
    }
}
