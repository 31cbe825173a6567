//! The official suite of the distribution specification, with every switch on: nothing may fail,
//! and nothing may be skipped.

use std::io::Write as _;
use std::time::Duration;

use crate::access::{Login, user};
use crate::support::{Command, Registry, folder};

/// What the suite leaves out unless it is told not to.
const SWITCHES: [&str; 5] = [
    "OCI_API_BLOBS_DIGEST_HEADER",
    "OCI_API_BLOBS_UPLOAD_CANCEL",
    "OCI_API_MANIFESTS_DIGEST_HEADER",
    "OCI_API_MANIFESTS_TAG_PARAM",
    "OCI_DATA_SPARSE",
];

/// A run with less than this has left something out.
const LEAST_TESTS: u32 = 1032;

/// Runs the suite as of a version of the specification.
pub(crate) fn passes(version: &str, registry: &Registry, login: Option<&Login>, on: &str) {
    let folder = folder();
    let mut suite = Command::tool("conformance")
        .env("OCI_REGISTRY", registry.host())
        .env("OCI_TLS", "disabled")
        .env("OCI_VERSION", version)
        .env("OCI_RESULTS_DIR", folder.path())
        .directory(folder.path())
        .limit(Duration::from_secs(300));
    for switch in SWITCHES {
        suite = suite.env(switch, "true");
    }
    if let Some(login) = login {
        suite = suite
            .env("OCI_USERNAME", &login.name)
            .env("OCI_PASSWORD", &login.password);
    }
    let output = suite.run();
    let count = |label| count(&output.stdout, label);
    let (passed, failed) = (count("Pass"), count("FAIL") + count("Error"));
    let (skipped, disabled) = (count("Skip"), count("Disabled"));
    // Past the capture of the test harness, for the closing lines of a run.
    let with = if login.is_some() { " with a login" } else { "" };
    let line = format!(
        "official suite {version}{with}{on}: {passed} passed, {failed} failed, {skipped} skipped"
    );
    writeln!(std::io::stdout(), "{line}").expect("the line is printed");
    assert_eq!((failed, skipped, disabled), (0, 0, 0), "{}", output.stdout);
    assert!(passed >= LEAST_TESTS, "{line}");
    assert_eq!(output.code, Some(0), "{}", output.stdout);
}

/// A number of the suite's summary, `  Label.......:   N`.
fn count(summary: &str, label: &str) -> u32 {
    let (_, behind) = summary
        .split_once("OCI Conformance Result:")
        .unwrap_or_default();
    let line = behind
        .lines()
        .find(|line| line.trim_start().starts_with(&format!("{label}.")));
    let number = line
        .and_then(|line| line.split(':').nth(1))
        .and_then(|text| text.trim().parse().ok());
    number.unwrap_or_else(|| panic!("no {label} in {summary}"))
}

#[test]
fn the_official_suite_of_version_1_1_passes_whole() {
    passes("1.1", &Registry::wharf(), None, "");
}

#[test]
fn the_official_suite_of_the_newest_draft_passes_whole() {
    passes("dev", &Registry::wharf(), None, "");
}

#[test]
fn the_official_suite_passes_whole_with_a_login() {
    for version in ["1.1", "dev"] {
        let registry = Registry::private();
        let login = user(&registry, "conformance", "write", "*");
        passes(version, &registry, Some(&login), "");
    }
}

#[test]
fn the_official_suite_passes_whole_on_postgres() {
    passes("1.1", &Registry::on_postgres(), None, " on PostgreSQL");
}
