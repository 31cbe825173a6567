//! What is kept and what goes: groups, the archive, leases and locks, our extensions.

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_storage::metadata::Image;
use wharf_storage::oci::{Algorithm, MediaType};

use super::*;

#[path = "example_tests.rs"]
mod examples;
#[path = "model_tests.rs"]
mod model;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW)
}

fn days_ago(days: i64) -> Timestamp {
    Timestamp::from_seconds(NOW - days * DAY)
}

fn digest(name: &str) -> Digest {
    Digest::of(Algorithm::Sha256, name.as_bytes())
}

/// An image of this name, pushed so many days ago, with these tags.
fn image(name: &str, days: i64, tags: &[&str]) -> ImageFacts {
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let media_type: MediaType = media_type.parse().expect("a type");
    ImageFacts {
        image: Image {
            digest: digest(name),
            media_type,
            artifact_type: None,
            subject: None,
            tags: tags.iter().map(|tag| tag.parse().expect("a tag")).collect(),
            pushed_at: days_ago(days),
            pulled_at: None,
            storage_class: StorageClass::Standard,
            archived_at: None,
            activated_at: None,
            bytes: Bytes::new(),
        },
        last_pushed_at: days_ago(days),
        children: Vec::new(),
        is_leased: false,
        is_locked: false,
    }
}

fn rule(priority: u32, selection: Value) -> Value {
    json!({"rulePriority": priority, "selection": selection, "action": {"type": "expire"}})
}

fn policy(rules: &[Value]) -> Policy {
    let text = json!({"rules": rules, "wharf:extensions": true}).to_string();
    Policy::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The names of the images that go.
fn expired(policy: &Policy, images: &[(&str, ImageFacts)]) -> Vec<String> {
    let facts: Vec<ImageFacts> = images.iter().map(|(_, facts)| facts.clone()).collect();
    select(policy, &facts, now())
        .into_iter()
        .zip(images)
        .filter(|(outcome, _)| outcome.decision == Decision::Expire)
        .map(|(_, (name, _))| (*name).to_owned())
        .collect()
}

fn named<'a>(images: &[(&'a str, i64, &[&str])]) -> Vec<(&'a str, ImageFacts)> {
    images
        .iter()
        .map(|(name, days, tags)| (*name, image(name, *days, tags)))
        .collect()
}

#[test]
fn an_index_goes_with_its_images_and_what_refers_to_them() {
    let mut index = image("index", 20, &["v1"]);
    index.children = vec![digest("amd64"), digest("arm64")];
    let mut signature = image("signature", 1, &[]);
    signature.image.subject = Some(digest("amd64"));
    let cosign = format!(
        "sha256-{}.sig",
        digest("index").as_str().trim_start_matches("sha256:")
    );
    let images = [
        ("index", index),
        ("amd64", image("amd64", 20, &[])),
        ("arm64", image("arm64", 20, &[])),
        ("signature", signature),
        ("cosign", image("cosign", 1, &[&cosign])),
        ("loose", image("loose", 20, &[])),
    ];
    let untagged = rule(
        1,
        json!({"tagStatus": "untagged", "countType": "sinceImagePushed",
        "countUnit": "days", "countNumber": 14}),
    );
    // The images of a kept index are not untagged ones.
    assert_eq!(expired(&policy(&[untagged]), &images), ["loose"]);
    let tagged = rule(
        1,
        json!({"tagStatus": "tagged", "tagPatternList": ["v*"],
        "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}),
    );
    let all = ["index", "amd64", "arm64", "signature", "cosign"];
    assert_eq!(expired(&policy(&[tagged]), &images), all);
}

#[test]
fn an_image_that_two_indexes_name_goes_with_the_last_one() {
    let mut old = image("old", 20, &["v1"]);
    old.children = vec![digest("shared"), digest("only old")];
    let mut new = image("new", 2, &["v2"]);
    new.children = vec![digest("shared"), digest("tagged")];
    let images = [
        ("old", old),
        ("new", new),
        ("shared", image("shared", 20, &[])),
        ("only old", image("only old", 20, &[])),
        ("tagged", image("tagged", 20, &["v0"])),
    ];
    let policy = policy(&[rule(
        1,
        json!({"tagStatus": "tagged", "tagPatternList": ["v*"],
        "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}),
    )]);
    // One with a tag of its own would go, were it not in an index that stays.
    assert_eq!(expired(&policy, &images), ["old", "only old"]);
}

/// What becomes of these, by their names.
fn decisions(policy: &Policy, images: &[(&str, ImageFacts)]) -> Vec<(String, Decision)> {
    let facts: Vec<ImageFacts> = images.iter().map(|(_, facts)| facts.clone()).collect();
    let outcomes = select(policy, &facts, now()).into_iter();
    outcomes
        .zip(images)
        .map(|(outcome, (name, _))| ((*name).to_owned(), outcome.decision))
        .collect()
}

/// Archives what is tagged a*, removes what is tagged b*.
fn archive_a_and_expire_b() -> Policy {
    let by_count = |pattern: &str| {
        json!({"tagStatus": "tagged", "tagPatternList": [pattern],
            "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1})
    };
    let mut archive = rule(1, by_count("a*"));
    archive["action"] = json!({"type": "transition", "targetStorageClass": "archive"});
    policy(&[archive, rule(2, by_count("b*"))])
}

#[test]
fn an_image_of_an_archived_index_is_archived_though_another_one_goes() {
    for names in [["archived", "expired"], ["expired", "archived"]] {
        let with = |name: &'static str| {
            let tags: &[&str] = if name == "archived" { &["a"] } else { &["b"] };
            let mut facts = image(name, 20, tags);
            facts.children = vec![digest("shared"), digest("tagged")];
            (name, facts)
        };
        let images = [
            with(names[0]),
            ("shared", image("shared", 20, &[])),
            ("tagged", image("tagged", 20, &["b2"])),
            with(names[1]),
        ];
        let mut found = decisions(&archive_a_and_expire_b(), &images);
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let of = |name: &str, decision| (name.to_owned(), decision);
        assert_eq!(
            found,
            [
                of("archived", Decision::Archive),
                of("expired", Decision::Expire),
                of("shared", Decision::Archive),
                of("tagged", Decision::Archive),
            ]
        );
    }
}

#[test]
fn an_image_that_an_index_in_the_archive_holds_is_archived_and_not_removed() {
    let archived = |name: &str, tags: &[&str]| {
        let mut facts = image(name, 20, tags);
        facts.image.storage_class = StorageClass::Archive;
        facts.image.archived_at = Some(days_ago(100));
        facts
    };
    let mut in_archive = archived("in archive", &["a"]);
    in_archive.children = vec![digest("there"), digest("here")];
    let mut expired = image("expired", 20, &["b"]);
    expired.children = vec![digest("there"), digest("here")];
    let images = [
        ("in archive", in_archive),
        ("expired", expired),
        ("there", archived("there", &[])),
        ("here", image("here", 20, &[])),
    ];
    let found = decisions(&archive_a_and_expire_b(), &images);
    let found: Vec<Decision> = found.into_iter().map(|(_, decision)| decision).collect();
    assert_eq!(
        found,
        [
            Decision::Keep,
            Decision::Expire,
            Decision::Keep,
            Decision::Archive
        ]
    );
}

#[test]
fn a_pull_of_an_image_counts_as_one_of_its_index() {
    let unpulled = rule(
        1,
        json!({"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days",
            "countNumber": 30}),
    );
    let mut index = image("index", 100, &["v1"]);
    index.children = vec![digest("child")];
    let mut child = image("child", 100, &[]);
    child.image.pulled_at = Some(days_ago(1));
    let images = [
        ("index", index),
        ("child", child),
        ("other", image("other", 100, &["v0"])),
    ];
    assert_eq!(expired(&policy(&[unpulled]), &images), ["other"]);
}

#[test]
fn what_was_restored_long_ago_and_pushed_lately_is_new() {
    let old = rule(
        1,
        json!({"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days",
            "countNumber": 30}),
    );
    let mut pushed = image("pushed", 1, &["v1"]);
    pushed.image.activated_at = Some(days_ago(300));
    let mut restored = image("restored", 300, &["v2"]);
    restored.image.activated_at = Some(days_ago(1));
    let images = [
        ("pushed", pushed),
        ("restored", restored),
        ("old", image("old", 31, &["v3"])),
    ];
    assert_eq!(expired(&policy(&[old]), &images), ["old"]);
}

#[test]
fn what_may_be_part_of_a_push_that_goes_on_stays() {
    let all = rule(
        1,
        json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}),
    );
    let again = |name: &'static str, tags: &[&str]| {
        let mut facts = image(name, 90, tags);
        facts.last_pushed_at = now();
        (name, facts)
    };
    // An index that has to go, one of whose images was just pushed for another one.
    let mut index = image("index", 80, &["v1"]);
    index.children = vec![digest("child"), digest("again")];
    let mut nested = again("nested", &[]);
    nested.1.children = vec![digest("inner")];
    let images = [
        ("newest", image("newest", 0, &["latest"])),
        ("index", index),
        ("child", image("child", 80, &[])),
        again("again", &[]),
        again("again with a tag", &["v0"]),
        ("untagged", image("untagged", 0, &[])),
        nested,
        ("inner", image("inner", 90, &[])),
        ("tagged", image("tagged", 0, &["v9"])),
    ];
    let kept = ["again", "again with a tag", "untagged", "nested", "inner"];
    let gone = expired(&policy(&[all]), &images);
    assert!(
        kept.iter().all(|name| !gone.contains(&(*name).to_owned())),
        "{gone:?}"
    );
    assert!(gone.contains(&"index".to_owned()) && gone.contains(&"child".to_owned()));
    let facts: Vec<ImageFacts> = images.iter().map(|(_, facts)| facts.clone()).collect();
    let all = rule(
        1,
        json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}),
    );
    let outcomes = select(&policy(&[all]), &facts, now());
    assert_eq!(outcomes[3].reason, Reason::Settling);
    assert_eq!(outcomes[7].reason, Reason::With(digest("nested")));
}

#[test]
fn what_is_leased_or_locked_stays_with_all_that_goes_with_it() {
    let policy = policy(&[rule(
        1,
        json!({"tagStatus": "any", "countType": "sinceImagePushed",
        "countUnit": "days", "countNumber": 1}),
    )]);
    let mut index = image("index", 20, &["v1"]);
    index.children = vec![digest("child")];
    let mut child = image("child", 20, &[]);
    child.is_leased = true;
    let mut locked = image("locked", 20, &["v2"]);
    locked.is_locked = true;
    let images = [
        ("index", index),
        ("child", child),
        ("locked", locked),
        ("loose", image("loose", 20, &[])),
    ];
    assert_eq!(expired(&policy, &images), ["loose"]);
    let facts: Vec<ImageFacts> = images.iter().map(|(_, facts)| facts.clone()).collect();
    let reasons: Vec<Reason> = select(&policy, &facts, now())
        .into_iter()
        .map(|outcome| outcome.reason)
        .collect();
    assert_eq!(
        reasons,
        [
            Reason::Leased,
            Reason::With(digest("index")),
            Reason::Locked,
            Reason::Rule(1)
        ]
    );
}

#[test]
fn the_archive_has_its_own_rules_and_a_minimum() {
    let archived = |name: &str, days: i64| {
        let mut facts = image(name, 400, &["v1"]);
        facts.image.storage_class = StorageClass::Archive;
        facts.image.archived_at = Some(days_ago(days));
        facts
    };
    let mut transition = rule(
        1,
        json!({"tagStatus": "any", "countType": "sinceImagePulled",
        "countUnit": "days", "countNumber": 30}),
    );
    transition["action"] = json!({"type": "transition", "targetStorageClass": "archive"});
    let expire = rule(
        2,
        json!({"tagStatus": "any", "storageClass": "archive",
        "countType": "sinceImageTransitioned", "countUnit": "days", "countNumber": 10}),
    );
    let policy = policy(&[transition, expire]);
    let mut pulled = image("pulled", 100, &["v1"]);
    pulled.image.pulled_at = Some(days_ago(5));
    let mut restored = image("restored", 400, &["v1"]);
    restored.image.activated_at = Some(days_ago(5));
    restored.image.pulled_at = Some(days_ago(300));
    let images = [
        image("never pulled", 100, &["v1"]),
        pulled,
        restored,
        archived("long ago", 91),
        archived("lately", 11),
        archived("just now", 1),
    ];
    let decisions: Vec<(Decision, Reason)> = select(&policy, &images, now())
        .into_iter()
        .map(|outcome| (outcome.decision, outcome.reason))
        .collect();
    assert_eq!(
        decisions,
        [
            (Decision::Archive, Reason::Rule(1)),
            (Decision::Keep, Reason::KeptBy(1)),
            (Decision::Keep, Reason::KeptBy(1)),
            (Decision::Expire, Reason::Rule(2)),
            (Decision::Keep, Reason::TooNewInArchive),
            (Decision::Keep, Reason::KeptBy(2)),
        ]
    );
}

#[test]
fn extensions_keep_the_newest_retain_and_count_tags() {
    let keep = rule(
        1,
        json!({"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days",
        "countNumber": 10, "wharf:keepAtLeast": 2}),
    );
    let images = named(&[
        ("a", 20, &["v1"]),
        ("b", 30, &["v2"]),
        ("c", 40, &["v3"]),
        ("d", 50, &["v4"]),
    ]);
    assert_eq!(expired(&policy(&[keep]), &images), ["c", "d"]);

    let mut retain = rule(
        1,
        json!({"tagStatus": "tagged", "tagPatternList": ["v*"],
        "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 25}),
    );
    retain["action"] = json!({"type": "wharf:retain"});
    let any = rule(
        2,
        json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}),
    );
    let images = named(&[
        ("a", 20, &["v1"]),
        ("b", 30, &["v2"]),
        ("c", 5, &["x"]),
        ("d", 6, &["y"]),
    ]);
    assert_eq!(expired(&policy(&[retain, any]), &images), ["a", "d"]);

    let per_tag = rule(
        1,
        json!({"tagStatus": "tagged", "tagPatternList": ["pr-*"], "wharf:perTag": true,
        "countType": "imageCountMoreThan", "countNumber": 2}),
    );
    let images = named(&[
        ("newest", 1, &["pr-9"]),
        ("both", 2, &["pr-8", "stable"]),
        ("partly", 3, &["pr-7", "release"]),
        ("oldest", 4, &["pr-5", "pr-6"]),
    ]);
    let facts: Vec<ImageFacts> = images.iter().map(|(_, facts)| facts.clone()).collect();
    let decisions: Vec<Decision> = select(&policy(&[per_tag]), &facts, now())
        .into_iter()
        .map(|outcome| outcome.decision)
        .collect();
    let tag = |text: &str| text.parse().expect("a tag");
    assert_eq!(
        decisions,
        [
            Decision::Keep,
            Decision::Keep,
            Decision::Untag(vec![tag("pr-7")]),
            Decision::Expire
        ]
    );
}

#[test]
fn what_is_wrong_with_a_policy_is_told() {
    let selection =
        json!({"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 1});
    let with = |member: &str, value: Value| {
        let mut selection = selection.clone();
        selection[member] = value;
        json!({"rules": [rule(1, selection)]})
    };
    let two = |first: Value, second: Value| json!({"rules": [first, second]});
    let tagged = json!({"tagStatus": "tagged", "tagPrefixList": ["a"], "countType": "imageCountMoreThan",
        "countNumber": 1});
    let any = json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1});
    let patterns = |list: &[&str]| {
        json!({"tagStatus": "tagged", "tagPatternList": list, "countType": "imageCountMoreThan",
            "countNumber": 1})
    };
    for (document, want) in [
        (json!([]), "it is no JSON object"),
        (json!({"rules": []}), "1 to 50 rules"),
        (json!({"rules": [], "extra": 1}), "unknown field"),
        (
            json!({"rules": [rule(0, selection.clone())]}),
            "rulePriority is at least 1",
        ),
        (with("countNumber", json!(0)), "countNumber is at least 1"),
        (with("countNumber", json!(-1)), "invalid value"),
        (
            with("countUnit", json!("days")),
            "countUnit does not go with",
        ),
        (
            with("countType", json!("sinceImagePushed")),
            "countUnit is days",
        ),
        (with("countType", json!("sinceForever")), "unknown variant"),
        (
            with("tagStatus", json!("tagged")),
            "needs tagPatternList or tagPrefixList",
        ),
        (with("tagPrefixList", json!(["a"])), "tagStatus tagged only"),
        (
            with("storageClass", json!("archive")),
            "sinceImageTransitioned goes with",
        ),
        (with("wharf:keepAtLeast", json!(1)), "it has an extension"),
        (
            two(rule(1, selection.clone()), rule(1, any.clone())),
            "rulePriority 1 stands twice",
        ),
        (
            two(rule(1, selection.clone()), rule(2, selection.clone())),
            "one rule with tagStatus untagged",
        ),
        (
            two(rule(1, any.clone()), rule(2, selection.clone())),
            "highest rulePriority",
        ),
        (
            two(rule(1, tagged.clone()), rule(2, tagged.clone())),
            "rule 2: a* stands twice among the tags",
        ),
        (
            two(
                rule(1, patterns(&["a", "b"])),
                rule(2, patterns(&["b", "c"])),
            ),
            "rule 2: b stands twice among the tags",
        ),
        (
            json!({"rules": [rule(1, patterns(&["a*", "a*"]))]}),
            "rule 1: a* stands twice among the tags",
        ),
        (
            two(rule(1, tagged.clone()), rule(2, patterns(&["a*"]))),
            "rule 2: a* stands twice among the tags",
        ),
        (
            json!({"rules": [rule(1, json!({"tagStatus": "tagged", "tagPatternList": ["*a*b*c*d*"],
                "countType": "imageCountMoreThan", "countNumber": 1}))]}),
            "at most 4 wildcards",
        ),
        (
            json!({"rules": [rule(1, json!({"tagStatus": "any", "countType": "sinceImagePulled",
                "countUnit": "days", "countNumber": 1}))]}),
            "sinceImagePulled goes with transition only",
        ),
    ] {
        let error = Policy::parse(&document.to_string())
            .expect_err(want)
            .to_string();
        assert!(error.contains(want), "{error} lacks {want}");
    }
}
