//! The public examples of lifecycle policies, our extensions, and every policy against a slow model.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use wharf_storage::metadata::Image;
use wharf_storage::oci::{Algorithm, MediaType};

use super::*;

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
fn example_filtering_on_image_age() {
    let policy = policy(&[rule(
        1,
        json!({"tagStatus": "untagged", "countType": "sinceImagePushed",
        "countUnit": "days", "countNumber": 14}),
    )]);
    let images = named(&[("old", 15, &[]), ("new", 13, &[]), ("tagged", 100, &["v1"])]);
    assert_eq!(expired(&policy, &images), ["old"]);
}

#[test]
fn example_filtering_on_image_count() {
    let policy = policy(&[rule(
        1,
        json!({"tagStatus": "untagged", "countType": "imageCountMoreThan",
        "countNumber": 1}),
    )]);
    let images = named(&[
        ("a", 3, &[]),
        ("b", 1, &[]),
        ("c", 2, &[]),
        ("d", 9, &["v1"]),
    ]);
    assert_eq!(expired(&policy, &images), ["a", "c"]);
}

#[test]
fn example_filtering_on_multiple_rules_a() {
    let images = named(&[
        ("A", 4, &["beta-1", "prod-1"]),
        ("B", 3, &["beta-2", "prod-2"]),
        ("C", 2, &["beta-3"]),
    ]);
    let prod = |priority| {
        rule(
            priority,
            json!({"tagStatus": "tagged", "tagPatternList": ["prod*"],
        "countType": "imageCountMoreThan", "countNumber": 1}),
        )
    };
    let beta = |priority| {
        rule(
            priority,
            json!({"tagStatus": "tagged", "tagPatternList": ["beta*"],
        "countType": "imageCountMoreThan", "countNumber": 1}),
        )
    };
    // Rule 1 marks A. Rule 2 counts A, B and C, and would take A and B; both belong to rule 1.
    assert_eq!(expired(&policy(&[prod(1), beta(2)]), &images), ["A"]);
    // The other way round, rule 1 marks A and B, and rule 2 would take A, which is gone already.
    assert_eq!(expired(&policy(&[beta(1), prod(2)]), &images), ["A", "B"]);
}

#[test]
fn example_filtering_on_multiple_tags_in_one_rule() {
    let images = named(&[
        ("A", 12, &["alpha-1"]),
        ("B", 11, &["beta-1"]),
        ("C", 10, &["alpha-2", "beta-2"]),
        ("D", 4, &["alpha-3"]),
        ("E", 4, &["alpha-4", "beta-4"]),
    ]);
    let policy = policy(&[rule(
        1,
        json!({"tagStatus": "tagged", "tagPatternList": ["alpha*", "beta*"],
        "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 5}),
    )]);
    // An image has to have a tag for each of the patterns.
    assert_eq!(expired(&policy, &images), ["C"]);
}

#[test]
fn example_filtering_on_all_images() {
    let images = named(&[
        ("A", 12, &["alpha-1"]),
        ("B", 11, &[]),
        ("C", 10, &["alpha-2"]),
        ("D", 4, &["git hub".replace(' ', "").as_str()]),
        ("E", 3, &[]),
    ]);
    let any = rule(
        5,
        json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}),
    );
    let alpha = rule(
        1,
        json!({"tagStatus": "tagged", "tagPrefixList": ["alpha"],
        "countType": "imageCountMoreThan", "countNumber": 1}),
    );
    let untagged = rule(
        2,
        json!({"tagStatus": "untagged", "countType": "sinceImagePushed",
        "countUnit": "days", "countNumber": 10}),
    );
    assert_eq!(
        expired(&policy(std::slice::from_ref(&any)), &images),
        ["A", "B", "C", "D"]
    );
    // C is rule 1's, which keeps it; E is the newest of all.
    assert_eq!(
        expired(&policy(&[alpha, untagged, any]), &images),
        ["A", "B", "D"]
    );
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
            "has the tags of another rule",
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

/// The definition, slow and obvious: an image belongs to the first rule that is about it, and that
/// rule takes it when it is old enough, or when enough of those it is about are newer.
fn model(policy: &Policy, images: &[ImageFacts]) -> Vec<Decision> {
    let is_about = |rule: &Rule, facts: &ImageFacts| rule.tags.match_image(&facts.image.tags);
    images
        .iter()
        .map(|facts| {
            let Some(rule) = policy.rules.iter().find(|rule| is_about(rule, facts)) else {
                return Decision::Keep;
            };
            let age = (NOW - facts.image.pushed_at.as_seconds()) / DAY;
            let newer = images
                .iter()
                .filter(|other| is_about(rule, other))
                .filter(|other| {
                    (other.image.pushed_at, &other.image.digest)
                        > (facts.image.pushed_at, &facts.image.digest)
                })
                .count();
            let takes = match rule.count {
                Count::MoreThan(number) => newer >= number,
                Count::SincePushed(limit) => age > (limit.as_secs() / DAY as u64) as i64,
                Count::SincePulled(_) | Count::SinceTransitioned(_) => false,
            };
            if takes {
                Decision::Expire
            } else {
                Decision::Keep
            }
        })
        .collect()
}

fn selections() -> impl Strategy<Value = Value> {
    let tags = prop_oneof![
        Just(json!({"tagStatus": "tagged", "tagPatternList": ["a*"]})),
        Just(json!({"tagStatus": "tagged", "tagPatternList": ["b*"]})),
        Just(json!({"tagStatus": "tagged", "tagPatternList": ["a*", "*1"]})),
        Just(json!({"tagStatus": "untagged"})),
        Just(json!({"tagStatus": "any"})),
    ];
    (tags, any::<bool>(), 1_u32..6).prop_map(|(mut selection, by_count, number)| {
        selection["countNumber"] = number.into();
        if by_count {
            selection["countType"] = "imageCountMoreThan".into();
        } else {
            selection["countType"] = "sinceImagePushed".into();
            selection["countUnit"] = "days".into();
        }
        selection
    })
}

proptest! {
    #[test]
    fn every_policy_decides_as_the_slow_model_does(
        selections in proptest::collection::vec(selections(), 1..4),
        images in proptest::collection::vec(
            (0_i64..8, proptest::collection::btree_set("[ab][12]", 0..3)), 0..12),
    ) {
        let rules: Vec<Value> = selections
            .into_iter()
            .enumerate()
            .map(|(place, selection)| rule(place as u32 + 1, selection))
            .collect();
        let text = json!({"rules": rules}).to_string();
        let Ok(policy) = Policy::parse(&text) else { return Ok(()) };
        let mut taken = HashSet::new();
        let images: Vec<ImageFacts> = images
            .into_iter()
            .enumerate()
            .map(|(place, (days, tags))| {
                let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                // A tag names one image.
                let tags: Vec<&str> = tags.into_iter().filter(|tag| taken.insert((*tag).to_owned())).collect();
                image(&place.to_string(), days, &tags)
            })
            .collect();
        let fast: Vec<Decision> = select(&policy, &images, now()).into_iter().map(|outcome| outcome.decision).collect();
        prop_assert_eq!(fast, model(&policy, &images));
    }
}
