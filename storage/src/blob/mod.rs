//! Blobs: immutable bytes that lie at a location.
//!
//! A store knows locations and bytes; which digest lies where, and who may see it, stands in the
//! [`metadata`](crate::metadata). Bytes come to a location through an
//! [`upload`](crate::upload) alone, so a location, once given out, always means the same bytes.
//!
//! | module | job |
//! |---|---|
//! | [`location`](Location) | the name of a place in a store |
//! | `error` | what can go wrong in a store of bytes |

mod error;
mod location;

use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;

use crate::oci::Digest;

pub use error::Error;
pub use location::{Location, LocationError};

/// The bytes of a blob, or a part of it, in pieces of a size that suits a socket.
///
/// It ends early only with an error, so whoever counts the bytes of a stream that ended well has
/// all of them.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// A blob that lies in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// The digest that it was stored under.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where it lies.
    pub location: Location,
}

/// All blobs of a store, in no order.
pub type StoredBlobs = Pin<Box<dyn Stream<Item = Result<StoredBlob, Error>> + Send>>;

/// A place where blobs lie.
#[async_trait::async_trait]
pub trait BlobStore: std::fmt::Debug + Send + Sync {
    /// Reads the bytes of `range`, which must lie inside the blob.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when nothing lies there; later, from the stream, when the blob is
    /// shorter than the range or can't be read.
    async fn read(&self, location: &Location, range: Range<u64>) -> Result<ByteStream, Error>;

    /// Removes the bytes. That they are gone already is no error.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn remove(&self, location: &Location) -> Result<(), Error>;

    /// All blobs that lie here, known to the metadata or not. It takes a walk through the store.
    ///
    /// # Errors
    ///
    /// When the store fails, at once or later from the stream.
    async fn stored(&self) -> Result<StoredBlobs, Error>;
    /// Removes the bytes of several locations, in fewer calls where the store has a way to.
    ///
    /// # Errors
    ///
    /// When the store fails; some of them may be gone then.
    async fn remove_all(&self, locations: &[Location]) -> Result<(), Error> {
        for location in locations {
            self.remove(location).await?;
        }
        Ok(())
    }

    /// An address where a client that knows no secret reads the bytes for as long as `lifetime`;
    /// nothing when the store has none to give.
    ///
    /// # Errors
    ///
    /// When the store has no credentials to sign with.
    async fn presigned(
        &self,
        location: &Location,
        lifetime: Duration,
    ) -> Result<Option<String>, Error> {
        let _ = (location, lifetime);
        Ok(None)
    }
}
