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
//! | `registry` | `[registry]`: what a push may do |
//! | `uploads` | `[uploads]`: uploads under way |
//! | `log` | `[log]`: what is logged, and how |
//! | `metrics` | `[metrics]`: what is measured |
//! | `units` | durations and sizes as texts |
//! | `sources` | the file and the variables, merged |

mod log;
mod metrics;
mod registry;
mod server;
mod sources;
mod storage;
mod units;
mod uploads;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use log::{Log, LogFormat};
pub use metrics::Metrics;
pub use registry::{MissingContent, Registry};
pub use server::Server;
pub use sources::Error;
pub use storage::Storage;
pub use units::{Size, Span};
pub use uploads::Uploads;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The listener and its limits.
    pub server: Server,
    /// Where the data lies.
    pub storage: Storage,
    /// What a push may do.
    pub registry: Registry,
    /// Uploads under way.
    pub uploads: Uploads,
    /// What is logged, and how.
    pub log: Log,
    /// What is measured.
    pub metrics: Metrics,
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
    /// Reads the configuration from its sources.
    ///
    /// # Errors
    ///
    /// When the file can't be read, when something in it or in a variable isn't understood, or
    /// when the whole makes no sense.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut table = match &flags.config {
            Some(path) => sources::read_file(path)?,
            None => toml::Table::new(),
        };
        sources::merge_variables(&mut table, variables)?;
        let mut config = sources::interpret(table)?;
        if let Some(listen) = flags.listen {
            config.server.listen = listen;
        }
        if let Some(data) = &flags.data {
            config.storage.data.clone_from(data);
        }
        let faults = config.faults();
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(Error::Faults(faults))
        }
    }

    /// What makes no sense, all of it.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.server.listen.ip().is_loopback() && !self.server.allow_anonymous {
            faults.push(format!(
                "server.listen = {} can be reached from other machines, and nothing asks callers \
                 who they are: listen on 127.0.0.1, or set server.allow_anonymous = true to let \
                 anyone push and pull",
                self.server.listen
            ));
        }
        for (key, is_zero) in [
            ("server.max_connections", self.server.max_connections == 0),
            (
                "server.max_header_bytes",
                self.server.max_header_bytes.bytes() < 8192,
            ),
            (
                "registry.manifest_limit",
                self.registry.manifest_limit.bytes() == 0,
            ),
            ("registry.page_limit", self.registry.page_limit == 0),
            (
                "uploads.open_per_principal",
                self.uploads.open_per_principal == 0,
            ),
            (
                "uploads.sweep_every",
                self.uploads.sweep_every.duration().is_zero(),
            ),
        ] {
            if is_zero {
                faults.push(format!("{key} is too small to serve anybody"));
            }
        }
        if let Err(error) = self.log.level.parse::<tracing_subscriber::EnvFilter>() {
            faults.push(format!("log.level: {error}"));
        }
        faults
    }

    /// Where the metadata lies.
    #[must_use]
    pub fn database_path(&self) -> PathBuf {
        self.data().join("metadata.sqlite3")
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
