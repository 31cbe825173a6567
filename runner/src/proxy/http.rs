//! Requests, each led on its own.
//!
//! A connection to a target is used again by the client connection that made it, while that target
//! is still led to. A request without a body that found its connection closed is sent again on a
//! new one.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::{Balancer, Turn};

type Answer = BoxBody<Bytes, hyper::Error>;
type Sender = SendRequest<BoxBody<Bytes, hyper::Error>>;

/// Headers that are about one connection.
const HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

/// Serves a client's connection.
pub(super) async fn serve(balancer: Arc<Balancer>, client: TcpStream) {
    let peer = client.peer_addr().map(|peer| peer.ip().to_string());
    let peer = peer.unwrap_or_default();
    let kept: Arc<Mutex<Option<(std::net::SocketAddr, Sender)>>> = Arc::default();
    let service = service_fn(move |request: Request<Incoming>| {
        let (balancer, kept, peer) = (Arc::clone(&balancer), Arc::clone(&kept), peer.clone());
        async move {
            let answer = lead(&balancer, &kept, request, &peer).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(refusal))
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades();
    // A client may break off at any time.
    let _ = served.await;
}

async fn lead(
    balancer: &Balancer,
    kept: &Mutex<Option<(std::net::SocketAddr, Sender)>>,
    mut request: Request<Incoming>,
    peer: &str,
) -> Result<Response<Answer>, StatusCode> {
    let is_upgrade = request.headers().contains_key(header::UPGRADE);
    if !is_upgrade {
        clean(request.headers_mut());
    }
    let forwarded = peer.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    request.headers_mut().insert("x-forwarded-for", forwarded);
    let client = is_upgrade.then(|| hyper::upgrade::on(&mut request));
    let has_no_body = request.body().is_end_stream();
    let (parts, body) = request.into_parts();

    let turn = balancer.turn().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let before = kept.lock().await.take();
    let before = before.filter(|(address, sender)| {
        has_no_body && !is_upgrade && *address == turn.address() && !sender.is_closed()
    });
    if let Some((address, mut sender)) = before
        && let Ok(answer) = sender.send_request(empty(&parts)).await
    {
        return Ok(given(answer, turn, kept, (address, sender)).await);
    }
    drop(turn);
    let (turn, stream) = balancer
        .connect()
        .await
        .ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let address = turn.address();
    let shaken = handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|_| StatusCode::BAD_GATEWAY)?;
    // It ends with its target, or with the client that keeps it.
    tokio::spawn(connection.with_upgrades());
    let request = Request::from_parts(parts, body.boxed());
    let mut answer = sender
        .send_request(request)
        .await
        .map_err(|_| StatusCode::BAD_GATEWAY)?;
    if let Some(client) = client
        && answer.status() == StatusCode::SWITCHING_PROTOCOLS
    {
        let target = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            if let (Ok(client), Ok(target)) = (client.await, target.await) {
                let (mut client, mut target) = (TokioIo::new(client), TokioIo::new(target));
                // Either side may break off.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut target).await;
            }
            drop(turn);
        });
        return Ok(answer.map(BodyExt::boxed));
    }
    Ok(given(answer, turn, kept, (address, sender)).await)
}

/// A request without a body, as it came.
fn empty(parts: &http::request::Parts) -> Request<Answer> {
    let nothing = Full::default().map_err(|never: Infallible| match never {});
    let mut request = Request::new(nothing.boxed());
    request.method_mut().clone_from(&parts.method);
    request.uri_mut().clone_from(&parts.uri);
    request.headers_mut().clone_from(&parts.headers);
    request
}

/// The answer, whose target is busy until its last byte.
async fn given(
    mut answer: Response<Incoming>,
    turn: Turn,
    kept: &Mutex<Option<(std::net::SocketAddr, Sender)>>,
    connection: (std::net::SocketAddr, Sender),
) -> Response<Answer> {
    clean(answer.headers_mut());
    *kept.lock().await = Some(connection);
    answer.map(|body| BodyExt::boxed(Counted { body, _turn: turn }))
}

fn clean(headers: &mut HeaderMap) {
    for name in HOP {
        headers.remove(name);
    }
}

fn refusal(status: StatusCode) -> Response<Answer> {
    let text = Full::from(format!("{status}\n")).map_err(|never: Infallible| match never {});
    let mut answer = Response::new(text.boxed());
    *answer.status_mut() = status;
    answer
}

/// A body that holds its turn.
struct Counted {
    body: Incoming,
    _turn: Turn,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
