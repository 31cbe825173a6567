//! Whether the process lives, and whether it can serve.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use super::State as Shared;

/// `GET /healthz`: 200 as long as the process answers at all.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 when requests can be served, else 503 with what stands in the way.
pub(super) async fn ready(State(state): State<Shared>) -> Response {
    let checks = [
        ("draining", state.stopping.is_cancelled()),
        ("metadata", state.registry.check().await.is_err()),
    ];
    let failed: Vec<&str> = checks
        .into_iter()
        .filter_map(|(name, fails)| fails.then_some(name))
        .collect();
    let status = match failed.as_slice() {
        [] => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (
        status,
        Json(json!({ "ready": failed.is_empty(), "failed": failed })),
    )
        .into_response()
}
