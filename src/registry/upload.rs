//! Taking a blob: upload sessions and mounts.
//!
//! A session stands where its row says. A request appends behind that point on a task of its own,
//! so that when the client leaves in the middle, what it sent is still written and recorded, and
//! it can go on from there, after a restart of the server too.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use uuid::Uuid;
use wharf_storage::blob::{self, Location};
use wharf_storage::metadata::{Blob, FinishedUpload, Metadata, NewUpload, Stored, Upload};
use wharf_storage::oci::{Algorithm, Digest, RepositoryName};
use wharf_storage::upload::{Appender, Progress, UploadId};

use super::lease::Lease;
use super::{Error, Pusher, Registry};

/// After how many bytes a long request records how far it got.
const CHECKPOINT_BYTES: u64 = 64 << 20;

/// How many repositories are looked at for a mount that doesn't name its source.
const MOUNT_SOURCES: u64 = 100;

/// What broke the body of a request.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// A caller's claim to an upload.
#[derive(Clone, Debug)]
pub struct Session {
    /// The repository in whose name it is used.
    pub repository: RepositoryName,
    /// Who uses it.
    pub pusher: Pusher,
    /// Which upload it is.
    pub id: UploadId,
}

/// Bytes for an upload, and what the client says of them.
pub struct Chunk {
    /// Where the chunk begins, where the client says so; else it is appended.
    pub start: Option<u64>,
    /// How many bytes it has, where the client says so.
    pub length: Option<u64>,
    /// The bytes.
    pub body: Body,
}

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadStatus {
    /// Which upload it is.
    pub id: UploadId,
    /// How many bytes it has.
    pub offset: u64,
}

impl Registry {
    /// Begins an upload.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`] where repositories don't appear by themselves,
    /// [`Error::TooManyUploads`], or when a store fails.
    pub async fn begin_upload(
        &self,
        repository: &RepositoryName,
        pusher: &Pusher,
        algorithm: Algorithm,
    ) -> Result<Session, Error> {
        self.metadata.room().await?;
        self.ensure(repository, pusher).await?;
        let id = UploadId::new(Uuid::now_v7());
        let upload = NewUpload {
            id,
            repository: repository.clone(),
            principal: pusher.by.principal.to_string(),
            epoch: self.uploads.epoch().to_owned(),
            progress: Progress::start(algorithm),
            limit: self.settings.uploads_per_principal,
            now: self.clock.now(),
        };
        // The bytes come first, so that no row names an upload that can't be written.
        self.uploads.create(id).await?;
        if let Err(error) = self.metadata.begin_upload(upload).await {
            self.discard(id, None).await;
            return Err(error.into());
        }
        Ok(Session {
            repository: repository.clone(),
            pusher: pusher.clone(),
            id,
        })
    }

    /// Where an upload stands.
    ///
    /// # Errors
    ///
    /// [`Error::UploadUnknown`].
    pub async fn upload_status(&self, session: &Session) -> Result<UploadStatus, Error> {
        let upload = self.upload(session).await?;
        Ok(UploadStatus {
            id: upload.id,
            offset: upload.progress.offset,
        })
    }

    /// Appends a chunk.
    ///
    /// # Errors
    ///
    /// [`Error::UploadUnknown`], [`Error::OutOfOrder`], [`Error::LengthMismatch`],
    /// [`Error::UploadBusy`], [`Error::BodyBroken`], or when a store fails.
    pub async fn append(&self, session: &Session, chunk: Chunk) -> Result<UploadStatus, Error> {
        let lease = self.leases.acquire(session.id).await?;
        let upload = self.upload(session).await?;
        let (id, progress) = (upload.id, upload.progress);
        let (progress, _lease) = self.write(id, progress, chunk, lease).await?;
        Ok(UploadStatus {
            id,
            offset: progress.offset,
        })
    }

    /// Appends the last chunk, and makes the whole a blob of its repository. When this returns
    /// well, the blob is durable.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append), and [`Error::DigestMismatch`], which ends the upload.
    pub async fn finish_upload(
        &self,
        session: &Session,
        digest: &Digest,
        chunk: Chunk,
    ) -> Result<Blob, Error> {
        let lease = self.leases.acquire(session.id).await?;
        let Upload {
            id, mut progress, ..
        } = self.upload(session).await?;
        let algorithm = digest.algorithm();
        if progress.offset == 0 {
            progress = Progress::start(algorithm);
        }
        let (mut progress, _lease) = self.write(id, progress, chunk, lease).await?;
        if progress.hasher.algorithm() != algorithm {
            // The client didn't say at the start which algorithm it would ask for.
            progress.hasher = self.uploads.rehash(id, &progress, algorithm).await?;
        }
        let actual = progress.hasher.digest();
        if actual != *digest {
            self.end_upload(id).await?;
            return Err(Error::DigestMismatch {
                expected: digest.clone(),
                actual,
            });
        }
        self.store(session, digest, &progress).await
    }

    /// Ends an upload that becomes no blob.
    ///
    /// # Errors
    ///
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`], or when a store fails.
    pub async fn cancel_upload(&self, session: &Session) -> Result<(), Error> {
        let _lease = self.leases.acquire(session.id).await?;
        let upload = self.upload(session).await?;
        self.end_upload(upload.id).await
    }

    /// Gives `target` a blob that `source` has; nothing when it has no such blob.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`] where repositories don't appear by themselves, or when the
    /// metadata fails.
    pub async fn mount(
        &self,
        source: &RepositoryName,
        target: &RepositoryName,
        digest: &Digest,
        pusher: &Pusher,
    ) -> Result<Option<Blob>, Error> {
        let creation = self.creation(pusher);
        let change = pusher.by.change(self.clock.now());
        if self.metadata.blob(source, digest).await?.is_none() {
            return Ok(None);
        }
        self.ensure(target, pusher).await?;
        Ok(self
            .metadata
            .mount(source, target, digest, creation, change)
            .await?)
    }

    /// Gives `target` a blob that any repository has which `may_pull` allows to read; nothing when
    /// there is none, whether or not others have it.
    ///
    /// # Errors
    ///
    /// As [`mount`](Self::mount).
    pub async fn mount_from_any(
        &self,
        target: &RepositoryName,
        digest: &Digest,
        pusher: &Pusher,
        may_pull: impl Fn(&RepositoryName) -> bool,
    ) -> Result<Option<Blob>, Error> {
        let mut after: Option<RepositoryName> = None;
        loop {
            let sources = self
                .metadata
                .repositories_with_blob(digest, after.as_ref(), MOUNT_SOURCES)
                .await?;
            for source in sources.iter().filter(|source| may_pull(source)) {
                if let Some(blob) = self.mount(source, target, digest, pusher).await? {
                    return Ok(Some(blob));
                }
            }
            after = sources.last().cloned();
            if after.is_none() {
                return Ok(None);
            }
        }
    }

    /// The upload that a session claims. One of another repository, of another principal or from
    /// before a reboot is as unknown as one that never was.
    async fn upload(&self, session: &Session) -> Result<Upload, Error> {
        let upload = self.metadata.upload(session.id).await?;
        let is_theirs = |upload: &Upload| {
            upload.repository == session.repository
                && upload.principal == session.pusher.by.principal.to_string()
                && upload.epoch == self.uploads.epoch()
        };
        upload.filter(is_theirs).ok_or(Error::UploadUnknown)
    }

    /// Writes a chunk behind `progress`, on a task that outlives the request.
    async fn write(
        &self,
        id: UploadId,
        progress: Progress,
        chunk: Chunk,
        lease: Lease,
    ) -> Result<(Progress, Lease), Error> {
        self.metadata.room().await?;
        let offset = progress.offset;
        if chunk.start.is_some_and(|start| start != offset) {
            return Err(Error::OutOfOrder { offset });
        }
        let appender = match self.uploads.resume(id, progress).await {
            Ok(appender) => appender,
            // The bytes were damaged: the client has to begin again.
            Err(blob::Error::NotFound { .. } | blob::Error::Short { .. }) => {
                self.end_upload(id).await?;
                return Err(Error::UploadUnknown);
            }
            Err(error) => return Err(error.into()),
        };
        let writer = Writer {
            id,
            metadata: self.metadata.clone(),
            clock: Arc::clone(&self.clock),
            appender,
            recorded: offset,
        };
        let task = self.tasks.spawn(async move {
            let progress = writer.write(chunk, offset).await?;
            Ok((progress, lease))
        });
        let written = task
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        if let Err(Error::UploadUnknown) = written {
            // Bytes that the row names are gone, so nothing can be made of what is left.
            self.end_upload(id).await?;
        }
        written
    }

    /// Moves the bytes to where they stay, and records the blob.
    async fn store(
        &self,
        session: &Session,
        digest: &Digest,
        progress: &Progress,
    ) -> Result<Blob, Error> {
        let location = match self.uploads.finish(session.id, progress, digest).await {
            Ok(location) => location,
            // All of it is safe, and the client may ask again.
            Err(error) if error.is_temporary() => return Err(error.into()),
            Err(error) => {
                // A sync that failed may have dropped bytes, so nothing is made of this upload.
                self.end_upload(session.id).await?;
                return Err(error.into());
            }
        };
        let blob = Blob {
            digest: digest.clone(),
            size: progress.offset,
            location,
        };
        let finished = FinishedUpload {
            id: session.id,
            repository: session.repository.clone(),
            blob: blob.clone(),
            creation: self.creation(&session.pusher),
            change: session.pusher.by.change(self.clock.now()),
        };
        match self.metadata.finish_upload(finished).await? {
            Stored::New => {}
            Stored::AlreadyThere => self.remove_now(&blob).await,
        }
        self.settle(session.id, blob.location.clone());
        Ok(blob)
    }

    /// Drops what a finished upload has besides its blob, while the client has its answer already.
    /// What stays behind goes with a sweep.
    fn settle(&self, id: UploadId, location: Location) {
        let uploads = Arc::clone(&self.uploads);
        self.tasks.spawn(async move {
            if let Err(error) = uploads.settle(id, &location).await {
                tracing::warn!(%error, upload = %id, "pieces of an upload were left behind");
            }
        });
    }

    /// Removes bytes that are in the queue of removals. It is no harm when that fails now.
    async fn remove_now(&self, blob: &Blob) {
        let removed = self.blobs.remove(&blob.location).await;
        if let Err(error) = removed {
            tracing::warn!(%error, location = %blob.location, "a removal has to wait");
            return;
        }
        let removed = std::slice::from_ref(&blob.location);
        if let Err(error) = self.metadata.removed(removed).await {
            tracing::warn!(%error, location = %blob.location, "a removal was not recorded");
        }
    }

    async fn end_upload(&self, id: UploadId) -> Result<(), Error> {
        let upload = self.metadata.upload(id).await?;
        // The row goes first: from then on no request can make a blob of these bytes. Where it is
        // gone already, another server may have made one.
        if self.metadata.remove_upload(id).await? {
            self.discard(id, upload.map(|upload| upload.progress)).await;
        }
        Ok(())
    }

    /// Drops bytes that no row names any more; what stays behind goes with a later sweep.
    pub(super) async fn discard(&self, id: UploadId, last: Option<Progress>) {
        let Err(error) = self.uploads.discard(id, last.as_ref()).await else {
            return;
        };
        tracing::warn!(%error, upload = %id, "the bytes of an upload were left behind");
        if let Some(location) = self.uploads.place_of(id)
            && let Err(error) = self
                .metadata
                .remove_later(&location, self.clock.now())
                .await
        {
            tracing::warn!(%error, %location, "a removal was not recorded");
        }
    }
}

/// A request's way of writing into an upload.
struct Writer {
    id: UploadId,
    metadata: Metadata,
    clock: Arc<dyn wharf_storage::clock::Clock>,
    appender: Box<dyn Appender>,
    /// What the row says.
    recorded: u64,
}

impl Writer {
    /// Appends the chunk, and records how far the upload got, however the body ends.
    async fn write(mut self, chunk: Chunk, start: u64) -> Result<Progress, Error> {
        let Chunk {
            length, mut body, ..
        } = chunk;
        let mut received = 0;
        let mut broken = None;
        while let Some(bytes) = body.next().await {
            match bytes {
                Ok(bytes) => {
                    received += bytes.len() as u64;
                    self.appender.append(bytes).await.map_err(lost)?;
                    if start + received >= self.recorded + CHECKPOINT_BYTES {
                        let progress = self.appender.checkpoint().await.map_err(lost)?;
                        self.record(&progress).await?;
                    }
                }
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        if let (None, Some(expected)) = (&broken, length)
            && expected != received
        {
            // The row still names the point before the chunk, where the client goes on.
            return Err(Error::LengthMismatch {
                expected,
                actual: received,
            });
        }
        let progress = self.appender.pause().await.map_err(lost)?;
        self.record(&progress).await?;
        match broken {
            None => Ok(progress),
            Some(error) => Err(Error::BodyBroken(error)),
        }
    }

    async fn record(&mut self, progress: &Progress) -> Result<(), Error> {
        if progress.offset != self.recorded {
            self.metadata
                .record_progress(self.id, self.recorded, progress, self.clock.now())
                .await?;
            self.recorded = progress.offset;
        }
        Ok(())
    }
}

/// A failure to write. That bytes are missing which the row names is the end of the upload.
fn lost(error: blob::Error) -> Error {
    match error {
        blob::Error::NotFound { .. } | blob::Error::Short { .. } => Error::UploadUnknown,
        error => error.into(),
    }
}
