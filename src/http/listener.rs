//! Connections: taking them, limiting them, and letting them end.
//!
//! A client is anybody, so each connection has limits before the first handler runs: on the time
//! and the size of a request's head, on the number of headers, and on how many connections there
//! are. What is over the limit of the head is answered with 431 by the protocol's own code.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::{Service, ServiceExt as _};

use crate::config;
use crate::shutdown::Shutdown;

/// How long to wait after a connection could not be taken, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many bytes a client of HTTP/2 may have under way to us, for each stream and for all.
const WINDOW_BYTES: u32 = 4 << 20;

/// The address of the peer of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Serves connections until the process shall stop, then lets them end within the grace.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    config: &config::Server,
    shutdown: &Shutdown,
) where
    S: Service<Request<Body>, Response = axum::response::Response, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let protocol = Arc::new(protocol(config));
    let places = Arc::new(Semaphore::new(config.max_connections));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = shutdown.wished() => break,
        };
        let (stream, peer, place) = accepted;
        let service = service.clone();
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            service.clone().oneshot(request.map(Body::new))
        });
        let (protocol, watcher) = (Arc::clone(&protocol), graceful.watcher());
        // The watcher owns the connection's end: the graceful shutdown below waits for it.
        tokio::spawn(async move {
            let connection =
                protocol.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%peer, %error, "a connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    let grace = config.shutdown_grace.duration();
    if !Shutdown::within(grace, graceful.shutdown()).await {
        tracing::warn!(
            ?grace,
            "requests were still in flight at the end of the grace"
        );
    }
}

fn protocol(config: &config::Server) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let header_bytes = config.max_header_bytes.in_memory();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout.duration())
        .max_headers(config.max_headers)
        .max_buf_size(header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(config.header_timeout.duration())
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    builder
}

/// Takes the next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit) {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are written as a whole; waiting for more to send only delays them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "a connection was lost at once");
                    continue;
                }
                return (stream, peer, place);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
