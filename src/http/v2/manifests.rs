//! `/v2/<name>/manifests/<reference>`.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};
use http_body_util::LengthLimitError;
use wharf_storage::metadata::ManifestHead;
use wharf_storage::oci::{MediaType, Reference, Tag, TagError};

use super::{DOCKER_CONTENT_DIGEST, OCI_TAG, header_value};
use crate::http::State as Shared;
use crate::http::access::Access;
use crate::http::error::{Code, Error};
use crate::http::extract::{Last, Parameters, header_text, matches_none};
use crate::registry::ManifestTarget;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// How many tags one push may set. The specification asks for ten.
const MOST_TAGS: usize = 100;

/// end-3: `GET /v2/<name>/manifests/<reference>`. What types the client accepts is not asked: a
/// manifest has one type, and a client that names too few of them wants it all the same.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    Access {
        repository, caller, ..
    }: Access,
    Last(reference): Last<Reference>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let manifest = state.registry.manifest(&repository, &reference).await?;
    let digest = &manifest.head.digest;
    state
        .registry
        .pulled(&repository, digest, &caller.principal);
    let described = describe(&manifest.head);
    if matches_none(&headers, manifest.head.digest.as_str()) {
        return Ok((StatusCode::NOT_MODIFIED, described).into_response());
    }
    Ok((described, manifest.bytes).into_response())
}

/// end-3: `HEAD /v2/<name>/manifests/<reference>`.
pub(in crate::http) async fn head(
    State(state): State<Shared>,
    Access { repository, .. }: Access,
    Last(reference): Last<Reference>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let head = state
        .registry
        .manifest_head(&repository, &reference)
        .await?;
    let mut described = describe(&head);
    if matches_none(&headers, head.digest.as_str()) {
        return Ok((StatusCode::NOT_MODIFIED, described).into_response());
    }
    described.insert(header::CONTENT_LENGTH, head.size.into());
    Ok(described.into_response())
}

/// end-7: `PUT /v2/<name>/manifests/<reference>`, by digest with `?tag=` any number of times.
pub(in crate::http) async fn put(
    State(state): State<Shared>,
    access: Access,
    Last(reference): Last<Reference>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let tags: Result<Vec<Tag>, TagError> = parameters.all("tag").map(str::parse).collect();
    let tags = tags?;
    if tags.len() > MOST_TAGS {
        let message = format!("at most {MOST_TAGS} tags are set at once");
        return Err(Error::new(
            StatusCode::URI_TOO_LONG,
            Code::TagInvalid,
            message,
        ));
    }
    let content_type = header_text(&headers, header::CONTENT_TYPE).filter(|text| !text.is_empty());
    let content_type: Option<MediaType> = content_type.map(str::parse).transpose()?;
    let bytes = read_limited(body, &headers, state.settings.manifest_limit).await?;

    let repository = access.repository.clone();
    let location = format!("/v2/{repository}/manifests/{reference}");
    let mut answer = HeaderMap::new();
    for tag in &tags {
        answer.append(OCI_TAG, header_value(tag));
    }
    let target = ManifestTarget {
        repository,
        reference,
        tags,
    };
    let pushed = state
        .registry
        .push_manifest(&access.pusher(), target, content_type, bytes)
        .await
        .map_err(|error| access.failure(error))?;
    answer.insert(header::LOCATION, header_value(location));
    answer.insert(DOCKER_CONTENT_DIGEST, header_value(&pushed.digest));
    if let Some(subject) = &pushed.subject {
        answer.insert(OCI_SUBJECT, header_value(subject));
    }
    Ok((StatusCode::CREATED, answer).into_response())
}

/// end-9: `DELETE /v2/<name>/manifests/<reference>`.
pub(in crate::http) async fn delete(
    State(state): State<Shared>,
    access: Access,
    Last(reference): Last<Reference>,
) -> Result<StatusCode, Error> {
    state
        .registry
        .delete_manifest(&access.requester(), &access.repository, &reference)
        .await?;
    Ok(StatusCode::ACCEPTED)
}

fn describe(head: &ManifestHead) -> HeaderMap {
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, header_value(&head.media_type)),
        (DOCKER_CONTENT_DIGEST, header_value(&head.digest)),
        (
            header::ETAG,
            header_value(format_args!("\"{}\"", head.digest)),
        ),
    ])
}

async fn read_limited(body: Body, headers: &HeaderMap, limit: usize) -> Result<Bytes, Error> {
    let announced: Option<usize> =
        header_text(headers, header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Error::too_large(Code::ManifestInvalid, limit));
    }
    to_bytes(body, limit).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        let is_too_long = source.is_some_and(<dyn std::error::Error>::is::<LengthLimitError>);
        if is_too_long {
            Error::too_large(Code::ManifestInvalid, limit)
        } else {
            let message = "the body could not be read to its end";
            Error::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, message)
        }
    })
}
