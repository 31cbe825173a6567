//! The server put together from its parts.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Layer as _;
use tower::util::MapRequestLayer;
use uuid::Uuid;
use wharf_auth::administration::{self, Administration, Created};
use wharf_auth::authority::{self, Authority, Enforcement};
use wharf_auth::directory::Directory;
use wharf_auth::oidc::Fetcher;
use wharf_auth::seal::{self, Sealer};
use wharf_storage::blob::BlobStore;
use wharf_storage::clock::{Clock, SystemClock};
use wharf_storage::disk::{self, DiskStore, FolderLock};
use wharf_storage::metadata::postgres::{self, Postgres};
use wharf_storage::metadata::sqlite::{self, Sqlite};
use wharf_storage::metadata::{self, Creation, Database, Metadata, Replace};
use wharf_storage::record::RecordStore;
use wharf_storage::s3::{self, S3Store};
use wharf_storage::upload::UploadStore;

use crate::audit;
use crate::config::Config;
use crate::events::{self, Dispatcher, Endpoints, Feed};
use crate::http::listener::tls::{self, Tls};
use crate::http::{self, listener, repository_path, routes};
use crate::jobs::{collection, lifecycle, records, refresh, scrub, sweep};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::registry::{
    self, Collector, Graces, Lifecycles, Rebuilder, Recorder, Registry, Scrubber,
};
use crate::shutdown::Shutdown;
use crate::transfer::adopt::{self, Adopter};

/// Why the server can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder can't be used.
    #[error("the data folder can not be used")]
    Disk(#[from] disk::OpenError),
    /// The bucket can't be used.
    #[error("the bucket can not be used")]
    Bucket(#[from] s3::OpenError),
    /// The database can't be used.
    #[error("the metadata can not be used")]
    Database(#[from] sqlite::OpenError),
    /// The PostgreSQL database can't be used.
    #[error("the metadata can not be used")]
    Postgres(#[from] postgres::OpenError),
    /// The server's key can't be used.
    #[error("the server's key can not be used")]
    Key(#[from] seal::KeyError),
    /// There is nothing in the folder.
    #[error("there is no registry in {}: wharf serve makes one", .0.display())]
    NoRegistry(PathBuf),
    /// The server's key is gone.
    #[error(
        "the server's key {} is missing, and what the database holds is sealed with it: put it back, \
         or give up what it sealed with wharf key drop-unreadable",
        .0.display()
    )]
    KeyLost(PathBuf),
    /// What lies sealed in the database could not be opened: it was set up with another key.
    #[error(
        "the database was set up with another key than the one in {}: servers and command lines on \
         one database share one key (auth.secret_key_file); where that one is lost, wharf key \
          drop-unreadable gives up what it sealed",
        .0.display()
    )]
    OtherKey(PathBuf),
    /// The first principals can't be made.
    #[error("failed to set up who may do what")]
    Administration(#[from] administration::Error),
    /// The metadata can't be read.
    #[error("failed to read the metadata")]
    Metadata(#[from] metadata::Error),
    /// Certificates can't be used.
    #[error("TLS can not be set up")]
    Tls(#[from] tls::Error),
    /// Requests to the outside can't be made.
    #[error("failed to set up requests to the outside")]
    Outbound(#[from] reqwest::Error),
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

/// What the server and the command line open alike: the metadata and the server's key.
#[derive(Clone, Debug)]
pub struct Office {
    /// The metadata.
    pub metadata: Metadata,
    /// The server's key.
    pub sealer: Arc<Sealer>,
    /// Who makes and removes principals, keys and policies.
    pub administration: Administration,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where the server's key lies.
    key_path: PathBuf,
}

/// What is made where it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Nothing: there is a registry.
    Existing,
    /// The database and the server's key, as at a first start. What lies there sealed has to be
    /// opened by the key.
    New,
    /// The server's key alone, whatever is sealed with the one that was lost.
    NewKey,
}

/// The document that tells whether a server has the key that the database was set up with.
const KEY_CHECK: (&str, &str) = ("server", "key-check");

impl Office {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// When the database or the key can't be used.
    pub async fn open(config: &Config, opening: Opening) -> Result<Self, Error> {
        let database: Arc<dyn Database> = match config.database.postgres() {
            None => {
                let path = config.database_path();
                if opening != Opening::New && !path.exists() {
                    return Err(Error::NoRegistry(config.data().to_owned()));
                }
                Arc::new(Sqlite::open(&path)?)
            }
            Some(settings) => {
                let settings = settings.map_err(postgres::OpenError::Address)?;
                Arc::new(Postgres::open(settings)?)
            }
        };
        let metadata = Metadata::new(database);
        let sealer = Arc::new(sealer(config, opening, &metadata).await?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let administration =
            Administration::new(metadata.clone(), Arc::clone(&sealer), Arc::clone(&clock));
        let office = Self {
            metadata,
            sealer,
            administration,
            clock,
            key_path: config.secret_key_path(),
        };
        match opening {
            Opening::New => {
                office.administration.check_key().await?;
                office.confirm_key().await?;
            }
            Opening::Existing => office.confirm_key().await?,
            Opening::NewKey => {}
        }
        Ok(office)
    }

    /// Gives up what another key sealed, so that this one is the database's, and tells the names of
    /// what is gone.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn take_over(&self) -> Result<Vec<String>, Error> {
        let dropped = self.administration.drop_unreadable().await?;
        let (kind, key) = KEY_CHECK;
        let (replace, now) = (Replace::Allowed, self.clock.now());
        let sealed = self.sealed_check();
        let put = self.metadata.put_document(kind, key, &sealed, replace, now);
        put.await?;
        Ok(dropped)
    }

    fn sealed_check(&self) -> String {
        let (kind, key) = KEY_CHECK;
        BASE64_STANDARD.encode(self.sealer.seal(key, kind.as_bytes()))
    }

    /// Looks whether the server's key is the one that this database was set up with; the first
    /// server sets it up. With another key nothing that is sealed could be opened, and what is
    /// sealed with it nobody else could open.
    ///
    /// # Errors
    ///
    /// When it is another one, or the database fails.
    async fn confirm_key(&self) -> Result<(), Error> {
        let (kind, key) = KEY_CHECK;
        let found = self.metadata.document(kind, key).await?;
        let found = match found {
            Some(document) => document,
            None => {
                let sealed = self.sealed_check();
                let (never, now) = (Replace::Never, self.clock.now());
                let put = self.metadata.put_document(kind, key, &sealed, never, now);
                put.await?;
                // Another server may have been faster.
                let found = self.metadata.document(kind, key).await?;
                found.ok_or_else(|| Error::OtherKey(self.key_path.clone()))?
            }
        };
        let sealed = BASE64_STANDARD.decode(found.text).unwrap_or_default();
        match self.sealer.open(key, &sealed) {
            Ok(_) => Ok(()),
            Err(seal::OpenError) => Err(Error::OtherKey(self.key_path.clone())),
        }
    }
}

/// Where blobs and uploads lie.
#[derive(Debug)]
struct Stores {
    blobs: Arc<dyn BlobStore>,
    uploads: Arc<dyn UploadStore>,
    records: Arc<dyn RecordStore>,
    /// Where they are in a bucket, the data folder still has the rest.
    _lock: Option<FolderLock>,
}

impl Stores {
    /// The stores, for the server that has the data folder.
    async fn open(config: &Config) -> Result<Self, Error> {
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
    async fn beside(config: &Config) -> Result<Self, Error> {
        Ok(match config.s3.is_on() {
            true => Self::of(S3Store::open(bucket(config)).await?),
            false => Self::of(DiskStore::beside(config.data())),
        })
    }

    fn of<S>(store: S) -> Self
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

fn bucket(config: &Config) -> s3::Settings {
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

/// The server's key. A new one is made only where nothing is lost with the one before.
async fn sealer(config: &Config, opening: Opening, metadata: &Metadata) -> Result<Sealer, Error> {
    let path = config.secret_key_path();
    let (kind, key) = KEY_CHECK;
    let is_set_up = metadata.document(kind, key).await?.is_some();
    if path.exists() {
        // One that nothing was sealed with may be what a crash left, and not be durable.
        return Ok(match opening == Opening::New && !is_set_up {
            true => Sealer::load_or_create(&path)?,
            false => Sealer::load(&path)?,
        });
    }
    let records = metadata.access_records().await?;
    let is_lost = is_set_up || !records.signing_keys.is_empty() || !records.access_keys.is_empty();
    match opening {
        Opening::NewKey => Ok(Sealer::load_or_create(&path)?),
        Opening::New if !is_lost => Ok(Sealer::load_or_create(&path)?),
        Opening::New | Opening::Existing => Err(Error::KeyLost(path)),
    }
}

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
        let registry = Arc::new(registry(config, &office, &stores));
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
            authority: Arc::new(authority(config, &office, &outbound).await?),
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

impl App {
    /// Starts the collection of what nothing needs, where it is wanted.
    fn collect(&self, jobs: &TaskTracker, stop: CancellationToken) {
        let gc = &self.config.gc;
        let (every, grace) = (gc.run_every.duration(), gc.grace.duration());
        if every.is_zero() {
            return;
        }
        let instance = Arc::clone(&self.instance);
        let collector = collector(&self.config, &self.office, instance);
        let clock = Arc::clone(&self.office.clock);
        jobs.spawn(async move {
            collection::run(collector, &*clock, every, grace, stop).await;
        });
    }

    /// Who keeps records beside the bytes.
    fn recorder(&self) -> Recorder {
        let Office {
            metadata, clock, ..
        } = &self.office;
        Recorder::new(
            metadata.clone(),
            Arc::clone(&self.stores.records),
            Arc::clone(clock),
            Arc::clone(&self.instance),
        )
    }

    /// Starts to read all bytes again from time to time, where it is wanted.
    fn scrub(&self, jobs: &TaskTracker, stop: CancellationToken) {
        let config = &self.config.scrub;
        let every = config.run_every.duration();
        if every.is_zero() {
            return;
        }
        let (blobs, instance) = (Arc::clone(&self.stores.blobs), Arc::clone(&self.instance));
        let rate = config.bytes_per_second.bytes();
        let scrubber = scrubber(&self.office, blobs, instance, rate);
        let clock = Arc::clone(&self.office.clock);
        jobs.spawn(async move { scrub::run(scrubber, &*clock, every, stop).await });
    }

    /// Who delivers events.
    fn dispatcher(&self) -> Dispatcher {
        let events = &self.config.events;
        Dispatcher {
            metadata: self.office.metadata.clone(),
            feed: Arc::clone(&self.feed),
            sealer: Arc::clone(&self.office.sealer),
            outbound: Arc::clone(&self.outbound),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.office.clock),
            origin: Arc::new(origin(&self.config, &self.instance)),
            holder: Arc::clone(&self.instance),
            settings: events::dispatcher::Settings {
                keep: events.keep.duration(),
                keep_bytes: events.keep_size.bytes(),
                give_up_after: events.give_up_after.duration(),
            },
        }
    }

    /// What the handlers share, and who writes the audit log behind them.
    pub(crate) fn doors(&self, stopping: CancellationToken) -> (http::State, audit::Writer) {
        let (config, office) = (&self.config, &self.office);
        let (audit, writer) = audit::open(
            office.metadata.clone(),
            Arc::clone(&office.clock),
            config.audit.reads,
            config.audit.keep.duration(),
        );
        let external_url = &config.server.external_url;
        let settings = http::Settings {
            no_redirect_for: config.s3.no_redirect_for.clone(),
            manifest_limit: config.registry.manifest_limit.in_memory(),
            page_limit: config.registry.page_limit,
            min_bytes_per_second: config.server.min_bytes_per_second,
            metrics: config.metrics.enabled,
            external_url: (!external_url.is_empty()).then(|| external_url.clone()),
            trusted_proxies: config.server.trusted_proxies.clone(),
            ecr: http::ecr::Settings {
                account_id: config.ecr.account_id.clone(),
                region: config.ecr.region.clone(),
                host: config.ecr.host.as_str().into(),
            },
        };
        let state = http::State::new(http::Doors {
            registry: Arc::clone(&self.registry),
            authority: Arc::clone(&self.authority),
            administration: office.administration.clone(),
            metadata: office.metadata.clone(),
            audit,
            clock: Arc::clone(&office.clock),
            feed: Arc::clone(&self.feed),
            endpoints: Endpoints::new(
                office.metadata.clone(),
                Arc::clone(&office.sealer),
                Arc::clone(&self.outbound),
                Arc::clone(&office.clock),
            ),
            origin: Arc::new(origin(&self.config, &self.instance)),
            sealer: Arc::clone(&office.sealer),
            metrics: Arc::clone(&self.metrics),
            stopping,
            settings: Arc::new(settings),
        });
        (state, writer)
    }
}

/// The registry that events tell of, told by a process of this name.
pub(crate) fn origin(config: &Config, instance: &str) -> events::Origin {
    let ecr = &config.ecr;
    let url = match (config.server.external_url.as_str(), ecr.host.as_str()) {
        ("", "") => String::new(),
        ("", host) => {
            let host = host.replace("{account}", &ecr.account_id);
            format!("https://{}", host.replace("{region}", &ecr.region))
        }
        (url, _) => url.trim_end_matches('/').to_owned(),
    };
    events::Origin {
        account: ecr.account_id.clone(),
        region: ecr.region.clone(),
        url,
        instance: instance.to_owned(),
    }
}

/// Who collects what nothing needs, as a process of this name.
pub(crate) fn collector(config: &Config, office: &Office, holder: Arc<str>) -> Collector {
    let gc = &config.gc;
    let graces = Graces {
        trash: gc.keep_deleted.duration(),
        review: gc.grace.duration(),
        condemned: gc.keep_condemned.duration(),
    };
    let clock = Arc::clone(&office.clock);
    Collector::new(office.metadata.clone(), clock, graces, holder)
}

/// Who reads all bytes again, as a process of this name.
pub(crate) fn scrubber(
    office: &Office,
    blobs: Arc<dyn BlobStore>,
    holder: Arc<str>,
    bytes_per_second: u64,
) -> Scrubber {
    let (metadata, clock) = (office.metadata.clone(), Arc::clone(&office.clock));
    Scrubber::new(metadata, blobs, clock, holder, bytes_per_second)
}

/// Who makes a lost database anew.
///
/// # Errors
///
/// When the stores can't be used.
pub(crate) async fn rebuilder(office: &Office, config: &Config) -> Result<Rebuilder, Error> {
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
pub(crate) async fn blobs_to_read(config: &Config) -> Result<Arc<dyn BlobStore>, Error> {
    Ok(Stores::beside(config).await?.blobs)
}

/// The registry on its stores, for working beside a server that runs, or without one.
///
/// # Errors
///
/// When the stores can't be used.
pub(crate) async fn registry_beside(config: &Config, office: &Office) -> Result<Registry, Error> {
    let stores = match config.s3.is_on() {
        true => Stores::beside(config).await?,
        false => Stores::of(DiskStore::beside_to_write(config.data())?),
    };
    Ok(registry(config, office, &stores))
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
    let stores = match config.s3.is_on() {
        true => Stores::beside(config).await?,
        false => match Stores::open(config).await {
            Err(Error::Disk(disk::OpenError::Locked(_))) => return Ok(None),
            stores => stores?,
        },
    };
    let swept = registry(config, office, &stores).sweep().await?;
    Ok(Some(swept.removals))
}

fn registry(config: &Config, office: &Office, stores: &Stores) -> Registry {
    let settings = registry::Settings {
        creation: match config.registry.create_on_push {
            true => Creation::Allowed,
            false => Creation::Forbidden,
        },
        missing_content: config.registry.missing_content.into(),
        uploads_per_principal: config.uploads.open_per_principal,
        upload_expiry: config.uploads.expire_after.duration(),
        grace: config.gc.grace.duration(),
        default_lifecycle_policy: match config.lifecycle.default_policy.as_str() {
            "" => None,
            policy => Some(policy.to_owned()),
        },
        redirects: {
            let s3 = &config.s3;
            (s3.is_on() && s3.redirect).then(|| s3.redirect_lifetime.duration())
        },
    };
    Registry::new(
        office.metadata.clone(),
        Arc::clone(&stores.blobs),
        Arc::clone(&stores.uploads),
        Arc::clone(&office.clock),
        settings,
    )
}

async fn authority(
    config: &Config,
    office: &Office,
    outbound: &Arc<Outbound>,
) -> Result<Authority, Error> {
    let auth = &config.auth;
    let directory = Directory::load(office.metadata.clone(), Arc::clone(&office.sealer)).await?;
    let settings = authority::Settings {
        enforcement: match auth.enabled {
            true => Enforcement::Policies,
            false => Enforcement::Open,
        },
        service: auth.service.clone(),
        access_lifetime: auth.token_lifetime.duration(),
        refresh_lifetime: auth.refresh_lifetime.duration(),
        login_lifetime: auth.login_lifetime.duration(),
        session_lifetime: auth.session_lifetime.duration(),
        calls_per_principal: auth.requests_per_principal,
        calls_per_address: auth.requests_per_address,
    };
    Ok(Authority::new(
        directory,
        Arc::clone(&office.sealer),
        Arc::clone(&office.clock),
        Arc::clone(outbound) as Arc<dyn Fetcher>,
        settings,
    ))
}
