//! Trusts: whose tokens of other issuers are taken.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wharf_auth::administration::Error as AdminError;

use super::{body, changed};
use crate::http::State as Shared;
use crate::http::error::Error;
use crate::http::extract::Path;

/// `GET /admin/v1/trusts`.
pub(in crate::http) async fn list(State(state): State<Shared>) -> Json<Value> {
    let snapshot = state.authority.snapshot();
    Json(json!({ "trusts": snapshot.trusts }))
}

/// `GET /admin/v1/trusts/{name}`.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Error> {
    match state.authority.snapshot().trusts.get(&name) {
        Some(trust) => Ok(Json(json!(trust))),
        None => Err(AdminError::Missing(format!("trust {name}")).into()),
    }
}

/// `PUT /admin/v1/trusts/{name}`: the body is the trust.
pub(in crate::http) async fn put(
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<StatusCode, Error> {
    let document: Box<RawValue> = body(&headers, bytes).await?;
    state
        .administration
        .put_trust(&name, document.get())
        .await?;
    changed(&state).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /admin/v1/trusts/{name}`.
pub(in crate::http) async fn remove(
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    state.administration.remove_trust(&name).await?;
    changed(&state).await;
    Ok(StatusCode::NO_CONTENT)
}
