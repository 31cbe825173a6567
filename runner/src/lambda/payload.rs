//! HTTP requests as events and answers as responses: payload format 2.0, of function URLs and HTTP
//! APIs.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::Answer;

/// The kind of a stream that begins with its status and headers.
const PRELUDE: &str = "application/vnd.awslambda.http-integration-response";

/// Where a request came in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) account: String,
    pub(crate) api: String,
    pub(crate) route: String,
    pub(crate) stage: String,
    pub(crate) path_parameters: BTreeMap<String, String>,
    pub(crate) stage_variables: BTreeMap<String, String>,
    pub(crate) source: String,
}

/// A request as an event.
pub(crate) fn event(place: &Place, parts: &Parts, body: &Bytes) -> Value {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    let mut cookies = Vec::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if name == http::header::COOKIE {
            cookies.extend(value.split(';').map(|cookie| cookie.trim().to_owned()));
            continue;
        }
        let joined = headers.entry(name.to_string()).or_default();
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(&value);
    }
    let query = parts.uri.query().unwrap_or_default();
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| {
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        let joined = parameters.entry(decoded(name)).or_default();
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(&decoded(value));
    }
    let host = headers.get("host").cloned().unwrap_or_default();
    let path = percent_decode_str(parts.uri.path())
        .decode_utf8_lossy()
        .into_owned();
    let now = OffsetDateTime::now_utc();
    let format =
        format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    let mut event = json!({
        "version": "2.0", "routeKey": place.route, "rawPath": path, "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": place.account, "apiId": place.api, "domainName": host,
            "domainPrefix": host.split('.').next(),
            "http": {
                "method": parts.method.as_str(), "path": path, "protocol": "HTTP/1.1",
                "sourceIp": place.source, "userAgent": headers.get("user-agent").cloned().unwrap_or_default(),
            },
            "requestId": uuid::Uuid::now_v7().to_string(), "routeKey": place.route, "stage": place.stage,
            "time": now.format(format).unwrap_or_default(),
            "timeEpoch": (now.unix_timestamp_nanos() / 1_000_000) as i64,
        },
        "isBase64Encoded": false,
    });
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !parameters.is_empty() {
        event["queryStringParameters"] = json!(parameters);
    }
    if !place.path_parameters.is_empty() {
        event["pathParameters"] = json!(place.path_parameters);
    }
    if !place.stage_variables.is_empty() {
        event["stageVariables"] = json!(place.stage_variables);
    }
    if !body.is_empty() {
        let kind = headers
            .get("content-type")
            .map(String::as_str)
            .unwrap_or_default();
        let is_text = [
            "text/",
            "application/json",
            "application/xml",
            "application/javascript",
            "application/x-www-form-urlencoded",
        ];
        let text = std::str::from_utf8(body).ok();
        match text.filter(|_| is_text.iter().any(|known| kind.starts_with(known))) {
            Some(text) => event["body"] = text.into(),
            None => {
                event["body"] = BASE64_STANDARD.encode(body).into();
                event["isBase64Encoded"] = true.into();
            }
        }
    }
    event
}

/// A function's answer as a response.
pub(crate) async fn response(answer: Answer, may_stream: bool) -> Response {
    match answer {
        Answer::Failed(_) => internal(),
        Answer::Whole(body) => whole(&body),
        Answer::Stream(kind, pieces) if may_stream => stream(&kind, pieces).await,
        Answer::Stream(_, mut pieces) => whole(&super::invoke::gathered(&mut pieces).await),
    }
}

fn internal() -> Response {
    let body = json!({"message": "Internal Server Error"}).to_string();
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        [("content-type", "application/json")],
        body,
    )
        .into_response()
}

fn whole(body: &Bytes) -> Response {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if value["statusCode"].is_null() {
        // Anything else is the body itself.
        let text = match value.as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => body.to_vec(),
        };
        return ([("content-type", "application/json")], text).into_response();
    }
    let text = match &value["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let bytes = match value["isBase64Encoded"] == true {
        true => BASE64_STANDARD.decode(&text).unwrap_or_default(),
        false => text.into_bytes(),
    };
    head(&value).map_or_else(internal, |mut response| {
        *response.body_mut() = Body::from(bytes);
        response
    })
}

/// Makes a response of what a function answered.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(body: &[u8]) {
    let response = whole(&Bytes::copy_from_slice(body));
    let framing = [
        http::header::CONTENT_LENGTH,
        http::header::TRANSFER_ENCODING,
    ];
    assert!(
        framing
            .iter()
            .all(|name| !response.headers().contains_key(name))
    );
}

/// Status, headers and cookies.
fn head(value: &Value) -> Option<Response> {
    let status = value["statusCode"]
        .as_u64()
        .or_else(|| value["statusCode"].as_str()?.parse().ok());
    let status = StatusCode::from_u16(u16::try_from(status.unwrap_or(200)).ok()?).ok()?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    for (name, value) in value["headers"].as_object().into_iter().flatten() {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::try_from(text))
        else {
            continue;
        };
        let is_about_framing = [
            http::header::CONTENT_LENGTH,
            http::header::TRANSFER_ENCODING,
        ]
        .contains(&name);
        if !is_about_framing {
            headers.insert(name, value);
        }
    }
    for cookie in crate::aws::texts(&value["cookies"]) {
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            headers.append(http::header::SET_COOKIE, cookie);
        }
    }
    Some(response)
}

/// A stream; of kind `PRELUDE` it begins with a JSON head and eight zero bytes.
async fn stream(kind: &str, mut pieces: tokio::sync::mpsc::Receiver<Bytes>) -> Response {
    let mut response = Response::new(Body::empty());
    let mut first = Bytes::new();
    if kind == PRELUDE {
        let mut gathered = Vec::new();
        let end = loop {
            if let Some(end) = gathered.windows(8).position(|window| window == [0; 8]) {
                break Some(end);
            }
            match pieces.recv().await {
                Some(piece) => gathered.extend_from_slice(&piece),
                None => break None,
            }
        };
        let Some(end) = end else {
            return internal();
        };
        let value: Value = serde_json::from_slice(&gathered[..end]).unwrap_or_default();
        let Some(made) = head(&value) else {
            return internal();
        };
        response = made;
        first = Bytes::copy_from_slice(&gathered[end + 8..]);
    } else {
        let kind = HeaderValue::try_from(kind)
            .ok()
            .filter(|kind| !kind.is_empty());
        let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        response.headers_mut().insert("content-type", kind);
    }
    let rest = futures_util::stream::unfold((Some(first), pieces), |(first, mut pieces)| async {
        let piece = match first.filter(|first| !first.is_empty()) {
            Some(first) => first,
            None => pieces.recv().await?,
        };
        Some((Ok::<_, std::convert::Infallible>(piece), (None, pieces)))
    });
    *response.body_mut() = Body::from_stream(rest);
    response
}
