//! Endpoints: where events are delivered to. A secret is told once, when it is made.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_storage::metadata::{DeadLetter, DeliveryRecord, EndpointRecord};

use super::{body, rfc3339};
use crate::events::endpoints::{Alteration, Description, Error as EndpointError};
use crate::events::{Format, Origin};
use crate::http::State as Shared;
use crate::http::error::{Code, Error};
use crate::http::extract::Parameters;
use crate::registry;

/// How many entries a page has at most.
const MOST: u64 = 1000;
/// How many it has when nobody says.
const USUAL: u64 = 100;
/// How long the secret before goes on when nobody says.
const OVERLAP: Duration = Duration::from_secs(86_400);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    url: String,
    format: Option<String>,
    stream: Option<String>,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    repositories: Vec<String>,
    secret: Option<String>,
    after: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    url: Option<String>,
    format: Option<String>,
    types: Option<Vec<String>>,
    repositories: Option<Vec<String>>,
    enabled: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rotate {
    secret: Option<String>,
    /// Such as `1day`.
    overlap: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    after: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Resend {
    sequence: Option<i64>,
}

/// `GET /admin/v1/endpoints`.
pub(in crate::http) async fn list(State(state): State<Shared>) -> Result<Json<Value>, Error> {
    let endpoints = state.endpoints.list().await?;
    let endpoints: Vec<Value> = endpoints.iter().map(described).collect();
    Ok(Json(json!({ "endpoints": endpoints })))
}

/// `GET /admin/v1/endpoints/{name}`.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Error> {
    let endpoint = state.endpoints.get(&name).await?;
    Ok(Json(described(&endpoint)))
}

/// `POST /admin/v1/endpoints`.
pub(in crate::http) async fn add(
    State(state): State<Shared>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Error> {
    let new: New = body(&headers, bytes).await?;
    let name = new.name.clone();
    let description = Description {
        name: new.name,
        url: new.url,
        format: new.format,
        stream: new.stream,
        types: new.types,
        repositories: new.repositories,
        secret: new.secret,
        after: new.after,
    };
    let secret = state.endpoints.add(description).await?;
    let told = Json(json!({"name": name, "secret": secret}));
    Ok((StatusCode::CREATED, told).into_response())
}

/// `PATCH /admin/v1/endpoints/{name}`.
pub(in crate::http) async fn change(
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<StatusCode, Error> {
    let change: Change = body(&headers, bytes).await?;
    let alteration = Alteration {
        url: change.url,
        format: change.format,
        types: change.types,
        repositories: change.repositories,
        enabled: change.enabled,
    };
    state.endpoints.change(&name, alteration).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /admin/v1/endpoints/{name}`.
pub(in crate::http) async fn remove(
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    state.endpoints.remove(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /admin/v1/endpoints/{name}/secret`: another secret; the old one goes on for a while.
pub(in crate::http) async fn rotate(
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Json<Value>, Error> {
    let Rotate { secret, overlap } = body(&headers, bytes).await?;
    let overlap = match overlap {
        None => OVERLAP,
        Some(text) => {
            humantime::parse_duration(&text).map_err(|error| wrong(format!("overlap: {error}")))?
        }
    };
    let secret = state
        .endpoints
        .rotate_secret(&name, secret, overlap)
        .await?;
    Ok(Json(json!({"name": name, "secret": secret})))
}

/// `POST /admin/v1/endpoints/{name}/replay` with `{"after": …}`: tells again what comes behind.
pub(in crate::http) async fn replay(
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<StatusCode, Error> {
    let Replay { after } = body(&headers, bytes).await?;
    state.endpoints.replay(&name, after).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `GET /admin/v1/endpoints/{name}/deliveries?before=&limit=`: what was tried, the newest first.
pub(in crate::http) async fn deliveries(
    State(state): State<Shared>,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Result<Json<Value>, Error> {
    state.endpoints.get(&name).await?;
    let (before, limit) = (number(&parameters, "before")?, limit(&parameters)?);
    let found = state.metadata.deliveries(&name, before, limit).await;
    let found = found.map_err(registry::Error::from)?;
    let next = (found.len() as u64 == limit).then(|| found.last().map(|last| last.id));
    let deliveries: Vec<Value> = found.iter().map(tried).collect();
    Ok(Json(
        json!({"deliveries": deliveries, "next": next.flatten()}),
    ))
}

/// `GET /admin/v1/endpoints/{name}/dead-letters?after=&limit=`: what was given up, the oldest first.
pub(in crate::http) async fn dead_letters(
    State(state): State<Shared>,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Result<Json<Value>, Error> {
    state.endpoints.get(&name).await?;
    let (after, limit) = (number(&parameters, "after")?, limit(&parameters)?);
    let found = state
        .metadata
        .dead_letters(&name, after.unwrap_or(0), false, limit);
    let found = found.await.map_err(registry::Error::from)?;
    let next = (found.len() as u64 == limit).then(|| found.last().map(|last| last.event.seq));
    let letters: Vec<Value> = found
        .iter()
        .map(|letter| dead(letter, &state.origin))
        .collect();
    Ok(Json(
        json!({"dead_letters": letters, "next": next.flatten()}),
    ))
}

/// `POST /admin/v1/endpoints/{name}/dead-letters/resend` with `{"sequence": …}`, or with `{}` for all.
pub(in crate::http) async fn resend(
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Error> {
    let Resend { sequence } = body(&headers, bytes).await?;
    state.endpoints.get(&name).await?;
    let now = state.clock.now();
    let count = state
        .metadata
        .resend_dead_letters(&name, sequence, now)
        .await;
    let count = count.map_err(registry::Error::from)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "count": count }))).into_response())
}

/// `DELETE /admin/v1/endpoints/{name}/dead-letters?sequence=`: throws one away, or all.
pub(in crate::http) async fn discard(
    State(state): State<Shared>,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Result<Json<Value>, Error> {
    state.endpoints.get(&name).await?;
    let sequence = number(&parameters, "sequence")?;
    let count = state.metadata.discard_dead_letters(&name, sequence).await;
    let count = count.map_err(registry::Error::from)?;
    Ok(Json(json!({ "count": count })))
}

fn described(endpoint: &EndpointRecord) -> Value {
    let disabled = endpoint
        .disabled
        .as_ref()
        .map(|(at, reason)| json!({"at": rfc3339(*at), "reason": reason}));
    json!({
        "name": endpoint.name,
        "url": endpoint.url,
        "format": endpoint.format,
        "stream": endpoint.stream,
        "types": endpoint.types,
        "repositories": endpoint.repositories,
        "enabled": endpoint.disabled.is_none(),
        "disabled": disabled,
        "cursor": endpoint.cursor,
        "dead_letters": endpoint.dead_letters,
        "created_at": rfc3339(endpoint.created_at),
    })
}

fn tried(delivery: &DeliveryRecord) -> Value {
    json!({
        "id": delivery.id,
        "sequence": delivery.seq,
        "event": delivery.event_id,
        "at": rfc3339(delivery.at),
        "attempt": delivery.attempt,
        "delivered": delivery.delivered,
        "detail": delivery.detail,
        "took_us": delivery.took_us,
    })
}

fn dead(letter: &DeadLetter, origin: &Origin) -> Value {
    json!({
        "sequence": letter.event.seq,
        "event": Format::CloudEvents.write(&letter.event, origin),
        "attempts": letter.attempts,
        "reason": letter.reason,
        "died_at": rfc3339(letter.died_at),
        "resend": letter.resend,
    })
}

fn number(parameters: &Parameters, name: &str) -> Result<Option<i64>, Error> {
    let number = parameters.parsed(name);
    number.map_err(|_| wrong(format!("{name} is no number")))
}

fn limit(parameters: &Parameters) -> Result<u64, Error> {
    let limit = number(parameters, "limit")?;
    Ok(limit.map_or(USUAL, |limit| limit.unsigned_abs().clamp(1, MOST)))
}

fn wrong(message: String) -> Error {
    Error::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
}

impl From<EndpointError> for Error {
    fn from(error: EndpointError) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            EndpointError::Metadata(error) => return registry::Error::from(error).into(),
            EndpointError::Exists(_) => (StatusCode::CONFLICT, Code::Unsupported),
            EndpointError::Missing(_) => (StatusCode::NOT_FOUND, Code::NameUnknown),
            EndpointError::Sealed(_) => (StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown),
            EndpointError::Name
            | EndpointError::Target(_)
            | EndpointError::Format(_)
            | EndpointError::Stream(_)
            | EndpointError::Secret(_)
            | EndpointError::Password
            | EndpointError::Ahead { .. }
            | EndpointError::Patterns => (StatusCode::BAD_REQUEST, Code::Unsupported),
        };
        Self::new(status, code, message)
    }
}
