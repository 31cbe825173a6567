//! Invocations that are waited for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::Lambda;
use super::instance::fault;
use super::model::{Function, Progress};
use super::pool::{Started, Taken};
use super::runtime_api::{Invocation, Outcome};
use crate::aws::Error;
use crate::aws::door::{Call, uuid};

/// How many bytes of the log a caller gets.
const TAIL: usize = 4096;

/// What a caller asks of a function.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) payload: Bytes,
    pub(crate) client_context: Option<String>,
}

impl From<Value> for Asked {
    fn from(payload: Value) -> Self {
        Self {
            payload: payload.to_string().into(),
            client_context: None,
        }
    }
}

/// What a function answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The whole answer.
    Whole(Bytes),
    /// An answer that is still coming, and its kind.
    Stream(String, mpsc::Receiver<Bytes>),
    /// The function failed, or ended, or took too long.
    Failed(Bytes),
}

impl Lambda {
    pub(super) async fn invoke(&self, name: &str, call: &Call) -> Result<Response, Error> {
        let function = self.function(name)?;
        let kind = call
            .header("x-amz-invocation-type")
            .unwrap_or("RequestResponse");
        let payload = match call.body.is_empty() {
            true => Bytes::from_static(b"{}"),
            false => call.body.clone(),
        };
        match kind {
            "DryRun" => return Ok(StatusCode::NO_CONTENT.into_response()),
            "Event" => {
                self.invoke_later(&function.name, &payload).await?;
                return Ok(StatusCode::ACCEPTED.into_response());
            }
            "RequestResponse" => {}
            _ => {
                let message = "the invocation type is RequestResponse, Event or DryRun";
                return Err(Error::new("InvalidParameterValueException", message));
            }
        }
        let asked = Asked {
            payload,
            client_context: call.header("x-amz-client-context").and_then(decoded),
        };
        let wants_log = call.header("x-amz-log-type") == Some("Tail");
        let (answer, log) = self.ask_with_log(&function, asked, wants_log).await?;
        let (body, is_failed) = match answer {
            Answer::Whole(body) => (body, false),
            Answer::Failed(body) => (body, true),
            Answer::Stream(_, mut pieces) => (gathered(&mut pieces).await, false),
        };
        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert(
            "x-amz-executed-version",
            HeaderValue::from_static("$LATEST"),
        );
        if is_failed {
            headers.insert(
                "x-amz-function-error",
                HeaderValue::from_static("Unhandled"),
            );
        }
        if let Some(Ok(log)) = log.map(|log| BASE64_STANDARD.encode(log).parse()) {
            headers.insert("x-amz-log-result", log);
        }
        Ok(response)
    }

    /// Asks a function by its name, and waits for its answer.
    pub(crate) async fn ask(&self, name: &str, asked: Asked) -> Result<Answer, Error> {
        let function = self.function(name)?;
        Ok(self.ask_with_log(&function, asked, false).await?.0)
    }

    async fn ask_with_log(
        &self,
        function: &Function,
        asked: Asked,
        wants_log: bool,
    ) -> Result<(Answer, Option<String>), Error> {
        check(function)?;
        let pool = self.pool(&function.name);
        let (taken, needless) = pool.take(&function.revision, self.limit(function));
        for instance in needless {
            self.retire(instance);
        }
        let instance = match taken {
            Taken::Idle(instance) => instance,
            Taken::Throttled => {
                let error = Error::new("TooManyRequestsException", "Rate Exceeded.");
                return Err(error.with_status(StatusCode::TOO_MANY_REQUESTS));
            }
            Taken::Room => {
                // Started on its own, so that a caller that goes loses no room.
                let (lambda, function) = (self.clone(), function.clone());
                let started = self.ground.tracker.spawn(async move {
                    let started = lambda.start_instance(&function).await;
                    if let Started::Failed(_) = &started {
                        lambda.pool(&function.name).lost();
                    }
                    started
                });
                match started.await {
                    Ok(Started::Ready(instance)) => instance,
                    Ok(Started::Failed(reason)) => {
                        let error = fault("Runtime.InitError", &reason);
                        return Ok((Answer::Failed(error.to_string().into()), None));
                    }
                    Err(_) => return Err(stopping()),
                }
            }
        };
        let (lambda, function) = (self.clone(), function.clone());
        let worked = self
            .ground
            .tracker
            .spawn(async move { lambda.work(&function, instance, asked, wants_log).await });
        worked.await.map_err(|_| stopping())
    }

    /// One invocation in an instance that was taken; gives the instance back, whoever waits.
    async fn work(
        &self,
        function: &Function,
        instance: std::sync::Arc<super::instance::Instance>,
        asked: Asked,
        wants_log: bool,
    ) -> (Answer, Option<String>) {
        let timeout = Duration::from_secs(function.timeout_seconds);
        let (answer, answered) = oneshot::channel();
        let id = uuid();
        instance.send(Invocation {
            id: id.clone(),
            payload: asked.payload,
            deadline_ms: deadline(timeout),
            client_context: asked.client_context,
            answer,
        });
        let outcome = tokio::time::timeout(timeout, answered).await;
        let log = match wants_log {
            true => Some(self.log(&instance, &id).await),
            false => None,
        };
        let answer = match outcome {
            Ok(Ok(Outcome::Done(body))) => Answer::Whole(body),
            Ok(Ok(Outcome::Failed(body))) => Answer::Failed(body),
            Ok(Ok(Outcome::Stream(kind, pieces))) => {
                return (
                    self.streamed(function, instance, kind, pieces, timeout),
                    log,
                );
            }
            Ok(Ok(Outcome::Died(reason))) => {
                let message = format!("RequestId: {id} Error: {reason}");
                Answer::Failed(fault("Runtime.ExitError", &message).to_string().into())
            }
            Ok(Err(_)) => Answer::Failed(
                fault("Runtime.ExitError", "the instance ended")
                    .to_string()
                    .into(),
            ),
            Err(_) => {
                instance.kill(&self.ground.engine).await;
                let message = format!(
                    "{id} Task timed out after {}.00 seconds",
                    function.timeout_seconds
                );
                Answer::Failed(fault("Sandbox.Timedout", &message).to_string().into())
            }
        };
        self.give_back(function, instance);
        (answer, log)
    }

    /// Gives an instance back as soon as its extensions are done.
    fn give_back(&self, function: &Function, instance: std::sync::Arc<super::instance::Instance>) {
        let pool = self.pool(&function.name);
        if !instance.has_extensions() {
            if !pool.give_back(&instance) {
                self.retire(instance);
            }
            return;
        }
        let (lambda, patience) = (self.clone(), Duration::from_secs(function.timeout_seconds));
        self.ground.tracker.spawn(async move {
            if tokio::time::timeout(patience, instance.settled())
                .await
                .is_err()
            {
                instance.kill(&lambda.ground.engine).await;
            }
            if !pool.give_back(&instance) {
                lambda.retire(instance);
            }
        });
    }

    /// Leads a stream on, and gives the instance back at its end.
    fn streamed(
        &self,
        function: &Function,
        instance: std::sync::Arc<super::instance::Instance>,
        kind: String,
        mut pieces: mpsc::Receiver<Bytes>,
        timeout: Duration,
    ) -> Answer {
        let (sender, receiver) = mpsc::channel(1);
        let (lambda, function) = (self.clone(), function.clone());
        self.ground.tracker.spawn(async move {
            let copied = tokio::time::timeout(timeout, async {
                while let Some(piece) = pieces.recv().await {
                    // A reader that has gone doesn't stop the function.
                    let _ = sender.send(piece).await;
                }
            });
            if copied.await.is_err() {
                instance.kill(&lambda.ground.engine).await;
            }
            lambda.give_back(&function, instance);
        });
        Answer::Stream(kind, receiver)
    }

    async fn log(&self, instance: &super::instance::Instance, id: &str) -> String {
        let lines = self
            .ground
            .engine
            .last_lines(instance.container(), 50)
            .await;
        let mut text = format!("START RequestId: {id} Version: $LATEST\n");
        for line in lines {
            text.push_str(&line.text);
            text.push('\n');
        }
        text.push_str(&format!("END RequestId: {id}\n"));
        let start = text.len().saturating_sub(TAIL);
        let start = (start..text.len()).find(|start| text.is_char_boundary(*start));
        text.split_off(start.unwrap_or(0))
    }
}

/// All of a stream.
pub(super) async fn gathered(pieces: &mut mpsc::Receiver<Bytes>) -> Bytes {
    let mut whole = Vec::new();
    while let Some(piece) = pieces.recv().await {
        whole.extend_from_slice(&piece);
    }
    whole.into()
}

fn check(function: &Function) -> Result<(), Error> {
    let refused = |code, message: &str| {
        Err(Error::new(code, message.to_owned()).with_status(StatusCode::CONFLICT))
    };
    match &function.state {
        Progress::Done => Ok(()),
        Progress::Pending => refused(
            "ResourceConflictException",
            "The operation cannot be performed at this time. The function is currently in the following state: Pending",
        ),
        Progress::Failed(reason) => refused("ResourceConflictException", reason),
    }
}

fn stopping() -> Error {
    Error::new("ServiceException", "the runner stops").with_status(StatusCode::SERVICE_UNAVAILABLE)
}

fn deadline(timeout: Duration) -> u64 {
    let at = SystemTime::now() + timeout;
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A client's context comes in base64, and goes on as JSON.
fn decoded(text: &str) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()
}
