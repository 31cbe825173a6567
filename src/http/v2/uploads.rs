//! `/v2/<name>/blobs/uploads/`: sending blobs.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use wharf_auth::action::Action;
use wharf_storage::oci::{Algorithm, Digest, DigestError, RepositoryName};

use super::{DOCKER_CONTENT_DIGEST, header_value};
use crate::http::State as Shared;
use crate::http::access::Access;
use crate::http::error::{Code, Error};
use crate::http::extract::{Last, LastUpload, Parameters, header_text};
use crate::http::range::parse_content_range;
use crate::http::steady::steady;
use crate::metrics::UploadOutcome;
use crate::registry::{self, BodyError, Chunk, Session, UploadStatus};

/// What the end of an upload needs, also where it comes with the beginning.
const FINISH: &[Action] = &[Action::UploadLayerPart, Action::CompleteLayerUpload];

const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// end-4a, 4b and 11: `POST /v2/<name>/blobs/uploads/`, with `?digest=` and the whole blob, or with
/// `?mount=` and maybe `&from=`, or to begin an upload, maybe with `?digest-algorithm=`.
pub(in crate::http) async fn post(
    State(state): State<Shared>,
    access: Access,
    parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let algorithm: Option<Algorithm> = parameters.parsed("digest-algorithm")?;
    let digest: Option<Digest> = parameters.parsed("digest")?;
    if let Some(mounted) = mount(&state, &access, &parameters).await? {
        state.metrics.upload(UploadOutcome::Mounted);
        return Ok(created(&access.repository, &mounted));
    }
    let algorithm = algorithm.or(digest.as_ref().map(Digest::algorithm));
    let algorithm = algorithm.unwrap_or(Algorithm::Sha256);
    let session = state
        .registry
        .begin_upload(&access.repository, &access.pusher(), algorithm)
        .await
        .map_err(|error| access.failure(error))?;
    state.metrics.upload(UploadOutcome::Started);
    let Some(digest) = digest else {
        let status = UploadStatus {
            id: session.id,
            offset: 0,
        };
        return Ok((StatusCode::ACCEPTED, describe(&access.repository, status)).into_response());
    };
    access.require(FINISH)?;
    let chunk = read_chunk(&state, &headers, body).ok_or_else(malformed_range)??;
    let finished = state.registry.finish_upload(&session, &digest, chunk).await;
    if finished.is_err() {
        // The client never learns of this upload, so nobody would go on with it. That it may have
        // ended already is no matter.
        let _ = state.registry.cancel_upload(&session).await;
    }
    finished.map_err(|error| access.failure(error))?;
    state.metrics.upload(UploadOutcome::Finished);
    Ok(created(&access.repository, &digest))
}

/// `GET /v2/<name>/blobs/uploads/<id>`: where an upload stands.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    access: Access,
    Last(id): LastUpload,
) -> Result<Response, Error> {
    let session = claim(&access, id);
    let status = state.registry.upload_status(&session).await?;
    Ok((
        StatusCode::NO_CONTENT,
        describe(&session.repository, status),
    )
        .into_response())
}

/// end-5: `PATCH /v2/<name>/blobs/uploads/<id>`: a chunk.
pub(in crate::http) async fn patch(
    State(state): State<Shared>,
    access: Access,
    Last(id): LastUpload,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let session = claim(&access, id);
    let Some(chunk) = read_chunk(&state, &headers, body) else {
        return Err(out_of_order(&state, &session, malformed_range()).await);
    };
    let status = match state.registry.append(&session, chunk?).await {
        Err(error @ registry::Error::OutOfOrder { .. }) => {
            return Err(out_of_order(&state, &session, error.into()).await);
        }
        outcome => outcome?,
    };
    Ok((StatusCode::ACCEPTED, describe(&session.repository, status)).into_response())
}

/// end-6: `PUT /v2/<name>/blobs/uploads/<id>?digest=…`: the end, with a last chunk or without.
pub(in crate::http) async fn put(
    State(state): State<Shared>,
    access: Access,
    Last(id): LastUpload,
    parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let digest: Digest = parameters.parsed("digest")?.ok_or(DigestError::Shape)?;
    let session = claim(&access, id);
    let Some(chunk) = read_chunk(&state, &headers, body) else {
        return Err(out_of_order(&state, &session, malformed_range()).await);
    };
    match state
        .registry
        .finish_upload(&session, &digest, chunk?)
        .await
    {
        Err(error @ registry::Error::OutOfOrder { .. }) => {
            Err(out_of_order(&state, &session, error.into()).await)
        }
        outcome => {
            outcome.map_err(|error| access.failure(error))?;
            state.metrics.upload(UploadOutcome::Finished);
            Ok(created(&session.repository, &digest))
        }
    }
}

/// `DELETE /v2/<name>/blobs/uploads/<id>`: the end without a blob.
pub(in crate::http) async fn delete(
    State(state): State<Shared>,
    access: Access,
    Last(id): LastUpload,
) -> Result<StatusCode, Error> {
    let session = claim(&access, id);
    state.registry.cancel_upload(&session).await?;
    state.metrics.upload(UploadOutcome::Cancelled);
    Ok(StatusCode::NO_CONTENT)
}

fn claim(access: &Access, id: wharf_storage::upload::UploadId) -> Session {
    Session {
        repository: access.repository.clone(),
        pusher: access.pusher(),
        id,
    }
}

/// Tries to mount, and gives the blob's digest where that worked. Whatever stands in the way,
/// the client then sends the bytes, so nothing here is an error of the client's.
async fn mount(
    state: &Shared,
    access: &Access,
    parameters: &Parameters,
) -> Result<Option<Digest>, Error> {
    let Ok(Some(digest)) = parameters.parsed::<Digest>("mount") else {
        return Ok(None);
    };
    if access.require(FINISH).is_err() {
        return Ok(None);
    }
    let target = &access.repository;
    let pusher = access.pusher();
    let may_pull =
        |source: &RepositoryName| access.owner_may(Action::GetDownloadUrlForLayer, source);
    let mounted = match parameters.first("from") {
        None => {
            state
                .registry
                .mount_from_any(target, &digest, &pusher, may_pull)
                .await?
        }
        Some(source) => match source.parse::<RepositoryName>() {
            Ok(source) if may_pull(&source) => {
                state
                    .registry
                    .mount(&source, target, &digest, &pusher)
                    .await?
            }
            _ => None,
        },
    };
    Ok(mounted.map(|blob| blob.digest))
}

/// The chunk of a request; nothing when its `Content-Range` can't be understood.
fn read_chunk(state: &Shared, headers: &HeaderMap, body: Body) -> Option<Result<Chunk, Error>> {
    let range = match headers.get(header::CONTENT_RANGE) {
        None => None,
        Some(value) => Some(parse_content_range(value.to_str().ok()?)?),
    };
    let length = range.as_ref().map(|range| range.end - range.start);
    let announced: Option<u64> =
        header_text(headers, header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    if let (Some(expected), Some(actual)) = (length, announced)
        && expected != actual
    {
        let error = registry::Error::LengthMismatch { expected, actual };
        return Some(Err(error.into()));
    }
    let body = body.into_data_stream().map_err(BodyError::from);
    let body = steady(body, state.settings.min_bytes_per_second);
    Some(Ok(Chunk {
        start: range.map(|range| range.start),
        length,
        body: Box::pin(body),
    }))
}

fn malformed_range() -> Error {
    let message = "Content-Range reads first-last";
    Error::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        Code::BlobUploadInvalid,
        message,
    )
}

/// A chunk in the wrong place is answered with where the upload stands.
async fn out_of_order(state: &Shared, session: &Session, error: Error) -> Error {
    match state.registry.upload_status(session).await {
        Ok(status) => {
            let headers = describe(&session.repository, status);
            let named = headers
                .into_iter()
                .filter_map(|(name, value)| Some((name?, value)));
            named.fold(error, |error, (name, value)| error.with_header(name, value))
        }
        Err(unknown) => unknown.into(),
    }
}

fn describe(repository: &RepositoryName, status: UploadStatus) -> HeaderMap {
    let UploadStatus { id, offset } = status;
    // The last byte that is there. Clients expect 0-0 of an upload without bytes too.
    let last = offset.saturating_sub(1);
    HeaderMap::from_iter([
        (
            header::LOCATION,
            header_value(format_args!("/v2/{repository}/blobs/uploads/{id}")),
        ),
        (header::RANGE, header_value(format_args!("0-{last}"))),
        (DOCKER_UPLOAD_UUID, header_value(id)),
    ])
}

fn created(repository: &RepositoryName, digest: &Digest) -> Response {
    let headers = HeaderMap::from_iter([
        (
            header::LOCATION,
            header_value(format_args!("/v2/{repository}/blobs/{digest}")),
        ),
        (DOCKER_CONTENT_DIGEST, header_value(digest)),
        (header::CONTENT_LENGTH, HeaderValue::from_static("0")),
    ]);
    (StatusCode::CREATED, headers).into_response()
}
