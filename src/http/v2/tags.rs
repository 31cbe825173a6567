//! `/v2/<name>/tags/list`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::json;

use crate::http::State as Shared;
use crate::http::access::Access;
use crate::http::error::Error;
use crate::http::extract::Parameters;
use crate::http::pagination::PageRequest;

/// end-8: `GET /v2/<name>/tags/list`.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    Access { repository, .. }: Access,
    parameters: Parameters,
) -> Result<Response, Error> {
    let request = PageRequest::parse(&parameters, state.settings.page_limit)?;
    let page = state
        .registry
        .tags(&repository, request.last.as_deref(), request.limit)
        .await?;
    let link = match page.items.last() {
        Some(last) if page.more => {
            request.link(&format!("/v2/{repository}/tags/list"), last.as_str(), &[])
        }
        _ => HeaderMap::new(),
    };
    Ok((
        link,
        Json(json!({ "name": repository, "tags": page.items })),
    )
        .into_response())
}
