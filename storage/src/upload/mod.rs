//! Uploads: bytes that are still arriving, and their running hash.
//!
//! An upload has two halves. Its row in the [`metadata`](crate::metadata) says whose it is, how
//! far it got ([`Progress`]) and under which [`UploadId`]; its bytes lie in an [`UploadStore`].
//! The row is the truth: bytes behind its offset are what a crash left, and [`UploadStore::resume`]
//! drops them.
//!
//! | module | job |
//! |---|---|
//! | [`id`](UploadId) | the name of an upload |
//! | [`hasher`](Hasher) | a hash whose state can be stored and taken up again |

mod hasher;
mod id;

use bytes::Bytes;

pub use hasher::{Hasher, HasherStateError};
pub use id::{UploadId, UploadIdError};

use crate::blob::{Error, Location};
use crate::clock::Timestamp;
use crate::oci::{Algorithm, Digest};

/// How far an upload got: the bytes that were taken, and their hash.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The number of bytes that were taken.
    pub offset: u64,
    /// The hash over exactly those bytes.
    pub hasher: Hasher,
    /// What else the store has to know to go on, in its own words; empty on a disk.
    pub state: String,
}

impl Progress {
    /// The beginning of an upload.
    #[must_use]
    pub fn start(algorithm: Algorithm) -> Self {
        Self {
            offset: 0,
            hasher: Hasher::new(algorithm),
            state: String::new(),
        }
    }
}

/// Bytes that an upload may have left behind. They are needless when no row knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// All that an upload has.
    Upload(UploadId),
    /// One object of an upload, which may be where a blob lies.
    Object(UploadId, Location),
    /// A multipart of an upload, by the store's name for it.
    Multipart(UploadId, String),
    /// Something that is too young to be dropped, and may be needless later.
    Young(UploadId),
}

impl Leftover {
    /// The upload that left it.
    #[must_use]
    pub const fn upload(&self) -> UploadId {
        match self {
            Self::Upload(id) | Self::Object(id, _) | Self::Multipart(id, _) | Self::Young(id) => {
                *id
            }
        }
    }
}

/// A place where the bytes of uploads gather until they are a blob.
#[async_trait::async_trait]
pub trait UploadStore: std::fmt::Debug + Send + Sync {
    /// Names the time over which bytes that were not synced stay safe: on disk, the machine's
    /// boot. An upload that was begun in another epoch may have lost bytes and can't go on.
    fn epoch(&self) -> &str;

    /// Whether other servers write here too, so that what no row knows may be theirs, and is
    /// needless only when it is old.
    fn is_shared(&self) -> bool {
        false
    }

    /// Makes an empty upload.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn create(&self, id: UploadId) -> Result<(), Error>;

    /// Goes on behind `progress`; what lies behind its offset is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] without such an upload, [`Error::Short`] when bytes before the offset
    /// are missing. A remote store may notice either only when it needs those bytes.
    async fn resume(&self, id: UploadId, progress: Progress) -> Result<Box<dyn Appender>, Error>;

    /// Hashes the bytes of `progress` with another algorithm than the one that ran along. Only
    /// [`finish`](Self::finish) or [`discard`](Self::discard) may follow.
    ///
    /// # Errors
    ///
    /// As [`resume`](Self::resume).
    async fn rehash(
        &self,
        id: UploadId,
        progress: &Progress,
        algorithm: Algorithm,
    ) -> Result<Hasher, Error>;

    /// Makes the bytes durable and moves them to where the blob `digest` will lie for good.
    ///
    /// It may be called again after a crash, and gives the same location. A failure is final (a
    /// sync that failed may have dropped bytes), so the upload must be discarded, unless the error
    /// [is temporary](Error::is_temporary).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] without such an upload; else when the store fails.
    async fn finish(
        &self,
        id: UploadId,
        progress: &Progress,
        digest: &Digest,
    ) -> Result<Location, Error>;

    /// Drops what an upload has besides its blob, once the blob is recorded.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn settle(&self, id: UploadId, location: &Location) -> Result<(), Error> {
        let _ = (id, location);
        Ok(())
    }

    /// Drops the bytes of an upload, and of a blob that [`finish`](Self::finish) made and nobody
    /// recorded; `last` is what the row said. That there are none is no error.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn discard(&self, id: UploadId, last: Option<&Progress>) -> Result<(), Error>;

    /// What uploads have here that were begun behind `after` and left it before `until`, in the
    /// order of their names, some at a time; nothing at the end.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn leftovers(
        &self,
        after: Option<UploadId>,
        until: Timestamp,
    ) -> Result<Vec<Leftover>, Error>;

    /// The unfinished multiparts that were begun before `until`, where the store has such.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn multiparts(&self, until: Timestamp) -> Result<Vec<Leftover>, Error> {
        let _ = until;
        Ok(Vec::new())
    }

    /// A location that stands for all that an upload has here, whatever it became: for the queue of
    /// removals, when a [`discard`](Self::discard) fails half way. Nothing where what is left is
    /// found without.
    fn place_of(&self, id: UploadId) -> Option<Location> {
        let _ = id;
        None
    }

    /// Drops what an upload left behind, and tells whether it is gone. That it was already is no
    /// error. A whole blob stays: the database that knew it may be lost.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn drop_leftover(&self, leftover: &Leftover) -> Result<bool, Error>;
}

/// The open end of an upload.
#[async_trait::async_trait]
pub trait Appender: Send {
    /// Takes more bytes. They may wait in memory until enough have gathered.
    ///
    /// # Errors
    ///
    /// When these or earlier bytes could not be written.
    async fn append(&mut self, bytes: Bytes) -> Result<(), Error>;

    /// Tells how far the upload got for sure, at no great cost: it may be less than was taken.
    ///
    /// # Errors
    ///
    /// As [`pause`](Self::pause).
    async fn checkpoint(&mut self) -> Result<Progress, Error> {
        self.pause().await
    }

    /// Writes what waits, and tells how far the upload got.
    ///
    /// # Errors
    ///
    /// When bytes could not be written; the upload then stands where it stood before.
    async fn pause(&mut self) -> Result<Progress, Error>;
}

#[cfg(test)]
pub(crate) mod contract;
