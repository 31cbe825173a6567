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
    /// It, or something that goes with it, was archived less than 90 days ago.
    TooNewInArchive,
    /// It was pushed within the last hour, and what belongs to it may still come.
    Settling,
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
        let clocks = clocks(rule, images, &groups);
        let look = Look {
            images,
            clocks: &clocks,
            now,
        };
        apply(rule, look, &groups.roots, &mut decided, &mut shielded);
    }
    protect(images, &groups, now, &mut decided);
    carry(images, &groups, now, &mut decided);
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

/// What a rule looks at.
#[derive(Clone, Copy)]
struct Look<'a> {
    images: &'a [ImageFacts],
    /// The time of each image that the rule goes by.
    clocks: &'a [Timestamp],
    now: Timestamp,
}

/// Applies one rule to the roots.
fn apply(
    rule: &Rule,
    look: Look<'_>,
    roots: &[usize],
    decided: &mut [Option<(Decision, Reason)>],
    shielded: &mut [Option<u32>],
) {
    let Look { images, clocks, .. } = look;
    let is_about = |place: &usize| {
        let image = &images[*place].image;
        image.storage_class == rule.class && rule.tags.match_image(&image.tags)
    };
    let mut about: Vec<usize> = roots.iter().copied().filter(is_about).collect();
    // The newest first; of equals the order is always the same.
    about.sort_by(|a, b| {
        let key = |place: usize| (clocks[place], &images[place].image.digest);
        key(*b).cmp(&key(*a))
    });
    let selected: HashSet<usize> = match rule.per_tag {
        true => HashSet::new(),
        false => about
            .iter()
            .enumerate()
            .filter(|(rank, place)| look.selects(rule, *rank, **place))
            .map(|(_, place)| *place)
            .collect(),
    };
    let mut untagged = match rule.per_tag {
        true => tags_to_remove(rule, look, &about),
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
fn tags_to_remove(rule: &Rule, look: Look<'_>, newest_first: &[usize]) -> HashMap<usize, Vec<Tag>> {
    let mut removed: HashMap<usize, Vec<Tag>> = HashMap::new();
    let Tags::Tagged(patterns) = &rule.tags else {
        return removed;
    };
    let mut rank = 0;
    for place in newest_first {
        for tag in &look.images[*place].image.tags {
            if !patterns.iter().any(|pattern| pattern.matches(tag.as_str())) {
                continue;
            }
            if look.selects(rule, rank, *place) {
                removed.entry(*place).or_default().push(tag.clone());
            }
            rank += 1;
        }
    }
    removed
}

impl Look<'_> {
    /// Whether a rule selects what is the `rank`-newest of those that it is about.
    fn selects(&self, rule: &Rule, rank: usize, place: usize) -> bool {
        if rank < rule.keep_at_least {
            return false;
        }
        match rule.count {
            Count::MoreThan(number) => rank >= number,
            Count::SincePushed(age) | Count::SincePulled(age) | Count::SinceTransitioned(age) => {
                self.clocks[place].after(age) < self.now
            }
        }
    }
}

/// The time of each root that a rule goes by; of the others their own.
fn clocks(rule: &Rule, images: &[ImageFacts], groups: &Groups) -> Vec<Timestamp> {
    // What came back from the archive counts from then on.
    let pushed = |facts: &ImageFacts| {
        let image = &facts.image;
        image
            .activated_at
            .max(Some(image.pushed_at))
            .unwrap_or(image.pushed_at)
    };
    let mut clocks: Vec<Timestamp> = images.iter().map(pushed).collect();
    match rule.count {
        Count::MoreThan(_) | Count::SincePushed(_) => {}
        // An index is pulled by its name and then by the digest of one of its images, or by that
        // alone.
        Count::SincePulled(_) => {
            for root in &groups.roots {
                let members = groups.members(*root);
                let pulls = members.iter().map(|place| images[*place].image.pulled_at);
                let own = Some(clocks[*root]);
                clocks[*root] = pulls.fold(own, Option::max).unwrap_or(clocks[*root]);
            }
        }
        Count::SinceTransitioned(_) => {
            for (clock, facts) in clocks.iter_mut().zip(images) {
                *clock = facts.image.archived_at.unwrap_or(*clock);
            }
        }
    }
    clocks
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

/// Keeps what somebody runs, what is locked, what has not been archived for long enough, and what may
/// be part of a push that goes on.
fn protect(
    images: &[ImageFacts],
    groups: &Groups,
    now: Timestamp,
    decided: &mut [Option<(Decision, Reason)>],
) {
    let is_new_in_archive = |facts: &ImageFacts| {
        let is_archived = facts.image.storage_class == StorageClass::Archive;
        let is_young = |archived: Timestamp| archived.after(ARCHIVE_MINIMUM) > now;
        is_archived && facts.image.archived_at.is_some_and(is_young)
    };
    for root in &groups.roots {
        let removes = match &decided[*root] {
            Some((Decision::Expire | Decision::Untag(_), _)) => true,
            Some((Decision::Archive, _)) => false,
            _ => continue,
        };
        let members = groups.members(*root);
        let any =
            |is: &dyn Fn(&ImageFacts) -> bool| members.iter().any(|place| is(&images[*place]));
        let reason = if any(&|facts| facts.is_leased) {
            Reason::Leased
        } else if any(&|facts| facts.is_locked) {
            Reason::Locked
        } else if removes && any(&is_new_in_archive) {
            Reason::TooNewInArchive
        } else if images[*root].is_settling(now) {
            Reason::Settling
        } else {
            continue;
        };
        decided[*root] = Some((Decision::Keep, reason));
    }
}

/// How strongly an image has a say in what becomes of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Say {
    /// What it holds may go with it.
    Goes,
    /// What it holds has to be there when it is restored.
    Archived,
    /// What it holds has to be there.
    Stays,
}

impl Say {
    fn of(decision: &Decision, class: StorageClass) -> Self {
        match (decision, class) {
            (Decision::Expire, _) => Self::Goes,
            (Decision::Archive, _)
            | (Decision::Keep | Decision::Untag(_), StorageClass::Archive) => Self::Archived,
            (Decision::Keep | Decision::Untag(_), StorageClass::Standard) => Self::Stays,
        }
    }

    /// What becomes of an image by it.
    fn decision(self, class: StorageClass) -> Decision {
        match (self, class) {
            (Self::Goes, _) => Decision::Expire,
            (Self::Archived, StorageClass::Standard) => Decision::Archive,
            (Self::Archived, StorageClass::Archive) | (Self::Stays, _) => Decision::Keep,
        }
    }
}

/// What is no root goes as the strongest of the roots say that hold it, and a root does where others
/// have more of a say than itself: an index is never left without its images.
fn carry(
    images: &[ImageFacts],
    groups: &Groups,
    now: Timestamp,
    decided: &mut [Option<(Decision, Reason)>],
) {
    let class = |place: usize| images[place].image.storage_class;
    let is_root: HashSet<usize> = groups.roots.iter().copied().collect();
    // What may be waiting for its index stays by itself.
    let settling = (0..images.len()).filter(|place| !is_root.contains(place));
    let settling: Vec<usize> = settling
        .filter(|place| images[*place].is_settling(now))
        .collect();
    for place in &settling {
        decided[*place] = Some((Decision::Keep, Reason::Settling));
    }
    let keep = Decision::Keep;
    let said = |decided: &[Option<(Decision, Reason)>], place: usize| {
        let decision = decided[place]
            .as_ref()
            .map_or(&keep, |(decision, _)| decision);
        Say::of(decision, class(place))
    };
    let sources: Vec<(usize, Say)> = groups
        .roots
        .iter()
        .chain(&settling)
        .map(|place| (*place, said(decided, *place)))
        .collect();
    // By whom each image is held that has most to say.
    let mut held: Vec<Option<(usize, Say)>> = vec![None; images.len()];
    for say in [Say::Stays, Say::Archived, Say::Goes] {
        for (source, _) in sources.iter().filter(|(_, own)| *own == say) {
            for member in groups.members(*source).into_iter().skip(1) {
                held[member].get_or_insert((*source, say));
            }
        }
    }
    for (place, held) in held.into_iter().enumerate() {
        let decides_itself = is_root.contains(&place) || decided[place].is_some();
        match held {
            Some((_, say)) if decides_itself && said(decided, place) >= say => {}
            Some((by, say)) => {
                let reason = Reason::With(images[by].image.digest.clone());
                decided[place] = Some((say.decision(class(place)), reason));
            }
            // What holds itself in a circle has no root; nothing decides about it, and it stays.
            None if !decides_itself => {
                if let Some(holder) = groups.holder(place) {
                    let reason = Reason::With(images[holder].image.digest.clone());
                    decided[place] = Some((Decision::Keep, reason));
                }
            }
            None => {}
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
