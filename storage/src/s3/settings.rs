//! Which bucket, and how it is used.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::parts::Growth;

/// How long the way to the store may take to open.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A key of the store, with its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Its name.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(…)")
    }
}

/// Which bucket, and how it is used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// Where the store is; nothing: as the environment says, or Amazon's.
    pub endpoint: Option<String>,
    /// Its region; nothing: as the environment says, or `us-east-1`.
    pub region: Option<String>,
    /// The key; nothing: as the environment says, or the machine's role.
    pub credentials: Option<Credentials>,
    /// Whether the bucket is a part of the host's name.
    pub virtual_hosted: bool,
    /// How long a part is, at first.
    pub part_bytes: u64,
    /// Whether later ones are longer.
    pub growth: Growth,
    /// How many bytes of uploads may gather in memory.
    pub memory_bytes: usize,
    /// The folder where more of them gather.
    pub spool: PathBuf,
    /// How long the store may be silent in a request.
    pub timeout: Duration,
    /// For how long a request that fails is made again.
    pub retry_for: Duration,
}

/// Why a bucket can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings make no sense to the store's client.
    #[error("the settings of the bucket make no sense")]
    Settings(#[source] object_store::Error),
    /// The client can't be made.
    #[error("failed to set up requests to the store")]
    Client(#[source] reqwest::Error),
    /// The bucket doesn't answer.
    #[error("the bucket {bucket} can not be read")]
    Bucket {
        /// The bucket.
        bucket: String,
        /// What it says.
        #[source]
        source: object_store::Error,
    },
    /// The folder for uploads in the making can't be used.
    #[error("failed to make the folder {}", path.display())]
    Spool {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What the environment says, and over it what the settings say.
pub(super) fn builder(settings: &Settings) -> AmazonS3Builder {
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(3),
            base: 2.0,
        },
        max_retries: 20,
        retry_timeout: settings.retry_for,
    };
    let mut builder = AmazonS3Builder::from_env();
    let endpoint = settings.endpoint.clone().or_else(|| {
        let service = builder.get_config_value(&AmazonS3ConfigKey::S3Endpoint);
        service.or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint))
    });
    let is_plain = endpoint
        .as_ref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    let options = ClientOptions::new()
        .with_allow_http(is_plain)
        // A blob may take as long as its reader does; what counts is that bytes come.
        .with_timeout_disabled()
        .with_read_timeout(settings.timeout)
        .with_connect_timeout(CONNECT_TIMEOUT);
    builder = builder
        .with_client_options(options)
        .with_retry(retry)
        .with_bucket_name(&settings.bucket)
        .with_virtual_hosted_style_request(settings.virtual_hosted);
    if let Some(endpoint) = endpoint {
        // The client takes such an address for the bucket's own.
        let endpoint = match (settings.virtual_hosted, endpoint.split_once("://")) {
            (true, Some((scheme, host))) => format!("{scheme}://{}.{host}", settings.bucket),
            _ => endpoint,
        };
        builder = builder
            .with_config(AmazonS3ConfigKey::S3Endpoint, &endpoint)
            .with_endpoint(endpoint);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let Some(credentials) = &settings.credentials {
        builder = builder
            .with_access_key_id(&credentials.access_key_id)
            .with_secret_access_key(&credentials.secret_access_key);
    }
    builder
}
