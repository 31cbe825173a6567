//! `/v2/<name>/referrers/<digest>`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use wharf_storage::oci::{Digest, MediaType};

use crate::http::State as Shared;
use crate::http::access::Access;
use crate::http::error::Error;
use crate::http::extract::{Last, Parameters};
use crate::http::pagination::PageRequest;

const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// end-12: `GET /v2/<name>/referrers/<digest>`. It is never 404.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    Access { repository, .. }: Access,
    Last(subject): Last<Digest>,
    parameters: Parameters,
) -> Result<Response, Error> {
    let request = PageRequest::parse(&parameters, state.settings.page_limit)?;
    let artifact_type = parameters
        .first("artifactType")
        .filter(|text| !text.is_empty());
    let page = state
        .registry
        .referrers(
            &repository,
            &subject,
            artifact_type,
            request.last.as_deref(),
            request.limit,
        )
        .await?;

    let mut headers = HeaderMap::new();
    if let (Some(last), true) = (page.items.last(), page.more) {
        let path = format!("/v2/{repository}/referrers/{subject}");
        let kept: Vec<_> = artifact_type
            .map(|text| ("artifactType", text))
            .into_iter()
            .collect();
        headers = request.link(&path, last.digest.as_str(), &kept);
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(MediaType::OCI_INDEX),
    );
    if artifact_type.is_some() {
        headers.insert(
            OCI_FILTERS_APPLIED,
            HeaderValue::from_static("artifactType"),
        );
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_INDEX,
        "manifests": page.items,
    });
    Ok((headers, index.to_string()).into_response())
}
