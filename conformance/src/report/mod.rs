//! What the checks came to: the table, JUnit and JSON.

mod json;
mod junit;
mod table;

pub(crate) use json::json;
pub(crate) use junit::junit;
pub(crate) use table::table;

use crate::check::Ended;
use crate::suite::Made;

/// How many checks passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    fn of(made: &[Made]) -> Self {
        let mut counts = Self::default();
        for made in made {
            match made.outcome {
                Ok(()) => counts.passed += 1,
                Err(Ended::Failed(_)) => counts.failed += 1,
                Err(Ended::Skipped(_)) => counts.skipped += 1,
            }
        }
        counts
    }
}

#[cfg(test)]
fn examples() -> Vec<Made> {
    let made = |name, outcome| Made {
        family: "blobs",
        name,
        outcome,
        took: std::time::Duration::from_millis(5),
    };
    vec![
        made("a passes", Ok(())),
        made(
            "b fails",
            Err(Ended::Failed("GET /v2/<x>: 500 & \"more\"".into())),
        ),
        made("c is skipped", Err(Ended::Skipped("not there".into()))),
    ]
}
