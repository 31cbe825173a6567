//! One listener for all services: `X-Amz-Target` or the path says which service is meant, and a
//! signature has to be for that one.
//!
//! Function URLs and HTTP APIs are hosts of their own on the same listener.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use time::OffsetDateTime;

use super::sigv4::{self, Refusal};
use super::{Error, Input, id};
use crate::app::Services;
use crate::config::Aws;

/// The longest body: Lambda takes 6 MiB, and some JSON around it.
const MOST_BYTES: usize = 16 << 20;

/// A request that is let in.
#[derive(Debug)]
pub(crate) struct Call {
    /// Method, path, headers.
    pub(crate) parts: Parts,
    /// The body.
    pub(crate) body: bytes::Bytes,
}

impl Call {
    /// The body as an input, with the service's name for what isn't understood.
    pub(crate) fn input(&self, fault: &'static str) -> Result<Input, Error> {
        let value = match self.body.is_empty() {
            true => Value::Object(serde_json::Map::new()),
            false => serde_json::from_slice(&self.body)
                .map_err(|error| Error::new("SerializationException", error.to_string()))?,
        };
        Ok(Input::new(value, fault))
    }

    /// The parts of the path, without the first slash, decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        let parts = self.parts.uri.path().trim_matches('/').split('/');
        let decoded =
            parts.map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy());
        decoded.map(std::borrow::Cow::into_owned).collect()
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query()?;
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut found = pairs.filter(|(found, _)| *found == name);
        let (_, value) = found.next()?;
        let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
        Some(value.into_owned())
    }
}

/// Which service a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Ecs,
    Events,
    Lightsail,
    Lambda,
    Batch,
    Gateway,
}

impl Service {
    /// Its name in a signature's scope.
    fn scope(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Events => "events",
            Self::Lightsail => "lightsail",
            Self::Lambda => "lambda",
            Self::Batch => "batch",
            Self::Gateway => "apigateway",
        }
    }
}

/// The routes: there is one, and `serve` finds the service.
pub(crate) fn router(services: Arc<Services>) -> Router {
    Router::new().fallback(serve).with_state(services)
}

async fn serve(State(services): State<Arc<Services>>, request: Request) -> Response {
    let mut answer = answer(&services, request).await;
    let headers = answer.headers_mut();
    let id = HeaderValue::try_from(uuid::Uuid::now_v7().to_string()).expect("an id is plain ASCII");
    headers.entry("x-amzn-requestid").or_insert(id);
    answer
}

async fn answer(services: &Arc<Services>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(host) = own_host(&parts, &services.config.server.domain) {
        return services.hosted(&host, parts, body).await;
    }
    if parts.uri.path() == "/healthz" {
        return StatusCode::OK.into_response();
    }
    match let_in(services, parts, body).await {
        Ok((service, call)) => dispatch(services, service, call).await,
        Err(error) => error.into_answer(),
    }
}

/// `KIND.ID` of a host such as `ID.lambda-url.localhost:5080`.
fn own_host(parts: &Parts, domain: &str) -> Option<(String, String)> {
    let host = parts.headers.get(header::HOST)?.to_str().ok()?;
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let rest = host.strip_suffix(domain)?.strip_suffix('.')?;
    let (id, kind) = rest.split_once('.')?;
    Some((kind.to_owned(), id.to_owned()))
}

async fn let_in(services: &Services, parts: Parts, body: Body) -> Result<(Service, Call), Error> {
    let service = service(&parts).ok_or_else(|| {
        let message = "the request is for no service that is here";
        Error::new("UnknownOperationException", message).with_status(StatusCode::NOT_FOUND)
    })?;
    let body = to_bytes(body, MOST_BYTES).await.map_err(|_| {
        Error::new(
            "RequestTooLargeException",
            "the body is too long or broke off",
        )
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
    })?;
    check(&services.config.aws, &parts, &body, service)?;
    Ok((service, Call { parts, body }))
}

/// Whether the caller may call.
fn check(aws: &Aws, parts: &Parts, body: &[u8], service: Service) -> Result<(), Error> {
    if aws.access_key_id.is_empty() {
        // Without a key we are on loopback, where web pages reach too.
        return match parts.headers.contains_key(header::ORIGIN) {
            true => Err(refused(
                "AccessDeniedException",
                "pages of browsers are not let in",
            )),
            false => Ok(()),
        };
    }
    let key = (&*aws.access_key_id, &*aws.secret_access_key);
    let now = OffsetDateTime::now_utc();
    let method = parts.method.as_str();
    sigv4::verify(method, &parts.uri, &parts.headers, body, key, now).map_err(|refusal| {
        let (code, message) = match refusal {
            Refusal::Missing => (
                "MissingAuthenticationTokenException",
                "the request is not signed",
            ),
            Refusal::Incomplete => (
                "IncompleteSignatureException",
                "the signature has another form, or does not cover what it has to",
            ),
            Refusal::UnknownKey => ("UnrecognizedClientException", "the key is not known"),
            Refusal::Expired => (
                "ExpiredTokenException",
                "the signature is too old: the clocks differ",
            ),
            Refusal::Mismatch => (
                "InvalidSignatureException",
                "the signature does not match the request",
            ),
        };
        refused(code, message)
    })?;
    match sigv4::service(&parts.headers) == Some(service.scope()) {
        true => Ok(()),
        false => Err(refused(
            "InvalidSignatureException",
            "the signature is for another service",
        )),
    }
}

fn refused(code: &'static str, message: &str) -> Error {
    Error::new(code, message).with_status(StatusCode::FORBIDDEN)
}

fn service(parts: &Parts) -> Option<Service> {
    let target = parts.headers.get("x-amz-target");
    if let Some(target) = target.and_then(|target| target.to_str().ok()) {
        return match target.split_once('.')?.0 {
            "AmazonEC2ContainerServiceV20141113" => Some(Service::Ecs),
            "AWSEvents" => Some(Service::Events),
            "Lightsail_20161128" => Some(Service::Lightsail),
            _ => None,
        };
    }
    match parts.uri.path().split('/').nth(1)? {
        "2015-03-31" | "2017-10-31" | "2017-03-31" | "2021-10-31" | "2021-11-15" | "2019-09-25"
        | "2019-09-30" => Some(Service::Lambda),
        "v1" => Some(Service::Batch),
        "v2" => Some(Service::Gateway),
        _ => None,
    }
}

async fn dispatch(services: &Arc<Services>, service: Service, call: Call) -> Response {
    let operation = call
        .header("x-amz-target")
        .and_then(|target| target.split_once('.'));
    let operation = operation
        .map(|(_, name)| name.to_owned())
        .unwrap_or_default();
    let said = match service {
        Service::Ecs => json(services.ecs.call(&operation, call).await),
        Service::Events => json(services.rules.call(&operation, call).await),
        Service::Lightsail => json(services.lightsail.call(&operation, call).await),
        Service::Gateway => services.gateway.call(call).await,
        Service::Batch => json(services.batch.call(call).await),
        Service::Lambda => services.lambda.call(call).await,
    };
    said.unwrap_or_else(|error| {
        tracing::debug!(%error, service = service.scope(), operation, "refused");
        error.into_answer()
    })
}

/// An answer of a JSON protocol.
pub(crate) fn json(outcome: Result<Value, Error>) -> Result<Response, Error> {
    Ok(written(StatusCode::OK, &outcome?))
}

/// An answer with a status and a JSON body.
pub(crate) fn written(status: StatusCode, value: &Value) -> Response {
    let kind = (header::CONTENT_TYPE, "application/json");
    (status, [kind], value.to_string()).into_response()
}

/// The answer to an operation that isn't here.
pub(crate) fn unknown(operation: &str) -> Error {
    Error::new(
        "UnknownOperationException",
        format!("there is no operation {operation} here"),
    )
}

/// An id as UUID, where AWS has one.
pub(crate) fn uuid() -> String {
    let id = id();
    format!(
        "{}-{}-{}-{}-{}",
        &id[..8],
        &id[8..12],
        &id[12..16],
        &id[16..20],
        &id[20..]
    )
}
