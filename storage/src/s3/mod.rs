//! Blobs and uploads in a bucket, which any number of servers share.
//!
//! ```text
//! BUCKET/PREFIX/
//!   data/<upload id>/whole       the bytes of a blob, by one request or by a multipart
//!   data/<upload id>/<piece>     less than a part: what a request ended with
//!   index/<upload id>            what the blob is: {"digest":…,"size":…,"key":…}
//!   records/<repository>/_manifests/<digest>.json   see record
//! ```
//!
//! An upload goes straight to the key where its blob will lie, and nothing is copied. Where all of
//! it came in one request and is less than a part, its one piece is the blob. A key is written
//! once: a blob that is pushed again gets another one, so a removal that comes late can't take the
//! new bytes away, and nothing relies on conditional writes, which some stores ignore.
//!
//! What another program left in the bucket can be taken in where it lies (`adopt`); its location names
//! the key, which may be anywhere in the bucket.
//!
//! How far an upload got stands in its row alone (`state`): the multipart, its parts with their
//! entity tags, and the pieces. So any server goes on with it. Parts are completed by their tags,
//! which name their content; a server that was thought dead and writes a part again makes the
//! completion fail and never changes a blob.
//!
//! The objects under `index/` are for the day when the database is lost. They are written before
//! a blob is recorded.
//!
//! | module | job |
//! |---|---|
//! | `adopt` | takes in objects that another program left |
//! | `append` | hashes what arrives, and sends it in parts |
//! | `gather` | memory and files where it gathers |
//! | `settings` | which bucket, and how it is used |
//! | `parts` | how long parts are |
//! | `state` | what the row of an upload says |
//! | `assemble` | makes an upload a blob |
//! | `read` | hands out the bytes of blobs |
//! | `leftovers` | finds what nobody finished |
//! | `records` | records of manifests, and the list of blobs |
//! | `request` | the requests that object_store has no call for |
//! | `error` | what the store's answers mean |

mod adopt;
mod append;
mod assemble;
mod error;
mod gather;
mod leftovers;
mod parts;
mod read;
mod records;
mod request;
mod settings;
mod state;

#[cfg(any(test, fuzzing))]
pub(crate) use leftovers::fuzz as fuzz_multiparts;
#[cfg(any(test, fuzzing))]
pub(crate) use state::fuzz as fuzz_state;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStore as _;
use object_store::aws::AmazonS3ConfigKey;
use object_store::path::Path;
use object_store::signer::Signer as _;

use self::append::S3Appender;
use self::error::failed;
use self::gather::Room;
use self::parts::Lengths;
use self::request::Requests;
use self::state::State;
use crate::blob::{BlobStore, ByteStream, Error, Location, StoredBlobs};
use crate::clock::Timestamp;
use crate::oci::{Algorithm, Digest};
use crate::upload::{Appender, Hasher, Leftover, Progress, UploadId, UploadStore};

pub use self::parts::Growth;
pub use self::settings::{Credentials, OpenError, Settings};

/// The last component of the key of a whole blob.
const WHOLE: &str = "whole";

/// What the objects say they are, so that a client that is sent to the store hears what it hears
/// here.
const CONTENT_TYPE: &str = "application/octet-stream";

/// How many requests with bodies go out at once. Each has a buffer or two in memory.
const SENDERS: usize = 16;

/// The least that S3 takes as a part that is not the last.
pub const LEAST_PART_BYTES: u64 = 5 << 20;

/// Blobs and uploads in a bucket.
#[derive(Clone, Debug)]
pub struct S3Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requests: Requests,
    prefix: String,
    epoch: String,
    lengths: Lengths,
    room: Room,
    /// Whether it was said that the store doesn't list multiparts.
    warned: AtomicBool,
}

impl S3Store {
    /// Opens a bucket, and looks whether it answers.
    ///
    /// # Errors
    ///
    /// When it doesn't, or the settings make no sense.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let Settings {
            bucket,
            prefix,
            timeout,
            retry_for,
            spool,
            ..
        } = settings.clone();
        std::fs::create_dir_all(&spool).map_err(|source| OpenError::Spool {
            path: spool.clone(),
            source,
        })?;
        let builder = settings::builder(&settings);
        let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
        let s3 = builder.build().map_err(OpenError::Settings)?;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(settings::CONNECT_TIMEOUT)
            .build()
            .map_err(OpenError::Client)?;
        let shared = Shared {
            epoch: format!("s3:{bucket}/{prefix}"),
            prefix,
            lengths: Lengths {
                first: settings.part_bytes,
                growth: settings.growth,
            },
            room: Room::new(settings.memory_bytes, SENDERS, spool),
            requests: Requests {
                s3,
                client,
                region: region.unwrap_or_else(|| "us-east-1".to_owned()),
                timeout,
                retry_for,
            },
            warned: AtomicBool::new(false),
        };
        let data = shared.folder("data");
        let mut listed = shared.requests.s3.list(Some(&data));
        if let Some(Err(source)) = listed.next().await {
            return Err(OpenError::Bucket { bucket, source });
        }
        drop(listed);
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl Shared {
    fn path(&self, location: &Location) -> Path {
        adopt::key(location).unwrap_or_else(|| self.folder(location.as_str()))
    }

    /// The key under the prefix.
    fn folder(&self, text: &str) -> Path {
        let parts = self.prefix.split('/').chain(text.split('/'));
        Path::from_iter(parts.filter(|part| !part.is_empty()))
    }

    fn index_path(&self, id: UploadId) -> Path {
        self.folder(&format!("index/{id}"))
    }

    /// Removes objects. That some are gone already is no error.
    async fn delete(&self, paths: Vec<Path>) -> Result<(), Error> {
        self.requests
            .patiently(|| self.delete_once(paths.clone()))
            .await
    }

    async fn delete_once(&self, paths: Vec<Path>) -> Result<(), Error> {
        let name = paths.first().map(ToString::to_string).unwrap_or_default();
        let paths = stream::iter(paths).map(Ok).boxed();
        let mut deleted = self.requests.s3.delete_stream(paths);
        while let Some(outcome) = deleted.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed("remove", &name, error)),
            }
        }
        Ok(())
    }

    /// The objects that an upload has, its blob included.
    async fn objects_of(&self, id: UploadId) -> Result<Vec<Path>, Error> {
        let folder = self.folder(&format!("data/{id}"));
        let list = || async {
            let listed = self.requests.s3.list(Some(&folder));
            let paths = listed.map_ok(|object| object.location).try_collect().await;
            paths.map_err(|error| failed("list", &id, error))
        };
        self.requests.patiently(list).await
    }
}

/// Where an object of an upload lies.
fn place(id: UploadId, name: &str) -> Location {
    let text = format!("data/{id}/{name}");
    text.parse().expect("upload ids and names are plain")
}

/// The upload that made a location.
fn maker(location: &Location) -> Option<UploadId> {
    location.as_str().split('/').nth(1)?.parse().ok()
}

#[async_trait::async_trait]
impl BlobStore for S3Store {
    async fn read(&self, location: &Location, range: Range<u64>) -> Result<ByteStream, Error> {
        read::open(&self.shared, location, range).await
    }

    async fn remove(&self, location: &Location) -> Result<(), Error> {
        self.remove_all(std::slice::from_ref(location)).await
    }

    async fn remove_all(&self, locations: &[Location]) -> Result<(), Error> {
        let shared = &self.shared;
        // The index goes first: a blob without one is found by hashing, an index without a blob
        // would tell of bytes that aren't there.
        let makers = locations.iter().filter_map(maker);
        let indices = makers.map(|id| shared.index_path(id)).collect();
        shared.delete(indices).await?;
        let mut paths = Vec::with_capacity(locations.len());
        for location in locations {
            match (maker(location), location.as_str().split('/').count()) {
                (Some(id), 2) => paths.extend(shared.objects_of(id).await?),
                _ => paths.push(shared.path(location)),
            }
        }
        shared.delete(paths).await
    }

    async fn presigned(
        &self,
        location: &Location,
        lifetime: Duration,
    ) -> Result<Option<String>, Error> {
        let path = self.shared.path(location);
        let s3 = &self.shared.requests.s3;
        let signed = s3.signed_url(http::Method::GET, &path, lifetime).await;
        let url = signed.map_err(|error| failed("sign an address of", location, error))?;
        Ok(Some(url.into()))
    }

    async fn stored(&self) -> Result<StoredBlobs, Error> {
        Ok(records::stored(self))
    }
}

#[async_trait::async_trait]
impl UploadStore for S3Store {
    fn epoch(&self) -> &str {
        &self.shared.epoch
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn create(&self, _id: UploadId) -> Result<(), Error> {
        Ok(())
    }

    async fn resume(&self, id: UploadId, progress: Progress) -> Result<Box<dyn Appender>, Error> {
        let appender = S3Appender::new(Arc::clone(&self.shared), id, progress)?;
        Ok(Box::new(appender))
    }

    async fn rehash(
        &self,
        id: UploadId,
        progress: &Progress,
        algorithm: Algorithm,
    ) -> Result<Hasher, Error> {
        // The parts of an open multipart can't be read, so it is completed first.
        let location = assemble::whole(&self.shared, id, progress).await?;
        let mut stream = self.read(&location, 0..progress.offset).await?;
        let mut hasher = Hasher::new(algorithm);
        while let Some(bytes) = stream.try_next().await? {
            let work = tokio::task::spawn_blocking(move || {
                hasher.update(&bytes);
                hasher
            });
            hasher = work
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        }
        Ok(hasher)
    }

    async fn finish(
        &self,
        id: UploadId,
        progress: &Progress,
        digest: &Digest,
    ) -> Result<Location, Error> {
        let location = assemble::whole(&self.shared, id, progress).await?;
        assemble::write_index(&self.shared, id, digest, progress.offset, &location).await?;
        Ok(location)
    }

    async fn settle(&self, id: UploadId, location: &Location) -> Result<(), Error> {
        let blob = self.shared.path(location);
        let mut objects = self.shared.objects_of(id).await?;
        objects.retain(|path| *path != blob);
        self.shared.delete(objects).await
    }

    async fn discard(&self, id: UploadId, last: Option<&Progress>) -> Result<(), Error> {
        let state = last.and_then(|progress| State::of(id, progress).ok());
        if let Some(multipart) = state.and_then(|state| state.multipart) {
            leftovers::abort(&self.shared, id, &multipart).await?;
        }
        // The index goes first: what has one counts as a blob that a lost database knew.
        self.shared.delete(vec![self.shared.index_path(id)]).await?;
        let objects = self.shared.objects_of(id).await?;
        self.shared.delete(objects).await
    }

    fn place_of(&self, id: UploadId) -> Option<Location> {
        let text = format!("data/{id}");
        Some(text.parse().expect("an upload's name is a plain component"))
    }

    async fn leftovers(
        &self,
        after: Option<UploadId>,
        until: Timestamp,
    ) -> Result<Vec<Leftover>, Error> {
        leftovers::objects(&self.shared, after, until).await
    }

    async fn multiparts(&self, until: Timestamp) -> Result<Vec<Leftover>, Error> {
        leftovers::multiparts(&self.shared, until).await
    }

    async fn drop_leftover(&self, leftover: &Leftover) -> Result<bool, Error> {
        match leftover {
            Leftover::Upload(id) => self.discard(*id, None).await?,
            Leftover::Object(id, location) => {
                if leftovers::is_whole(&self.shared, *id).await? {
                    return Ok(false);
                }
                self.shared.delete(vec![self.shared.path(location)]).await?;
            }
            Leftover::Multipart(id, multipart) => {
                leftovers::abort(&self.shared, *id, multipart).await?;
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
