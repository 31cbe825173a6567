//! Bringing back what was deleted.

use std::collections::BTreeSet;

use wharf_storage::metadata::{EventKind, Restored, RolledBack};
use wharf_storage::oci::{ContentKind, Digest, RepositoryName, Tag};

use super::{Answer, Kept, Link, Model, Refusal, Repository};

const ALL_KINDS: &[ContentKind] = &[
    ContentKind::Blob,
    ContentKind::ForeignBlob,
    ContentKind::Manifest,
    ContentKind::Either,
];

/// A manifest in the trash, but for the number of its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InTrash {
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
    pub(crate) tags: Vec<Tag>,
    pub(crate) deleted_at: wharf_storage::clock::Timestamp,
}

impl Model<'_> {
    /// All manifests in the trash, in the order of their rows.
    pub(crate) fn trash(&self, name: Option<&RepositoryName>) -> Vec<InTrash> {
        let mut trash = Vec::new();
        for repository in self.repositories.values() {
            if name.is_some_and(|name| *name != repository.record.name) {
                continue;
            }
            for (digest, kept) in &repository.manifests {
                let Some((deleted_at, tags)) = &kept.deleted else {
                    continue;
                };
                let found = InTrash {
                    repository: repository.record.name.clone(),
                    digest: digest.clone(),
                    tags: tags.iter().cloned().collect(),
                    deleted_at: *deleted_at,
                };
                trash.push((kept.row, found));
            }
        }
        trash.sort_by_key(|(row, _)| *row);
        trash.into_iter().map(|(_, found)| found).collect()
    }

    pub(crate) fn restore(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        by: &str,
    ) -> Option<Restored> {
        let repository = self.repositories.get(name)?;
        let link = repository.links.get(digest);
        if repository.is_in_trash(digest) {
            self.reopen(name);
            return Some(self.restore_manifest(name, digest, by));
        }
        link.filter(|link| link.deleted_at.is_some())?;
        self.reopen(name);
        let now = self.now;
        self.repositories.get_mut(name)?.restore_link(digest, now);
        Some(Restored {
            blobs: 1,
            ..Restored::default()
        })
    }

    /// Lets a deleted repository be seen again, as it was.
    fn reopen(&mut self, name: &RepositoryName) {
        let repository = self.repositories.get_mut(name).expect("it is in the trash");
        if repository.deleted_at.take().is_some() {
            self.tell(EventKind::RepositoryCreated, name, None, Vec::new(), None);
        }
    }

    /// Brings a manifest back with its tags and, of what it names, what is in the trash too.
    fn restore_manifest(&mut self, name: &RepositoryName, digest: &Digest, by: &str) -> Restored {
        let now = self.now;
        let mut restored = self.undelete(name, digest, by);
        let repository = self.repositories.get_mut(name).expect("it is there");
        let kept = &repository.manifests[digest];
        let (_, tags) = kept.deleted.clone().expect("it is in the trash");
        let mut moved = Vec::new();
        for tag in tags {
            match repository.tags.get(&tag) {
                Some(named) if named.digest != *digest => restored.taken.push(tag),
                _ => {
                    repository.move_tag(&tag, Some(digest), by, now);
                    restored.tags.push(tag.clone());
                    moved.push((tag, None));
                }
            }
        }
        repository
            .manifests
            .get_mut(digest)
            .expect("it is there")
            .deleted = None;
        self.tell_push(name, digest, true, moved);
        restored
    }

    /// Brings a manifest back without its tags. It still says that it is deleted.
    fn undelete(&mut self, name: &RepositoryName, digest: &Digest, by: &str) -> Restored {
        let now = self.now;
        let mut restored = Restored {
            manifests: 1,
            ..Restored::default()
        };
        let document = self.world.document(digest);
        let repository = self.repositories.get_mut(name).expect("it is there");
        let kept = repository
            .manifests
            .get_mut(digest)
            .expect("it is in the trash");
        kept.last_pushed_at = now;
        let named: BTreeSet<Digest> = document.names(ALL_KINDS).into_iter().collect();
        for blob in &named {
            restored.blobs += u64::from(repository.restore_link(blob, now));
        }
        for child in &named {
            if self.repositories[name].is_in_trash(child) {
                let more = self.restore_manifest(name, child, by);
                restored.manifests += more.manifests;
                restored.blobs += more.blobs;
                restored.tags.extend(more.tags);
                restored.taken.extend(more.taken);
            }
        }
        restored
    }

    pub(crate) fn restore_repository(
        &mut self,
        name: &RepositoryName,
        by: &str,
    ) -> Option<Restored> {
        let now = self.now;
        let deleted_at = self.repositories.get(name)?.deleted_at?;
        self.reopen(name);
        let mut restored = Restored::default();
        let repository = self.repositories.get_mut(name).expect("it is there");
        for link in repository.links.values_mut() {
            if link.deleted_at == Some(deleted_at) {
                *link = Link {
                    deleted_at: None,
                    review_since: Some(now),
                };
                restored.blobs += 1;
            }
        }
        let went_with_it = |kept: &&Kept| {
            let deleted = kept.deleted.as_ref();
            deleted.is_some_and(|(at, _)| *at == deleted_at)
        };
        let digests: Vec<Digest> = repository
            .manifests
            .iter()
            .filter(|(_, kept)| went_with_it(kept))
            .map(|(digest, _)| digest.clone())
            .collect();
        for digest in digests {
            // It may have come back with an index.
            if self.repositories[name].is_in_trash(&digest) {
                let more = self.restore_manifest(name, &digest, by);
                restored.manifests += more.manifests;
                restored.blobs += more.blobs;
                restored.tags.extend(more.tags);
                restored.taken.extend(more.taken);
            }
        }
        Some(restored)
    }

    pub(crate) fn roll_back_tag(
        &mut self,
        name: &RepositoryName,
        tag: &Tag,
        to: Option<&Digest>,
        by: &str,
    ) -> Answer<RolledBack> {
        let now = self.now;
        let repository = self.repository(name)?;
        let history = repository.history.get(tag).map_or(&[][..], Vec::as_slice);
        let to = match to {
            Some(digest) => {
                let mut named = history
                    .iter()
                    .flat_map(|moved| [&moved.previous, &moved.digest]);
                named
                    .any(|named| named.as_ref() == Some(digest))
                    .then(|| digest.clone())
            }
            None => history.last().and_then(|moved| moved.previous.clone()),
        };
        let Some(to) = to else {
            return Ok(RolledBack::NoHistory);
        };
        let Some(kept) = repository.manifests.get(&to) else {
            return Ok(RolledBack::Purged);
        };
        let before = repository.tags.get(tag);
        if let Some(named) = before
            && named.digest != to
            && repository.record.settings.is_immutable(tag)
        {
            return Err(Refusal::TagImmutable(tag.clone(), named.digest.clone()));
        }
        if kept.deleted.is_some() {
            self.undelete(name, &to, by);
        }
        let repository = self.repositories.get_mut(name).expect("it is there");
        repository
            .manifests
            .get_mut(&to)
            .expect("it is there")
            .deleted = None;
        let before = repository.tags.get(tag).map(|named| named.digest.clone());
        if before.as_ref() != Some(&to) {
            repository.move_tag(tag, Some(&to), by, now);
            self.tell_push(name, &to, false, vec![(tag.clone(), before)]);
        }
        Ok(RolledBack::Done)
    }
}

impl Repository {
    fn is_in_trash(&self, digest: &Digest) -> bool {
        let kept = self.manifests.get(digest);
        kept.is_some_and(|kept| kept.deleted.is_some())
    }

    fn restore_link(&mut self, digest: &Digest, now: wharf_storage::clock::Timestamp) -> bool {
        let Some(link) = self.links.get_mut(digest) else {
            return false;
        };
        let was_deleted = link.deleted_at.take().is_some();
        if was_deleted {
            link.review_since = Some(now);
        }
        was_deleted
    }
}
