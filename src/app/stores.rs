//! Where blobs, uploads and records lie: in the data folder or in a bucket.

use std::sync::Arc;

use wharf_storage::blob::BlobStore;
use wharf_storage::disk::{DiskStore, FolderLock};
use wharf_storage::record::RecordStore;
use wharf_storage::s3::{self, S3Store};
use wharf_storage::upload::UploadStore;

use super::Error;
use crate::config::Config;

/// Where blobs and uploads lie.
#[derive(Debug)]
pub(super) struct Stores {
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) uploads: Arc<dyn UploadStore>,
    pub(super) records: Arc<dyn RecordStore>,
    /// Where they are in a bucket, the data folder still has the rest.
    _lock: Option<FolderLock>,
}

impl Stores {
    /// The stores, for the server that has the data folder.
    pub(super) async fn open(config: &Config) -> Result<Self, Error> {
        if !config.s3.is_on() {
            // Nothing else runs yet that this could keep waiting.
            return Ok(Self::of(DiskStore::open(config.data())?));
        }
        let lock = FolderLock::acquire(config.data())?;
        let bucket = S3Store::open(bucket(config)).await?;
        Ok(Self {
            _lock: Some(lock),
            ..Self::of(bucket)
        })
    }

    /// The stores, beside a server that may have the data folder: what changes a local disk is not
    /// for this.
    pub(super) async fn beside(config: &Config) -> Result<Self, Error> {
        Ok(match config.s3.is_on() {
            true => Self::of(S3Store::open(bucket(config)).await?),
            false => Self::of(DiskStore::beside(config.data())),
        })
    }

    pub(super) fn of<S>(store: S) -> Self
    where
        S: BlobStore + UploadStore + RecordStore + Clone + 'static,
    {
        Self {
            blobs: Arc::new(store.clone()),
            records: Arc::new(store.clone()),
            uploads: Arc::new(store),
            _lock: None,
        }
    }
}

/// The bucket that is configured.
pub(super) fn bucket(config: &Config) -> s3::Settings {
    let s3 = &config.s3;
    let chosen = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    s3::Settings {
        bucket: s3.bucket.clone(),
        prefix: s3.prefix.clone(),
        endpoint: chosen(s3.endpoint.trim_end_matches('/')),
        region: chosen(&s3.region),
        credentials: chosen(&s3.access_key_id).map(|access_key_id| s3::Credentials {
            access_key_id,
            secret_access_key: s3.secret_access_key.reveal().to_owned(),
        }),
        virtual_hosted: s3.virtual_hosted,
        part_bytes: s3.part_size.bytes(),
        growth: match s3.equal_parts {
            true => s3::Growth::Equal,
            false => s3::Growth::Growing,
        },
        memory_bytes: s3.memory.in_memory(),
        spool: config.data().join("spool"),
        timeout: s3.timeout.duration(),
        retry_for: s3.retry_for.duration(),
    }
}
