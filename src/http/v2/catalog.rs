//! `/v2/_catalog`: the repositories. It is not part of the specification any more, and every
//! client that lists repositories asks it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::json;
use wharf_auth::action::Action;

use crate::http::State as Shared;
use crate::http::access::Call;
use crate::http::error::Error;
use crate::http::extract::Parameters;
use crate::http::pagination::PageRequest;

/// `GET /v2/_catalog`. The caller sees the repositories that it may describe; a page may hold
/// fewer of them than it was asked for, or none, and still lead on.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    caller: Call,
    parameters: Parameters,
) -> Result<Response, Error> {
    let request = PageRequest::parse(&parameters, state.settings.page_limit)?;
    let page = state
        .registry
        .repositories(request.last.as_deref(), request.limit)
        .await?;
    let link = match page.items.last() {
        Some(last) if page.more => request.link("/v2/_catalog", last.as_str(), &[]),
        _ => HeaderMap::new(),
    };
    let mut names = page.items;
    names.retain(|name| caller.may(Action::DescribeRepositories, Some(name)));
    Ok((link, Json(json!({ "repositories": names }))).into_response())
}
