//! Policies, by what they are attached to: `registry`, `repository/NAME`, or a principal.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wharf_auth::administration::Error as AdminError;
use wharf_storage::metadata::PolicyRecord;

use super::{body, changed, rfc3339};
use crate::http::State as Shared;
use crate::http::access::Call;
use crate::http::error::Error;
use crate::http::extract::Path;

/// `GET /admin/v1/policies`.
pub(in crate::http) async fn list(State(state): State<Shared>) -> Json<Value> {
    let snapshot = state.authority.snapshot();
    let policies: Vec<Value> = snapshot.documents().values().map(told).collect();
    Json(json!({ "policies": policies }))
}

/// `GET /admin/v1/policies/{target}`.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    Path(target): Path<String>,
) -> Result<Json<Value>, Error> {
    let snapshot = state.authority.snapshot();
    match snapshot.documents().get(&target) {
        Some(policy) => Ok(Json(told(policy))),
        None => Err(AdminError::Missing(format!("policy of {target}")).into()),
    }
}

/// `PUT /admin/v1/policies/{target}`: the body is the document.
pub(in crate::http) async fn put(
    State(state): State<Shared>,
    call: Call,
    Path(target): Path<String>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<StatusCode, Error> {
    let document: Box<RawValue> = body(&headers, bytes).await?;
    let change = call.requester().change(state.clock.now());
    state
        .administration
        .put_policy(&target, document.get(), change)
        .await?;
    changed(&state).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /admin/v1/policies/{target}`.
pub(in crate::http) async fn remove(
    State(state): State<Shared>,
    call: Call,
    Path(target): Path<String>,
) -> Result<StatusCode, Error> {
    let change = call.requester().change(state.clock.now());
    state.administration.remove_policy(&target, change).await?;
    changed(&state).await;
    Ok(StatusCode::NO_CONTENT)
}

fn told(policy: &PolicyRecord) -> Value {
    // It was JSON when it was taken.
    let document: Value = serde_json::from_str(&policy.document).unwrap_or_default();
    json!({
        "target": policy.target,
        "document": document,
        "updated_by": policy.updated_by,
        "updated_at": rfc3339(policy.updated_at),
    })
}
