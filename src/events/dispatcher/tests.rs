//! Who delivers, and what a target costs that is down for long.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use tokio::net::TcpListener;
use wharf_storage::clock::SystemClock;
use wharf_storage::metadata::sqlite::Sqlite;
use wharf_storage::metadata::{Change, Pull, Pulled, RepositorySettings};

use super::*;
use crate::events::Endpoints;
use crate::events::endpoints::Description;

/// A server with an endpoint's deliveries: how often each id came.
struct Target {
    url: String,
    came: Arc<Mutex<HashMap<String, u32>>>,
    is_up: Arc<AtomicBool>,
}

impl Target {
    async fn start(is_up: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let came: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
        let is_up = Arc::new(AtomicBool::new(is_up));
        let (known, up) = (Arc::clone(&came), Arc::clone(&is_up));
        let take = move |headers: http::HeaderMap| {
            let (known, up) = (Arc::clone(&known), Arc::clone(&up));
            async move {
                if !up.load(Ordering::SeqCst) {
                    return StatusCode::SERVICE_UNAVAILABLE;
                }
                let id = headers["webhook-id"].to_str().expect("a text").to_owned();
                *known.lock().expect("not poisoned").entry(id).or_default() += 1;
                StatusCode::NO_CONTENT
            }
        };
        let router = axum::Router::new().route("/", axum::routing::post(take));
        let serve = hyper_util::service::TowerToHyperService::new(router);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = hyper_util::rt::TokioIo::new(stream);
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(stream, serve.clone()));
            }
        });
        Self {
            url: format!("http://{address}/"),
            came,
            is_up,
        }
    }

    fn came(&self) -> HashMap<String, u32> {
        self.came.lock().expect("not poisoned").clone()
    }
}

/// What servers share.
struct Shared {
    metadata: Metadata,
    sealer: Arc<Sealer>,
    outbound: Arc<Outbound>,
    clock: Arc<dyn Clock>,
    _folder: tempfile::TempDir,
}

impl Shared {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Sqlite::open(&folder.path().join("metadata.sqlite3")).expect("opened");
        let loopback = "127.0.0.0/8".parse().expect("a network");
        Self {
            metadata: Metadata::new(Arc::new(database)),
            sealer: Arc::new(Sealer::new(&[7; 32])),
            outbound: Arc::new(Outbound::new(vec![loopback]).expect("a client")),
            clock: Arc::new(SystemClock),
            _folder: folder,
        }
    }

    async fn endpoint(&self, stream: Stream, url: &str) {
        let endpoints = Endpoints::new(
            self.metadata.clone(),
            Arc::clone(&self.sealer),
            Arc::clone(&self.outbound),
            Arc::clone(&self.clock),
        );
        let description = Description {
            name: "hook".into(),
            url: url.into(),
            stream: Some(stream.as_str().into()),
            ..Description::default()
        };
        endpoints.add(description).await.expect("made");
    }

    /// A server that delivers: what stops it, and its task.
    async fn server(
        &self,
        name: &str,
        give_up_after: Duration,
    ) -> (CancellationToken, JoinHandle<()>) {
        let feed = Arc::new(Feed::open(self.metadata.clone()).await.expect("opened"));
        let dispatcher = Dispatcher {
            metadata: self.metadata.clone(),
            feed: Arc::clone(&feed),
            sealer: Arc::clone(&self.sealer),
            outbound: Arc::clone(&self.outbound),
            metrics: Arc::new(Metrics::new()),
            clock: Arc::clone(&self.clock),
            origin: Arc::new(Origin {
                account: "000000000000".into(),
                region: "us-east-1".into(),
                url: String::new(),
                instance: name.into(),
            }),
            holder: name.into(),
            settings: Settings {
                keep: Duration::from_secs(3600),
                keep_bytes: 1 << 30,
                give_up_after,
            },
        };
        let stop = CancellationToken::new();
        let (following, running) = (stop.clone(), stop.clone());
        let task = tokio::spawn(async move {
            tokio::join!(feed.follow(following), dispatcher.run(running));
        });
        (stop, task)
    }

    async fn change(&self, name: &str) {
        let name = name.parse().expect("a name");
        let change = Change::new("user/a", self.clock.now());
        let settings = RepositorySettings::default();
        let made = self
            .metadata
            .create_repository(&name, settings, None, change);
        made.await.expect("made").expect("it is new");
    }
}

async fn until(what: &str, limit: Duration, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_one_delivers_and_the_other_takes_over() {
    let (shared, target) = (Shared::new(), Target::start(true).await);
    shared.endpoint(Stream::Changes, &target.url).await;
    let days = Duration::from_secs(86_400);
    let first = shared.server("first", days).await;
    until(
        "the first one holds it",
        Duration::from_secs(5),
        async || {
            let endpoints = shared.metadata.endpoints().await.expect("read");
            endpoints[0].held.0 == "first"
        },
    )
    .await;
    let second = shared.server("second", days).await;
    for number in 0..50 {
        shared.change(&format!("lease/a{number}")).await;
    }
    let patience = Duration::from_secs(20);
    until("all came", patience, async || target.came().len() == 50).await;
    tokio::time::sleep(2 * LOOK_EVERY).await;
    assert!(target.came().values().all(|count| *count == 1));

    // A server that is killed gives nothing back. Its couriers are tasks of their own here.
    first.1.abort();
    first.0.cancel();
    for number in 0..50 {
        shared.change(&format!("lease/b{number}")).await;
    }
    let took = until(
        "the other one delivers",
        Duration::from_secs(10),
        async || {
            let endpoints = shared.metadata.endpoints().await.expect("read");
            target.came().len() == 100 && endpoints[0].held.0 == "second"
        },
    )
    .await;
    println!("taken over after {took:?}");
    second.0.cancel();
    second.1.await.expect("it ended");
    let endpoints = shared.metadata.endpoints().await.expect("read");
    assert_eq!(endpoints[0].held.0, "", "one that stops lets go");
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("it can be read");
    let pages: u64 = text
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("a number");
    pages * 4096
}

/// Row 15 of what has to hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_down_for_long_costs_no_memory_and_loses_nothing() {
    const EVENTS: u64 = 100_000;
    const RESENT: i64 = 2000;
    let (shared, target) = (Shared::new(), Target::start(false).await);
    shared.endpoint(Stream::Pulls, &target.url).await;
    for batch in 0..EVENTS / 1000 {
        let pulls = (0..1000).map(|number| {
            let digest = wharf_storage::oci::Digest::of(
                wharf_storage::oci::Algorithm::Sha256,
                &(batch * 1000 + number).to_be_bytes(),
            );
            let repository = format!("long/app-{}", number % 50).parse().expect("a name");
            let pulled = Pulled {
                at: shared.clock.now(),
                by: "user/a".into(),
                count: 1,
            };
            (Pull { repository, digest }, pulled)
        });
        let change = Change::new("registry", shared.clock.now());
        let recorded = shared.metadata.record_pulls(pulls.collect(), change).await;
        recorded.expect("recorded");
    }
    let before = resident_bytes();
    let server = shared.server("one", Duration::from_secs(1)).await;
    let mut most = before;
    until("all were given up", Duration::from_secs(180), async || {
        most = most.max(resident_bytes());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let endpoints = shared.metadata.endpoints().await.expect("read");
        endpoints[0].dead_letters == EVENTS
    })
    .await;
    let grown = most.saturating_sub(before) >> 20;
    println!("{EVENTS} events waited and were given up; memory grew by {grown} MiB");
    assert!(grown < 64, "{grown} MiB");
    assert!(target.came().is_empty());

    target.is_up.store(true, Ordering::SeqCst);
    let letters = shared.metadata.dead_letters("hook", 0, false, 10).await;
    let letters = letters.expect("read");
    assert_eq!(letters[0].reason, "it answers 503 Service Unavailable");
    for seq in 1..=RESENT {
        let now = shared.clock.now();
        let resent = shared.metadata.resend_dead_letters("hook", Some(seq), now);
        assert_eq!(resent.await.expect("resent"), 1);
    }
    until("they came", Duration::from_secs(120), async || {
        let endpoints = shared.metadata.endpoints().await.expect("read");
        endpoints[0].dead_letters == EVENTS - RESENT.unsigned_abs()
    })
    .await;
    let came = target.came();
    assert_eq!(came.len(), RESENT.unsigned_abs() as usize);
    assert!(came.contains_key(&letters[0].event.id));
    server.0.cancel();
    server.1.await.expect("it ended");
}
