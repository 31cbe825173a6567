//! A real NATS server with JetStream.

use std::process::Command;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, consumer};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::{endpoint, push, registry};
use crate::api::http::Client;
use crate::support::{Process, Registry, folder, tools, wait};

/// A server on a free port, with its data in a folder.
struct Nats {
    process: Option<Process>,
    command: Command,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Nats {
    fn start(options: &[&str]) -> Self {
        let folder = folder();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let mut command = Command::new(tools::find("nats-server"));
        command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]);
        command.arg(folder.path()).args(options);
        let mut nats = Self {
            process: None,
            command,
            port,
            _folder: folder,
        };
        nats.start_again();
        nats
    }

    fn start_again(&mut self) {
        self.process = Some(Process::start(&self.command));
        wait::until("nats-server", Duration::from_secs(10), || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    fn kill(&mut self) {
        self.process = None;
    }
}

/// The messages of a stream, once there are so many: their subjects, ids and documents.
async fn messages(
    url: &str,
    options: ConnectOptions,
    stream: &str,
    count: usize,
) -> Vec<(String, String, Value)> {
    let client = options.connect(url).await.expect("it connects");
    let context = jetstream::new(client);
    let stream = context.get_stream(stream).await.expect("a stream");
    let config = consumer::pull::OrderedConfig {
        ..consumer::pull::OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let mut messages = consumer.messages().await.expect("messages");
    let mut found = Vec::new();
    while found.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), messages.next());
        let message = next
            .await
            .expect("in time")
            .expect("more")
            .expect("a message");
        let headers = message.headers.as_ref().expect("headers");
        let id = headers.get("Nats-Msg-Id").expect("an id").to_string();
        let event = serde_json::from_slice(&message.payload).expect("JSON");
        found.push((message.subject.to_string(), id, event));
    }
    found
}

/// Waits until something was delivered.
fn delivered(registry: &Registry, name: &str) {
    wait::until("a delivery", Duration::from_secs(20), || {
        let told = registry
            .administer(["endpoint", "deliveries", name])
            .succeeds();
        told.contains("\tdelivered\t").then_some(())
    });
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work)
}

#[test]
fn events_go_to_a_stream_once() {
    let (registry, mut nats) = (registry(), Nats::start(&[]));
    let client = Client::new(registry.base());
    let url = format!("nats://127.0.0.1:{}", nats.port);
    endpoint(&registry, "nats", &url, &["--type", "*.pushed"]);
    let first = push(&client, "nats/app", "v1", "one");
    delivered(&registry, "nats");
    let told = block_on(messages(&url, ConnectOptions::new(), "WHARF", 1));
    assert_eq!(told[0].0, "wharf.image.pushed");
    assert_eq!(told[0].1, told[0].2["id"].as_str().expect("an id"));
    assert_eq!(told[0].2["data"]["image-digest"], first.as_str());

    // What is told again is in the stream once.
    registry
        .administer(["endpoint", "replay", "nats", "--after", "0"])
        .succeeds();
    wait::until("it was told again", Duration::from_secs(20), || {
        let told = registry
            .administer(["endpoint", "deliveries", "nats"])
            .succeeds();
        told.contains("there already").then_some(())
    });
    // While the server is away events wait.
    nats.kill();
    let second = push(&client, "nats/app", "v2", "two");
    std::thread::sleep(Duration::from_secs(1));
    nats.start_again();
    let told = block_on(messages(&url, ConnectOptions::new(), "WHARF", 2));
    assert_eq!(told[1].2["data"]["image-digest"], second.as_str());
}

#[test]
fn endpoints_with_and_without_a_prefix_share_a_server() {
    let (registry, nats) = (registry(), Nats::start(&[]));
    let client = Client::new(registry.base());
    let url = format!("nats://127.0.0.1:{}", nats.port);
    let options = ["--type", "*.pushed"];
    endpoint(&registry, "nats", &url, &options);
    endpoint(&registry, "prod", &format!("{url}/eu/prod"), &options);
    let digest = push(&client, "nats/shared", "v1", "one");
    let is_it = |told: &(String, String, Value), subject: &str| {
        assert_eq!(told.0, subject);
        assert_eq!(told.2["data"]["image-digest"], digest.as_str());
    };
    delivered(&registry, "nats");
    delivered(&registry, "prod");
    let told = block_on(messages(&url, ConnectOptions::new(), "WHARF", 1));
    is_it(&told[0], "wharf.image.pushed");
    let told = block_on(messages(&url, ConnectOptions::new(), "WHARF-eu-prod", 1));
    is_it(&told[0], "eu.prod.wharf.image.pushed");

    // In one stream neither takes the other's events for its own.
    let named = format!("{url}/more?stream=WHARF");
    endpoint(
        &registry,
        "more",
        &named,
        &["--after", "0", options[0], options[1]],
    );
    delivered(&registry, "more");
    let told = block_on(messages(&url, ConnectOptions::new(), "WHARF", 2));
    is_it(&told[1], "more.wharf.image.pushed");
    let window = block_on(async {
        let client = ConnectOptions::new().connect(&url).await;
        let context = jetstream::new(client.expect("it connects"));
        let stream = context.get_stream("WHARF").await.expect("a stream");
        stream.cached_info().config.duplicate_window
    });
    assert_eq!(window, Duration::from_secs(7200));
}

#[test]
fn a_prefix_a_stream_and_a_password_can_be_chosen() {
    let registry = registry();
    let nats = Nats::start(&["--user", "wharf", "--pass", "canary-nats-password"]);
    let client = Client::new(registry.base());
    let url = format!("nats://wharf@127.0.0.1:{}/prod?stream=EVENTS", nats.port);
    registry
        .administer(["endpoint", "add", "nats", &url, "--secret-stdin"])
        .env("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]")
        .stdin("canary-nats-password")
        .succeeds();
    push(&client, "nats/prod", "v1", "one");
    delivered(&registry, "nats");
    let (user, password) = ("wharf".to_owned(), "canary-nats-password".to_owned());
    let options = ConnectOptions::with_user_and_password(user, password);
    let told = block_on(messages(&url, options, "EVENTS", 2));
    assert_eq!(told[0].0, "prod.wharf.repository.created");
    assert_eq!(told[1].0, "prod.wharf.image.pushed");
    let listed = registry.administer(["endpoint", "list"]).succeeds();
    assert!(!listed.contains("canary"), "{listed}");
}
