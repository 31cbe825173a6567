//! An index, its images, and what refers to them: one image to a policy.
//!
//! A root is what a policy decides about: an image that has a tag, or that nothing else holds. The
//! others go with the last root that holds them. What refers to a subject may say so by its
//! manifest's subject, or, where it has none, by a tag of its digest, as cosign does.

use std::collections::{HashMap, HashSet};

use wharf_storage::metadata::ImageFacts;
use wharf_storage::oci::{Digest, Tag};

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
    pub(super) fn of<'a>(images: impl IntoIterator<Item = &'a ImageFacts>) -> Self {
        let images: Vec<&ImageFacts> = images.into_iter().collect();
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
            let subjects: Vec<Digest> = match &facts.image.subject {
                Some(subject) => vec![subject.clone()],
                None => facts.image.tags.iter().filter_map(Tag::subject).collect(),
            };
            for subject in &subjects {
                if let Some(subject) = places.get(subject.as_str()) {
                    hold(*subject, place);
                }
            }
        }
        let is_root = |place: &usize| {
            let facts = &images[*place];
            let own_tag = |tag: &Tag| tag.subject().is_none();
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

    /// A number for each image: the larger, the more holders are above it. Of two where one holds the
    /// other it is the holder that has the smaller one, unless they hold each other.
    pub(super) fn ranks(&self) -> Vec<usize> {
        let mut holders = vec![0_usize; self.holds.len()];
        for held in self.holds.iter().flatten() {
            holders[*held] += 1;
        }
        let is_free = |place: &usize| holders[*place] == 0;
        let mut free: Vec<usize> = (0..holders.len()).filter(is_free).collect();
        let mut ranks = vec![usize::MAX; holders.len()];
        let mut next = 0;
        while let Some(place) = free.get(next).copied() {
            ranks[place] = next;
            next += 1;
            for held in &self.holds[place] {
                holders[*held] -= 1;
                if holders[*held] == 0 {
                    free.push(*held);
                }
            }
        }
        ranks
    }

    /// By which image one is held.
    pub(super) fn holder(&self, place: usize) -> Option<usize> {
        self.holder[place]
    }
}
