//! Requests and answers, with the docker token flow.
//!
//! Nothing is mended on the way: a check gets the answer as it came. The one exception is 401, upon
//! which the client logs in, where it can, and asks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::arguments::Target;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How large the pieces of a streamed body are.
const PIECE_BYTES: usize = 16 << 10;

/// What a query leaves as it is, and what reads well in a scope.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/');

type Body = BoxBody<Bytes, std::convert::Infallible>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The address isn't one that can be asked.
    #[error("{0} is not an address such as http://127.0.0.1:5000")]
    Address(String),
    /// https is for another day.
    #[error("only plain http:// is spoken")]
    Https,
    /// The request can't be made.
    #[error("the request can not be made: {0}")]
    Request(#[from] http::Error),
    /// The registry can't be reached, or broke off.
    #[error("the registry gave no answer: {0}")]
    Transport(String),
    /// The registry took too long.
    #[error("the registry gave no answer within {PATIENCE:?}")]
    Slow,
    /// The token endpoint gave no token.
    #[error("no token was given: {0}")]
    Token(String),
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The method and the path that were asked, for the reason of a failure.
    pub(crate) asked: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON, null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// A request that is being put together.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    is_streamed: bool,
}

impl Ask {
    /// A request for a path, or for a location that a registry gave.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            is_streamed: false,
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("checks send well-formed headers");
        self.headers.push((name, value));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body without saying how long it is.
    pub(crate) fn streamed(mut self) -> Self {
        self.is_streamed = true;
        self
    }
}

/// A client of one registry.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    base: Arc<str>,
    credentials: Option<Arc<(String, String)>>,
    http: HyperClient<HttpConnector, Body>,
    /// The `Authorization` that worked, by method and repository.
    authorizations: Arc<Mutex<HashMap<String, HeaderValue>>>,
}

impl Client {
    /// A client of the registry that the command line names.
    pub(crate) fn new(target: &Target) -> Result<Self, Error> {
        let url = target.url.clone().unwrap_or_default();
        if url.starts_with("https://") {
            return Err(Error::Https);
        }
        let uri: Uri = url.parse().map_err(|_| Error::Address(url.clone()))?;
        let authority = match (uri.scheme_str(), uri.authority(), uri.path()) {
            (Some("http"), Some(authority), "/" | "") => authority.clone(),
            _ => return Err(Error::Address(url)),
        };
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(10)));
        let credentials = target
            .username
            .clone()
            .map(|username| Arc::new((username, target.password.clone().unwrap_or_default())));
        Ok(Self {
            base: format!("http://{authority}").into(),
            credentials,
            http: HyperClient::builder(TokioExecutor::new()).build(connector),
            authorizations: Arc::default(),
        })
    }

    /// Sends a request, and logs in where the registry wants that.
    pub(crate) async fn send(&self, ask: Ask) -> Result<Answer, Error> {
        let key = authorization_key(&ask);
        let known = self.lock().get(&key).cloned();
        let answer = self.exchange(&ask, known.as_ref()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let Some(authorization) = self.log_in(&answer).await? else {
            return Ok(answer);
        };
        self.lock().insert(key, authorization.clone());
        self.exchange(&ask, Some(&authorization)).await
    }

    /// What was shown when a request like this one was let through; nothing where nobody asked.
    pub(crate) fn authorization(&self, ask: &Ask) -> Option<HeaderValue> {
        self.lock().get(&authorization_key(ask)).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, HeaderValue>> {
        self.authorizations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(
        &self,
        ask: &Ask,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Error> {
        let url = match ask.path.starts_with("http") {
            true => ask.path.clone(),
            false => format!("{}{}", self.base, ask.path),
        };
        let mut request = Request::builder().method(&ask.method).uri(url);
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let sends_body = matches!(ask.method, Method::POST | Method::PUT | Method::PATCH);
        if sends_body && !ask.is_streamed {
            request = request.header(header::CONTENT_LENGTH, ask.body.len());
        }
        let request = request.body(body_of(ask))?;
        let asked = format!("{} {}", ask.method, request.uri().path());
        let exchange = async {
            let answer = self.http.request(request).await.map_err(transport)?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(transport)?.to_bytes();
            Ok(Answer {
                asked,
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .map_err(|_| Error::Slow)?
    }

    /// What to send as `Authorization` after this refusal; nothing when there is no way to log in.
    async fn log_in(&self, refusal: &Answer) -> Result<Option<HeaderValue>, Error> {
        let challenge = refusal.header("www-authenticate").unwrap_or_default();
        let basic = self.credentials.as_deref().map(|(username, password)| {
            format!("Basic {}", BASE64.encode(format!("{username}:{password}")))
        });
        let Some((scheme, parameters)) = challenge.split_once(' ') else {
            return Ok(None);
        };
        if scheme.eq_ignore_ascii_case("basic") {
            return Ok(basic.and_then(|text| HeaderValue::try_from(text).ok()));
        }
        let parameters = challenge_parameters(parameters);
        let Some(realm) = parameters.get("realm") else {
            return Ok(None);
        };
        let mut url = format!("{realm}?service={}", escape(parameters.get("service")));
        for scope in parameters
            .get("scope")
            .map(|scope| scope.split(' '))
            .into_iter()
            .flatten()
        {
            url.push_str(&format!("&scope={}", utf8_percent_encode(scope, ESCAPED)));
        }
        let mut ask = Ask::new(Method::GET, url);
        if let Some(basic) = basic {
            ask = ask.header(header::AUTHORIZATION, &basic);
        }
        let answer = self.exchange(&ask, None).await?;
        let body = answer.json();
        let token = body["token"].as_str().or(body["access_token"].as_str());
        match token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok()) {
            Some(bearer) => Ok(Some(bearer)),
            None => Err(Error::Token(format!(
                "{} answered {}",
                answer.asked, answer.status
            ))),
        }
    }
}

fn transport(error: impl std::error::Error) -> Error {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    Error::Transport(text)
}

fn body_of(ask: &Ask) -> Body {
    if !ask.is_streamed {
        return Full::new(ask.body.clone()).boxed();
    }
    let body = ask.body.clone();
    let pieces = (0..body.len()).step_by(PIECE_BYTES).map(move |start| {
        let piece = body.slice(start..body.len().min(start + PIECE_BYTES));
        Ok(Frame::data(piece))
    });
    StreamBody::new(stream::iter(pieces)).boxed()
}

/// Requests with the same right share an authorization.
fn authorization_key(ask: &Ask) -> String {
    let right = match ask.method.as_str() {
        "GET" | "HEAD" => "pull",
        "DELETE" => "delete",
        _ => "push",
    };
    let path = ask.path.split('?').next().unwrap_or_default();
    let endpoints = ["/blobs/", "/manifests/", "/tags/", "/referrers/"];
    let cut = endpoints
        .iter()
        .filter_map(|endpoint| path.rfind(endpoint))
        .max();
    format!("{right} {}", &path[..cut.unwrap_or(path.len())])
}

/// The parameters of a challenge, `name="value"`, separated by commas outside of quotes.
fn challenge_parameters(text: &str) -> HashMap<String, String> {
    let mut parameters = HashMap::new();
    let mut rest = text;
    while let Some((name, behind)) = rest.split_once('=') {
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => behind.split_at(behind.find(',').unwrap_or(behind.len())),
        };
        parameters.insert(
            name.trim_matches([',', ' ']).to_lowercase(),
            value.to_owned(),
        );
        rest = behind;
    }
    parameters
}

fn escape(text: Option<&String>) -> impl std::fmt::Display {
    utf8_percent_encode(text.map_or("", String::as_str), ESCAPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_with_commas_in_its_scope() {
        let text = r#"realm="http://h/token",service="r", scope="repository:a/b:pull,push""#;
        let parameters = challenge_parameters(text);
        assert_eq!(parameters["realm"], "http://h/token");
        assert_eq!(parameters["service"], "r");
        assert_eq!(parameters["scope"], "repository:a/b:pull,push");
    }

    #[test]
    fn rights_are_kept_apart_by_repository() {
        let key = |method, path: &str| authorization_key(&Ask::new(method, path));
        assert_eq!(key(Method::GET, "/v2/a/b/manifests/v1"), "pull /v2/a/b");
        assert_eq!(
            key(Method::PATCH, "/v2/a/blobs/uploads/1?x=/tags/"),
            "push /v2/a"
        );
        assert_ne!(
            key(Method::PUT, "/v2/a/manifests/v1"),
            key(Method::PUT, "/v2/b/manifests/v1")
        );
    }
}
