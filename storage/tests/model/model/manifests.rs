//! Manifests and tags.

use std::collections::BTreeSet;

use wharf_storage::metadata::{Creation, EventKind, MissingContent, Pushed, StorageClass, TagMove};
use wharf_storage::oci::{
    ContentKind, Descriptor, Digest, MediaType, Reference, RepositoryName, Tag,
};

use super::{Answer, Kept, Model, Refusal, Repository, page};
use crate::world::Document;

impl Model<'_> {
    pub(crate) fn push_manifest(
        &mut self,
        name: &RepositoryName,
        document: &Document,
        tags: &[Tag],
        creation: Creation,
        missing: MissingContent,
        by: &str,
    ) -> Answer<Pushed> {
        let told = self.told.len();
        let before = self.repositories.get(name).cloned();
        self.appear(name, creation)?;
        let pushed = self.push_into(name, document, tags, missing, by);
        if pushed.is_err() {
            self.told.truncate(told);
            match before {
                Some(before) => self.repositories.insert(name.clone(), before),
                None => self.repositories.remove(name),
            };
        }
        pushed
    }

    fn push_into(
        &mut self,
        name: &RepositoryName,
        document: &Document,
        tags: &[Tag],
        missing: MissingContent,
        by: &str,
    ) -> Answer<Pushed> {
        let now = self.now;
        let digest = &document.digest;
        let repository = self.repositories.get_mut(name).expect("it has appeared");
        if missing == MissingContent::Refused {
            let missing = missing_content(repository, document);
            if !missing.is_empty() {
                return Err(Refusal::ContentMissing(missing));
            }
        }
        for tag in tags {
            let Some(named) = repository.tags.get(tag) else {
                continue;
            };
            if named.digest != *digest && repository.record.settings.is_immutable(tag) {
                return Err(Refusal::TagImmutable(tag.clone(), named.digest.clone()));
            }
        }

        let is_new = repository.live(digest).is_none();
        let rows = &mut self.rows;
        let kept = repository
            .manifests
            .entry(digest.clone())
            .or_insert_with(|| {
                *rows += 1;
                Kept::new(*rows, now)
            });
        if is_new {
            *kept = Kept::new(kept.row, now);
        }
        kept.last_pushed_at = now;
        // What it held comes back with it, before a tag moves.
        let is_restored = kept.class == StorageClass::Archive;
        if is_restored {
            self.activate(name, digest);
        }
        let repository = self.repositories.get_mut(name).expect("it has appeared");
        let mut moved_tags = Vec::new();
        let mut moved = Vec::new();
        for tag in tags {
            let before = repository.tags.get(tag).map(|named| named.digest.clone());
            if before.as_ref() != Some(digest) {
                moved_tags.push(tag.clone());
                moved.push((tag.clone(), before));
                repository.move_tag(tag, Some(digest), by, now);
            }
        }
        self.tell_push(name, digest, is_new, moved);
        Ok(Pushed {
            moved_tags,
            is_new,
            is_restored,
        })
    }

    /// The digest that a reference leads to, of something that can be pulled.
    pub(crate) fn resolve(&self, name: &RepositoryName, reference: &Reference) -> Option<Digest> {
        let repository = self.find(name)?;
        let digest = match reference {
            Reference::Tag(tag) => &repository.tags.get(tag)?.digest,
            Reference::Digest(digest) => digest,
        };
        let kept = repository.live(digest)?;
        (kept.class == StorageClass::Standard).then(|| digest.clone())
    }

    pub(crate) fn delete_manifest(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        by: &str,
    ) -> Answer<()> {
        let now = self.now;
        let repository = self
            .repositories
            .get_mut(name)
            .ok_or(Refusal::ManifestUnknown)?;
        if repository.live(digest).is_none() {
            return Err(Refusal::ManifestUnknown);
        }
        let tags = repository.tags_of(digest);
        repository.delete(digest, by, now);
        self.tell(EventKind::ImageDeleted, name, Some(digest), tags, None);
        Ok(())
    }

    pub(crate) fn tags(
        &self,
        name: &RepositoryName,
        after: Option<&str>,
        limit: u64,
    ) -> Answer<Vec<Tag>> {
        let tags = self.repository(name)?.tags.keys();
        let behind = tags.filter(|tag| after.is_none_or(|after| tag.as_str() > after));
        Ok(page(behind.cloned(), limit))
    }

    pub(crate) fn delete_tag(&mut self, name: &RepositoryName, tag: &Tag, by: &str) -> Answer<()> {
        let now = self.now;
        let repository = self
            .repositories
            .get_mut(name)
            .ok_or(Refusal::ManifestUnknown)?;
        let named = repository.tags.get(tag).ok_or(Refusal::ManifestUnknown)?;
        let digest = named.digest.clone();
        repository.move_tag(tag, None, by, now);
        self.tell(
            EventKind::TagDeleted,
            name,
            None,
            vec![tag.clone()],
            Some(digest),
        );
        Ok(())
    }

    pub(crate) fn untag_image(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        tags: &[Tag],
        by: &str,
    ) -> Answer<u64> {
        let now = self.now;
        let repository = self.repository(name)?;
        if repository.live(digest).is_none() || self.is_in_use(name, digest) {
            return Ok(0);
        }
        let repository = self.repositories.get_mut(name).expect("it was just there");
        let mut gone = Vec::new();
        for tag in tags {
            if repository
                .tags
                .get(tag)
                .is_some_and(|named| named.digest == *digest)
            {
                repository.move_tag(tag, None, by, now);
                gone.push(tag.clone());
            }
        }
        let count = gone.len() as u64;
        for tag in gone {
            self.tell(
                EventKind::TagDeleted,
                name,
                None,
                vec![tag],
                Some(digest.clone()),
            );
        }
        Ok(count)
    }

    pub(crate) fn tag_history(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        limit: u64,
    ) -> Answer<Vec<TagMove>> {
        let history = self.repository(name)?.history.get(tag);
        let moves = history.into_iter().flatten().rev();
        Ok(page(moves.cloned(), limit))
    }

    pub(crate) fn referrers(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        kind: Option<&str>,
        after: Option<&str>,
        limit: u64,
    ) -> Vec<Descriptor> {
        let Some(repository) = self.find(name) else {
            return Vec::new();
        };
        let all = repository.manifests.keys().filter_map(|digest| {
            repository.live(digest)?;
            let document = self.world.document(digest);
            let manifest = &document.manifest;
            let fits = manifest.subject() == Some(subject)
                && kind.is_none_or(|kind| manifest.artifact_type() == Some(kind))
                && after.is_none_or(|after| digest.to_string().as_str() > after);
            fits.then(|| Descriptor {
                media_type: MediaType::clone(manifest.media_type()),
                digest: digest.clone(),
                size: manifest.bytes().len() as u64,
                artifact_type: manifest.artifact_type().map(ToOwned::to_owned),
                annotations: manifest.annotations().clone(),
            })
        });
        page(all, limit)
    }
}

impl Repository {
    /// Puts a manifest into the trash, with its tags.
    pub(crate) fn delete(
        &mut self,
        digest: &Digest,
        by: &str,
        now: wharf_storage::clock::Timestamp,
    ) {
        let tags = self.tags_of(digest);
        for tag in &tags {
            self.move_tag(tag, None, by, now);
        }
        let kept = self.manifests.get_mut(digest).expect("it is there");
        kept.deleted = Some((now, tags.into_iter().collect()));
    }
}

impl Kept {
    pub(crate) const fn new(row: u64, now: wharf_storage::clock::Timestamp) -> Self {
        Self {
            row,
            pushed_at: now,
            last_pushed_at: now,
            pulled_at: None,
            class: StorageClass::Standard,
            archived_at: None,
            activated_at: None,
            deleted: None,
        }
    }
}

fn missing_content(repository: &Repository, document: &Document) -> BTreeSet<String> {
    let references = document.manifest.references().iter();
    let missing = references.filter(|reference| {
        let is_blob = repository.has_blob(&reference.digest);
        let is_manifest = repository.live(&reference.digest).is_some();
        match reference.kind {
            ContentKind::Blob => !is_blob,
            ContentKind::ForeignBlob => false,
            ContentKind::Manifest => !is_manifest,
            ContentKind::Either => !is_blob && !is_manifest,
        }
    });
    missing
        .map(|reference| reference.digest.to_string())
        .collect()
}
