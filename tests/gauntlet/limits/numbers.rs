//! Row 40: sizes of pages that nobody means, on every list of both doors.

use serde_json::Value;

use super::fill::{self, Amount, REPOSITORY};
use super::line::Line;
use super::row;
use crate::support::Registry;

/// More than a page has at most.
const AMOUNT: Amount = Amount {
    tags: 1500,
    repositories: 1500,
    referrers: 1500,
};
/// How many entries a page has at most, as it is by default.
const PAGE_LIMIT: usize = 1000;
/// How much memory all of that may take for good: less than one list of any of these numbers.
const MOST_MEMORY: u64 = 64 << 20;

/// Numbers as they stand in an address.
const NUMBERS: [&str; 18] = [
    "0",
    "-0",
    "-1",
    "1",
    "1000",
    "1001",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "100000000000000000000",
    "-100000000000000000000",
    "abc",
    "",
    "1e9",
    "1.5",
];

/// Lists, and the members of their pages.
const LISTS: [(&str, &str); 8] = [
    ("/v2/team/app/tags/list?n=", "tags"),
    ("/v2/_catalog?n=", "repositories"),
    ("/v2/team/app/referrers/SUBJECT?n=", "manifests"),
    ("/events?after=oldest&limit=", "events"),
    ("/events?after=oldest&stream=pulls&limit=", "events"),
    ("/admin/v1/audit?limit=", "records"),
    ("/admin/v1/endpoints/far/deliveries?limit=", "deliveries"),
    (
        "/admin/v1/endpoints/far/dead-letters?limit=",
        "dead_letters",
    ),
];

/// Operations with `maxResults`, and the other members of their inputs.
const OPERATIONS: [(&str, &str); 12] = [
    ("DescribeRepositories", ""),
    ("ListImages", r#""repositoryName": "team/app""#),
    ("DescribeImages", r#""repositoryName": "team/app""#),
    (
        "ListImageReferrers",
        r#""repositoryName": "team/app", "subjectId": {"imageDigest": "SUBJECT"}"#,
    ),
    (
        "GetLifecyclePolicyPreview",
        r#""repositoryName": "team/app""#,
    ),
    ("DescribePullThroughCacheRules", ""),
    ("DescribeRepositoryCreationTemplates", ""),
    ("ListPullTimeUpdateExclusions", ""),
    (
        "DescribeImageScanFindings",
        r#""repositoryName": "team/app", "imageId": {"imageTag": "v00000001"}"#,
    ),
    ("ListReplicationBackfills", ""),
    (
        "DescribeReplicationBackfillResults",
        r#""backfillId": "none""#,
    ),
    (
        "DescribeImageReplicationStatus",
        r#""repositoryName": "team/app", "imageId": {"imageTag": "v00000001"}"#,
    ),
];

/// How many entries the longest list of an answer has.
fn longest_list(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.len(),
        Value::Object(members) => members.values().map(longest_list).max().unwrap_or(0),
        _ => 0,
    }
}

#[test]
fn sizes_of_pages_that_nobody_means_are_clamped_or_refused() {
    let mut registry = Registry::wharf_with(&[("WHARF__LOG__LEVEL", "warn")]);
    let words = [
        "endpoint",
        "add",
        "far",
        "http://far.example/hook",
        "--type",
        "none",
    ];
    registry.administer(words).succeeds();
    registry.stop();
    fill::sqlite(&registry.data(), AMOUNT);
    registry.start_again();
    let subject = fill::digest(1);
    let mut line = Line::to(registry.host()).expect("the server listens");
    let policy = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}"#;
    let input = serde_json::json!({"repositoryName": REPOSITORY, "lifecyclePolicyText": policy});
    let started = line.operation("StartLifecyclePolicyPreview", input.to_string().as_bytes());
    assert_eq!(started.expect("an answer").status, 200);

    let mut most = 0;
    let (mut asked, mut refused, mut wrong) = (0, 0, Vec::new());
    for round in 0..2 {
        // The first round fills caches.
        let before = registry.process().resident_bytes();
        for (list, member) in LISTS {
            for number in NUMBERS {
                let path = format!("{}{number}", list.replace("SUBJECT", &subject));
                let answer = line.ask("GET", &path, &[], b"").expect("an answer");
                asked += 1;
                match answer.status {
                    200 => {
                        let page = answer.json();
                        let count = page[member].as_array().map(Vec::len);
                        // Where a page of nothing makes no sense, the least is one.
                        let asked_for = number.parse().unwrap_or(PAGE_LIMIT);
                        let asked_for = asked_for.clamp(1, PAGE_LIMIT);
                        if count.is_none_or(|count| count > asked_for) {
                            wrong.push(format!("{path}: {count:?} entries"));
                        }
                    }
                    400 => refused += 1,
                    status => wrong.push(format!("{path}: {status}")),
                }
            }
        }
        for (operation, members) in OPERATIONS {
            let members = members.replace("SUBJECT", &subject);
            let quoted = NUMBERS.iter().map(|number| format!("\"{number}\""));
            let plain = NUMBERS
                .map(str::to_owned)
                .into_iter()
                .chain(["null".into(), "[]".into()]);
            for number in plain.chain(quoted) {
                let comma = if members.is_empty() { "" } else { "," };
                let input = format!("{{{members}{comma} \"maxResults\": {number}}}");
                let answer = line
                    .operation(operation, input.as_bytes())
                    .expect("an answer");
                asked += 1;
                match answer.status {
                    200 if longest_list(&answer.json()) <= PAGE_LIMIT => {}
                    200 => wrong.push(format!("{operation} {number}: too long a page")),
                    400 => refused += 1,
                    status => wrong.push(format!("{operation} {number}: {status}")),
                }
            }
        }
        if round > 0 {
            most = registry.process().resident_bytes().saturating_sub(before);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(most < MOST_MEMORY, "{} MiB", most >> 20);

    // A page that was clamped leads on.
    let path = "/v2/team/app/tags/list?n=2147483648";
    let answer = line.ask("GET", path, &[], b"").expect("an answer");
    assert!(
        answer.status == 400 || answer.header("link").is_some(),
        "{answer:?}"
    );
    row(
        40,
        "",
        &format!(
            "{} numbers on {} lists and {} operations: {asked} requests, {refused} refused with 400, \
             no page over {PAGE_LIMIT}, memory grew by {} MiB",
            NUMBERS.len(),
            LISTS.len(),
            OPERATIONS.len(),
            most >> 20,
        ),
    );
}
