//! The keys that sign tokens. A private part is never told.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_storage::metadata::SigningKeyRecord;

use super::{body, changed, rfc3339};
use crate::http::State as Shared;
use crate::http::error::Error;
use crate::http::extract::Path;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rotate {
    /// A private key of one's own, Ed25519 or P-256, PEM (PKCS#8).
    pem: Option<String>,
}

/// `GET /admin/v1/signing-keys`: the oldest first.
pub(in crate::http) async fn list(State(state): State<Shared>) -> Result<Json<Value>, Error> {
    let keys = state.administration.signing_keys().await?;
    let keys: Vec<Value> = keys.iter().map(described).collect();
    Ok(Json(json!({ "signing_keys": keys })))
}

/// `POST /admin/v1/signing-keys`: another one signs from now on.
pub(in crate::http) async fn rotate(
    State(state): State<Shared>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Error> {
    let Rotate { pem } = body(&headers, bytes).await?;
    let longest = state.authority.settings().longest_lifetime();
    let id = state
        .administration
        .rotate_signing_key(pem.as_deref().map(str::as_bytes), longest)
        .await?;
    changed(&state).await;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

/// `DELETE /admin/v1/signing-keys/{id}`: all that it signed ends.
pub(in crate::http) async fn remove(
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    state.administration.remove_signing_key(&id).await?;
    changed(&state).await;
    Ok(StatusCode::NO_CONTENT)
}

fn described(key: &SigningKeyRecord) -> Value {
    json!({
        "id": key.id,
        "created_at": rfc3339(key.created_at),
        "retired_at": key.retired_at.and_then(rfc3339),
    })
}
