//! Measuring requests, and one line of the log for each.
//!
//! A request is over when the last byte of its answer has gone, or when the client has left; so
//! both bodies are counted as they pass, and the line is written when the answer is dropped.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use http_body::{Frame, SizeHint};
use tracing::Instrument as _;
use wharf_auth::identity::Principal;

use super::State as Shared;
use super::caller;
use super::listener::Peer;
use super::request_id::RequestId;
use crate::metrics::Metrics;

/// Who calls, told by whoever finds it out to the line of the request.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<OnceLock<Principal>>);

impl Told {
    /// Tells the line of a request who makes it.
    pub(super) fn tell(parts: &Parts, principal: &Principal) {
        if let Some(Self(place)) = parts.extensions.get() {
            // Who was told first is the one that was let in.
            let _ = place.set(principal.clone());
        }
    }
}

/// Measures a request, and writes its line when it is over.
pub(super) async fn observe(State(state): State<Shared>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let address = caller::context(&state, &parts).address;
    let told = Told::default();
    parts.extensions.insert(told.clone());
    let mut request = Request::from_parts(parts, body);
    let metrics = Arc::clone(&state.metrics);
    metrics.request_began();
    let mut record = Record {
        metrics,
        began: Instant::now(),
        method: request.method().clone(),
        path: request.uri().path().replace("%2F", "/"),
        agent: request.headers().get(header::USER_AGENT).cloned(),
        peer: request.extensions().get::<Peer>().map(|peer| peer.address),
        address,
        told,
        id: request.extensions().get::<RequestId>().cloned(),
        received: Arc::default(),
        sent: Arc::default(),
        status: None,
    };
    let route = request.extensions().get::<MatchedPath>().cloned();
    let received = Arc::clone(&record.received);
    let body = std::mem::take(request.body_mut());
    *request.body_mut() = Body::new(Counted {
        body,
        bytes: received,
        _record: None,
    });

    let id = record.id.as_ref().map_or("", RequestId::as_str);
    let span = tracing::info_span!("request", id);
    let response = next.run(request).instrument(span).await;

    record.status = Some(response.status());
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let latency = record.began.elapsed();
    record
        .metrics
        .request_answered(&record.method, route, response.status(), latency);
    let sent = Arc::clone(&record.sent);
    response.map(|body| {
        Body::new(Counted {
            body,
            bytes: sent,
            _record: Some(record),
        })
    })
}

/// What the line of a request tells. It is written when this is dropped.
struct Record {
    metrics: Arc<Metrics>,
    began: Instant,
    method: Method,
    path: String,
    agent: Option<HeaderValue>,
    /// Who is at the other end of the connection: the caller, or a proxy.
    peer: Option<SocketAddr>,
    /// Where the call comes from, as far as proxies that are trusted tell.
    address: IpAddr,
    told: Told,
    id: Option<RequestId>,
    received: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    /// Nothing when the client left before there was an answer.
    status: Option<StatusCode>,
}

impl Drop for Record {
    fn drop(&mut self) {
        let received = self.received.load(Ordering::Relaxed);
        let sent = self.sent.load(Ordering::Relaxed);
        self.metrics.request_ended(received, sent);
        tracing::info!(
            id = self.id.as_ref().map_or("", RequestId::as_str),
            given = self.id.as_ref().map_or("", RequestId::given),
            method = %self.method,
            path = ?self.path,
            status = self.status.map(|status| status.as_u16()),
            received,
            sent,
            milliseconds = self.began.elapsed().as_secs_f64() * 1000.0,
            peer = self.peer.map(tracing::field::display),
            address = %self.address,
            principal = %self.told.0.get().map(ToString::to_string).unwrap_or_default(),
            agent = ?self.agent.as_ref().map_or(&b""[..], HeaderValue::as_bytes).escape_ascii().to_string(),
            "request"
        );
    }
}

/// A body whose bytes are counted.
struct Counted {
    body: Body,
    bytes: Arc<AtomicU64>,
    /// Kept until the body is dropped.
    _record: Option<Record>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.bytes.fetch_add(length, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
