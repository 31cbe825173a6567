//! The examples that AWS gives of lifecycle policies, as it says that they end.
//!
//! <https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_examples.html>

use super::*;

fn tagged(pattern: &str) -> Value {
    json!({"tagStatus": "tagged", "tagPatternList": [pattern]})
}

fn more_than(mut selection: Value, number: u32) -> Value {
    selection["countType"] = "imageCountMoreThan".into();
    selection["countNumber"] = number.into();
    selection
}

fn older_than(mut selection: Value, days: u32) -> Value {
    selection["countType"] = "sinceImagePushed".into();
    selection["countUnit"] = "days".into();
    selection["countNumber"] = days.into();
    selection
}

fn archive(priority: u32, selection: Value) -> Value {
    let mut rule = rule(priority, selection);
    rule["action"] = json!({"type": "transition", "targetStorageClass": "archive"});
    rule
}

/// The policy as AWS takes it, without extensions.
fn plain(rules: &[Value]) -> Policy {
    let text = json!({"rules": rules}).to_string();
    Policy::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn image_age() {
    let images = named(&[
        ("old", 15, &["prod-1"]),
        ("new", 13, &["prod-2"]),
        ("other", 100, &["dev-1"]),
    ]);
    let policy = plain(&[rule(1, older_than(tagged("prod*"), 14))]);
    assert_eq!(expired(&policy, &images), ["old"]);
    let images = named(&[("old", 15, &[]), ("new", 13, &[]), ("tagged", 100, &["v1"])]);
    let untagged = json!({"tagStatus": "untagged"});
    let policy = plain(&[rule(1, older_than(untagged, 14))]);
    assert_eq!(expired(&policy, &images), ["old"]);
}

#[test]
fn image_count() {
    let images = named(&[
        ("a", 3, &[]),
        ("b", 1, &[]),
        ("c", 2, &[]),
        ("d", 9, &["v1"]),
    ]);
    let untagged = json!({"tagStatus": "untagged"});
    let policy = plain(&[rule(1, more_than(untagged, 1))]);
    assert_eq!(expired(&policy, &images), ["a", "c"]);
}

/// What is in the repository of both examples of several rules.
fn of_several_rules() -> Vec<(&'static str, ImageFacts)> {
    named(&[
        ("A", 10, &["beta-1", "prod-1"]),
        ("B", 9, &["beta-2", "prod-2"]),
        ("C", 8, &["beta-3"]),
    ])
}

#[test]
fn multiple_rules_a() {
    // Rule 1 marks A. Rule 2 counts A, B and C, and would take A and B; both belong to rule 1.
    let policy = plain(&[
        rule(1, more_than(tagged("prod*"), 1)),
        rule(2, more_than(tagged("beta*"), 1)),
    ]);
    assert_eq!(expired(&policy, &of_several_rules()), ["A"]);
}

#[test]
fn multiple_rules_b() {
    // Rule 1 marks A and B; rule 2 would take A, which is gone already.
    let policy = plain(&[
        rule(1, more_than(tagged("beta*"), 1)),
        rule(2, more_than(tagged("prod*"), 1)),
    ]);
    assert_eq!(expired(&policy, &of_several_rules()), ["A", "B"]);
}

/// What is in the repository of both examples of several tags.
fn of_several_tags() -> Vec<(&'static str, ImageFacts)> {
    named(&[
        ("A", 12, &["alpha-1"]),
        ("B", 11, &["beta-1"]),
        ("C", 10, &["alpha-2", "beta-2"]),
        ("D", 4, &["alpha-3"]),
        ("E", 4, &["alpha-4", "beta-4"]),
    ])
}

#[test]
fn multiple_tags_in_rules_of_their_own() {
    let policy = plain(&[
        rule(1, older_than(tagged("alpha*"), 5)),
        rule(2, older_than(tagged("beta*"), 5)),
    ]);
    assert_eq!(expired(&policy, &of_several_tags()), ["A", "B", "C"]);
}

#[test]
fn multiple_tags_in_one_rule() {
    // An image has to have a tag for each of the patterns.
    for list in [
        json!({"tagStatus": "tagged", "tagPatternList": ["alpha*", "beta*"]}),
        json!({"tagStatus": "tagged", "tagPrefixList": ["alpha", "beta"]}),
    ] {
        let policy = plain(&[rule(1, older_than(list, 5))]);
        assert_eq!(expired(&policy, &of_several_tags()), ["C"]);
    }
}

#[test]
fn all_images() {
    let any = || json!({"tagStatus": "any"});
    let images = named(&[
        ("A", 12, &["alpha-1"]),
        ("B", 11, &["beta-1"]),
        ("C", 10, &[]),
        ("D", 4, &["alpha-2"]),
        ("E", 3, &["git-hash"]),
    ]);
    let policy = plain(&[rule(1, more_than(any(), 1))]);
    assert_eq!(expired(&policy, &images), ["A", "B", "C", "D"]);
    // Of the five, rule 1 keeps D, which is then no matter of rule 2.
    let policy = plain(&[
        rule(1, more_than(tagged("alpha*"), 1)),
        rule(2, more_than(any(), 1)),
    ]);
    assert_eq!(expired(&policy, &images), ["A", "B", "C"]);
    let policy = plain(&[rule(1, older_than(any(), 10))]);
    assert_eq!(expired(&policy, &images), ["A", "B"]);
    let policy = plain(&[
        rule(1, more_than(tagged("alpha*"), 1)),
        rule(2, older_than(json!({"tagStatus": "untagged"}), 5)),
        rule(3, more_than(any(), 1)),
    ]);
    assert_eq!(expired(&policy, &images), ["A", "B", "C"]);
}

#[test]
fn archiving_what_was_not_pulled() {
    let mut pulled = image("pulled", 400, &["v1"]);
    pulled.image.pulled_at = Some(days_ago(89));
    let mut unused = image("unused", 400, &["v2"]);
    unused.image.pulled_at = Some(days_ago(91));
    let images = [
        ("pulled", pulled),
        ("unused", unused),
        ("never", image("never", 91, &["v3"])),
        ("new", image("new", 89, &["v4"])),
    ];
    let policy = plain(&[archive(
        1,
        json!({"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days",
            "countNumber": 90}),
    )]);
    let archived: Vec<String> = decisions(&policy, &images)
        .into_iter()
        .filter(|(_, decision)| *decision == Decision::Archive)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(archived, ["unused", "never"]);
}

#[test]
fn archiving_all_but_the_newest_and_removing_what_was_archived_long_ago() {
    let in_archive = |name: &'static str, days: i64| {
        let mut facts = image(name, 900, &[]);
        facts.image.storage_class = StorageClass::Archive;
        facts.image.archived_at = Some(days_ago(days));
        (name, facts)
    };
    let images = [
        ("new", image("new", 1, &["v2"])),
        ("old", image("old", 2, &["v1"])),
        in_archive("long ago", 366),
        in_archive("a year", 364),
    ];
    let policy = plain(&[
        archive(1, more_than(json!({"tagStatus": "any"}), 1)),
        rule(
            2,
            json!({"tagStatus": "any", "storageClass": "archive",
                "countType": "sinceImageTransitioned", "countUnit": "days", "countNumber": 365}),
        ),
    ]);
    let found: Vec<Decision> = decisions(&policy, &images)
        .into_iter()
        .map(|(_, decision)| decision)
        .collect();
    assert_eq!(
        found,
        [
            Decision::Keep,
            Decision::Archive,
            Decision::Expire,
            Decision::Keep
        ]
    );
}
