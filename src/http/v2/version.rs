//! `/v2/`: whether this is a registry, and whether the caller is known to it.

use axum::Json;
use serde_json::{Value, json};

/// end-1: `GET /v2/`.
pub(in crate::http) async fn get() -> Json<Value> {
    Json(json!({}))
}
