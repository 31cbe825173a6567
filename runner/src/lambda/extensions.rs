//! The Extensions API: processes beside the function that are told of invocations and of the end.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::model::Function;
use super::runtime_api::{accepted, told};
use crate::aws::door::uuid;

/// The longest body of a request.
const MOST_BYTES: usize = 64 << 10;
/// How long the extensions may take to shut down, as they are told.
const SHUTDOWN_MS: u64 = 2000;

/// The extensions of an instance.
#[derive(Debug)]
pub(super) struct Extensions {
    name: String,
    arn: String,
    handler: String,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many were started by us, and have to register.
    expected: usize,
    by_id: HashMap<String, Extension>,
}

#[derive(Debug, Default)]
struct Extension {
    wants_invocations: bool,
    wants_shutdown: bool,
    /// Whether it waits for its next event.
    is_waiting: bool,
    events: VecDeque<Value>,
}

impl State {
    fn is_settled(&self) -> bool {
        self.by_id.len() >= self.expected
            && self
                .by_id
                .values()
                .all(|found| found.is_waiting && found.events.is_empty())
    }
}

impl Extensions {
    pub(super) fn new(function: &Function) -> Self {
        let handler = &function.image_config["Command"][0];
        Self {
            name: function.name.clone(),
            arn: function.arn.clone(),
            handler: handler.as_str().unwrap_or_default().to_owned(),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// So many were started.
    pub(super) fn expect(&self, number: usize) {
        self.state().expected = number;
    }

    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        !self.state().by_id.is_empty()
    }

    /// Waits until each of them asks for its next event.
    pub(super) async fn settled(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.state().is_settled() {
                return;
            }
            changed.await;
        }
    }

    /// Tells of an invocation.
    pub(super) fn invoked(&self, id: &str, deadline_ms: u64) {
        let event = json!({
            "eventType": "INVOKE", "deadlineMs": deadline_ms, "requestId": id,
            "invokedFunctionArn": self.arn, "tracing": {"type": "X-Amzn-Trace-Id", "value": ""},
        });
        self.tell(&event, |extension| extension.wants_invocations);
    }

    /// Tells of the end; whether somebody wants to know.
    pub(super) fn shut_down(&self, reason: &str) -> bool {
        let event =
            json!({"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": SHUTDOWN_MS});
        self.tell(&event, |extension| extension.wants_shutdown)
    }

    fn tell(&self, event: &Value, is_wanted: impl Fn(&Extension) -> bool) -> bool {
        let mut state = self.state();
        let mut told = false;
        for extension in state.by_id.values_mut().filter(|found| is_wanted(found)) {
            extension.events.push_back(event.clone());
            told = true;
        }
        drop(state);
        self.changed.notify_waiters();
        told
    }

    /// Answers a request.
    pub(super) async fn answer(
        &self,
        path: &str,
        parts: &Parts,
        body: Incoming,
    ) -> Response<Full<Bytes>> {
        let id = parts.headers.get("lambda-extension-identifier");
        let id = id
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        match path {
            "register" => self.register(body).await,
            "event/next" => self.next(&id).await,
            "init/error" | "exit/error" => {
                tracing::warn!(function = self.name, path, "an extension failed");
                self.state().by_id.remove(&id);
                self.changed.notify_waiters();
                accepted()
            }
            _ => told(StatusCode::NOT_FOUND, "NotFound"),
        }
    }

    async fn register(&self, body: Incoming) -> Response<Full<Bytes>> {
        let body = Limited::new(body, MOST_BYTES).collect().await;
        let body = body
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let wish: Value = serde_json::from_slice(&body).unwrap_or_default();
        let wants = |name: &str| {
            wish["events"]
                .as_array()
                .is_some_and(|events| events.iter().any(|event| event == name))
        };
        let id = uuid();
        let extension = Extension {
            wants_invocations: wants("INVOKE"),
            wants_shutdown: wants("SHUTDOWN"),
            ..Extension::default()
        };
        self.state().by_id.insert(id.clone(), extension);
        let body = json!({"functionName": self.name, "functionVersion": "$LATEST", "handler": self.handler});
        let answer = Response::builder()
            .header("lambda-extension-identifier", id)
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()));
        answer.unwrap_or_else(|_| told(StatusCode::INTERNAL_SERVER_ERROR, "BadHeader"))
    }

    async fn next(&self, id: &str) -> Response<Full<Bytes>> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.state();
                let Some(extension) = state.by_id.get_mut(id) else {
                    return told(
                        StatusCode::FORBIDDEN,
                        "Extension.UnknownExtensionIdentifier",
                    );
                };
                if let Some(event) = extension.events.pop_front() {
                    extension.is_waiting = false;
                    let mut answer = Response::new(Full::from(event.to_string()));
                    let kind = http::HeaderValue::from_static("application/json");
                    answer.headers_mut().insert("content-type", kind);
                    return answer;
                }
                if !extension.is_waiting {
                    extension.is_waiting = true;
                    drop(state);
                    self.changed.notify_waiters();
                }
            }
            changed.await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}
