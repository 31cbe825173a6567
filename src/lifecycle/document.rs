//! Reading a lifecycle policy, and telling what is wrong with it.
//!
//! The extensions have to be opted into, by `"wharf:extensions": true` beside `rules`:
//!
//! | where | what |
//! |---|---|
//! | `selection.countType` `sinceImagePulled` with action `expire` | removes what nobody pulls |
//! | `selection.wharf:keepAtLeast`, a number | keeps so many of the newest, however old they are |
//! | `selection.wharf:perTag`, a truth | counts and removes tags; an image goes with its last one |
//! | `action.type` `wharf:retain` | keeps what the rule selects from every rule behind it |

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use wharf_storage::metadata::StorageClass;
use wharf_storage::pattern::Pattern;

const DAY: Duration = Duration::from_secs(86_400);
const MOST_RULES: usize = 50;
const MOST_STARS: usize = 4;

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lifecycle policy validation failure: {0}")]
pub struct Error(String);

/// A policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its rules, by priority.
    pub rules: Vec<Rule>,
}

/// A rule of a policy.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its place: the lowest comes first.
    pub priority: u32,
    /// Which images it is about.
    pub tags: Tags,
    /// Of which storage class.
    pub class: StorageClass,
    /// Which of them it selects.
    pub count: Count,
    /// How many of the newest stay whatever their age.
    pub keep_at_least: usize,
    /// Whether it is about tags, each for itself.
    pub per_tag: bool,
    /// What becomes of those that it selects.
    pub action: Action,
}

/// Which images a rule is about.
#[derive(Clone, Debug)]
pub enum Tags {
    /// All.
    Any,
    /// Those without a tag.
    Untagged,
    /// Those that have a tag for each of the patterns.
    Tagged(Vec<Pattern>),
}

/// Which of the images that a rule is about it selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// All but so many of the newest.
    MoreThan(usize),
    /// Those that were pushed longer ago.
    SincePushed(Duration),
    /// Those that were pulled longer ago.
    SincePulled(Duration),
    /// Those that were archived longer ago.
    SinceTransitioned(Duration),
}

/// What becomes of the images that a rule selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// They go.
    Expire,
    /// They are archived.
    Archive,
    /// They stay, whatever the rules behind say.
    Retain,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    rules: Vec<DocumentRule>,
    #[serde(default, rename = "wharf:extensions")]
    extensions: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DocumentRule {
    rule_priority: u32,
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "it is for people, and only checked for being a text"
    )]
    description: String,
    selection: Selection,
    action: DocumentAction,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Selection {
    tag_status: TagStatus,
    tag_pattern_list: Option<Vec<String>>,
    tag_prefix_list: Option<Vec<String>>,
    #[serde(default)]
    storage_class: Class,
    count_type: CountType,
    count_unit: Option<Unit>,
    count_number: u32,
    #[serde(default, rename = "wharf:keepAtLeast")]
    keep_at_least: u32,
    #[serde(default, rename = "wharf:perTag")]
    per_tag: bool,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum TagStatus {
    Tagged,
    Untagged,
    Any,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum Class {
    #[default]
    Standard,
    Archive,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum CountType {
    ImageCountMoreThan,
    SinceImagePushed,
    SinceImagePulled,
    SinceImageTransitioned,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Unit {
    Days,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DocumentAction {
    #[serde(rename = "type")]
    kind: ActionType,
    target_storage_class: Option<Class>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
enum ActionType {
    #[serde(rename = "expire")]
    Expire,
    #[serde(rename = "transition")]
    Transition,
    #[serde(rename = "wharf:retain")]
    Retain,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    ///
    /// With the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if !text.trim_start().starts_with('{') {
            return Err(Error("it is no JSON object".into()));
        }
        let document: Document =
            serde_json::from_str(text).map_err(|error| Error(error.to_string()))?;
        if document.rules.is_empty() || document.rules.len() > MOST_RULES {
            return Err(Error(format!("there are 1 to {MOST_RULES} rules")));
        }
        let extensions = document.extensions;
        let rules = document.rules.into_iter().map(|rule| rule.read(extensions));
        let mut rules: Vec<Rule> = rules.collect::<Result<_, _>>()?;
        rules.sort_by_key(|rule| rule.priority);
        check_together(&rules)?;
        Ok(Self { rules })
    }
}

impl DocumentRule {
    fn read(self, extensions: bool) -> Result<Rule, Error> {
        let priority = self.rule_priority;
        let wrong = |what: &str| Error(format!("rule {priority}: {what}"));
        let selection = self.selection;
        if priority == 0 {
            return Err(wrong("rulePriority is at least 1"));
        }
        if selection.count_number == 0 {
            return Err(wrong("countNumber is at least 1"));
        }
        let uses_extension = selection.keep_at_least > 0
            || selection.per_tag
            || self.action.kind == ActionType::Retain;
        if uses_extension && !extensions {
            return Err(wrong(
                "it has an extension; set \"wharf:extensions\": true beside rules",
            ));
        }
        let is_archive = selection.storage_class == Class::Archive;
        let needs_archive = selection.count_type == CountType::SinceImageTransitioned;
        if needs_archive != is_archive {
            return Err(wrong(
                "sinceImageTransitioned goes with storageClass archive, and nothing else does",
            ));
        }
        let action = match (self.action.kind, self.action.target_storage_class) {
            (ActionType::Expire, None) => Action::Expire,
            (ActionType::Retain, None) => Action::Retain,
            (ActionType::Transition, Some(Class::Archive)) if !is_archive => Action::Archive,
            (ActionType::Transition, _) => {
                return Err(wrong(
                    "transition goes from standard to targetStorageClass archive",
                ));
            }
            (ActionType::Expire | ActionType::Retain, Some(_)) => {
                return Err(wrong("targetStorageClass goes with transition only"));
            }
        };
        let by_pull = selection.count_type == CountType::SinceImagePulled;
        if by_pull && action == Action::Expire && !extensions {
            return Err(wrong(
                "sinceImagePulled goes with transition only; to expire by it, set \
                 \"wharf:extensions\": true beside rules",
            ));
        }
        let tags = selection.tags().map_err(wrong)?;
        let number = selection.count_number;
        let days = DAY.saturating_mul(number);
        let count = match (selection.count_type, selection.count_unit) {
            (CountType::ImageCountMoreThan, None) => Count::MoreThan(number as usize),
            (CountType::ImageCountMoreThan, Some(_)) => {
                return Err(wrong("countUnit does not go with imageCountMoreThan"));
            }
            (_, None) => return Err(wrong("countUnit is days")),
            (CountType::SinceImagePushed, Some(Unit::Days)) => Count::SincePushed(days),
            (CountType::SinceImagePulled, Some(Unit::Days)) => Count::SincePulled(days),
            (CountType::SinceImageTransitioned, Some(Unit::Days)) => Count::SinceTransitioned(days),
        };
        if selection.per_tag && !matches!((&tags, action), (Tags::Tagged(_), Action::Expire)) {
            return Err(wrong(
                "wharf:perTag goes with tagStatus tagged and action expire",
            ));
        }
        Ok(Rule {
            priority,
            tags,
            class: match selection.storage_class {
                Class::Standard => StorageClass::Standard,
                Class::Archive => StorageClass::Archive,
            },
            count,
            keep_at_least: selection.keep_at_least as usize,
            per_tag: selection.per_tag,
            action,
        })
    }
}

impl Selection {
    fn tags(&self) -> Result<Tags, &'static str> {
        let lists = (&self.tag_pattern_list, &self.tag_prefix_list);
        let texts: Vec<String> = match (self.tag_status, lists) {
            (TagStatus::Any, (None, None)) => return Ok(Tags::Any),
            (TagStatus::Untagged, (None, None)) => return Ok(Tags::Untagged),
            (TagStatus::Any | TagStatus::Untagged, _) => {
                return Err("tagPatternList and tagPrefixList go with tagStatus tagged only");
            }
            (TagStatus::Tagged, (Some(patterns), None)) => patterns.clone(),
            (TagStatus::Tagged, (None, Some(prefixes))) => {
                prefixes.iter().map(|prefix| format!("{prefix}*")).collect()
            }
            (TagStatus::Tagged, _) => {
                return Err("tagStatus tagged needs tagPatternList or tagPrefixList, not both");
            }
        };
        let stars = |text: &String| text.bytes().filter(|byte| *byte == b'*').count();
        let is_short = |text: &String| (1..=256).contains(&text.len());
        if texts.is_empty() || !texts.iter().all(is_short) {
            return Err("a list of tags is not empty, nor is an entry");
        }
        // The star behind a prefix is ours.
        let most = MOST_STARS + usize::from(self.tag_prefix_list.is_some());
        if texts.iter().any(|text| stars(text) > most) {
            return Err("a pattern has at most 4 wildcards");
        }
        Ok(Tags::Tagged(texts.into_iter().map(Pattern::new).collect()))
    }
}

/// What only shows when all rules are looked at.
fn check_together(rules: &[Rule]) -> Result<(), Error> {
    let wrong = |what: String| Err(Error(what));
    for pair in rules.windows(2) {
        if pair[0].priority == pair[1].priority {
            return wrong(format!("rulePriority {} stands twice", pair[0].priority));
        }
    }
    for class in [StorageClass::Standard, StorageClass::Archive] {
        let rules: Vec<&Rule> = rules.iter().filter(|rule| rule.class == class).collect();
        let untagged = rules
            .iter()
            .filter(|rule| matches!(rule.tags, Tags::Untagged));
        if untagged.count() > 1 {
            return wrong(
                "there is one rule with tagStatus untagged for each storage class".into(),
            );
        }
        let any = rules.iter().position(|rule| matches!(rule.tags, Tags::Any));
        if any.is_some_and(|place| place + 1 != rules.len()) {
            return wrong("a rule with tagStatus any has the highest rulePriority".into());
        }
        let mut seen = BTreeSet::new();
        for rule in rules {
            let Tags::Tagged(patterns) = &rule.tags else {
                continue;
            };
            let repeated = patterns
                .iter()
                .find(|pattern| !seen.insert(pattern.as_str()));
            if let Some(pattern) = repeated {
                return wrong(format!(
                    "rule {}: {} stands twice among the tags of a storage class",
                    rule.priority,
                    pattern.as_str()
                ));
            }
        }
    }
    Ok(())
}
