//! References, digests and parameters out of a request.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query, RawPathParams};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::de::DeserializeOwned;
use wharf_storage::upload::UploadId;

use super::State;
use super::error::{Code, Error};

/// What the path names, as `axum`'s own, with a failure that clients can read.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<State> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Error> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(named)) => Ok(Self(named)),
            Err(_) => Err(Error::new(
                StatusCode::BAD_REQUEST,
                Code::NameInvalid,
                "what the path names is not UTF-8",
            )),
        }
    }
}

/// The last segment of the path, parsed: a reference, a digest or an upload.
#[derive(Debug)]
pub(super) struct Last<T>(pub(super) T);

impl<T> FromRequestParts<State> for Last<T>
where
    T: FromStr + Send,
    T::Err: IntoFailure,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let invalid = |_| Error::new(StatusCode::BAD_REQUEST, Code::Unsupported, "not UTF-8");
        let params = params.map_err(invalid)?;
        let (_, text) = params.iter().last().expect("the route has a parameter");
        text.parse().map(Self).map_err(IntoFailure::into_failure)
    }
}

/// What a text that is no such segment is answered with.
pub(super) trait IntoFailure {
    fn into_failure(self) -> Error;
}

impl IntoFailure for wharf_storage::oci::ReferenceError {
    fn into_failure(self) -> Error {
        self.into()
    }
}

impl IntoFailure for wharf_storage::oci::DigestError {
    fn into_failure(self) -> Error {
        self.into()
    }
}

impl IntoFailure for wharf_storage::upload::UploadIdError {
    fn into_failure(self) -> Error {
        // No upload has such a name, so it is as unknown as any other.
        crate::registry::Error::UploadUnknown.into()
    }
}

/// The upload that the path names.
pub(super) type LastUpload = Last<UploadId>;

/// The parameters of the query, in their order.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The first value of a parameter.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a parameter.
    pub(super) fn all<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter, parsed.
    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, T::Err> {
        self.first(name).map(str::parse).transpose()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(_) => Err(Error::new(
                StatusCode::BAD_REQUEST,
                Code::Unsupported,
                "the query can not be read",
            )),
        }
    }
}

/// A header as text; one that is no text is as if it were not there.
pub(super) fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether `If-None-Match` names this entity.
pub(super) fn matches_none(headers: &HeaderMap, etag: &str) -> bool {
    let Some(text) = header_text(headers, http::header::IF_NONE_MATCH) else {
        return false;
    };
    // Weak and strong tags are compared alike here (RFC 9110, 13.1.2).
    let strip = |tag: &str| {
        tag.trim()
            .trim_start_matches("W/")
            .trim_matches('"')
            .to_owned()
    };
    text.split(',')
        .any(|tag| tag.trim() == "*" || strip(tag) == etag.trim_matches('"'))
}
