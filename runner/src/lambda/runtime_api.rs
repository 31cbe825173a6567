//! The Runtime API: what an instance asks of us, on a listener of its own that answers no other
//! container.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::extensions::Extensions;
use super::model::Function;

/// The longest answer that is gathered.
const MOST_BYTES: usize = 6 << 20;
/// How many pieces of a stream may wait for their reader.
const PIECES: usize = 16;

/// Something to be done by an instance.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) id: String,
    pub(super) payload: Bytes,
    pub(super) deadline_ms: u64,
    pub(super) client_context: Option<String>,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The whole answer.
    Done(Bytes),
    /// An answer that is still coming, and its kind.
    Stream(String, mpsc::Receiver<Bytes>),
    /// The function's own error.
    Failed(Bytes),
    /// The instance ended.
    Died(String),
}

/// Whether an instance is ready for its first invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    NotYet,
    Yes,
    Failed(String),
}

/// One instance's side of the Runtime API.
#[derive(Debug)]
pub(super) struct Api {
    arn: String,
    pub(super) extensions: Extensions,
    peer: watch::Sender<Option<IpAddr>>,
    ready: watch::Sender<Ready>,
    waiting: Mutex<Option<Invocation>>,
    arrived: Notify,
    current: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
}

impl Api {
    pub(super) fn new(function: &Function) -> Self {
        Self {
            arn: function.arn.clone(),
            extensions: Extensions::new(function),
            peer: watch::Sender::new(None),
            ready: watch::Sender::new(Ready::NotYet),
            waiting: Mutex::default(),
            arrived: Notify::new(),
            current: Mutex::default(),
        }
    }

    /// Answers this address, and no other.
    pub(super) fn answer_to(&self, peer: IpAddr) {
        self.peer.send_replace(Some(peer));
    }

    /// Waits until the runtime and all extensions ask for their first event, or fail.
    pub(super) async fn ready(&self) -> Ready {
        let mut ready = self.ready.subscribe();
        let ready = ready.wait_for(|ready| *ready != Ready::NotYet).await;
        let ready = ready.map(|ready| ready.clone());
        self.extensions.settled().await;
        ready.unwrap_or(Ready::NotYet)
    }

    /// Hands an invocation to the runtime, which asks for it or will.
    pub(super) fn send(&self, invocation: Invocation) {
        self.extensions
            .invoked(&invocation.id, invocation.deadline_ms);
        *self.waiting.lock().expect("no holder panics") = Some(invocation);
        self.arrived.notify_one();
    }

    /// The instance ended: whoever waits is told.
    pub(super) fn died(&self, reason: &str) {
        let waiting = self.waiting.lock().expect("no holder panics").take();
        let current = self.current.lock().expect("no holder panics").take();
        let answers = waiting
            .map(|waiting| waiting.answer)
            .into_iter()
            .chain(current.map(|(_, answer)| answer));
        for answer in answers {
            let _ = answer.send(Outcome::Died(reason.to_owned()));
        }
        self.ready.send_replace(Ready::Failed(reason.to_owned()));
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        self.ready.send_if_modified(|ready| {
            let is_new = *ready == Ready::NotYet;
            if is_new {
                *ready = Ready::Yes;
            }
            is_new
        });
        let invocation = loop {
            let waiting = self.waiting.lock().expect("no holder panics").take();
            match waiting {
                Some(waiting) => break waiting,
                None => self.arrived.notified().await,
            }
        };
        let trace = format!(
            "Root=1-{}-{};Sampled=0",
            &invocation.id[..8],
            invocation.id.replace('-', "").get(..24).unwrap_or_default()
        );
        let mut builder = Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", &invocation.id)
            .header("lambda-runtime-deadline-ms", invocation.deadline_ms)
            .header("lambda-runtime-invoked-function-arn", &self.arn)
            .header("lambda-runtime-trace-id", trace);
        if let Some(context) = &invocation.client_context {
            builder = builder.header("lambda-runtime-client-context", context);
        }
        let answer = builder.body(Full::new(invocation.payload));
        *self.current.lock().expect("no holder panics") = Some((invocation.id, invocation.answer));
        answer.unwrap_or_else(|_| told(StatusCode::INTERNAL_SERVER_ERROR, "BadContext"))
    }

    /// Whoever waits for an invocation, where it is the one that is running.
    fn ended(&self, id: &str) -> Option<oneshot::Sender<Outcome>> {
        let mut current = self.current.lock().expect("no holder panics");
        let (_, answer) = current.take_if(|(running, _)| running == id)?;
        Some(answer)
    }

    async fn respond(
        &self,
        id: &str,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Response<Full<Bytes>> {
        let is_stream = headers
            .get("lambda-runtime-function-response-mode")
            .is_some_and(|mode| mode == "streaming");
        if is_stream {
            return self.stream(id, headers, body).await;
        }
        let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
            if let Some(answer) = self.ended(id) {
                let error = json!({"errorType": "Function.ResponseSizeTooLarge",
                    "errorMessage": format!("Response payload size exceeded maximum allowed payload size ({MOST_BYTES} bytes).")});
                let _ = answer.send(Outcome::Failed(error.to_string().into()));
            }
            return told(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge");
        };
        match self.ended(id) {
            Some(answer) => {
                // The caller may have gone.
                let _ = answer.send(Outcome::Done(body.to_bytes()));
                accepted()
            }
            None => told(StatusCode::BAD_REQUEST, "InvalidRequestID"),
        }
    }

    async fn stream(
        &self,
        id: &str,
        headers: &HeaderMap,
        mut body: Incoming,
    ) -> Response<Full<Bytes>> {
        let Some(answer) = self.ended(id) else {
            return told(StatusCode::BAD_REQUEST, "InvalidRequestID");
        };
        let kind = headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        let (sender, receiver) = mpsc::channel(PIECES);
        let _ = answer.send(Outcome::Stream(
            kind.unwrap_or_default().to_owned(),
            receiver,
        ));
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(piece) = frame.into_data() {
                // A reader that has gone doesn't stop the function.
                let _ = sender.send(piece).await;
            }
        }
        accepted()
    }

    async fn fail(&self, id: &str, body: Incoming) -> Response<Full<Bytes>> {
        let body = Limited::new(body, MOST_BYTES).collect().await;
        let body = body
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        match self.ended(id) {
            Some(answer) => {
                let _ = answer.send(Outcome::Failed(body));
                accepted()
            }
            None => told(StatusCode::BAD_REQUEST, "InvalidRequestID"),
        }
    }

    async fn init_failed(&self, body: Incoming) -> Response<Full<Bytes>> {
        let body = Limited::new(body, MOST_BYTES).collect().await;
        let body = body
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        self.ready
            .send_replace(Ready::Failed(String::from_utf8_lossy(&body).into_owned()));
        accepted()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().trim_start_matches('/').to_owned();
        if let Some(rest) = path.strip_prefix("2020-01-01/extension/") {
            return self.extensions.answer(rest, &parts, body).await;
        }
        let segments: Vec<&str> = path.split('/').collect();
        match (&parts.method, segments.as_slice()) {
            (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => self.next().await,
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"]) => {
                self.respond(id, &parts.headers, body).await
            }
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"]) => {
                self.fail(id, body).await
            }
            (&Method::POST, ["2018-06-01", "runtime", "init", "error"]) => {
                self.init_failed(body).await
            }
            _ => told(StatusCode::NOT_FOUND, "NotFound"),
        }
    }
}

/// 202, with a body that clients want.
pub(super) fn accepted() -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(r#"{"status":"OK"}"#));
    *answer.status_mut() = StatusCode::ACCEPTED;
    answer.headers_mut().insert(
        "content-type",
        http::HeaderValue::from_static("application/json"),
    );
    answer
}

/// A refusal.
pub(super) fn told(status: StatusCode, kind: &str) -> Response<Full<Bytes>> {
    let body = json!({"errorType": kind, "errorMessage": kind});
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = status;
    answer
}

/// Serves one instance until it is no more.
pub(super) async fn serve(api: Arc<Api>, listener: TcpListener, stop: CancellationToken) {
    let mut peer = api.peer.subscribe();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let allowed = tokio::select! {
            () = stop.cancelled() => return,
            allowed = peer.wait_for(Option::is_some) => allowed.ok().and_then(|peer| *peer),
        };
        if allowed != Some(from.ip()) {
            tracing::warn!(%from, "somebody else asked for an instance's invocations");
            continue;
        }
        let _ = stream.set_nodelay(true);
        let (api, stop) = (Arc::clone(&api), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let api = Arc::clone(&api);
                async move { Ok::<_, Infallible>(api.answer(request).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                // The runtime may break off.
                _ = served => {}
            }
        });
    }
}
