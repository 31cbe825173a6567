//! Who delivers, of several servers.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use tokio::net::TcpListener;
use wharf_storage::clock::{SystemClock, Timestamp};
use wharf_storage::metadata::sqlite::Sqlite;
use wharf_storage::metadata::{
    Cause, Change, DeadLetter, EndpointProgress, Event, EventDetail, EventKind, Pull, Pulled,
    RepositorySettings,
};
use wharf_storage::oci::{Algorithm, Digest};

use super::*;
use crate::events::Endpoints;
use crate::events::endpoints::{Alteration, Description};

/// A server with an endpoint's deliveries: how often each id came.
struct Target {
    url: String,
    came: Arc<Mutex<HashMap<String, u32>>>,
}

impl Target {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let came: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
        let known = Arc::clone(&came);
        let take = move |headers: http::HeaderMap| {
            let known = Arc::clone(&known);
            async move {
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

    fn endpoints(&self) -> Endpoints {
        Endpoints::new(
            self.metadata.clone(),
            Arc::clone(&self.sealer),
            Arc::clone(&self.outbound),
            Arc::clone(&self.clock),
        )
    }

    async fn endpoint(&self, name: &str, url: &str) {
        let description = Description {
            name: name.into(),
            url: url.into(),
            ..Description::default()
        };
        self.endpoints().add(description).await.expect("made");
    }

    /// Gives an endpoint dead letters, all of which wait to be sent again.
    async fn letters(&self, endpoint: &str, count: i64) {
        let now = self.clock.now();
        let held = self.metadata.hold_endpoints("before", now, now.after(TERM));
        let held = held.await.expect("held");
        let known = held.iter().find(|known| known.name == endpoint);
        let known = known.expect("it is there");
        let progress = EndpointProgress {
            endpoint: endpoint.into(),
            revision: known.revision,
            cursor: known.cursor,
            deliveries: Vec::new(),
            dead: (1..=count).map(|seq| letter(seq, now)).collect(),
            resent: Vec::new(),
            disable: None,
        };
        let written = self
            .metadata
            .record_deliveries("before", vec![progress], now);
        written.await.expect("written");
        let released = self.metadata.release_endpoints("before");
        released.await.expect("released");
        let waiting = self.metadata.resend_dead_letters(endpoint, None, now);
        assert_eq!(waiting.await.expect("noted"), count.unsigned_abs());
    }

    async fn dispatcher(&self, name: &str) -> Dispatcher {
        let feed = Feed::open(self.metadata.clone()).await.expect("opened");
        Dispatcher {
            metadata: self.metadata.clone(),
            feed: Arc::new(feed),
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
                give_up_after: Duration::from_secs(86_400),
            },
        }
    }

    /// A server that delivers: what stops it, and its task.
    async fn server(&self, name: &str) -> (CancellationToken, JoinHandle<()>) {
        let dispatcher = self.dispatcher(name).await;
        let feed = Arc::clone(&dispatcher.feed);
        let stop = CancellationToken::new();
        let (following, running) = (stop.clone(), stop.clone());
        let task = tokio::spawn(async move {
            tokio::join!(feed.follow(following), dispatcher.run(running));
        });
        (stop, task)
    }

    /// Writes the events of pulls of long ago.
    async fn old_pulls(&self, count: u64) {
        let at = Timestamp::from_seconds(1_700_000_000);
        let pulls = (0..count).map(|number| {
            let pull = Pull {
                repository: "old/pulls".parse().expect("a name"),
                digest: Digest::of(Algorithm::Sha256, &number.to_be_bytes()),
            };
            let (by, count) = ("user/a".into(), 1);
            (pull, Pulled { at, by, count })
        });
        let change = Change::new("registry", at);
        let recorded = self.metadata.record_pulls(pulls.collect(), change);
        recorded.await.expect("recorded");
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

/// An event that was given up, each in a repository of its own.
fn letter(seq: i64, now: Timestamp) -> DeadLetter {
    DeadLetter {
        event: Event {
            stream: Stream::Changes,
            seq,
            id: format!("letter-{seq}"),
            at: now,
            kind: EventKind::ImagePushed,
            repository: Some(format!("letters/a{seq}").parse().expect("a name")),
            actor: "user/a".into(),
            cause: Cause::User,
            request_id: String::new(),
            detail: EventDetail::default(),
        },
        attempts: 10,
        reason: "it answers 503".into(),
        died_at: now,
        resend: false,
    }
}

/// A server that takes requests and never answers: its address, and how many came.
async fn silence() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let came: Arc<AtomicUsize> = Arc::default();
    let count = Arc::clone(&came);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            open.push(stream);
        }
    });
    (url, came)
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
    let (shared, target) = (Shared::new(), Target::start().await);
    shared.endpoint("hook", &target.url).await;
    let first = shared.server("first").await;
    until(
        "the first one holds it",
        Duration::from_secs(5),
        async || {
            let endpoints = shared.metadata.endpoints().await.expect("read");
            endpoints[0].held.0 == "first"
        },
    )
    .await;
    let second = shared.server("second").await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_to_a_target_that_hangs_hold_up_neither_others_nor_the_end() {
    let shared = Shared::new();
    let (url, came) = silence().await;
    shared.endpoint("hung", &url).await;
    shared.letters("hung", 24).await;
    let (stop, task) = shared.server("only").await;
    let limit = Duration::from_secs(5);
    until("it is asked", limit, async || {
        came.load(Ordering::SeqCst) > 0
    })
    .await;

    let target = Target::start().await;
    shared.endpoint("other", &target.url).await;
    let off = Alteration {
        enabled: Some(false),
        ..Alteration::default()
    };
    let endpoints = shared.endpoints();
    endpoints.change("hung", off).await.expect("changed");
    shared.change("letters/new").await;
    until("the other one is told", limit, async || {
        target.came().len() == 1
    })
    .await;
    // What is disabled is left alone, and the hold of the other one is renewed.
    let asked = came.load(Ordering::SeqCst);
    let from = shared.clock.now().after(TERM);
    until("its hold is renewed", 2 * TERM, async || {
        let other = endpoints.get("other").await.expect("it is there");
        other.held.0 == "only" && other.held.1 > from
    })
    .await;
    assert_eq!(came.load(Ordering::SeqCst), asked);

    let on = Alteration {
        enabled: Some(true),
        ..Alteration::default()
    };
    endpoints.change("hung", on).await.expect("changed");
    until("it is asked again", limit, async || {
        came.load(Ordering::SeqCst) > asked
    })
    .await;
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(3), task).await;
    ended.expect("it ends in time").expect("it ended");
    let letters = shared.metadata.dead_letters("hung", 0, true, 100);
    assert_eq!(letters.await.expect("read").len(), 24, "they wait still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_is_forgotten_by_and_by() {
    let shared = Shared::new();
    shared.old_pulls(2 * FORGET + 1).await;
    let dispatcher = shared.dispatcher("only").await;
    let left = async || {
        let found = shared.metadata.events(Stream::Pulls, 0, 1).await;
        let found = found.expect("read");
        found.head - found.oldest + 1
    };
    let ageing = Ageing::new(Arc::clone(&dispatcher.clock), Duration::ZERO);
    // There is no time, so it does one step and comes back.
    assert!(!dispatcher.tidy(&ageing, Instant::now()).await);
    assert_eq!(left().await.unsigned_abs(), FORGET + 1);
    assert!(!dispatcher.tidy(&ageing, Instant::now()).await);
    assert!(dispatcher.tidy(&ageing, Instant::now()).await);
    assert_eq!(left().await, 0);
}
