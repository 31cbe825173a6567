//! Lists of images, leases, the archive, and what goes together.

use std::collections::BTreeSet;
use std::time::Duration;

use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::{
    Chosen, EventKind, Image, ImageFacts, ImageFilter, ImageName, StorageClass,
};
use wharf_storage::oci::{ContentKind, Digest, RepositoryName, Tag};

use super::{Answer, Kept, Model, Repository, page};

/// What a policy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Expire,
    Archive,
}

impl Model<'_> {
    fn shown(&self, repository: &Repository, digest: &Digest, kept: &Kept) -> Image {
        let manifest = &self.world.document(digest).manifest;
        Image {
            digest: digest.clone(),
            media_type: manifest.media_type().clone(),
            artifact_type: manifest.artifact_type().map(ToOwned::to_owned),
            subject: manifest.subject().cloned(),
            tags: repository.tags_of(digest),
            pushed_at: kept.pushed_at,
            pulled_at: kept.pulled_at,
            storage_class: kept.class,
            archived_at: kept.archived_at,
            activated_at: kept.activated_at,
            bytes: manifest.bytes().clone(),
        }
    }

    pub(crate) fn images(
        &self,
        name: &RepositoryName,
        after: Option<&str>,
        limit: u64,
    ) -> Answer<Vec<Image>> {
        let repository = self.repository(name)?;
        let images = repository.manifests.iter().filter(|(digest, kept)| {
            let is_behind = after.is_none_or(|after| digest.to_string().as_str() > after);
            kept.deleted.is_none() && is_behind
        });
        let images = images.map(|(digest, kept)| self.shown(repository, digest, kept));
        Ok(page(images, limit))
    }

    pub(crate) fn image_names(
        &self,
        name: &RepositoryName,
        after: Option<&ImageName>,
        filter: ImageFilter,
        limit: u64,
    ) -> Answer<Vec<ImageName>> {
        let place = |name: &ImageName| (name.digest.to_string(), name.tag.clone());
        let mut names = Vec::new();
        for image in self.images(name, None, u64::MAX)? {
            let tagged = !image.tags.is_empty();
            if filter
                .class
                .is_some_and(|class| class != image.storage_class)
                || filter.tagged.is_some_and(|wanted| wanted != tagged)
            {
                continue;
            }
            let digest = &image.digest;
            let with = |tag: Option<Tag>| ImageName {
                digest: digest.clone(),
                tag,
            };
            if image.tags.is_empty() {
                names.push(with(None));
            }
            names.extend(image.tags.iter().map(|tag| with(Some(tag.clone()))));
        }
        let after = after.map(place);
        let behind = names.into_iter().filter(|name| Some(place(name)) > after);
        Ok(page(behind, limit))
    }

    pub(crate) fn image_facts(&self, name: &RepositoryName) -> Answer<Vec<ImageFacts>> {
        let repository = self.repository(name)?;
        let images = self.images(name, None, u64::MAX)?.into_iter();
        let facts = images.map(|mut image| {
            image.bytes = bytes::Bytes::new();
            let document = self.world.document(&image.digest);
            let mut children = document.names(&[ContentKind::Manifest, ContentKind::Either]);
            children.sort();
            children.dedup();
            ImageFacts {
                last_pushed_at: repository.manifests[&image.digest].last_pushed_at,
                children,
                is_leased: self.is_leased(&image.digest),
                is_locked: repository.is_locked(&image.digest),
                image,
            }
        });
        Ok(facts.collect())
    }

    pub(crate) fn indexes_of(&self, name: &RepositoryName, digest: &Digest) -> BTreeSet<Digest> {
        let Some(repository) = self.find(name) else {
            return BTreeSet::new();
        };
        let digests = repository.manifests.keys();
        let live = digests.filter(|index| repository.live(index).is_some());
        let naming = live.filter(|index| {
            let document = self.world.document(index);
            document
                .names(&[ContentKind::Manifest, ContentKind::Either])
                .contains(digest)
        });
        naming.cloned().collect()
    }

    pub(crate) fn leases(&self, digest: &Digest) -> Vec<(String, Timestamp)> {
        let leases = self.leases.iter();
        let holding = leases.filter(|((of, _), until)| of == digest && **until > self.now);
        holding
            .map(|((_, holder), until)| (holder.clone(), *until))
            .collect()
    }

    fn is_leased(&self, digest: &Digest) -> bool {
        !self.leases(digest).is_empty()
    }

    pub(crate) fn lock_tag(
        &mut self,
        name: &RepositoryName,
        tag: &Tag,
        locked: bool,
    ) -> Answer<bool> {
        let repository = self.repository_mut(name)?;
        let Some(named) = repository.tags.get_mut(tag) else {
            return Ok(false);
        };
        named.locked = locked;
        Ok(true)
    }

    pub(crate) fn record_pull(&mut self, name: &RepositoryName, digest: &Digest, at: Timestamp) {
        // It may have been deleted since it was pulled.
        let Some(repository) = self.repositories.get_mut(name) else {
            return;
        };
        let Some(kept) = repository.manifests.get_mut(digest) else {
            return;
        };
        kept.pulled_at = kept.pulled_at.max(Some(at));
    }

    /// What an image holds itself: the manifests that it names, and what refers to it.
    fn held_by(&self, repository: &Repository, digest: &Digest) -> BTreeSet<Digest> {
        let named = self
            .world
            .document(digest)
            .names(&[ContentKind::Manifest, ContentKind::Either]);
        let live = repository
            .manifests
            .keys()
            .filter(|other| repository.live(other).is_some());
        live.filter(|other| named.contains(other) || self.refers(repository, other, digest))
            .filter(|other| *other != digest)
            .cloned()
            .collect()
    }

    fn refers(&self, repository: &Repository, other: &Digest, to: &Digest) -> bool {
        if let Some(subject) = self.world.document(other).manifest.subject() {
            return subject == to;
        }
        let tags = repository.tags_of(other);
        tags.iter().any(|tag| tag.subject().as_ref() == Some(to))
    }

    /// An image and all that it holds, also through others.
    fn group(&self, repository: &Repository, digest: &Digest) -> BTreeSet<Digest> {
        let mut group = BTreeSet::new();
        let mut open = vec![digest.clone()];
        while let Some(digest) = open.pop() {
            if group.insert(digest.clone()) {
                open.extend(self.held_by(repository, &digest));
            }
        }
        group
    }

    /// Whether something of an image's group is leased or locked.
    pub(crate) fn is_in_use(&self, name: &RepositoryName, digest: &Digest) -> bool {
        let repository = &self.repositories[name];
        let group = self.group(repository, digest);
        group
            .iter()
            .any(|digest| self.is_leased(digest) || repository.is_locked(digest))
    }

    pub(crate) fn set_storage_class(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        class: StorageClass,
    ) -> Answer<bool> {
        if self.repository(name)?.live(digest).is_none() {
            return Ok(false);
        }
        match class {
            StorageClass::Standard => self.activate(name, digest),
            StorageClass::Archive => self.archive(name, digest),
        }
        Ok(true)
    }

    /// Deletes or archives what a policy chose.
    pub(crate) fn apply_policy(
        &mut self,
        name: &RepositoryName,
        chosen: &[Chosen],
        action: Action,
        by: &str,
    ) -> Answer<u64> {
        let repository = self.repository(name)?;
        let may_go = chosen.first().is_some_and(|first| {
            self.is_free(repository, first, action) && !self.is_in_use(name, &first.digest)
        });
        let mut done = 0;
        for chosen in chosen.iter().filter(|_| may_go) {
            let repository = self.repository(name)?;
            if !self.is_free(repository, chosen, action) {
                continue;
            }
            match action {
                Action::Expire => self.delete_manifest(name, &chosen.digest, by)?,
                Action::Archive => {
                    let now = self.now;
                    let kept = self.repository_mut(name)?.manifests.get_mut(&chosen.digest);
                    let kept = kept.expect("it is free");
                    if kept.class == StorageClass::Archive {
                        continue;
                    }
                    kept.class = StorageClass::Archive;
                    kept.archived_at = Some(now);
                    let digest = Some(&chosen.digest);
                    self.tell(EventKind::ImageArchived, name, digest, Vec::new(), None);
                }
            }
            done += 1;
        }
        Ok(done)
    }

    /// Whether an image is as it was chosen, not part of a push that goes on, and not held.
    fn is_free(&self, repository: &Repository, chosen: &Chosen, action: Action) -> bool {
        let digest = &chosen.digest;
        let Some(kept) = repository.live(digest) else {
            return false;
        };
        let tags = repository.tags_of(digest);
        let was_there = kept.last_pushed_at > kept.pushed_at;
        let hour = Duration::from_secs(3600);
        let settles = (tags.is_empty() || was_there) && kept.last_pushed_at.after(hour) > self.now;
        let mut holders = repository.manifests.keys().filter(|holder| {
            let Some(kept) = repository.live(holder) else {
                return false;
            };
            action == Action::Expire || kept.class == StorageClass::Standard
        });
        let is_held = holders.any(|holder| self.held_by(repository, holder).contains(digest));
        tags == chosen.tags && !settles && !is_held
    }

    /// Brings an image back from the archive, with all that it holds.
    pub(crate) fn activate(&mut self, name: &RepositoryName, digest: &Digest) {
        let now = self.now;
        let group = self.group(&self.repositories[name], digest);
        let repository = self.repositories.get_mut(name).expect("it is there");
        let mut told = Vec::new();
        for digest in group {
            let kept = repository
                .manifests
                .get_mut(&digest)
                .expect("it is in the group");
            if kept.class == StorageClass::Archive {
                kept.class = StorageClass::Standard;
                kept.activated_at = Some(now);
                told.push(digest);
            }
        }
        for digest in told {
            self.tell(
                EventKind::ImageRestored,
                name,
                Some(&digest),
                Vec::new(),
                None,
            );
        }
    }

    /// Archives an image, and of what it holds what has no tag of its own and isn't held by
    /// something else that can be pulled.
    fn archive(&mut self, name: &RepositoryName, digest: &Digest) {
        let now = self.now;
        let repository = &self.repositories[name];
        let group = self.group(repository, digest);
        let mut going = BTreeSet::from([digest.clone()]);
        loop {
            let next = group.iter().find(|held| {
                // What refers to something goes with that, whatever its tags.
                let refers = self.world.document(held).manifest.subject().is_some();
                let mut tags = repository.tags_of(held).into_iter();
                let has_own_tag = !refers && tags.any(|tag| tag.subject().is_none());
                let mut all = repository.manifests.keys().filter(|holder| {
                    let kept = repository.live(holder);
                    kept.is_some_and(|kept| kept.class == StorageClass::Standard)
                        && !going.contains(holder)
                        && self.held_by(repository, holder).contains(held)
                });
                !going.contains(held) && !has_own_tag && all.next().is_none()
            });
            let Some(next) = next else {
                break;
            };
            going.insert(next.clone());
        }
        let repository = self.repositories.get_mut(name).expect("it is there");
        let mut told = Vec::new();
        for digest in going {
            let kept = repository
                .manifests
                .get_mut(&digest)
                .expect("it is in the group");
            if kept.class == StorageClass::Standard {
                kept.class = StorageClass::Archive;
                kept.archived_at = Some(now);
                told.push(digest);
            }
        }
        for digest in told {
            self.tell(
                EventKind::ImageArchived,
                name,
                Some(&digest),
                Vec::new(),
                None,
            );
        }
    }
}

impl Repository {
    fn is_locked(&self, digest: &Digest) -> bool {
        self.tags
            .values()
            .any(|named| named.digest == *digest && named.locked)
    }
}
