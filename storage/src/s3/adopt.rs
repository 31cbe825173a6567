//! Objects that another program left in the bucket, taken in as blobs where they lie.
//!
//! ```text
//! adopted/<upload id>/<key>      the location of what lies under <key> of the bucket itself
//! ```
//!
//! A location is given once, as all are. The key behind it may come back, since the other program names
//! content by its digest: who takes it in again looks whether its removal is still waiting, and once
//! more whether the object is there when nobody would remove it any more.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};

use super::error::failed;
use super::{S3Store, assemble};
use crate::blob::{Error, Location};
use crate::oci::Digest;
use crate::upload::UploadId;

/// What the locations of such objects begin with.
const ADOPTED: &str = "adopted/";

/// The key that a location stands for, where it is one of these.
pub(super) fn key(location: &Location) -> Option<Path> {
    let (_, key) = location.as_str().strip_prefix(ADOPTED)?.split_once('/')?;
    Some(path(key))
}

fn path(key: &str) -> Path {
    Path::from_iter(key.split('/').filter(|part| !part.is_empty()))
}

impl S3Store {
    /// The names of the folders in a folder of the bucket, whatever this registry's own prefix.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn folders(&self, key: &str) -> Result<Vec<String>, Error> {
        let path = path(key);
        let requests = &self.shared.requests;
        let list = || async {
            let listed = requests.s3.list_with_delimiter(Some(&path)).await;
            listed.map_err(|error| failed("list", &path, error))
        };
        let listed = requests.patiently(list).await?;
        let names = listed.common_prefixes.iter().filter_map(Path::filename);
        let mut names: Vec<String> = names.map(ToOwned::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// An object of the bucket, whatever this registry's own prefix.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or when the store fails.
    pub async fn object(&self, key: &str) -> Result<Bytes, Error> {
        let path = path(key);
        let requests = &self.shared.requests;
        let read = || async {
            let got = requests.s3.get(&path).await;
            let got = got.map_err(|error| failed("read", &path, error))?;
            let bytes = got.bytes().await;
            bytes.map_err(|error| failed("read", &path, error))
        };
        requests.patiently(read).await
    }

    /// The length of an object of the bucket.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or when the store fails.
    pub async fn object_size(&self, key: &str) -> Result<u64, Error> {
        let path = path(key);
        let requests = &self.shared.requests;
        let look = || async {
            let head = requests.s3.head(&path).await;
            head.map_err(|error| failed("look at", &path, error))
        };
        Ok(requests.patiently(look).await?.size)
    }

    /// Where an object of the bucket lies as a blob, in the name of an id that nothing else has.
    ///
    /// # Panics
    ///
    /// When the key has components that are none of a path.
    #[must_use]
    pub fn adopted(id: UploadId, key: &str) -> Location {
        let text = format!("{ADOPTED}{id}/{}", path(key));
        text.parse().expect("keys that were listed are paths")
    }

    /// Writes what an adopted object is, for the day when the database is lost.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn index_adopted(
        &self,
        id: UploadId,
        digest: &Digest,
        size: u64,
        location: &Location,
    ) -> Result<(), Error> {
        assemble::write_index(&self.shared, id, digest, size, location).await
    }

    /// Takes back what [`index_adopted`](Self::index_adopted) wrote; the object stays.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn forget_adopted(&self, id: UploadId) -> Result<(), Error> {
        self.shared.delete(vec![self.shared.index_path(id)]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_leads_to_the_key_itself() {
        let id = UploadId::new(uuid::Uuid::now_v7());
        let location = S3Store::adopted(id, "/old/docker/registry/v2/blobs/x/data");
        let key = key(&location).expect("an adopted one");
        assert_eq!(key.as_ref(), "old/docker/registry/v2/blobs/x/data");
        assert_eq!(super::super::maker(&location), Some(id));
        let other: Location = "data/x/whole".parse().expect("a location");
        assert_eq!(super::key(&other), None);
    }
}
