//! A repository of this registry as an end of a copy, on its store itself.
//!
//! It works beside a server that has the data folder, with the same care as the server's own pushes:
//!
//! - An upload has an id that nobody else makes, a file of its own and a row of its own, and a lease in
//!   this process; no request of a client can claim it, since its principal is none that logs in.
//! - The bytes are synced, moved to a place that is never used twice, and their folder synced, before
//!   one transaction records the blob, links it and ends the upload. Two processes write to the
//!   database as two connections do.
//! - A server that runs ends only uploads that nothing happened to for long, or of another boot of the
//!   machine. One that starts also removes files of uploads that have no row yet. Where it meets the
//!   moment between a file and its row, the upload fails as unknown before anything is made of it, and
//!   is begun again.
//! - The collection of a server takes nothing that was linked less than a grace ago, whoever linked it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use wharf_auth::identity::{Kind, Principal};
use wharf_storage::metadata::Creation;
use wharf_storage::oci::{Descriptor, Digest, Reference, RepositoryName, Tag};

use super::Error;
use super::ends::{BlobStream, Fetched, Source, Target, Verified};
use crate::registry::{self, Body, BodyError, Chunk, ManifestTarget, Pusher, Registry, Requester};

/// Who pushes, in the log of events. No user's name has a space.
const ACTOR: &str = "command line";
/// How many entries of a list are read at once.
const PAGE: u64 = 1000;

/// A repository of this registry.
#[derive(Clone, Debug)]
pub struct Own {
    registry: Arc<Registry>,
    repository: RepositoryName,
    pusher: Pusher,
}

impl Own {
    /// A repository of `registry`.
    #[must_use]
    pub fn new(registry: Arc<Registry>, repository: RepositoryName) -> Self {
        let by = Requester {
            principal: Principal::Named(Kind::User, ACTOR.into()),
            request_id: String::new(),
        };
        let creation = Creation::Allowed;
        Self {
            registry,
            repository,
            pusher: Pusher { by, creation },
        }
    }
}

#[async_trait]
impl Source for Own {
    async fn manifest(&self, reference: &Reference) -> Result<Fetched, Error> {
        let manifest = self.registry.manifest(&self.repository, reference).await?;
        Ok(Fetched {
            media_type: Some(manifest.head.media_type),
            bytes: manifest.bytes,
        })
    }

    async fn blob(&self, blob: &Descriptor) -> Result<BlobStream, Error> {
        let blob = self.registry.blob(&self.repository, &blob.digest).await?;
        let bytes = self.registry.read_blob(&blob, 0..blob.size).await?;
        Ok(Box::pin(bytes.map_err(|error| {
            Error::Registry(registry::Error::from(error))
        })))
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let mut all: Vec<Descriptor> = Vec::new();
        loop {
            let after = all.last().map(|last| last.digest.as_str().to_owned());
            let page = self
                .registry
                .referrers(&self.repository, subject, None, after.as_deref(), PAGE)
                .await?;
            all.extend(page.items);
            if !page.more {
                return Ok(all);
            }
        }
    }

    async fn tags(&self) -> Result<Vec<Tag>, Error> {
        let mut all: Vec<Tag> = Vec::new();
        loop {
            let after = all.last().map(|last| last.as_str().to_owned());
            let page = self
                .registry
                .tags(&self.repository, after.as_deref(), PAGE)
                .await?;
            all.extend(page.items);
            if !page.more {
                return Ok(all);
            }
        }
    }
}

#[async_trait]
impl Target for Own {
    async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error> {
        let (registry, repository) = (&self.registry, &self.repository);
        match registry.blob_to_rely_on(repository, &blob.digest).await {
            Ok(_) => return Ok(true),
            Err(registry::Error::BlobUnknown(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // The command line may read all repositories.
        let mounted = registry
            .mount_from_any(repository, &blob.digest, &self.pusher, |_| true)
            .await?;
        Ok(mounted.is_some())
    }

    async fn put_blob(&self, blob: &Descriptor, bytes: BlobStream) -> Result<(), Error> {
        let registry = &self.registry;
        let algorithm = blob.digest.algorithm();
        let session = registry
            .begin_upload(&self.repository, &self.pusher, algorithm)
            .await?;
        let body: Body = Box::pin(bytes.map(|piece: Result<Bytes, Error>| {
            piece.map_err(|error| Box::new(error) as BodyError)
        }));
        let chunk = Chunk {
            start: None,
            length: Some(blob.size),
            body,
        };
        let finished = registry.finish_upload(&session, &blob.digest, chunk).await;
        if let Err(error) = finished {
            // Some failures have ended it; otherwise it would wait for the sweep.
            let _ = registry.cancel_upload(&session).await;
            return Err(error.into());
        }
        Ok(())
    }

    async fn put_manifest(
        &self,
        manifest: &Verified,
        tag: Option<&Tag>,
        _is_root: bool,
    ) -> Result<(), Error> {
        let target = ManifestTarget {
            repository: self.repository.clone(),
            reference: Reference::Digest(manifest.digest.clone()),
            tags: tag.cloned().into_iter().collect(),
        };
        let manifest = &manifest.manifest;
        let media_type = Some(manifest.media_type().clone());
        let bytes = manifest.bytes().clone();
        let pushed = self
            .registry
            .push_manifest(&self.pusher, target, media_type, bytes);
        pushed.await?;
        Ok(())
    }
}
