//! All parts together: opened in order, adopted, followed, served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use http::StatusCode;
use http::request::Parts;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::apigateway::Gateway;
use crate::aws::{self, Names};
use crate::batch::Batch;
use crate::config::Config;
use crate::ecs::Ecs;
use crate::engine::{self, Engine, Pulls};
use crate::ground::Ground;
use crate::lambda::Lambda;
use crate::lightsail::Lightsail;
use crate::registry::{self, Client, Follower, Leases};
use crate::rules::Rules;
use crate::store::{self, Store};

/// How many events may wait for a slow follower.
const WAITING: usize = 4096;
/// How long the end may take.
const GRACE: Duration = Duration::from_secs(10);

/// Why the runner can't start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The address can't be listened on.
    #[error("failed to listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The state can't be opened.
    #[error("failed to open the state")]
    Store(#[from] store::Error),
    /// The engine can't be used.
    #[error("failed to reach the container engine")]
    Engine(#[from] engine::Error),
    /// The registry's address can't be used.
    #[error("failed to make a client of the registry: {0}")]
    Registry(String),
    /// What was kept can't be taken up again.
    #[error("failed to take up what was there: {0}")]
    Resume(String),
}

impl From<registry::Error> for Error {
    fn from(error: registry::Error) -> Self {
        Self::Registry(error.to_string())
    }
}

impl From<aws::Error> for Error {
    fn from(error: aws::Error) -> Self {
        Self::Resume(error.to_string())
    }
}

/// The services behind the front door.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) config: Arc<Config>,
    pub(crate) ecs: Ecs,
    pub(crate) lambda: Lambda,
    pub(crate) batch: Batch,
    pub(crate) rules: Rules,
    pub(crate) gateway: Gateway,
    pub(crate) lightsail: Lightsail,
}

impl Services {
    /// Serves a host of its own: a function URL or an HTTP API.
    pub(crate) async fn hosted(
        &self,
        (kind, id): &(String, String),
        parts: Parts,
        body: Body,
    ) -> Response {
        match kind.as_str() {
            "lambda-url" => self.lambda.serve_url(id, parts, body).await,
            "execute-api" => self.gateway.serve(id, parts, body).await,
            _ => (StatusCode::NOT_FOUND, "there is no such host here\n").into_response(),
        }
    }
}

/// The running program.
#[derive(Debug)]
pub(crate) struct App {
    address: SocketAddr,
    tracker: TaskTracker,
    services: Arc<Services>,
}

impl App {
    /// Starts everything.
    ///
    /// # Errors
    ///
    /// When the state, the engine or the address can't be used.
    pub(crate) async fn start(config: Config, stop: CancellationToken) -> Result<Self, Error> {
        let listen = config.server.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| Error::Listen(listen, error))?;
        let address = listener
            .local_addr()
            .map_err(|error| Error::Listen(listen, error))?;
        let ground = ground(config, address, &stop).await?;
        let tracker = ground.tracker.clone();
        let services = Arc::new(services(&ground).await?);
        adopt(&ground, &services).await?;
        follow(&ground, &services).await?;
        let router = aws::door::router(Arc::clone(&services));
        tracker.spawn(async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            let served = axum::serve(listener.tap_io(at_once), service)
                .with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = served.await {
                tracing::error!(%error, "the listener ended");
            }
        });
        Ok(Self {
            address,
            tracker,
            services,
        })
    }

    /// Where it listens.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until all that goes on in the background has ended.
    pub(crate) async fn finish(self) {
        // Instances of functions can't go on without us.
        self.services.lambda.end_instances().await;
        self.tracker.close();
        // What doesn't end by itself ends with the process.
        let _ = tokio::time::timeout(GRACE, self.tracker.wait()).await;
    }
}

async fn ground(
    config: Config,
    address: SocketAddr,
    stop: &CancellationToken,
) -> Result<Ground, Error> {
    let registry = Client::new(&config)?;
    Ok(Ground {
        names: Names::new(&config.aws.account_id, &config.aws.region),
        store: Store::open(&config.server.data)?,
        engine: Engine::connect(&config.engine).await?,
        leases: Leases::new(&registry),
        registry,
        pulls: Pulls::default(),
        address,
        stop: stop.clone(),
        tracker: TaskTracker::new(),
        config: Arc::new(config),
    })
}

async fn services(ground: &Ground) -> Result<Services, Error> {
    let ecs = Ecs::open(ground).await?;
    let lambda = Lambda::open(ground).await?;
    let batch = Batch::open(ground).await?;
    Ok(Services {
        config: Arc::clone(&ground.config),
        rules: Rules::open(ground, &ecs, &lambda, &batch).await?,
        gateway: Gateway::open(ground, &lambda).await?,
        lightsail: Lightsail::open(ground, &ecs).await?,
        ecs,
        lambda,
        batch,
    })
}

/// Takes up what an earlier runner left in the engine, and removes what belongs to nothing.
async fn adopt(ground: &Ground, services: &Services) -> Result<(), Error> {
    let found = ground.engine.ours().await?;
    let mut needless = services.ecs.adopt(&found).await?;
    needless.extend(services.batch.adopt(&found).await?);
    // An instance of a function talked to the runner before this one.
    let is_instance = |found: &&engine::Found| {
        found
            .labels
            .get(engine::ROLE)
            .is_some_and(|role| role == "function")
    };
    needless.extend(
        found
            .iter()
            .filter(is_instance)
            .map(|found| found.id.clone()),
    );
    for id in &needless {
        if let Err(error) = ground.engine.remove(id).await {
            tracing::warn!(%error, container = id, "a container that belongs to nothing can't be removed");
        }
    }
    tracing::info!(
        containers = found.len(),
        removed = needless.len(),
        "looked at what the engine has"
    );
    services.ecs.resume().await?;
    services.lambda.resume().await;
    ground.tracker.spawn(services.batch.clone().schedule());
    services.rules.resume();
    ground.tracker.spawn(services.ecs.clone().forget());
    ground.tracker.spawn(services.batch.clone().forget());
    ground.tracker.spawn(ground.clone().forget_logs());
    Ok(())
}

/// Follows the registry's events, and keeps the leases.
async fn follow(ground: &Ground, services: &Services) -> Result<(), Error> {
    let (told, _) = broadcast::channel(WAITING);
    let registry = &ground.config.registry;
    let (tracker, stop) = (&ground.tracker, &ground.stop);
    tracker.spawn(services.ecs.clone().follow(told.subscribe()));
    tracker.spawn(services.ecs.clone().prefetch(told.subscribe()));
    tracker.spawn(services.lambda.clone().follow(told.subscribe()));
    let rules = services.rules.clone();
    let handler: registry::Handler = Box::new(move |event| {
        let rules = rules.clone();
        Box::pin(async move { rules.pushed(&event).await })
    });
    let follower = Follower::open(&ground.registry, &ground.store, told, handler).await?;
    tracker.spawn(follower.run(registry.look_every.duration(), stop.clone()));
    let leases = ground.leases.clone();
    tracker.spawn(leases.run(registry.lease_term.duration(), stop.clone()));
    Ok(())
}

/// Small answers don't wait for others.
fn at_once(stream: &mut TcpStream) {
    let _ = stream.set_nodelay(true);
}
