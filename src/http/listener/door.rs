//! What every request passes before the server's own service: it is counted as in flight, gets its
//! peer's address, and its body has to keep coming. Of a server that stops, an answer says that it
//! is the last one of its connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};

use super::Peer;
use super::patience::{Activity, InFlight};
use crate::config;
use crate::http::error::{Code, Error};
use crate::http::steady::SteadyBody;

/// The service of one connection.
#[derive(Clone, Debug)]
pub(super) struct Door<S> {
    service: S,
    peer: Peer,
    activity: Arc<Activity>,
    /// Whether no answer is followed by another one.
    last: CancellationToken,
    max_headers: usize,
    min_bytes_per_second: u64,
}

impl<S> Door<S> {
    pub(super) fn new(
        service: S,
        peer: Peer,
        activity: Arc<Activity>,
        last: CancellationToken,
        config: &config::Server,
    ) -> Self {
        Self {
            service,
            peer,
            activity,
            last,
            max_headers: config.max_headers,
            min_bytes_per_second: config.min_bytes_per_second,
        }
    }
}

impl<S> hyper::service::Service<Request<Incoming>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Held>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Held>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.activity.begin();
        // HTTP/1 refuses this while it parses, with an empty answer; HTTP/2 only knows a limit in bytes.
        if request.headers().len() > self.max_headers {
            let limit = self.max_headers;
            return Box::pin(async move { Ok(too_many_headers(in_flight, limit)) });
        }
        let mut request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::new(SteadyBody::new(body, self.min_bytes_per_second)),
        });
        request.extensions_mut().insert(self.peer.clone());
        // HTTP/2 has no such header.
        let last = (request.version() < Version::HTTP_2).then(|| self.last.clone());
        let answer = self.service.clone().oneshot(request);
        Box::pin(async move {
            let held = |body| Held {
                body,
                _in_flight: in_flight,
            };
            let mut answer = answer.await?.map(held);
            if last.is_some_and(|last| last.is_cancelled()) {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok(answer)
        })
    }
}

fn too_many_headers(in_flight: InFlight, limit: usize) -> Response<Held> {
    let message = format!("a request has at most {limit} headers");
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let response = Error::new(status, Code::Unsupported, message).into_response();
    response.map(|body| Held {
        body,
        _in_flight: in_flight,
    })
}

/// The body of an answer. Its request is in flight until it has gone out, or was given up.
#[derive(Debug)]
pub(super) struct Held {
    body: Body,
    _in_flight: InFlight,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
