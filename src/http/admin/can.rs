//! Whether somebody may do something, and why.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use wharf_auth::identity::Context;

use super::body;
use crate::explanation::{self, Question};
use crate::http::State as Shared;
use crate::http::error::{Code, Error};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    principal: String,
    action: String,
    repository: Option<String>,
    address: Option<IpAddr>,
    #[serde(default)]
    secure: bool,
    #[serde(default)]
    claims: BTreeMap<String, String>,
}

/// `POST /admin/v1/can`.
pub(in crate::http) async fn post(
    State(state): State<Shared>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Json<Value>, Error> {
    let asked: Asked = body(&headers, bytes).await?;
    let context = Context {
        address: asked.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        secure: asked.secure,
        claims: Arc::new(asked.claims),
        ..Context::default()
    };
    let question = Question::parse(
        &asked.principal,
        &asked.action,
        asked.repository.as_deref(),
        context,
    );
    let question = question.map_err(|error| {
        Error::new(
            StatusCode::BAD_REQUEST,
            Code::Unsupported,
            error.to_string(),
        )
    })?;
    let explanation =
        explanation::explain(&state.authority.snapshot(), &question, state.clock.now());
    Ok(Json(explanation.json()))
}
