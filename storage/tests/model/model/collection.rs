//! The steps of collection.

use std::collections::BTreeSet;

use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::{Ages, Forgotten, Plan, Purged, Reviewed};
use wharf_storage::oci::{ContentKind, Digest};

use super::{Model, Repository};

const BLOBS: &[ContentKind] = &[
    ContentKind::Blob,
    ContentKind::ForeignBlob,
    ContentKind::Either,
];

impl Model<'_> {
    pub(crate) fn purge_trash(&mut self, before: Timestamp) -> Purged {
        let now = self.now;
        let world = self.world;
        let mut purged = Purged::default();
        for repository in self.repositories.values_mut() {
            let due = repository.manifests.iter().filter(|(_, kept)| {
                let deleted = kept.deleted.as_ref();
                deleted.is_some_and(|(at, _)| *at <= before)
            });
            let due: Vec<Digest> = due.map(|(digest, _)| digest.clone()).collect();
            for digest in due {
                repository.manifests.remove(&digest);
                purged.manifests += 1;
                for blob in world.document(&digest).names(BLOBS) {
                    if let Some(link) = repository.links.get_mut(&blob) {
                        // One that was put up before keeps its place.
                        link.review_since = link.review_since.or(Some(now));
                    }
                }
            }
        }
        let before_purge = self.repositories.len();
        self.repositories.retain(|_, repository| {
            let is_due = repository.deleted_at.is_some_and(|at| at <= before);
            !is_due || !repository.manifests.is_empty() || !repository.links.is_empty()
        });
        purged.repositories = (before_purge - self.repositories.len()) as u64;
        purged
    }

    /// Condemns a blob that nothing links any more, and tells whether it did.
    fn condemn(&mut self, digest: &Digest) -> bool {
        if self
            .repositories
            .values()
            .any(|repository| repository.links.contains_key(digest))
        {
            return false;
        }
        let now = self.now;
        let bytes = self.blobs.get_mut(digest).expect("what is linked is there");
        bytes.condemned_at = Some(now);
        true
    }

    /// Whether a manifest of a repository, even one in the trash, names a blob.
    fn is_named(&self, repository: &Repository, digest: &Digest) -> bool {
        let mut manifests = repository.manifests.keys();
        manifests.any(|manifest| self.world.document(manifest).names(BLOBS).contains(digest))
    }

    pub(crate) fn review_links(&mut self, ages: Ages) -> Reviewed {
        let mut reviewed = Reviewed::default();
        let mut unlinked = BTreeSet::new();
        let mut repositories = std::mem::take(&mut self.repositories);
        for repository in repositories.values_mut() {
            let due = repository
                .links
                .iter()
                .filter(|(_, link)| link.review_since.is_some_and(|since| since <= ages.review));
            let due: Vec<Digest> = due.map(|(digest, _)| digest.clone()).collect();
            for digest in due {
                let deleted_at = repository.links[&digest].deleted_at;
                let stays = match deleted_at {
                    Some(at) => (at > ages.trash).then_some(Some(self.now)),
                    None => self.is_named(repository, &digest).then_some(None),
                };
                if let Some(next_review) = stays {
                    reviewed.kept += 1;
                    let link = repository.links.get_mut(&digest).expect("it is due");
                    link.review_since = next_review;
                } else {
                    reviewed.unlinked += 1;
                    repository.links.remove(&digest);
                    unlinked.insert(digest);
                }
            }
        }
        self.repositories = repositories;
        for digest in unlinked {
            reviewed.condemned += u64::from(self.condemn(&digest));
        }
        reviewed
    }

    pub(crate) fn forget_condemned(&mut self, before: Timestamp) -> Forgotten {
        let mut forgotten = Forgotten::default();
        let removals = &mut self.removals;
        self.blobs.retain(|_, bytes| {
            let is_due = bytes.condemned_at.is_some_and(|at| at <= before);
            if is_due {
                forgotten.blobs += 1;
                forgotten.bytes += bytes.size;
                removals.insert(bytes.location.as_str().to_owned());
            }
            !is_due
        });
        forgotten
    }

    pub(crate) fn collection_plan(&self, ages: Ages) -> Plan {
        let mut plan = Plan {
            removals: self.removals.len() as u64,
            ..Plan::default()
        };
        for repository in self.repositories.values() {
            for (at, _) in repository
                .manifests
                .values()
                .filter_map(|kept| kept.deleted.as_ref())
            {
                plan.trashed_manifests += 1;
                plan.due_manifests += u64::from(*at <= ages.trash);
            }
            for (digest, link) in &repository.links {
                let Some(since) = link.review_since else {
                    continue;
                };
                plan.reviews += 1;
                if since <= ages.review {
                    plan.due_reviews += 1;
                    let stays = match link.deleted_at {
                        Some(at) => at > ages.trash,
                        None => self.is_named(repository, digest),
                    };
                    plan.needless_links += u64::from(!stays);
                }
            }
        }
        for bytes in self.blobs.values() {
            let Some(at) = bytes.condemned_at else {
                continue;
            };
            plan.condemned_blobs += 1;
            plan.condemned_bytes += bytes.size;
            if at <= ages.condemned {
                plan.due_blobs += 1;
                plan.due_bytes += bytes.size;
            }
        }
        plan
    }
}
