//! The server put together from its parts.
//!
//! | module | job |
//! |---|---|
//! | `office` | the metadata and the server's key, which commands open too |
//! | `stores` | where blobs, uploads and records lie |
//! | `pairing` | that a database and a data folder belong together |
//! | `parts` | the parts of the server, made from the configuration |
//! | `beside` | what commands open beside a server that runs |
//! | `error` | why the server can't start |

mod beside;
mod error;
mod office;
mod pairing;
mod parts;
mod stores;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tower::Layer as _;
use tower::util::MapRequestLayer;
use uuid::Uuid;
use wharf_auth::administration::Created;
use wharf_auth::authority::Authority;

use crate::config::Config;
use crate::events::Feed;
use crate::http::listener::tls::Tls;
use crate::http::{listener, repository_path, routes};
use crate::jobs::{lifecycle, records, refresh, sweep};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::registry::{Lifecycles, Registry};
use crate::shutdown::Shutdown;
use stores::Stores;

pub(crate) use beside::{
    OldPlace, adopter, blobs_to_read, rebuilder, registry_beside, remove_needless_bytes,
};
pub use error::Error;
pub use office::{Office, Opening};
pub(crate) use parts::{collector, origin, scrubber};

/// A registry with its doors, ready to serve.
#[derive(Debug)]
pub struct App {
    registry: Arc<Registry>,
    stores: Stores,
    metrics: Arc<Metrics>,
    authority: Arc<Authority>,
    feed: Arc<Feed>,
    outbound: Arc<Outbound>,
    office: Office,
    tls: Option<Arc<Tls>>,
    first_administrator: Option<Created>,
    /// The name of this process, which no other one has.
    instance: Arc<str>,
    config: Config,
}

impl App {
    /// Opens the stores, and puts in order what an earlier run left.
    ///
    /// # Errors
    ///
    /// When a store can't be used.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let stores = Stores::open(config).await?;
        let office = Office::open(config, Opening::New).await?;
        pairing::confirm(config, &office).await?;
        let registry = Arc::new(parts::registry(config, &office, &stores));
        sweep::report(registry.sweep_at_start().await?);
        office.administration.first_signing_key().await?;
        let first_administrator = match config.auth.enabled {
            true => office.administration.first_administrator().await?,
            false => None,
        };
        let tls = match config.tls.is_on() {
            true => Some(Arc::new(Tls::load(&config.tls)?)),
            false => None,
        };
        let outbound = Arc::new(Outbound::new(config.outbound.allow.clone())?);
        Ok(Self {
            registry,
            stores,
            metrics: Arc::new(Metrics::new()),
            authority: Arc::new(parts::authority(config, &office, &outbound).await?),
            feed: Arc::new(Feed::open(office.metadata.clone()).await?),
            outbound,
            office,
            tls,
            first_administrator,
            instance: Uuid::now_v7().to_string().into(),
            config: config.clone(),
        })
    }

    /// The administrator that was made at this start, with its password, which is told once.
    #[must_use]
    pub fn first_administrator(&self) -> Option<&Created> {
        self.first_administrator.as_ref()
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
        let config = &self.config;
        let jobs = TaskTracker::new();
        let registry = Arc::clone(&self.registry);
        let every = config.uploads.sweep_every.duration();
        jobs.spawn(sweep::run(registry, every, shutdown.token()));
        let every = config.lifecycle.run_every.duration();
        let lifecycles =
            Lifecycles::new(self.office.metadata.clone(), Arc::clone(&self.office.clock));
        jobs.spawn(lifecycle::run(lifecycles, every, shutdown.token()));
        self.collect(&jobs, shutdown.token());
        self.scrub(&jobs, shutdown.token());
        if self.config.storage.records {
            jobs.spawn(records::run(self.recorder(), shutdown.token()));
        }
        let registry = Arc::clone(&self.registry);
        jobs.spawn(lifecycle::record_pulls(registry, shutdown.token()));
        let every = config.auth.refresh_every.duration();
        jobs.spawn(refresh::run(
            Arc::clone(&self.authority),
            every,
            shutdown.token(),
        ));
        if let Some(tls) = &self.tls {
            jobs.spawn(Arc::clone(tls).keep_fresh(shutdown.token()));
        }
        let feed = Arc::clone(&self.feed);
        let stop = shutdown.token();
        jobs.spawn(async move { feed.follow(stop).await });
        jobs.spawn(self.dispatcher().run(shutdown.token()));
        let (state, writer) = self.doors(shutdown.token());
        jobs.spawn(writer.run(shutdown.token()));
        let service = MapRequestLayer::new(repository_path::fold).layer(routes::all(state));
        let grace = config.server.shutdown_grace.duration();
        let tls = self.tls.clone();
        listener::serve(listener, service, &config.server, tls, &shutdown).await;

        jobs.close();
        let ended = Shutdown::within(grace, async {
            self.registry.drained().await;
            jobs.wait().await;
        });
        if !ended.await {
            tracing::warn!("some work did not end in time");
        }
        tracing::info!("stopped");
    }
}
