//! What was decided, in the order in which it is done: an index before its images, a subject before
//! what refers to it.
//!
//! A step is one transaction: a root with those that go with it. An image that two roots hold is in
//! the steps of both, and goes with the last.

use wharf_storage::metadata::{Chosen, ImageFacts};
use wharf_storage::oci::{Digest, Tag};

use super::groups::Groups;
use super::select::{Decision, Outcome};

/// Something to do at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first of these goes, and the others with it.
    Expire(Vec<Chosen>),
    /// The first of these is archived, and the others with it.
    Archive(Vec<Chosen>),
    /// An image loses these tags.
    Untag(Digest, Vec<Tag>),
}

/// The steps of a decision about these images.
#[must_use]
pub fn steps(decided: &[(ImageFacts, Outcome)]) -> Vec<Step> {
    let groups = Groups::of(decided.iter().map(|(facts, _)| facts));
    let ranks = groups.ranks();
    let decision = |place: usize| &decided[place].1.decision;
    let mut roots = groups.roots.clone();
    roots.sort_by_key(|root| ranks[*root]);
    let group = |root: usize| {
        let mut members = groups.members(root);
        members.retain(|member| decision(*member) == decision(root));
        members.sort_by_key(|member| ranks[*member]);
        members
            .into_iter()
            .map(|member| {
                let image = &decided[member].0.image;
                let (digest, tags) = (image.digest.clone(), image.tags.clone());
                Chosen { digest, tags }
            })
            .collect()
    };
    roots
        .into_iter()
        .filter_map(|root| match decision(root) {
            Decision::Keep => None,
            Decision::Expire => Some(Step::Expire(group(root))),
            Decision::Archive => Some(Step::Archive(group(root))),
            Decision::Untag(tags) => {
                let digest = decided[root].1.digest.clone();
                Some(Step::Untag(digest, tags.clone()))
            }
        })
        .collect()
}
