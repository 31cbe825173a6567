//! Every policy against a slow model.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// How strongly a root has a say in what becomes of what it holds.
const GOES: u8 = 0;
const ARCHIVED: u8 = 1;
const STAYS: u8 = 2;

/// The definition, slow and obvious.
struct Model<'a> {
    images: &'a [ImageFacts],
    /// `reaches[a][b]`: a is b, or holds it, directly or not.
    reaches: Vec<Vec<bool>>,
    roots: Vec<usize>,
}

impl<'a> Model<'a> {
    fn of(images: &'a [ImageFacts]) -> Self {
        let all = 0..images.len();
        let mut reaches = vec![vec![false; images.len()]; images.len()];
        let mut has_holder = vec![false; images.len()];
        for (a, b) in all.clone().flat_map(|a| all.clone().map(move |b| (a, b))) {
            let holds = a != b && holds(&images[a], &images[b]);
            reaches[a][b] = holds || a == b;
            has_holder[b] |= holds;
        }
        for by in all.clone() {
            for (a, b) in all.clone().flat_map(|a| all.clone().map(move |b| (a, b))) {
                reaches[a][b] |= reaches[a][by] && reaches[by][b];
            }
        }
        let is_root = |place: &usize| {
            let image = &images[*place].image;
            let own_tag = |tag: &Tag| !tag.as_str().starts_with("sha256-");
            !has_holder[*place] || image.subject.is_none() && image.tags.iter().any(own_tag)
        };
        let roots = all.filter(is_root).collect();
        Self {
            images,
            reaches,
            roots,
        }
    }

    fn members(&self, root: usize) -> impl Iterator<Item = &ImageFacts> {
        let images = self.images.iter().enumerate();
        let of = images.filter(move |(place, _)| self.reaches[root][*place]);
        of.map(|(_, facts)| facts)
    }

    /// The time by which a rule ranks an image, and whether an age is over by it.
    fn clock(&self, rule: &Rule, place: usize) -> i64 {
        let image = &self.images[place].image;
        let of = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_seconds);
        let pushed = of(Some(image.pushed_at)).max(of(image.activated_at));
        match rule.count {
            Count::MoreThan(_) | Count::SincePushed(_) => pushed,
            Count::SincePulled(_) => {
                let pulls = self.members(place).map(|facts| of(facts.image.pulled_at));
                pulls.max().unwrap_or(0).max(pushed)
            }
            Count::SinceTransitioned(_) => match image.archived_at {
                Some(archived) => archived.as_seconds(),
                None => pushed,
            },
        }
    }

    fn is_about(&self, rule: &Rule, place: usize) -> bool {
        let image = &self.images[place].image;
        rule.class == image.storage_class && rule.tags.match_image(&image.tags)
    }

    /// How many roots that the rule is about are newer.
    fn newer(&self, rule: &Rule, place: usize) -> impl Iterator<Item = usize> {
        let key = move |place: usize| (self.clock(rule, place), &self.images[place].image.digest);
        let roots = self.roots.iter().copied();
        let about: Vec<usize> = roots
            .filter(|other| self.is_about(rule, *other) && key(*other) > key(place))
            .collect();
        about.into_iter()
    }

    fn takes(&self, rule: &Rule, newer: usize, place: usize) -> bool {
        let age = Duration::from_secs((NOW - self.clock(rule, place)).unsigned_abs());
        let is_over = match rule.count {
            Count::MoreThan(number) => newer >= number,
            Count::SincePushed(limit)
            | Count::SincePulled(limit)
            | Count::SinceTransitioned(limit) => age > limit,
        };
        newer >= rule.keep_at_least && is_over
    }

    /// What the first rule that has to do with a root says of it.
    fn ruled(&self, policy: &Policy, place: usize) -> Decision {
        for rule in policy
            .rules
            .iter()
            .filter(|rule| self.is_about(rule, place))
        {
            if rule.per_tag {
                return self.untagged(rule, place);
            }
            let takes = self.takes(rule, self.newer(rule, place).count(), place);
            match (rule.action, takes) {
                (Action::Retain, false) => {}
                (Action::Expire, true) => return Decision::Expire,
                (Action::Archive, true) => return Decision::Archive,
                (Action::Retain, true) | (_, false) => return Decision::Keep,
            }
        }
        Decision::Keep
    }

    fn untagged(&self, rule: &Rule, place: usize) -> Decision {
        let Tags::Tagged(patterns) = &rule.tags else {
            unreachable!("only rules about tags count tags")
        };
        let counted = |place: usize| {
            let tags = self.images[place].image.tags.iter();
            let fits = |tag: &&Tag| patterns.iter().any(|one| one.matches(tag.as_str()));
            tags.filter(fits).cloned().collect::<Vec<_>>()
        };
        let before: usize = self
            .newer(rule, place)
            .map(|other| counted(other).len())
            .sum();
        let gone: Vec<Tag> = counted(place)
            .into_iter()
            .enumerate()
            .filter(|(number, _)| self.takes(rule, before + number, place))
            .map(|(_, tag)| tag)
            .collect();
        match gone.len() {
            0 => Decision::Keep,
            all if all == self.images[place].image.tags.len() => Decision::Expire,
            _ => Decision::Untag(gone),
        }
    }

    /// What becomes of a root as far as it is its own affair.
    fn own(&self, policy: &Policy, place: usize) -> Decision {
        let ruled = self.ruled(policy, place);
        let is_kept = |facts: &ImageFacts| facts.is_leased || facts.is_locked;
        let is_new_in_archive = |facts: &ImageFacts| {
            let image = &facts.image;
            let since = image.archived_at.map(|at| NOW - at.as_seconds());
            image.storage_class == StorageClass::Archive
                && since < Some(90 * DAY)
                && since.is_some()
        };
        let goes = matches!(ruled, Decision::Expire | Decision::Untag(_));
        let stays = self.members(place).any(is_kept)
            || goes && self.members(place).any(is_new_in_archive)
            || self.images[place].is_settling(now());
        if stays { Decision::Keep } else { ruled }
    }

    fn say(&self, decision: &Decision, place: usize) -> u8 {
        let is_archived = self.images[place].image.storage_class == StorageClass::Archive;
        match decision {
            Decision::Expire => GOES,
            Decision::Archive => ARCHIVED,
            Decision::Keep | Decision::Untag(_) if is_archived => ARCHIVED,
            Decision::Keep | Decision::Untag(_) => STAYS,
        }
    }

    fn decide(&self, policy: &Policy) -> Vec<Decision> {
        let own: Vec<Option<Decision>> = (0..self.images.len())
            .map(|place| match self.roots.contains(&place) {
                true => Some(self.own(policy, place)),
                // It may be waiting for its index.
                false => self.images[place]
                    .is_settling(now())
                    .then_some(Decision::Keep),
            })
            .collect();
        let said = |by: usize| Some(self.say(own[by].as_ref()?, by));
        (0..self.images.len())
            .map(|place| {
                let holders = (0..self.images.len()).filter(|by| self.reaches[*by][place]);
                let strongest = holders.filter_map(said).max();
                let is_archived = self.images[place].image.storage_class == StorageClass::Archive;
                match (&own[place], strongest) {
                    (Some(own), strongest) if said(place) == strongest => own.clone(),
                    (_, Some(GOES)) => Decision::Expire,
                    (_, Some(ARCHIVED)) if !is_archived => Decision::Archive,
                    _ => Decision::Keep,
                }
            })
            .collect()
    }
}

fn holds(a: &ImageFacts, b: &ImageFacts) -> bool {
    let (a_digest, b) = (&a.image.digest, b);
    let cosign = format!("sha256-{}.sig", a_digest.hex());
    let by_tag = b.image.subject.is_none() && b.image.tags.iter().any(|tag| tag.as_str() == cosign);
    a.children.contains(&b.image.digest) || b.image.subject.as_ref() == Some(a_digest) || by_tag
}

fn rules() -> impl Strategy<Value = Value> {
    let tags = prop_oneof![
        Just(json!({"tagStatus": "tagged", "tagPatternList": ["a*"]})),
        Just(json!({"tagStatus": "tagged", "tagPatternList": ["b*"]})),
        Just(json!({"tagStatus": "tagged", "tagPatternList": ["a*", "*1"]})),
        Just(json!({"tagStatus": "untagged"})),
        Just(json!({"tagStatus": "any"})),
    ];
    let counts = prop_oneof![
        Just("imageCountMoreThan"),
        Just("sinceImagePushed"),
        Just("sinceImagePulled"),
        Just("sinceImageTransitioned"),
    ];
    let actions = prop_oneof![
        3 => Just(json!({"type": "expire"})),
        2 => Just(json!({"type": "transition", "targetStorageClass": "archive"})),
        1 => Just(json!({"type": "wharf:retain"})),
    ];
    let extra = (0_u32..3, proptest::bool::weighted(0.2));
    (tags, counts, actions, 1_u32..6, extra).prop_map(
        |(mut selection, count, action, number, (keep, per_tag))| {
            selection["countNumber"] = number.into();
            selection["countType"] = count.into();
            if count != "imageCountMoreThan" {
                selection["countUnit"] = "days".into();
            }
            let is_archive = count == "sinceImageTransitioned";
            let action = match is_archive && action["type"] == "transition" {
                true => json!({"type": "expire"}),
                false => action,
            };
            selection["storageClass"] = if is_archive { "archive" } else { "standard" }.into();
            selection["wharf:keepAtLeast"] = keep.into();
            let can_count_tags = selection["tagStatus"] == "tagged" && action["type"] == "expire";
            selection["wharf:perTag"] = (per_tag && can_count_tags).into();
            json!({"selection": selection, "action": action})
        },
    )
}

/// What is random about an image: when it was pushed, pulled, archived and restored, and what it
/// holds and refers to, by numbers that stand for other images.
#[derive(Clone, Debug)]
struct Drawn {
    pushed: i64,
    again: bool,
    tags: BTreeSet<String>,
    pulled: Option<i64>,
    archived: Option<i64>,
    activated: Option<i64>,
    children: Vec<usize>,
    subject: Option<usize>,
    cosign: Option<usize>,
    kept: u8,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let tags = proptest::collection::btree_set("[ab][12]", 0..3);
    let when = || proptest::option::weighted(0.3, 0_i64..8);
    let archived = proptest::option::weighted(0.2, prop_oneof![0_i64..8, 88_i64..96]);
    let other = || proptest::option::weighted(0.1, 0_usize..12);
    let children = prop_oneof![
        1 => Just(Vec::new()),
        1 => proptest::collection::vec(0_usize..12, 1..4),
    ];
    let times = (
        0_i64..8,
        proptest::bool::weighted(0.1),
        when(),
        archived,
        when(),
    );
    (times, tags, children, other(), other(), 0_u8..30).prop_map(
        |((pushed, again, pulled, archived, activated), tags, children, subject, cosign, kept)| {
            Drawn {
                pushed,
                again,
                tags,
                pulled,
                archived,
                activated,
                children,
                subject,
                cosign,
                kept,
            }
        },
    )
}

fn images(drawn: &[Drawn]) -> Vec<ImageFacts> {
    let mut taken = BTreeSet::new();
    let name = |number: usize| format!("image {}", number % drawn.len());
    drawn
        .iter()
        .enumerate()
        .map(|(place, one)| {
            // A tag names one image.
            let tags = one.tags.iter().filter(|tag| taken.insert((*tag).clone()));
            let tags: Vec<&str> = tags.map(String::as_str).collect();
            let mut facts = image(&name(place), one.pushed, &tags);
            if one.again {
                facts.last_pushed_at = now();
            }
            let image = &mut facts.image;
            image.pulled_at = one.pulled.map(days_ago);
            image.activated_at = one.activated.map(days_ago);
            image.archived_at = one.archived.map(days_ago);
            if one.archived.is_some() && one.activated.is_none() {
                image.storage_class = StorageClass::Archive;
            }
            image.subject = one.subject.map(|number| digest(&name(number)));
            if let Some(number) = one.cosign {
                let tag = format!("sha256-{}.sig", digest(&name(number)).hex());
                if taken.insert(tag.clone()) {
                    image.tags.push(tag.parse().expect("a tag"));
                }
            }
            facts.children = one
                .children
                .iter()
                .map(|number| digest(&name(*number)))
                .collect();
            facts.is_leased = one.kept == 0;
            facts.is_locked = one.kept == 1;
            facts
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn every_policy_decides_as_the_slow_model_does(
        rules in proptest::collection::vec(rules(), 1..6),
        drawn in proptest::collection::vec(drawn(), 1..12),
    ) {
        // Of rules that begin with the same pattern there is one, and the one about all comes last.
        let key = |rule: &Value| {
            let selection = &rule["selection"];
            let first = &selection["tagPatternList"][0];
            format!("{} {first} {}", selection["tagStatus"], selection["storageClass"])
        };
        let mut taken = BTreeSet::new();
        let mut rules: Vec<Value> = rules.into_iter().filter(|rule| taken.insert(key(rule))).collect();
        rules.sort_by_key(|rule| rule["selection"]["tagStatus"] == "any");
        let rules: Vec<Value> = rules
            .into_iter()
            .zip(1..)
            .map(|(mut rule, priority)| {
                rule["rulePriority"] = priority.into();
                rule
            })
            .collect();
        let text = json!({"rules": rules, "wharf:extensions": true}).to_string();
        let policy = Policy::parse(&text).expect("a policy");
        let images = images(&drawn);
        let fast: Vec<Decision> = select(&policy, &images, now())
            .into_iter()
            .map(|outcome| outcome.decision)
            .collect();
        prop_assert_eq!(fast, Model::of(&images).decide(&policy));
    }
}
