//! Records in the bucket, and the list of the blobs that lie in it: what a lost database is made
//! anew from.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectStore as _, ObjectStoreExt as _, PutOptions, PutPayload,
};
use serde::Deserialize;

use super::error::{failed, unavailable};
use super::{S3Store, Shared};
use crate::blob::{Error, Location, StoredBlob, StoredBlobs};
use crate::oci::{Digest, RepositoryName};
use crate::record::{RecordName, RecordNames, RecordStore};

/// How many indices are read at once.
const READERS: usize = 16;

/// What an object under `index/` says.
#[derive(Deserialize)]
struct Index {
    digest: Digest,
    size: u64,
    key: String,
}

impl Shared {
    fn record_path(&self, name: &RecordName) -> Path {
        self.folder(&format!("records/{name}"))
    }
}

/// All blobs that have an index.
pub(super) fn stored(store: &S3Store) -> StoredBlobs {
    let shared = std::sync::Arc::clone(&store.shared);
    let listed = shared.requests.s3.list(Some(&shared.folder("index")));
    let found = listed
        .map_err(|error| failed("list", &"index", error))
        .map_ok(move |object| {
            let shared = std::sync::Arc::clone(&shared);
            async move { read_index(&shared, &object.location).await }
        })
        .try_buffer_unordered(READERS);
    // What was removed since it was listed is no blob any more.
    found
        .try_filter_map(|index| std::future::ready(Ok(index)))
        .boxed()
}

/// What an index says; nothing where it is gone, or can't be read.
pub(super) async fn read_index(shared: &Shared, path: &Path) -> Result<Option<StoredBlob>, Error> {
    let bytes = match read(shared, path).await {
        Ok(bytes) => bytes,
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let index: Result<Index, _> = serde_json::from_slice(&bytes);
    let Ok(Index { digest, size, key }) = index else {
        tracing::warn!(%path, "an index can not be read");
        return Ok(None);
    };
    let Ok(location) = key.parse::<Location>() else {
        tracing::warn!(%path, "an index names no place");
        return Ok(None);
    };
    Ok(Some(StoredBlob {
        digest,
        size,
        location,
    }))
}

async fn read(shared: &Shared, path: &Path) -> Result<Bytes, Error> {
    let read = || async {
        let got = shared.requests.s3.get(path).await;
        let got = got.map_err(|error| failed("read", path, error))?;
        let bytes = got.bytes().await;
        bytes.map_err(|error| unavailable("read", path.to_string(), error))
    };
    shared.requests.patiently(read).await
}

#[async_trait::async_trait]
impl RecordStore for S3Store {
    async fn put_record(&self, name: &RecordName, bytes: Bytes) -> Result<(), Error> {
        let shared = &self.shared;
        let path = shared.record_path(name);
        let payload = PutPayload::from(bytes);
        let options = PutOptions {
            attributes: Attributes::from_iter([(Attribute::ContentType, "application/json")]),
            ..PutOptions::default()
        };
        let write = || async {
            let s3 = &shared.requests.s3;
            let written = s3.put_opts(&path, payload.clone(), options.clone()).await;
            written.map_err(|error| failed("write", name, error))
        };
        shared.requests.patiently(write).await?;
        Ok(())
    }

    async fn record(&self, name: &RecordName) -> Result<Bytes, Error> {
        read(&self.shared, &self.shared.record_path(name)).await
    }

    async fn remove_record(&self, name: &RecordName) -> Result<(), Error> {
        self.shared
            .delete(vec![self.shared.record_path(name)])
            .await
    }

    /// What the store has answered is durable.
    async fn sync_records(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn records(&self, repository: Option<&RepositoryName>) -> Result<RecordNames, Error> {
        let shared = std::sync::Arc::clone(&self.shared);
        let folder = match repository {
            Some(name) => format!("records/{}", RecordName::prefix(name)),
            None => "records".to_owned(),
        };
        let root = format!("{}/", shared.folder("records"));
        let listed = shared.requests.s3.list(Some(&shared.folder(&folder)));
        let names = listed
            .map_err(|error| failed("list", &"records", error))
            .try_filter_map(move |object| {
                let name = object.location.as_ref().strip_prefix(&root);
                // What isn't named like a record was not put there by us.
                let name = name.and_then(|name| name.parse::<RecordName>().ok());
                std::future::ready(Ok(name))
            });
        Ok(names.boxed())
    }
}
