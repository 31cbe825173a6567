//! The outcome as JSON.

use serde_json::json;

use super::Counts;
use crate::check::Ended;
use crate::suite::Made;

/// The outcome as one JSON object: the counts, and each check with its outcome and its duration in
/// seconds.
pub(crate) fn json(made: &[Made]) -> String {
    let Counts {
        passed,
        failed,
        skipped,
    } = Counts::of(made);
    let checks: Vec<serde_json::Value> = made
        .iter()
        .map(|made| {
            let (outcome, reason) = match &made.outcome {
                Ok(()) => ("pass", None),
                Err(Ended::Failed(reason)) => ("fail", Some(reason)),
                Err(Ended::Skipped(reason)) => ("skip", Some(reason)),
            };
            json!({
                "family": made.family,
                "name": made.name,
                "outcome": outcome,
                "reason": reason,
                "seconds": made.took.as_secs_f64(),
            })
        })
        .collect();
    let report = json!({"passed": passed, "failed": failed, "skipped": skipped, "checks": checks});
    format!("{report:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    #[test]
    fn every_check_is_there_with_its_reason() {
        let report: serde_json::Value = serde_json::from_str(&json(&examples())).expect("JSON");
        assert_eq!(
            (report["passed"].as_u64(), report["failed"].as_u64()),
            (Some(1), Some(1))
        );
        assert_eq!(report["checks"][2]["reason"], "not there");
        assert_eq!(report["checks"][0]["outcome"], "pass");
    }
}
