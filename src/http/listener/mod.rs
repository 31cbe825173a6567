//! Connections: taking them, limiting them, and letting them end.
//!
//! A client is anybody, so each connection has limits before the first handler runs: on the time
//! and the size of a request's head, on the number of headers, on the pace of bodies in both
//! directions, and on how many connections there are. What is over the limits of the head is
//! answered with 431.
//!
//! | module | job |
//! |---|---|
//! | `accept` | takes connections, also when that fails for a while |
//! | [`tls`] | certificates, and who a client's certificate names |
//! | `stream` | a connection, encrypted or not |
//! | `patience` | ends a connection on which nothing comes or goes for too long |
//! | `door` | what every request passes before the server's own service |

mod accept;
mod door;
mod patience;
mod stream;
pub mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use self::door::Door;
use self::patience::{Activity, Patience, Patient};
use self::stream::Stream;
use self::tls::Tls;
use crate::config;
use crate::shutdown::Shutdown;

/// How many bytes a client of HTTP/2 may have under way to us, for each stream and for all.
const WINDOW_BYTES: u32 = 4 << 20;

/// The peer of a connection, an extension of each of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub is_secure: bool,
    /// The name in its certificate, where it showed one that an authority of ours signed.
    pub certificate: Option<Arc<str>>,
}

/// Serves connections until the process shall stop, then lets them end within the grace, and cuts
/// those that don't.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    config: &config::Server,
    tls: Option<Arc<Tls>>,
    shutdown: &Shutdown,
) where
    S: Service<Request<Body>, Response = axum::response::Response, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let protocol = Arc::new(protocol(config));
    let places = Arc::new(Semaphore::new(config.max_connections));
    let patience = Patience {
        head: config.header_timeout.duration(),
        idle: config.idle_timeout.duration(),
    };
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        let (stream, address, place) = tokio::select! {
            accepted = accept::next(&listener, &places) => accepted,
            () = shutdown.wished() => break,
        };
        let activity = Arc::new(Activity::default());
        let (protocol, watcher, cut) = (Arc::clone(&protocol), graceful.watcher(), cut.clone());
        let (service, config) = (service.clone(), config.clone());
        let acceptor = tls.as_ref().map(|tls| tls.acceptor());
        connections.spawn(async move {
            let mut peer = Peer {
                address,
                is_secure: acceptor.is_some(),
                certificate: None,
            };
            let stream = match acceptor {
                None => Stream::Plain(stream),
                Some(acceptor) => {
                    let shaken = tokio::time::timeout(patience.head, acceptor.accept(stream));
                    let Ok(Ok(stream)) = shaken.await else {
                        tracing::debug!(%address, "a client does not speak TLS, or not in time");
                        return;
                    };
                    let shown = stream.get_ref().1.peer_certificates();
                    let shown = shown.and_then(|chain| chain.first());
                    peer.certificate = shown.and_then(|certificate| tls::name(certificate).ok());
                    Stream::Encrypted(Box::new(stream))
                }
            };
            let stream = TokioIo::new(Patient::new(stream, Arc::clone(&activity), patience));
            let door = Door::new(service, peer, activity, &config);
            let connection = watcher.watch(protocol.serve_connection(stream, door));
            if let Some(Err(error)) = cut.run_until_cancelled(connection).await {
                tracing::debug!(%address, %error, "a connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    let grace = config.shutdown_grace.duration();
    if !Shutdown::within(grace, graceful.shutdown()).await {
        let cut_off = connections.len();
        tracing::warn!(
            cut_off,
            "connections were still busy at the end of the grace"
        );
    }
    cut.cancel();
    connections.close();
    connections.wait().await;
}

fn protocol(config: &config::Server) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let header_bytes = config.max_header_bytes.in_memory();
    builder
        .http1()
        .timer(TokioTimer::new())
        // It counts the time between requests too; `patience` tells the two apart.
        .header_read_timeout(None)
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

#[cfg(test)]
mod tests;
