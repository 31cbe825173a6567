//! AWS-style keys. A secret is told once, when the key is made.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_auth::identity::Principal;

use super::{body, changed, lifetime, rfc3339};
use crate::http::State as Shared;
use crate::http::error::{Code, Error};
use crate::http::extract::Path;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    /// `user/NAME` or `robot/NAME`.
    principal: String,
    expires_in: Option<String>,
}

/// `GET /admin/v1/keys`.
pub(in crate::http) async fn list(State(state): State<Shared>) -> Json<Value> {
    let snapshot = state.authority.snapshot();
    let keys: Vec<Value> = snapshot
        .access_keys()
        .into_iter()
        .map(|key| {
            json!({
                "id": key.id,
                "principal": key.principal,
                "created_at": rfc3339(key.created_at),
                "expires_at": key.expires_at.and_then(rfc3339),
            })
        })
        .collect();
    Json(json!({ "keys": keys }))
}

/// `POST /admin/v1/keys`.
pub(in crate::http) async fn add(
    State(state): State<Shared>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Error> {
    let new: New = body(&headers, bytes).await?;
    let owner: Principal = new.principal.parse().map_err(|error| {
        let message = format!("principal: {error}");
        Error::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
    })?;
    let lifetime = lifetime(new.expires_in.as_deref())?;
    let key = state
        .administration
        .add_access_key(&owner, lifetime)
        .await?;
    changed(&state).await;
    let answer = json!({ "access_key_id": key.id, "secret_access_key": key.secret });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// `DELETE /admin/v1/keys/{id}`.
pub(in crate::http) async fn remove(
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    state.administration.remove_access_key(&id).await?;
    changed(&state).await;
    Ok(StatusCode::NO_CONTENT)
}
