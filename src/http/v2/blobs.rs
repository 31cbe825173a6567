//! `/v2/<name>/blobs/<digest>`.

use std::ops::Range;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;
use wharf_storage::metadata::Blob;
use wharf_storage::oci::{Digest, RepositoryName};

use super::{DOCKER_CONTENT_DIGEST, header_value};
use crate::http::State as Shared;
use crate::http::access::Access;
use crate::http::error::{Code, Error};
use crate::http::extract::{Last, header_text, matches_none};
use crate::http::range::{Selection, select};
use crate::registry;

const OCTET_STREAM: &str = "application/octet-stream";

/// A client's wish: `off` where it can't follow a redirect.
const WHARF_REDIRECT: HeaderName = HeaderName::from_static("x-wharf-redirect");

/// end-2: `GET /v2/<name>/blobs/<digest>`, all of it or parts.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    Access { repository, .. }: Access,
    Last(digest): Last<Digest>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let blob = state.registry.blob(&repository, &digest).await?;
    match elsewhere(&state, &blob, &headers).await? {
        Some(redirect) => Ok(redirect),
        None => send_blob(&state, blob, &headers).await,
    }
}

/// A redirect to the store, where clients are sent there and this one takes it.
///
/// Not for a blob that the client has, nor for several ranges or none that can be given: stores
/// answer those otherwise.
async fn elsewhere(
    state: &Shared,
    blob: &Blob,
    headers: &HeaderMap,
) -> Result<Option<Response>, Error> {
    let takes_one = match select(wanted_range(headers, blob), blob.size) {
        Selection::Whole => blob.size > 0,
        Selection::Parts(parts) => parts.len() == 1,
        Selection::Unsatisfiable => false,
    };
    let is_known = matches_none(headers, blob.digest.as_str());
    if !takes_one || is_known || !takes_redirects(state, headers) {
        return Ok(None);
    }
    let Some(address) = state.registry.blob_address(blob).await? else {
        return Ok(None);
    };
    let answer = HeaderMap::from_iter([
        (header::LOCATION, header_value(address)),
        (DOCKER_CONTENT_DIGEST, header_value(&blob.digest)),
        // The address ends before long.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]);
    Ok(Some(
        (StatusCode::TEMPORARY_REDIRECT, answer).into_response(),
    ))
}

/// Whether neither the client nor the configuration says that it can't follow a redirect.
fn takes_redirects(state: &Shared, headers: &HeaderMap) -> bool {
    let agent = header_text(headers, header::USER_AGENT).unwrap_or_default();
    let mut excepted = state.settings.no_redirect_for.iter();
    let asks = header_text(headers, WHARF_REDIRECT);
    asks != Some("off") && !excepted.any(|part| agent.contains(part.as_str()))
}

/// Sends a blob, all of it or parts.
pub(in crate::http) async fn send(
    state: &Shared,
    repository: &RepositoryName,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let blob = state.registry.blob(repository, digest).await?;
    send_blob(state, blob, headers).await
}

async fn send_blob(state: &Shared, blob: Blob, headers: &HeaderMap) -> Result<Response, Error> {
    let mut answer = describe(&blob);
    if matches_none(headers, blob.digest.as_str()) {
        answer.remove(header::CONTENT_TYPE);
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    let (status, body) = match select(wanted_range(headers, &blob), blob.size) {
        Selection::Unsatisfiable => {
            let message = format!("no byte of the blob's {} lies in the range", blob.size);
            let whole = header_value(format_args!("bytes */{}", blob.size));
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let failure = Error::new(status, Code::RangeInvalid, message);
            return Err(failure.with_header(header::CONTENT_RANGE, whole));
        }
        Selection::Whole => {
            answer.insert(header::CONTENT_LENGTH, blob.size.into());
            let bytes = state.registry.read_blob(&blob, 0..blob.size).await?;
            (StatusCode::OK, Body::from_stream(logged(bytes)))
        }
        Selection::Parts(parts) if parts.len() == 1 => {
            let part = parts.into_iter().next().expect("there is one part");
            answer.insert(header::CONTENT_LENGTH, (part.end - part.start).into());
            answer.insert(header::CONTENT_RANGE, content_range(&part, blob.size));
            let bytes = state.registry.read_blob(&blob, part).await?;
            (
                StatusCode::PARTIAL_CONTENT,
                Body::from_stream(logged(bytes)),
            )
        }
        Selection::Parts(parts) => {
            let multipart = Multipart::new(&parts, blob.size);
            answer.insert(header::CONTENT_TYPE, multipart.content_type());
            answer.insert(header::CONTENT_LENGTH, multipart.length().into());
            (
                StatusCode::PARTIAL_CONTENT,
                Body::from_stream(logged(multipart.read(state.clone(), blob))),
            )
        }
    };
    Ok((status, answer, body).into_response())
}

/// end-2: `HEAD /v2/<name>/blobs/<digest>`.
pub(in crate::http) async fn head(
    State(state): State<Shared>,
    Access { repository, .. }: Access,
    Last(digest): Last<Digest>,
) -> Result<HeaderMap, Error> {
    let blob = state.registry.blob_to_rely_on(&repository, &digest).await?;
    let mut answer = describe(&blob);
    answer.insert(header::CONTENT_LENGTH, blob.size.into());
    Ok(answer)
}

/// end-10: `DELETE /v2/<name>/blobs/<digest>`.
pub(in crate::http) async fn delete(
    State(state): State<Shared>,
    Access { repository, .. }: Access,
    Last(digest): Last<Digest>,
) -> Result<StatusCode, Error> {
    state.registry.delete_blob(&repository, &digest).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Writes to the log what breaks an answer off: the client only sees that its connection ends.
fn logged<E: std::error::Error>(
    bytes: impl Stream<Item = Result<Bytes, E>>,
) -> impl Stream<Item = Result<Bytes, E>> {
    bytes.inspect_err(|error| tracing::error!(%error, "an answer was broken off"))
}

fn describe(blob: &Blob) -> HeaderMap {
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static(OCTET_STREAM)),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (DOCKER_CONTENT_DIGEST, header_value(&blob.digest)),
        (
            header::ETAG,
            header_value(format_args!("\"{}\"", blob.digest)),
        ),
    ])
}

/// The `Range` that counts: none when the client wants parts of another entity (`If-Range`).
fn wanted_range<'a>(headers: &'a HeaderMap, blob: &Blob) -> Option<&'a str> {
    let is_this = match header_text(headers, header::IF_RANGE) {
        None => true,
        Some(etag) => etag.trim_matches('"') == blob.digest.as_str(),
    };
    header_text(headers, header::RANGE).filter(|_| is_this)
}

fn content_range(part: &Range<u64>, size: u64) -> HeaderValue {
    header_value(format_args!("bytes {}-{}/{size}", part.start, part.end - 1))
}

/// Several parts in one answer (RFC 9110, 14.6).
struct Multipart {
    boundary: String,
    parts: Vec<(Bytes, Range<u64>)>,
    end: Bytes,
}

impl Multipart {
    fn new(parts: &[Range<u64>], size: u64) -> Self {
        let boundary = Uuid::now_v7().simple().to_string();
        let head = |part: &Range<u64>| {
            let (first, last) = (part.start, part.end - 1);
            let head = format!(
                "\r\n--{boundary}\r\nContent-Type: {OCTET_STREAM}\r\n\
                 Content-Range: bytes {first}-{last}/{size}\r\n\r\n"
            );
            (Bytes::from(head), part.clone())
        };
        let parts = parts.iter().map(head).collect();
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        Self {
            boundary,
            parts,
            end,
        }
    }

    fn content_type(&self) -> HeaderValue {
        header_value(format_args!(
            "multipart/byteranges; boundary={}",
            self.boundary
        ))
    }

    fn length(&self) -> u64 {
        let lengths = self
            .parts
            .iter()
            .map(|(head, part)| head.len() as u64 + part.end - part.start);
        lengths.sum::<u64>() + self.end.len() as u64
    }

    /// The parts, each opened when the one before it has gone out.
    fn read(
        self,
        state: Shared,
        blob: Blob,
    ) -> impl Stream<Item = Result<Bytes, registry::Error>> + Send + 'static {
        let parts = stream::iter(self.parts).then(move |(head, part)| {
            let (state, blob) = (state.clone(), blob.clone());
            async move {
                let bytes = state.registry.read_blob(&blob, part).await?;
                let head = stream::once(async move { Ok(head) });
                Ok::<_, registry::Error>(head.chain(bytes.map_err(Into::into)))
            }
        });
        parts
            .try_flatten()
            .chain(stream::once(async move { Ok(self.end) }))
    }
}
