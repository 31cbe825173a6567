//! The server put together from its parts.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tower::Layer as _;
use tower::util::MapRequestLayer;
use wharf_auth::authorizer::Open;
use wharf_storage::clock::SystemClock;
use wharf_storage::disk::{self, DiskStore};
use wharf_storage::metadata::sqlite::{self, Sqlite};
use wharf_storage::metadata::{Creation, Metadata};

use crate::config::Config;
use crate::http::{self, listener, repository_path, routes};
use crate::jobs::sweep;
use crate::metrics::Metrics;
use crate::registry::{self, Registry};
use crate::shutdown::Shutdown;

/// Why the server can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder can't be used.
    #[error("the data folder can not be used")]
    Disk(#[from] disk::OpenError),
    /// The database can't be used.
    #[error("the metadata can not be used")]
    Database(#[from] sqlite::OpenError),
    /// What an earlier run left can't be put in order.
    #[error("failed to put in order what the last run left")]
    Sweep(#[from] registry::Error),
    /// The address can't be listened on.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A registry with its doors, ready to serve.
#[derive(Debug)]
pub struct App {
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    config: Config,
}

impl App {
    /// Opens the stores, and puts in order what an earlier run left.
    ///
    /// # Errors
    ///
    /// When a store can't be used.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        // Nothing else runs yet that this could keep waiting.
        let disk = DiskStore::open(config.data())?;
        let database = Sqlite::open(&config.database_path())?;
        let settings = registry::Settings {
            creation: match config.registry.create_on_push {
                true => Creation::Allowed,
                false => Creation::Forbidden,
            },
            missing_content: config.registry.missing_content.into(),
            uploads_per_principal: config.uploads.open_per_principal,
            upload_expiry: config.uploads.expire_after.duration(),
        };
        let registry = Arc::new(Registry::new(
            Metadata::new(Arc::new(database)),
            Arc::new(disk.clone()),
            Arc::new(disk),
            Arc::new(SystemClock),
            settings,
        ));
        sweep::report(registry.sweep_at_start().await?);
        let metrics = Arc::new(Metrics::new());
        Ok(Self {
            registry,
            metrics,
            config: config.clone(),
        })
    }

    /// Listens on the configured address.
    ///
    /// # Errors
    ///
    /// When the address is taken or not this machine's.
    pub async fn listen(&self, config: &Config) -> Result<TcpListener, Error> {
        let address = config.server.listen;
        let listener = TcpListener::bind(address).await;
        listener.map_err(|source| Error::Listen { address, source })
    }

    /// Serves until the process shall stop, then lets requests in flight and jobs end.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) {
        let Self {
            registry,
            metrics,
            config,
        } = self;
        let jobs = TaskTracker::new();
        let every = config.uploads.sweep_every.duration();
        jobs.spawn(sweep::run(Arc::clone(&registry), every, shutdown.token()));

        let state = http::State {
            registry: Arc::clone(&registry),
            authorizer: Arc::new(Open),
            metrics,
            stopping: shutdown.token(),
            settings: http::Settings {
                manifest_limit: config.registry.manifest_limit.in_memory(),
                page_limit: config.registry.page_limit,
                min_bytes_per_second: config.server.min_bytes_per_second,
                metrics: config.metrics.enabled,
            },
        };
        let service = MapRequestLayer::new(repository_path::fold).layer(routes::all(state));
        let grace = config.server.shutdown_grace.duration();
        listener::serve(listener, service, &config.server, &shutdown).await;

        jobs.close();
        let ended = Shutdown::within(grace, async {
            registry.drained().await;
            jobs.wait().await;
        });
        if !ended.await {
            tracing::warn!("some work did not end in time");
        }
        tracing::info!("stopped");
    }
}
