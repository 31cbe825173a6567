//! Connections: taking them, limiting them, and letting them end.
//!
//! A client is anybody, so each connection has limits before the first handler runs: on the time
//! and the size of a request's head, on the number of headers, on the pace of bodies in both
//! directions, and on how many connections there are. What is over the limits of the head is
//! answered with 431.
//!
//! A client of HTTP/1 may send its next request in the moment in which the server closes the
//! connection, and can't know whether it was carried out. So a server that stops first says
//! `Connection: close` with every answer, for as long as a client needs that has something to ask,
//! and only then closes the connections on which nothing came. HTTP/2 tells its clients itself
//! which requests it took.
//!
//! | module | job |
//! |---|---|
//! | `accept` | takes connections, also when that fails for a while |
//! | [`tls`] | certificates, and who a client's certificate names |
//! | `stream` | a connection, encrypted or not |
//! | `connection` | HTTP on it, and what is kept while nothing is asked |
//! | `patience` | ends a connection on which nothing comes or goes for too long |
//! | `door` | what every request passes before the server's own service |

mod accept;
mod connection;
mod door;
mod patience;
mod stream;
pub mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use self::connection::Protocol;
use self::door::Door;
use self::patience::{Activity, Patience, Patient};
use self::stream::Stream;
use self::tls::Tls;
use crate::config;
use crate::shutdown::Shutdown;

/// How long a server that stops waits for requests that are under way to it.
const LINGER: Duration = Duration::from_millis(250);

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
    let protocol = Arc::new(Protocol::new(config));
    let places = Arc::new(Semaphore::new(config.max_connections));
    let patience = Patience {
        head: config.header_timeout.duration(),
        idle: config.idle_timeout.duration(),
    };
    let connections = TaskTracker::new();
    let [last, stopping, cut] = std::array::from_fn(|_| CancellationToken::new());
    loop {
        let (stream, address, place) = tokio::select! {
            accepted = accept::next(&listener, &places) => accepted,
            () = shutdown.wished() => break,
        };
        let activity = Arc::new(Activity::default());
        let (last, stopping, cut) = (last.clone(), stopping.clone(), cut.clone());
        let (protocol, service, config) = (Arc::clone(&protocol), service.clone(), config.clone());
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
                    // Its state is large, and gone when the client has shaken hands.
                    let accept = Box::pin(acceptor.accept(stream));
                    let shaken = tokio::time::timeout(patience.head, accept);
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
            let stream = Patient::new(stream, Arc::clone(&activity), patience);
            let door = Door::new(service, peer, Arc::clone(&activity), last, &config);
            let connection = protocol.speak(stream, door, &activity, &stopping);
            if let Some(Err(error)) = cut.run_until_cancelled(connection).await {
                tracing::debug!(%address, %error, "a connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    let grace = config.shutdown_grace.duration();
    let linger = LINGER.min(grace);
    last.cancel();
    Shutdown::within(linger, connections.wait()).await;
    stopping.cancel();
    if !Shutdown::within(grace - linger, connections.wait()).await {
        let cut_off = connections.len();
        tracing::warn!(
            cut_off,
            "connections were still busy at the end of the grace"
        );
    }
    cut.cancel();
    connections.wait().await;
}

#[cfg(test)]
mod tests;
