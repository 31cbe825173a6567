//! `[s3]`: a bucket for blobs and uploads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::units::{Size, Span};

/// A bucket for blobs and uploads, which servers share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3 {
    /// The bucket; empty: the data folder.
    pub bucket: String,
    /// Where the store is; empty: as `AWS_ENDPOINT_URL` says, or Amazon's.
    pub endpoint: String,
    /// Its region; empty: as `AWS_REGION` says, or `us-east-1`.
    pub region: String,
    /// What all keys in the bucket begin with.
    pub prefix: String,
    /// The name of a key; empty: the environment says, or the machine's role.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
    /// Whether the bucket is a part of the host's name.
    pub virtual_hosted: bool,
    /// How long the parts of an upload are, at first.
    pub part_size: Size,
    /// Whether all of them but the last are that long.
    pub equal_parts: bool,
    /// How many bytes of uploads gather in memory; more of them gather in the data folder.
    pub memory: Size,
    /// How long the store may be silent in a request.
    pub timeout: Span,
    /// For how long a request that fails is made again.
    pub retry_for: Span,
    /// Whether pulls of blobs are sent to the store.
    pub redirect: bool,
    /// How long such an address is good.
    pub redirect_lifetime: Span,
    /// Parts of the names of clients that get the bytes here all the same.
    pub no_redirect_for: Vec<String>,
}

impl S3 {
    /// Whether blobs lie in a bucket.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.bucket.is_empty()
    }
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            bucket: String::new(),
            endpoint: String::new(),
            region: String::new(),
            prefix: String::new(),
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
            virtual_hosted: false,
            part_size: Size::new(16 << 20),
            equal_parts: false,
            memory: Size::new(64 << 20),
            timeout: Span::new(Duration::from_secs(30)),
            retry_for: Span::new(Duration::from_secs(20)),
            redirect: false,
            redirect_lifetime: Span::new(Duration::from_secs(15 * 60)),
            no_redirect_for: Vec::new(),
        }
    }
}
