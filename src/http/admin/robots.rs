//! Robots. A secret is told once, when it is made.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_auth::administration::Created;
use wharf_auth::identity::{Kind, Principal};

use super::{body, changed, described, lifetime, one};
use crate::http::State as Shared;
use crate::http::error::Error;
use crate::http::extract::Path;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    #[serde(default)]
    description: String,
    /// Such as `90days`; without it the robot doesn't end.
    expires_in: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    disabled: bool,
}

/// `GET /admin/v1/robots`.
pub(in crate::http) async fn list(State(state): State<Shared>) -> Json<Value> {
    let snapshot = state.authority.snapshot();
    let robots: Vec<Value> = snapshot
        .principals(Kind::Robot)
        .into_iter()
        .map(described)
        .collect();
    Json(json!({ "robots": robots }))
}

/// `GET /admin/v1/robots/{name}`.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Error> {
    one(&state, &Principal::robot(&name))
}

/// `POST /admin/v1/robots`.
pub(in crate::http) async fn add(
    State(state): State<Shared>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Response, Error> {
    let new: New = body(&headers, bytes).await?;
    let lifetime = lifetime(new.expires_in.as_deref())?;
    let created = state
        .administration
        .add_robot(&new.name, &new.description, lifetime)
        .await?;
    changed(&state).await;
    Ok((StatusCode::CREATED, Json(told(&created))).into_response())
}

/// `PATCH /admin/v1/robots/{name}`.
pub(in crate::http) async fn change(
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<StatusCode, Error> {
    let Change { disabled } = body(&headers, bytes).await?;
    state
        .administration
        .set_disabled(Kind::Robot, &name, disabled)
        .await?;
    changed(&state).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /admin/v1/robots/{name}/secret`: another secret in the place of the old one.
pub(in crate::http) async fn rotate(
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Error> {
    let created = state.administration.rotate_secret(&name).await?;
    changed(&state).await;
    Ok(Json(told(&created)))
}

/// `DELETE /admin/v1/robots/{name}`.
pub(in crate::http) async fn remove(
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    state.administration.remove(Kind::Robot, &name).await?;
    changed(&state).await;
    Ok(StatusCode::NO_CONTENT)
}

fn told(created: &Created) -> Value {
    json!({
        "principal": created.principal.to_string(),
        "username": created.principal.to_string(),
        "secret": created.secret,
    })
}
