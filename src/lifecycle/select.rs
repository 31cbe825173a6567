//! The decision about each image: a pure function of the policy, the images and the time.
//!
//! All rules are evaluated at once and then applied by priority. A rule counts every image that it
//! is about, also those that another rule has taken already; but an image that an earlier rule is
//! about is never touched by a later one, even where the earlier one keeps it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::{ImageFacts, StorageClass};
use wharf_storage::oci::{Digest, Tag};

use super::document::{Action, Count, Policy, Rule, Tags};
use super::groups::Groups;

/// How long an archived image is kept at least.
const ARCHIVE_MINIMUM: Duration = Duration::from_secs(90 * 86_400);

/// What becomes of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It stays.
    Keep,
    /// It goes.
    Expire,
    /// It is archived.
    Archive,
    /// It stays, without these tags.
    Untag(Vec<Tag>),
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The rule of this priority selects it.
    Rule(u32),
    /// No rule is about it.
    NoRule,
    /// The rule of this priority is about it, and keeps it.
    KeptBy(u32),
    /// An earlier rule is about it, so the rule that would take it may not.
    ShieldedBy(u32),
    /// Somebody runs it, or something that goes with it.
    Leased,
    /// One of its tags is locked.
    Locked,
    /// It was archived less than 90 days ago.
    TooNewInArchive,
    /// It goes with this one: as its child, or as what refers to it.
    With(Digest),
}

/// What becomes of one image, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The image.
    pub digest: Digest,
    /// What becomes of it.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
}

/// Decides about every image, in the order that they come in.
#[must_use]
pub fn select(policy: &Policy, images: &[ImageFacts], now: Timestamp) -> Vec<Outcome> {
    let groups = Groups::of(images);
    let mut decided: Vec<Option<(Decision, Reason)>> = vec![None; images.len()];
    let mut shielded: Vec<Option<u32>> = vec![None; images.len()];
    for rule in &policy.rules {
        apply(
            rule,
            images,
            &groups.roots,
            now,
            &mut decided,
            &mut shielded,
        );
    }
    protect(images, &groups, now, &mut decided);
    carry(images, &groups, &mut decided);
    images
        .iter()
        .zip(decided)
        .map(|(facts, decided)| {
            let (decision, reason) = decided.unwrap_or((Decision::Keep, Reason::NoRule));
            Outcome {
                digest: facts.image.digest.clone(),
                decision,
                reason,
            }
        })
        .collect()
}

/// Applies one rule to the roots.
fn apply(
    rule: &Rule,
    images: &[ImageFacts],
    roots: &[usize],
    now: Timestamp,
    decided: &mut [Option<(Decision, Reason)>],
    shielded: &mut [Option<u32>],
) {
    let is_about = |place: &usize| {
        let image = &images[*place].image;
        image.storage_class == rule.class && rule.tags.match_image(&image.tags)
    };
    let mut about: Vec<usize> = roots.iter().copied().filter(is_about).collect();
    // The newest first; of equals the order is always the same.
    about.sort_by(|a, b| {
        let key = |place: usize| (clock(rule, &images[place]), &images[place].image.digest);
        key(*b).cmp(&key(*a))
    });
    let selected: HashSet<usize> = match rule.per_tag {
        true => HashSet::new(),
        false => about
            .iter()
            .enumerate()
            .filter(|(rank, place)| selects(rule, *rank, clock(rule, &images[**place]), now))
            .map(|(_, place)| *place)
            .collect(),
    };
    let mut untagged = match rule.per_tag {
        true => tags_to_remove(rule, images, &about, now),
        false => HashMap::new(),
    };
    for place in about {
        if let Some(priority) = shielded[place] {
            let is_taken = selected.contains(&place) && rule.action != Action::Retain;
            if let Some((Decision::Keep, reason @ Reason::KeptBy(_))) = &mut decided[place]
                && is_taken
            {
                *reason = Reason::ShieldedBy(priority);
            }
            continue;
        }
        shielded[place] = Some(rule.priority);
        let tags = untagged.remove(&place).unwrap_or_default();
        let all = tags.len() == images[place].image.tags.len();
        decided[place] = Some(match (rule.action, selected.contains(&place)) {
            (Action::Expire, true) => (Decision::Expire, Reason::Rule(rule.priority)),
            (Action::Archive, true) => (Decision::Archive, Reason::Rule(rule.priority)),
            (Action::Expire, false) if !tags.is_empty() && all => {
                (Decision::Expire, Reason::Rule(rule.priority))
            }
            (Action::Expire, false) if !tags.is_empty() => {
                (Decision::Untag(tags), Reason::Rule(rule.priority))
            }
            (Action::Retain, false) => {
                // What a retaining rule doesn't select is the next rule's matter.
                shielded[place] = None;
                continue;
            }
            (Action::Expire | Action::Archive, false) | (Action::Retain, true) => {
                (Decision::Keep, Reason::KeptBy(rule.priority))
            }
        });
    }
}

/// The tags that a rule about tags removes, each counted for itself.
fn tags_to_remove(
    rule: &Rule,
    images: &[ImageFacts],
    newest_first: &[usize],
    now: Timestamp,
) -> HashMap<usize, Vec<Tag>> {
    let mut removed: HashMap<usize, Vec<Tag>> = HashMap::new();
    let Tags::Tagged(patterns) = &rule.tags else {
        return removed;
    };
    let mut rank = 0;
    for place in newest_first {
        for tag in &images[*place].image.tags {
            if !patterns.iter().any(|pattern| pattern.matches(tag.as_str())) {
                continue;
            }
            if selects(rule, rank, clock(rule, &images[*place]), now) {
                removed.entry(*place).or_default().push(tag.clone());
            }
            rank += 1;
        }
    }
    removed
}

/// Whether a rule selects what is the `rank`-newest of those that it is about.
fn selects(rule: &Rule, rank: usize, clock: Timestamp, now: Timestamp) -> bool {
    if rank < rule.keep_at_least {
        return false;
    }
    match rule.count {
        Count::MoreThan(number) => rank >= number,
        Count::SincePushed(age) | Count::SincePulled(age) | Count::SinceTransitioned(age) => {
            clock.after(age) < now
        }
    }
}

/// The time that a rule goes by.
fn clock(rule: &Rule, facts: &ImageFacts) -> Timestamp {
    let image = &facts.image;
    let pushed = image.activated_at.unwrap_or(image.pushed_at);
    match rule.count {
        Count::MoreThan(_) | Count::SincePushed(_) => pushed,
        // What came back from the archive was in use then.
        Count::SincePulled(_) => match image.pulled_at.max(image.activated_at) {
            Some(used) => used,
            None => image.pushed_at,
        },
        Count::SinceTransitioned(_) => image.archived_at.unwrap_or(pushed),
    }
}

impl Tags {
    fn match_image(&self, tags: &[Tag]) -> bool {
        match self {
            Self::Any => true,
            Self::Untagged => tags.is_empty(),
            Self::Tagged(patterns) => {
                !tags.is_empty()
                    && patterns
                        .iter()
                        .all(|pattern| tags.iter().any(|tag| pattern.matches(tag.as_str())))
            }
        }
    }
}

/// Keeps what somebody runs, what is locked, and what has not been archived for long enough.
fn protect(
    images: &[ImageFacts],
    groups: &Groups,
    now: Timestamp,
    decided: &mut [Option<(Decision, Reason)>],
) {
    for root in &groups.roots {
        let removes = match &decided[*root] {
            Some((Decision::Expire | Decision::Untag(_), _)) => true,
            Some((Decision::Archive, _)) => false,
            _ => continue,
        };
        let members = groups.members(*root);
        let image = &images[*root].image;
        let is_young = |archived: Timestamp| archived.after(ARCHIVE_MINIMUM) > now;
        let reason = if members.iter().any(|place| images[*place].is_leased) {
            Reason::Leased
        } else if members.iter().any(|place| images[*place].is_locked) {
            Reason::Locked
        } else if removes
            && image.storage_class == StorageClass::Archive
            && image.archived_at.is_some_and(is_young)
        {
            Reason::TooNewInArchive
        } else {
            continue;
        };
        decided[*root] = Some((Decision::Keep, reason));
    }
}

/// What is no root goes with the last root that holds it, and a root that another one holds which
/// stays, stays too: an index is never left without its images.
fn carry(images: &[ImageFacts], groups: &Groups, decided: &mut [Option<(Decision, Reason)>]) {
    let is_root: HashSet<usize> = groups.roots.iter().copied().collect();
    let goes = |decided: &[Option<(Decision, Reason)>], place: usize| {
        matches!(decided[place], Some((Decision::Expire, _)))
    };
    let is_archived = |decided: &[Option<(Decision, Reason)>], place: usize| {
        matches!(decided[place], Some((Decision::Archive, _)))
    };
    let members: Vec<Vec<usize>> = groups
        .roots
        .iter()
        .map(|root| groups.members(*root))
        .collect();
    // Whom a root that stays as it is holds.
    let mut held: Vec<Option<usize>> = vec![None; images.len()];
    loop {
        let mut changed = false;
        for (root, members) in groups.roots.iter().zip(&members) {
            if goes(decided, *root) || is_archived(decided, *root) {
                continue;
            }
            for member in members.iter().filter(|member| *member != root) {
                held[*member].get_or_insert(*root);
                if is_root.contains(member)
                    && (goes(decided, *member) || is_archived(decided, *member))
                {
                    let with = images[*root].image.digest.clone();
                    decided[*member] = Some((Decision::Keep, Reason::With(with)));
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    for (root, members) in groups.roots.iter().zip(&members) {
        for member in members.iter().filter(|member| !is_root.contains(member)) {
            let with = held[*member].unwrap_or(*root);
            let decision = match &decided[with] {
                Some((Decision::Expire, _)) => Decision::Expire,
                Some((Decision::Archive, _)) => Decision::Archive,
                _ => Decision::Keep,
            };
            let reason = Reason::With(images[with].image.digest.clone());
            decided[*member] = Some((decision, reason));
        }
    }
    // What holds itself in a circle has no root; nothing decides about it, and it stays.
    for (place, decided) in decided.iter_mut().enumerate() {
        if decided.is_none()
            && let Some(holder) = groups.holder(place)
        {
            let with = images[holder].image.digest.clone();
            *decided = Some((Decision::Keep, Reason::With(with)));
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
