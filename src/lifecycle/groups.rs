//! An index, its images, and what refers to them: one image to a policy.
//!
//! A root is what a policy decides about: an image that has a tag, or that nothing else holds. The
//! others go with the last root that holds them. What refers to a subject may say so by its
//! manifest's subject, or by a tag of its digest, as cosign does.

use std::collections::{HashMap, HashSet};

use wharf_storage::metadata::ImageFacts;
use wharf_storage::oci::Tag;

/// Which image holds which, by their places in the list.
#[derive(Debug)]
pub(super) struct Groups {
    /// What each image holds directly: its children, and what refers to it.
    holds: Vec<Vec<usize>>,
    /// By which image each is held first, where there is one.
    holder: Vec<Option<usize>>,
    /// What policies decide about.
    pub(super) roots: Vec<usize>,
}

impl Groups {
    pub(super) fn of(images: &[ImageFacts]) -> Self {
        let places: HashMap<&str, usize> = images
            .iter()
            .enumerate()
            .map(|(place, facts)| (facts.image.digest.as_str(), place))
            .collect();
        let mut holds: Vec<Vec<usize>> = vec![Vec::new(); images.len()];
        let mut holder: Vec<Option<usize>> = vec![None; images.len()];
        let mut hold = |by: usize, held: usize| {
            if by != held {
                holds[by].push(held);
                holder[held].get_or_insert(by);
            }
        };
        for (place, facts) in images.iter().enumerate() {
            for child in &facts.children {
                if let Some(child) = places.get(child.as_str()) {
                    hold(place, *child);
                }
            }
            let by_tag = facts.image.tags.iter().find_map(subject_of_tag);
            let subject = facts
                .image
                .subject
                .as_ref()
                .map(|digest| digest.as_str().to_owned());
            if let Some(subject) = subject.or(by_tag)
                && let Some(subject) = places.get(subject.as_str())
            {
                hold(*subject, place);
            }
        }
        let is_root = |place: &usize| {
            let facts = &images[*place];
            let own_tag = |tag: &Tag| subject_of_tag(tag).is_none();
            let refers = facts.image.subject.is_some();
            holder[*place].is_none() || !refers && facts.image.tags.iter().any(own_tag)
        };
        let roots = (0..images.len()).filter(is_root).collect();
        Self {
            holds,
            holder,
            roots,
        }
    }

    /// All that an image holds, and itself.
    pub(super) fn members(&self, root: usize) -> Vec<usize> {
        let mut members = vec![root];
        if self.holds[root].is_empty() {
            return members;
        }
        let mut seen = HashSet::from([root]);
        let mut next = 0;
        while let Some(place) = members.get(next).copied() {
            for held in &self.holds[place] {
                if seen.insert(*held) {
                    members.push(*held);
                }
            }
            next += 1;
        }
        members
    }

    /// By which image one is held.
    pub(super) fn holder(&self, place: usize) -> Option<usize> {
        self.holder[place]
    }
}

/// The digest that `sha256-<hex>.sig` and its like refer to, and the fallback tag of referrers.
fn subject_of_tag(tag: &Tag) -> Option<String> {
    let (algorithm, rest) = tag.as_str().split_once('-')?;
    let hex = rest.split('.').next().unwrap_or_default();
    let is_digest = algorithm == "sha256" && hex.len() == 64;
    let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_digest && is_hex).then(|| format!("{algorithm}:{hex}"))
}
