//! Our own suite, a black box to it all: it passes whole on Wharf, and finds the faults of a peer.
//!
//! Cargo builds no program of another package for a test, so `make test` builds the workspace
//! first.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::command::Output;
use crate::support::{Command, Registry, folder};

/// What the suite counted.
#[derive(Debug, Eq, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs the suite against a registry, and gives its output and its closing line.
fn run(registry: &Registry) -> (Output, Counts) {
    let suite = Path::new(env!("CARGO_BIN_EXE_wharf")).with_file_name("wharf-conformance");
    assert!(
        suite.is_file(),
        "{} is missing: run make test, or cargo build --workspace before",
        suite.display()
    );
    let folder = folder();
    let report = folder.path().join("report.json");
    let output = Command::program(suite)
        .arg(registry.base())
        .arg("--json")
        .arg(&report)
        .limit(Duration::from_secs(600))
        .run();
    let report = std::fs::read(report).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let _: Value = serde_json::from_slice(&report).expect("the report is JSON");
    let counts = counts(&output.stdout).unwrap_or_else(|| panic!("no closing line: {output:?}"));
    (output, counts)
}

/// The numbers of the closing line, `conformance: N passed, N failed, N skipped`.
fn counts(output: &str) -> Option<Counts> {
    let line = output.lines().last()?.strip_prefix("conformance: ")?;
    let mut numbers = line
        .split(", ")
        .zip(["passed", "failed", "skipped"])
        .map(|(part, what)| part.strip_suffix(what)?.trim().parse().ok());
    Some(Counts {
        passed: numbers.next()??,
        failed: numbers.next()??,
        skipped: numbers.next()??,
    })
}

/// Prints past the capture of the test harness, for the closing lines of a run.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("the line is printed");
}

#[test]
fn our_own_suite_passes_whole_on_wharf() {
    passes(&Registry::wharf(), "");
}

#[test]
fn our_own_suite_passes_whole_on_wharf_with_postgres() {
    passes(&Registry::on_postgres(), " on PostgreSQL");
}

/// Runs the suite, which finds no fault and leaves nothing out.
pub(crate) fn passes(registry: &Registry, on: &str) {
    let (output, counts) = run(registry);
    let Counts {
        passed,
        failed,
        skipped,
    } = counts;
    say(&format!(
        "conformance: {passed} passed, {failed} failed, {skipped} skipped{on}"
    ));
    assert_eq!(
        (failed, skipped, output.code),
        (0, 0, Some(0)),
        "{}",
        output.stdout
    );
    assert!(passed > 20, "{}", output.stdout);
}

#[test]
fn our_own_suite_finds_the_faults_of_a_peer() {
    let (output, counts) = run(&Registry::debian());
    let Counts { passed, failed, .. } = counts;
    say(&format!(
        "our suite on docker-registry: {passed} of {} passed",
        passed + failed
    ));
    assert_eq!(output.code, Some(1), "{}", output.stdout);
    assert!(failed > 0 && passed > 20, "{}", output.stdout);
}
