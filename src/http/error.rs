//! Failures as the OCI error body.
//!
//! `{"errors": [{"code": "NAME_UNKNOWN", "message": "…", "detail": …}]}`
//!
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>

use std::fmt::Write as _;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use wharf_storage::oci::{
    DigestError, ManifestError, MediaTypeError, NameError, ReferenceError, TagError,
};

use crate::registry;

/// The codes that clients tell failures apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// code-1: the blob is unknown.
    BlobUnknown,
    /// code-2: the upload can't go on like this.
    BlobUploadInvalid,
    /// code-3: the upload is unknown.
    BlobUploadUnknown,
    /// code-4: the content has another digest, or the text is no digest.
    DigestInvalid,
    /// code-5: a manifest names a blob or a manifest that is unknown.
    ManifestBlobUnknown,
    /// code-6: the manifest can't be taken.
    ManifestInvalid,
    /// code-7: the manifest is unknown.
    ManifestUnknown,
    /// code-8: the text is no repository name.
    NameInvalid,
    /// code-9: the repository is unknown.
    NameUnknown,
    /// code-10: the content has another length than was said.
    SizeInvalid,
    /// code-11: who calls is not known, or not believed.
    Unauthorized,
    /// code-12: the caller may not.
    Denied,
    /// code-13: there is no such operation.
    Unsupported,
    /// code-14: too many requests.
    TooManyRequests,
    /// Not of the specification: the text is no tag.
    TagInvalid,
    /// Not of the specification: the parameter `n` is no number.
    PaginationNumberInvalid,
    /// Not of the specification: no byte of the blob lies in the range.
    RangeInvalid,
    /// Not of the specification: the registry has no space left.
    StorageFull,
    /// Not of the specification: the registry can't answer now.
    Unavailable,
    /// Not of the specification: the registry failed.
    Unknown,
}

impl Code {
    /// The code as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::TagInvalid => "TAG_INVALID",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::StorageFull => "STORAGE_FULL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A failure on its way to the client.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    code: Code,
    message: String,
    details: Vec<Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Error {
    /// A failure of this kind.
    #[must_use]
    pub fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The same with another message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with a detail. Several details are several errors of one answer.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.details.push(detail);
        self
    }

    /// A body that is longer than it may be.
    #[must_use]
    pub fn too_large(code: Code, limit: usize) -> Self {
        let message = format!("at most {limit} bytes are taken");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let entry = |detail: Option<&Value>| match detail {
            None => json!({"code": self.code.as_str(), "message": self.message}),
            Some(detail) => {
                json!({"code": self.code.as_str(), "message": self.message, "detail": detail})
            }
        };
        let errors: Vec<Value> = match self.details.as_slice() {
            [] => vec![entry(None)],
            details => details.iter().map(|detail| entry(Some(detail))).collect(),
        };
        let headers = HeaderMap::from_iter(self.headers);
        (self.status, headers, Json(json!({ "errors": errors }))).into_response()
    }
}

impl From<registry::Error> for Error {
    fn from(error: registry::Error) -> Self {
        use registry::Error as Domain;

        let message = error.to_string();
        let new = |status, code| Self::new(status, code, message.clone());
        match &error {
            Domain::RepositoryUnknown(name) => {
                new(StatusCode::NOT_FOUND, Code::NameUnknown).with_detail(json!({"name": name}))
            }
            Domain::BlobUnknown(digest) => {
                new(StatusCode::NOT_FOUND, Code::BlobUnknown).with_detail(json!({"digest": digest}))
            }
            Domain::ManifestUnknown(reference) => new(StatusCode::NOT_FOUND, Code::ManifestUnknown)
                .with_detail(json!({"reference": reference})),
            Domain::ManifestInvalid(reason) => reason.into(),
            Domain::ContentMissing(digests) => {
                let failure = new(StatusCode::NOT_FOUND, Code::ManifestBlobUnknown);
                digests.iter().fold(failure, |failure, digest| {
                    failure.with_detail(json!({"digest": digest}))
                })
            }
            Domain::TagImmutable { tag, digest } => new(StatusCode::BAD_REQUEST, Code::TagInvalid)
                .with_detail(json!({"tag": tag, "digest": digest})),
            Domain::DigestMismatch { expected, actual } => {
                new(StatusCode::BAD_REQUEST, Code::DigestInvalid)
                    .with_detail(json!({"expected": expected, "actual": actual}))
            }
            Domain::LengthMismatch { .. } => new(StatusCode::BAD_REQUEST, Code::SizeInvalid),
            Domain::UploadUnknown => new(StatusCode::NOT_FOUND, Code::BlobUploadUnknown),
            Domain::OutOfOrder { .. } => {
                new(StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid)
            }
            Domain::UploadBusy => new(StatusCode::CONFLICT, Code::BlobUploadInvalid),
            Domain::TooManyUploads { .. } => {
                new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests)
                    .with_header(header::RETRY_AFTER, HeaderValue::from_static("60"))
            }
            Domain::BodyBroken(_) => new(StatusCode::BAD_REQUEST, Code::BlobUploadInvalid),
            Domain::StorageFull(_) => {
                log(&error);
                new(StatusCode::INSUFFICIENT_STORAGE, Code::StorageFull)
            }
            Domain::BlobTooLarge { .. } => new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid),
            Domain::StoreUnavailable(_) => {
                log(&error);
                new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable)
                    .with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
            }
            Domain::Unavailable => new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("5")),
            // The database's threads have told of it once; a line for each request would drown that.
            Domain::DatabaseUnavailable(_) => {
                new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable)
                    .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            Domain::Internal(_) => {
                log(&error);
                new(StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown)
            }
        }
    }
}

impl From<&ManifestError> for Error {
    fn from(error: &ManifestError) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            Code::ManifestInvalid,
            error.to_string(),
        )
    }
}

/// Writes a failure with its chain of causes to the log; the client gets the first line only.
fn log(error: &registry::Error) {
    let mut chain = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        // Writing to a text doesn't fail.
        let _ = write!(chain, ": {next}");
        cause = next.source();
    }
    tracing::error!(error = chain, "a request failed");
}

/// A failure to parse a part of a request, answered with 400 and a code of its own.
macro_rules! invalid {
    ($($error:ty => $code:expr),* $(,)?) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::new(StatusCode::BAD_REQUEST, $code, error.to_string())
            }
        }
    )*};
}

invalid! {
    NameError => Code::NameInvalid,
    TagError => Code::TagInvalid,
    DigestError => Code::DigestInvalid,
    MediaTypeError => Code::ManifestInvalid,
}

impl From<ReferenceError> for Error {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Tag(error) => error.into(),
            ReferenceError::Digest(error) => error.into(),
        }
    }
}
