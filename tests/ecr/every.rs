//! Every operation of the service, asked for with the AWS command line by `every.py`; that they were
//! answered is read from the server's own metrics.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Account;
use crate::api::http::Client;

/// What is honestly refused, since nothing is scanned or replicated here.
const REFUSED: [&str; 5] = [
    "DescribeImageScanFindings",
    "DescribeReplicationBackfillResults",
    "StartImageScan",
    "StartReplicationBackfill",
    "StopReplicationBackfill",
];

#[test]
fn every_operation_is_answered() {
    let account = Account::new();
    let said = account
        .python(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ecr/every.py"))
        .succeeds();
    assert!(said.ends_with("every operation was asked for"), "{said}");

    let exposed = Client::new(account.registry.base()).get("/metrics").body;
    let exposed = String::from_utf8(exposed).expect("UTF-8");
    let series = |line: &str| {
        let labels = line.strip_prefix("wharf_ecr_operations_total{")?;
        let label = |name: &str| {
            let behind = labels.split_once(&format!("{name}=\""))?.1;
            Some(behind.split_once('"')?.0.to_owned())
        };
        Some((label("operation")?, label("outcome")?))
    };
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (operation, outcome) in exposed.lines().filter_map(series) {
        outcomes.entry(operation).or_default().push(outcome);
    }

    let model = include_str!("../../src/http/ecr/model.json");
    let model: Value = serde_json::from_str(model).expect("the model is JSON");
    let operations = model["operations"].as_object().expect("operations");
    assert_eq!(operations.len(), 62);
    for name in operations.keys() {
        let want = match REFUSED.contains(&name.as_str()) {
            true => "refused",
            false => "answered",
        };
        let found = outcomes.get(name).cloned().unwrap_or_default();
        assert!(found.contains(&want.to_owned()), "{name}: {found:?}");
        assert!(!found.contains(&"failed".to_owned()), "{name}: {found:?}");
    }
}
