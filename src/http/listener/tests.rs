//! Connections over real sockets.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::config::Span;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    task: JoinHandle<()>,
    began: Arc<Semaphore>,
    finish: Arc<Semaphore>,
}

impl Server {
    /// A server with a route `/slow` that says in `began` that it has a request, and answers when
    /// there is a permit in `finish`.
    async fn start(change: impl FnOnce(&mut config::Server)) -> Self {
        let mut config = config::Server::default();
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let (began, finish) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let slow = {
            let (began, finish) = (Arc::clone(&began), Arc::clone(&finish));
            async move || {
                began.add_permits(1);
                finish.acquire().await.expect("it is never closed").forget();
                "done"
            }
        };
        let router = Router::new()
            .route("/", get("hello"))
            .route("/slow", get(slow));
        let shutdown = Shutdown::default();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { serve(listener, router, &config, None, &stop).await });
        Self {
            address,
            shutdown,
            task,
            began,
            finish,
        }
    }

    /// A connection on which this was sent.
    async fn say(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("the server listens");
        stream.write_all(text.as_bytes()).await.expect("it is sent");
        stream
    }

    /// A connection with a request that is being handled.
    async fn begin_slow_request(&self) -> TcpStream {
        let stream = self.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        self.began
            .acquire()
            .await
            .expect("it is never closed")
            .forget();
        stream
    }

    async fn stopped(self) {
        soon(self.task).await.expect("it ends well");
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it happens soon")
}

/// Everything until the server closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // A connection that is cut may end with a reset; what came before counts.
    let _ = soon(stream.read_to_string(&mut text)).await;
    text
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn connections_that_do_not_get_to_a_request_are_ended() {
    let short = Span::new(Duration::from_millis(50));
    let server = Server::start(|config| config.header_timeout = short).await;
    for beginning in ["", "G", "PRI * HT", "GET / HTTP/1.1\r\nHost:"] {
        assert_eq!(rest(server.say(beginning).await).await, "", "{beginning}");
    }
}

#[tokio::test]
async fn heads_over_the_limits_are_answered_with_431() {
    let server = Server::start(|_| {}).await;
    let long = format!("X: {}\r\n", "x".repeat(70_000));
    let many = "X: x\r\n".repeat(201);
    for headers in [long, many] {
        let answer = rest(
            server
                .say(&format!("GET / HTTP/1.1\r\n{headers}\r\n"))
                .await,
        )
        .await;
        assert_eq!(status(&answer), "431");
    }
    let enough = "X: x\r\n".repeat(190);
    let head = format!("GET / HTTP/1.1\r\nConnection: close\r\n{enough}\r\n");
    assert_eq!(status(&rest(server.say(&head).await).await), "200");
}

#[tokio::test]
async fn http2_is_spoken_with_the_same_limit_on_headers() {
    let server = Server::start(|_| {}).await;
    let stream = TcpStream::connect(server.address)
        .await
        .expect("the server listens");
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) = handshake.await.expect("HTTP/2 is spoken");
    let connection = tokio::spawn(connection);
    for (count, want) in [(100, 200), (201, 431)] {
        let mut request = Request::get("http://host/");
        for number in 0..count {
            request = request.header(format!("x-{number}"), "x");
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = soon(client.send_request(request)).await.expect("an answer");
        assert_eq!(response.status(), want);
        let body = response.into_body().collect().await.expect("a body");
        let is_told = body.to_bytes().starts_with(b"{\"errors\":[{\"code\"");
        assert_eq!(is_told, want == 431);
    }
    drop(client);
    soon(connection)
        .await
        .expect("no panic")
        .expect("it ends well");
}

#[tokio::test]
async fn a_drain_finishes_requests_and_ends_idle_connections() {
    let server = Server::start(|_| {}).await;
    let slow = server.begin_slow_request().await;
    let mut idle = server.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answered = [0; 12];
    soon(idle.read_exact(&mut answered))
        .await
        .expect("an answer");
    server.shutdown.token().cancel();
    rest(idle).await;
    server.finish.add_permits(1);
    assert!(rest(slow).await.ends_with("done"));
    server.stopped().await;
}

#[tokio::test]
async fn a_request_that_is_under_way_at_the_stop_is_answered_as_the_last() {
    let server = Server::start(|_| {}).await;
    let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut busy = server.say(request).await;
    assert!(!hello(&mut busy).await.contains("connection: close"));
    let resting = server.say("").await;
    server.shutdown.token().cancel();
    tokio::time::sleep(LINGER / 5).await;
    for mut stream in [busy, resting] {
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it is sent");
        let answer = rest(stream).await;
        assert_eq!(status(&answer), "200");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_request_that_outlasts_the_grace_is_cut() {
    let none = Span::new(Duration::ZERO);
    let server = Server::start(|config| config.shutdown_grace = none).await;
    let slow = server.begin_slow_request().await;
    server.shutdown.token().cancel();
    server.stopped().await;
    assert_eq!(rest(slow).await, "");
}

#[tokio::test]
async fn a_connection_over_the_limit_waits_for_a_place() {
    let server = Server::start(|config| config.max_connections = 1).await;
    let first = server.begin_slow_request().await;
    let second = server
        .say("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;
    let second = tokio::spawn(rest(second));
    assert!(!second.is_finished());
    server.finish.add_permits(1);
    drop(first);
    assert_eq!(status(&soon(second).await.expect("no panic")), "200");
}

/// Reads one answer with a body of five bytes, and gives both.
async fn hello(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"hello") {
        let length = soon(stream.read_buf(&mut text)).await.expect("it is read");
        assert!(length > 0, "the connection ended");
    }
    String::from_utf8(text).expect("text")
}

#[tokio::test]
async fn a_connection_that_rested_goes_on_where_it_was() {
    let server = Server::start(|_| {}).await;
    let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stream = server.say(request).await;
    assert_eq!(status(&hello(&mut stream).await), "200");
    for piece in [request.len(), 1, 20] {
        tokio::time::sleep(connection::REST_AFTER * 2).await;
        let (first, second) = request.split_at(piece);
        stream
            .write_all(first.as_bytes())
            .await
            .expect("it is sent");
        tokio::task::yield_now().await;
        stream
            .write_all(second.as_bytes())
            .await
            .expect("it is sent");
        assert_eq!(status(&hello(&mut stream).await), "200");
    }
    // One that rests ends with the server.
    tokio::time::sleep(connection::REST_AFTER * 2).await;
    server.shutdown.token().cancel();
    assert_eq!(rest(stream).await, "");
    server.stopped().await;
}

#[tokio::test]
async fn half_a_head_behind_a_request_has_the_time_of_a_head() {
    let short = Span::new(connection::REST_AFTER * 2);
    let server = Server::start(|config| config.header_timeout = short).await;
    let text = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHo";
    let mut stream = server.say(text).await;
    assert_eq!(status(&hello(&mut stream).await), "200");
    assert_eq!(rest(stream).await, "");

    let mut stream = server.say(text).await;
    assert_eq!(status(&hello(&mut stream).await), "200");
    tokio::time::sleep(connection::REST_AFTER * 3 / 2).await;
    stream
        .write_all(b"st: x\r\n\r\n")
        .await
        .expect("it is sent");
    assert_eq!(status(&hello(&mut stream).await), "200");
}
