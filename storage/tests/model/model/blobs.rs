//! Uploads, and blobs as repositories see them.

use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::{
    Blob, Creation, FinishedUpload, NewUpload, RepositorySettings, Stored,
};
use wharf_storage::oci::{Digest, RepositoryName};
use wharf_storage::upload::UploadId;

use super::{Answer, Bytes, Link, Model, Refusal, Upload, page};

impl Model<'_> {
    pub(crate) fn begin_upload(&mut self, new: NewUpload) -> Answer<()> {
        let own = self.uploads.values();
        let open = own
            .filter(|upload| upload.principal == new.principal)
            .count() as u64;
        if open >= new.limit {
            return Err(Refusal::TooManyUploads {
                open,
                limit: new.limit,
            });
        }
        let upload = Upload {
            repository: new.repository,
            principal: new.principal,
            epoch: new.epoch,
            offset: new.progress.offset,
            touched_at: new.now,
        };
        self.uploads.insert(new.id, upload);
        Ok(())
    }

    pub(crate) fn record_progress(&mut self, id: UploadId, from: u64, to: u64) -> Answer<()> {
        let upload = self.uploads.get_mut(&id).ok_or(Refusal::UploadUnknown)?;
        if upload.offset != from {
            return Err(Refusal::UploadMoved);
        }
        upload.offset = to;
        upload.touched_at = self.now;
        Ok(())
    }

    pub(crate) fn remove_upload(&mut self, id: UploadId) -> bool {
        self.uploads.remove(&id).is_some()
    }

    /// Forgotten uploads, the oldest first.
    pub(crate) fn forgotten_uploads(&self, since: Timestamp, epoch: &str) -> Vec<UploadId> {
        let uploads = self.uploads.iter();
        let mut forgotten: Vec<_> = uploads
            .filter(|(_, upload)| upload.touched_at < since || upload.epoch != epoch)
            .map(|(id, upload)| (upload.touched_at, *id))
            .collect();
        forgotten.sort();
        forgotten.into_iter().map(|(_, id)| id).collect()
    }

    pub(crate) fn finish_upload(&mut self, finished: &FinishedUpload) -> Answer<Stored> {
        let upload = self
            .uploads
            .get(&finished.id)
            .ok_or(Refusal::UploadUnknown)?;
        if upload.offset != finished.blob.size {
            return Err(Refusal::UploadMoved);
        }
        let blob = &finished.blob;
        self.appear(&finished.repository, finished.creation)?;
        self.uploads.remove(&finished.id);
        let stored = match self.blobs.get_mut(&blob.digest) {
            Some(there) => {
                there.condemned_at = None;
                self.removals.insert(blob.location.as_str().to_owned());
                Stored::AlreadyThere
            }
            None => {
                let bytes = Bytes {
                    size: blob.size,
                    location: blob.location.clone(),
                    condemned_at: None,
                };
                self.blobs.insert(blob.digest.clone(), bytes);
                Stored::New
            }
        };
        self.link(&finished.repository, &blob.digest);
        Ok(stored)
    }

    /// Makes a repository where it isn't there and may be made.
    pub(crate) fn appear(&mut self, name: &RepositoryName, creation: Creation) -> Answer<()> {
        match creation {
            _ if self.find(name).is_some() => {}
            Creation::Forbidden => return Err(Refusal::RepositoryUnknown),
            Creation::Allowed => {
                self.create_repository(name, RepositorySettings::default());
            }
        }
        Ok(())
    }

    fn link(&mut self, name: &RepositoryName, digest: &Digest) {
        let review_since = Some(self.now);
        let repository = self.repositories.get_mut(name).expect("it has appeared");
        let link = Link {
            deleted_at: None,
            review_since,
        };
        repository.links.insert(digest.clone(), link);
    }

    pub(crate) fn blob(&self, name: &RepositoryName, digest: &Digest) -> Option<Blob> {
        let repository = self.find(name)?;
        let bytes = self.blobs.get(digest)?;
        repository.has_blob(digest).then(|| Blob {
            digest: digest.clone(),
            size: bytes.size,
            location: bytes.location.clone(),
        })
    }

    pub(crate) fn mount(
        &mut self,
        source: &RepositoryName,
        target: &RepositoryName,
        digest: &Digest,
        creation: Creation,
    ) -> Answer<Option<Blob>> {
        let Some(blob) = self.blob(source, digest) else {
            return Ok(None);
        };
        self.appear(target, creation)?;
        self.link(target, digest);
        Ok(Some(blob))
    }

    pub(crate) fn unlink_blob(&mut self, name: &RepositoryName, digest: &Digest) -> Answer<()> {
        let now = self.now;
        let link = self.visible_link(name, digest)?;
        *link = Link {
            deleted_at: Some(now),
            review_since: Some(now),
        };
        Ok(())
    }

    pub(crate) fn touch_blob(&mut self, name: &RepositoryName, digest: &Digest) -> Answer<()> {
        let now = self.now;
        let link = self.visible_link(name, digest)?;
        link.review_since = Some(now);
        Ok(())
    }

    fn visible_link(&mut self, name: &RepositoryName, digest: &Digest) -> Answer<&mut Link> {
        let repository = self
            .repositories
            .get_mut(name)
            .ok_or(Refusal::BlobUnknown)?;
        let link = repository
            .links
            .get_mut(digest)
            .ok_or(Refusal::BlobUnknown)?;
        if link.deleted_at.is_some() {
            return Err(Refusal::BlobUnknown);
        }
        Ok(link)
    }

    pub(crate) fn repositories_with_blob(
        &self,
        digest: &Digest,
        limit: u64,
    ) -> Vec<RepositoryName> {
        let repositories = self.live();
        let having = repositories.filter(|(_, repository)| repository.has_blob(digest));
        page(having.map(|(name, _)| name.clone()), limit)
    }
}
