//! A docker-registry's tree in the bucket that blobs lie in.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use uuid::Uuid;
use wharf_storage::blob::{self, BlobStore as _, Location};
use wharf_storage::metadata::Blob;
use wharf_storage::oci::Digest;
use wharf_storage::s3::S3Store;
use wharf_storage::upload::{Hasher, UploadId};

use super::super::{Error, MANIFEST_LIMIT};
use super::old::{Old, store};
use super::{Check, How};

/// A tree in a bucket. Its blobs stay under their keys, which are this registry's from then on.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// What the keys begin with, docker-registry's `rootdirectory`.
    pub root: String,
    /// The bucket.
    pub bucket: S3Store,
}

impl Bucket {
    fn key(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    async fn size(&self, path: &str) -> Result<Option<u64>, Error> {
        match self.bucket.object_size(&self.key(path)).await {
            Ok(size) => Ok(Some(size)),
            Err(blob::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(store(error)),
        }
    }

    async fn hash(&self, location: &Location, size: u64, digest: &Digest) -> Result<Digest, Error> {
        let mut hasher = Hasher::new(digest.algorithm());
        let mut bytes = self.bucket.read(location, 0..size).await.map_err(store)?;
        while let Some(piece) = bytes.try_next().await.map_err(store)? {
            hasher.update(&piece);
        }
        Ok(hasher.digest())
    }
}

#[async_trait]
impl Old for Bucket {
    fn shown(&self) -> PathBuf {
        format!("s3:{}", self.root).into()
    }

    async fn folders(&self, path: &str) -> Result<Vec<String>, Error> {
        let listed = self.bucket.folders(&self.key(path)).await;
        listed.map_err(store)
    }

    async fn file(&self, path: &str) -> Result<Option<Bytes>, Error> {
        match self.size(path).await? {
            None => Ok(None),
            Some(size) if size > MANIFEST_LIMIT as u64 => Err(Error::TooLong {
                what: self.key(path),
                limit: MANIFEST_LIMIT,
            }),
            Some(_) => {
                let object = self.bucket.object(&self.key(path)).await;
                Ok(Some(object.map_err(store)?))
            }
        }
    }

    async fn has(&self, path: &str) -> Result<bool, Error> {
        Ok(self.size(path).await?.is_some())
    }

    async fn take_in(
        &self,
        path: &str,
        digest: &Digest,
        how: How,
    ) -> Result<Result<Blob, String>, Error> {
        let Some(size) = self.size(path).await? else {
            return Ok(Err("the bytes are missing".to_owned()));
        };
        let id = UploadId::new(Uuid::now_v7());
        let location = S3Store::adopted(id, &self.key(path));
        if how.check == Check::Read || size == 0 {
            let actual = self.hash(&location, size, digest).await?;
            if actual != *digest {
                return Ok(Err(format!("the bytes have digest {actual}")));
            }
        }
        let indexed = self.bucket.index_adopted(id, digest, size, &location).await;
        indexed.map_err(store)?;
        Ok(Ok(Blob {
            digest: digest.clone(),
            size,
            location,
        }))
    }

    /// What the store has answered is durable.
    async fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn still_has(&self, blob: &Blob) -> Result<bool, Error> {
        match self.bucket.read(&blob.location, 0..0).await {
            Ok(_) => Ok(true),
            Err(blob::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(store(error)),
        }
    }

    async fn give_back(&self, location: &Location) -> Result<(), Error> {
        let id = location.as_str().split('/').nth(1);
        let id = id.and_then(|id| id.parse().ok());
        let id = id.expect("the location of an adopted object has an id");
        self.bucket.forget_adopted(id).await.map_err(store)
    }
}
