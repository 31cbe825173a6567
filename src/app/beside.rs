//! What commands open beside a server that runs, or without one.

use std::path::PathBuf;
use std::sync::Arc;

use wharf_storage::blob::BlobStore;
use wharf_storage::disk::{self, DiskStore};
use wharf_storage::s3::S3Store;

use super::stores::{Stores, bucket};
use super::{Error, Office, pairing, parts};
use crate::config::Config;
use crate::registry::{Rebuilder, Registry};
use crate::transfer::adopt::{self, Adopter};

/// Who makes a lost database anew.
///
/// # Errors
///
/// When the stores can't be used.
pub(crate) async fn rebuilder(office: &Office, config: &Config) -> Result<Rebuilder, Error> {
    pairing::confirm(config, office).await?;
    let stores = Stores::beside(config).await?;
    Ok(Rebuilder {
        metadata: office.metadata.clone(),
        blobs: stores.blobs,
        records: stores.records,
        clock: Arc::clone(&office.clock),
    })
}

/// The blobs, for reading beside a server that runs.
///
/// # Errors
///
/// When the store can't be used.
pub(crate) async fn blobs_to_read(
    config: &Config,
    office: &Office,
) -> Result<Arc<dyn BlobStore>, Error> {
    pairing::confirm(config, office).await?;
    Ok(Stores::beside(config).await?.blobs)
}

/// The registry on its stores, for working beside a server that runs, or without one.
///
/// # Errors
///
/// When the stores can't be used.
pub(crate) async fn registry_beside(config: &Config, office: &Office) -> Result<Registry, Error> {
    pairing::confirm(config, office).await?;
    let stores = match config.s3.is_on() {
        true => Stores::beside(config).await?,
        false => Stores::of(DiskStore::beside_to_write(config.data())?),
    };
    Ok(parts::registry(config, office, &stores))
}

/// Where another registry's tree lies that is taken over.
#[derive(Clone, Debug)]
pub(crate) enum OldPlace {
    /// In a folder.
    Folder(PathBuf),
    /// In the bucket, below a key.
    Bucket(String),
}

/// Who takes over the tree of another registry; nothing where it lies elsewhere than our blobs.
///
/// # Errors
///
/// When the stores can't be used.
pub(crate) async fn adopter(
    config: &Config,
    office: &Office,
    place: OldPlace,
) -> Result<Option<Adopter>, Error> {
    pairing::confirm(config, office).await?;
    let old: Arc<dyn adopt::Old> = match (place, config.s3.is_on()) {
        (OldPlace::Folder(root), false) => {
            let disk = DiskStore::beside_to_write(config.data())?;
            Arc::new(adopt::Folder { root, disk })
        }
        (OldPlace::Bucket(root), true) => {
            let bucket = S3Store::open(bucket(config)).await?;
            Arc::new(adopt::Bucket { root, bucket })
        }
        (OldPlace::Folder(_), true) | (OldPlace::Bucket(_), false) => return Ok(None),
    };
    Ok(Some(Adopter {
        metadata: office.metadata.clone(),
        old,
        clock: Arc::clone(&office.clock),
    }))
}

/// Removes the bytes that wait for removal, and tells of how many blobs; nothing where a running
/// server has the folder and does so itself.
///
/// # Errors
///
/// When the stores can't be used.
pub(crate) async fn remove_needless_bytes(
    config: &Config,
    office: &Office,
) -> Result<Option<u64>, Error> {
    pairing::confirm(config, office).await?;
    let stores = match config.s3.is_on() {
        true => Stores::beside(config).await?,
        false => match Stores::open(config).await {
            Err(Error::Disk(disk::OpenError::Locked(_))) => return Ok(None),
            stores => stores?,
        },
    };
    let swept = parts::registry(config, office, &stores).sweep().await?;
    Ok(Some(swept.removals))
}
