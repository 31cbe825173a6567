//! Users.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_auth::identity::{Kind, Principal};

use super::{body, changed, described, one};
use crate::http::State as Shared;
use crate::http::error::Error;
use crate::http::extract::Path;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    password: String,
    #[serde(default)]
    description: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    password: Option<String>,
    disabled: Option<bool>,
}

/// `GET /admin/v1/users`.
pub(in crate::http) async fn list(State(state): State<Shared>) -> Json<Value> {
    let snapshot = state.authority.snapshot();
    let users: Vec<Value> = snapshot
        .principals(Kind::User)
        .into_iter()
        .map(described)
        .collect();
    Json(json!({ "users": users }))
}

/// `GET /admin/v1/users/{name}`.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Error> {
    one(&state, &Principal::user(&name))
}

/// `POST /admin/v1/users`.
pub(in crate::http) async fn add(
    State(state): State<Shared>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Error> {
    let new: New = body(&headers, bytes).await?;
    let principal = state
        .administration
        .add_user(&new.name, &new.password, &new.description)
        .await?;
    changed(&state).await;
    let answer = json!({ "principal": principal.to_string() });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// `PATCH /admin/v1/users/{name}`.
pub(in crate::http) async fn change(
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<StatusCode, Error> {
    let change: Change = body(&headers, bytes).await?;
    state
        .administration
        .change_user(&name, change.password.as_deref(), change.disabled)
        .await?;
    changed(&state).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /admin/v1/users/{name}`.
pub(in crate::http) async fn remove(
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    state.administration.remove(Kind::User, &name).await?;
    changed(&state).await;
    Ok(StatusCode::NO_CONTENT)
}
