//! What can be chosen, and where it is read from.
//!
//! Later sources win: the defaults, the file (TOML), the variables `WHARF__SECTION__KEY`, the flags
//! `--listen` and `--data`. A key that nobody knows is refused wherever it stands, since a
//! misspelt one would otherwise do nothing, in silence.
//!
//! | module | section |
//! |---|---|
//! | `server` | `[server]`: the listener and its limits |
//! | `storage` | `[storage]`: where the data lies |
//! | `database` | `[database]`: where the metadata lies |
//! | `registry` | `[registry]`: what a push may do |
//! | `uploads` | `[uploads]`: uploads under way |
//! | `s3` | `[s3]`: a bucket for blobs and uploads |
//! | `log` | `[log]`: what is logged, and how |
//! | `metrics` | `[metrics]`: what is measured |
//! | `auth` | `[auth]`: whether callers have to say who they are |
//! | `tls` | `[tls]`: certificates |
//! | `outbound` | `[outbound]`: requests of the server's own |
//! | `ecr` | `[ecr]`: what the ECR API says of itself |
//! | `lifecycle` | `[lifecycle]`: policies that remove images |
//! | `gc` | `[gc]`: the trash, and the collection of what nothing needs |
//! | `scrub` | `[scrub]`: reading all bytes again |
//! | `audit` | `[audit]`: the log of who did what |
//! | `events` | `[events]`: the log of what happened, and its deliveries |
//! | `units` | durations and sizes as texts |
//! | `secret` | texts that nobody is shown |
//! | `sources` | the file and the variables, merged |
//! | `check` | what makes no sense as a whole |
//! | `error`, `suggestion` | what is wrong, and what was probably meant |

mod audit;
mod auth;
mod check;
mod database;
mod ecr;
mod error;
mod events;
mod gc;
mod lifecycle;
mod log;
mod metrics;
mod outbound;
mod registry;
mod s3;
mod scrub;
mod secret;
mod server;
mod sources;
mod storage;
mod suggestion;
mod tls;
mod units;
mod uploads;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use audit::Audit;
pub use auth::Auth;
pub use database::{Database, DatabaseUrl};
pub use ecr::Ecr;
pub use error::{Error, Fault};
pub use events::Events;
pub use gc::Gc;
pub use lifecycle::Lifecycle;
pub use log::{Log, LogFormat};
pub use metrics::Metrics;
pub use outbound::Outbound;
pub use registry::{MissingContent, Registry};
pub use s3::S3;
pub use scrub::Scrub;
pub use secret::Secret;
pub use server::Server;
pub use storage::Storage;
pub use tls::Tls;
pub use units::{Size, Span};
pub use uploads::Uploads;

use self::sources::Document;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The listener and its limits.
    pub server: Server,
    /// Where the data lies.
    pub storage: Storage,
    /// Where the metadata lies.
    pub database: Database,
    /// What a push may do.
    pub registry: Registry,
    /// Uploads under way.
    pub uploads: Uploads,
    /// A bucket for blobs and uploads.
    pub s3: S3,
    /// What is logged, and how.
    pub log: Log,
    /// What is measured.
    pub metrics: Metrics,
    /// Whether callers have to say who they are.
    pub auth: Auth,
    /// Certificates.
    pub tls: Tls,
    /// Requests of the server's own.
    pub outbound: Outbound,
    /// The trash, and the collection of what nothing needs.
    pub gc: Gc,
    /// Reading all bytes again.
    pub scrub: Scrub,
    /// The log of who did what.
    pub audit: Audit,
    /// The log of what happened, and its deliveries.
    pub events: Events,
    /// What the ECR API says of itself.
    pub ecr: Ecr,
    /// Policies that remove images.
    pub lifecycle: Lifecycle,
}

/// What the command line says of the configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// The configuration file, TOML
    #[arg(long, value_name = "FILE", env = "WHARF_CONFIG")]
    pub config: Option<PathBuf>,
    /// The address to listen on; with port 0 a free one is taken and printed
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// The folder that holds the data
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl Config {
    /// Reads the configuration from its sources, and checks it.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or with all that isn't understood or makes no sense.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let config = Self::read(flags, variables)?;
        config.check()?;
        Ok(config)
    }

    /// Reads the configuration from its sources, whether or not a server could run with it.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or with all that isn't understood.
    pub fn read(
        flags: &Flags,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut document = match &flags.config {
            Some(path) => Document::read(path)?,
            None => Document::default(),
        };
        document.merge(variables);
        let mut config = document.interpret()?;
        if let Some(listen) = flags.listen {
            config.server.listen = listen;
        }
        if let Some(data) = &flags.data {
            config.storage.data.clone_from(data);
        }
        Ok(config)
    }

    /// The configuration that a file of this text stands for.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn from_text(text: &str) -> Result<Self, Error> {
        Document::parse(text, Path::new("text"))?.interpret()
    }

    /// Looks for contradictions, and for limits that would shut everybody out.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with all of them.
    pub fn check(&self) -> Result<(), Error> {
        match check::faults(self) {
            faults if faults.is_empty() => Ok(()),
            faults => Err(Error::Invalid(faults)),
        }
    }

    /// Where the metadata lies without a `database.url`.
    #[must_use]
    pub fn database_path(&self) -> PathBuf {
        self.data().join("metadata.sqlite3")
    }

    /// Where the server's key lies.
    #[must_use]
    pub fn secret_key_path(&self) -> PathBuf {
        let chosen = &self.auth.secret_key_file;
        match chosen.as_os_str().is_empty() {
            true => self.data().join("keys").join("secret.key"),
            false => chosen.clone(),
        }
    }

    /// The folder that holds the data.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.storage.data
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
