//! Failures in the form of the JSON protocol: `{"__type": "…Exception", "message": "…"}`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use wharf_auth::administration;
use wharf_auth::authority::Refusal;
use wharf_storage::metadata;

use crate::registry;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// A failure on its way to the client.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    kind: &'static str,
    message: String,
    members: Map<String, Value>,
    retry_after: Option<u64>,
}

impl Error {
    /// A failure of the caller's.
    pub(super) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind,
            message: message.into(),
            members: Map::new(),
            retry_after: None,
        }
    }

    /// The same with a further member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// An input that makes no sense for a reason that the model's table can't see.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    fn server(status: StatusCode, message: &str) -> Self {
        Self {
            status,
            ..Self::new("ServerException", message)
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut body = json!({"__type": self.kind, "message": self.message});
        for (name, value) in self.members {
            body[name] = value;
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, super::CONTENT_TYPE);
        headers.insert(ERROR_TYPE, HeaderValue::from_static(self.kind));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<metadata::Error> for Error {
    fn from(error: metadata::Error) -> Self {
        registry::Error::from(error).into()
    }
}

impl From<registry::Error> for Error {
    fn from(error: registry::Error) -> Self {
        use registry::Error as Domain;

        let message = error.to_string();
        match &error {
            Domain::RepositoryUnknown(name) => Self::new(
                "RepositoryNotFoundException",
                format!("The repository with name '{name}' does not exist in the registry"),
            ),
            Domain::BlobUnknown(_) => Self::new("LayersNotFoundException", message),
            Domain::ManifestUnknown(_) => Self::new("ImageNotFoundException", message),
            Domain::ManifestInvalid(_) => Self::invalid(message),
            Domain::ContentMissing(digests) => {
                let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
                let list = digests.join(", ");
                let message =
                    format!("Layers with digests '{list}' required for pushing image do not exist");
                Self::new("LayersNotFoundException", message)
            }
            Domain::TagImmutable { .. } => Self::new("ImageTagAlreadyExistsException", message),
            Domain::DigestMismatch { .. } => Self::new("InvalidLayerException", message),
            Domain::LengthMismatch { .. } | Domain::OutOfOrder { .. } => {
                Self::new("InvalidLayerPartException", message)
            }
            Domain::UploadUnknown => Self::new("UploadNotFoundException", message),
            Domain::TooManyUploads { .. } => Self::new("LimitExceededException", message),
            Domain::UploadBusy | Domain::BodyBroken(_) => Self::invalid(message),
            Domain::StorageFull(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                Self::server(StatusCode::INSUFFICIENT_STORAGE, &message)
            }
            Domain::BlobTooLarge { .. } => Self::new("LimitExceededException", message),
            Domain::StoreUnavailable(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                Self {
                    retry_after: Some(5),
                    ..Self::server(StatusCode::SERVICE_UNAVAILABLE, &message)
                }
            }
            Domain::Unavailable => Self {
                retry_after: Some(5),
                ..Self::server(StatusCode::SERVICE_UNAVAILABLE, &message)
            },
            Domain::DatabaseUnavailable(_) => Self {
                retry_after: Some(1),
                ..Self::server(StatusCode::SERVICE_UNAVAILABLE, &message)
            },
            Domain::Internal(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                Self::server(StatusCode::INTERNAL_SERVER_ERROR, &message)
            }
        }
    }
}

impl From<administration::Error> for Error {
    fn from(error: administration::Error) -> Self {
        match error {
            administration::Error::Metadata(error) => error.into(),
            error => Self::invalid(error.to_string()),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::LockedOut { after } | Refusal::TooManyCalls { after } => Self {
                retry_after: Some(after.as_secs().max(1)),
                ..Self::new("ThrottlingException", message)
            },
            Refusal::Signature(_) => Self {
                status: StatusCode::FORBIDDEN,
                ..Self::new("InvalidSignatureException", message)
            },
            Refusal::WrongPassword
            | Refusal::Token(_)
            | Refusal::Revoked
            | Refusal::Federation(_)
            | Refusal::UnknownKey => Self {
                status: StatusCode::FORBIDDEN,
                ..Self::new("UnrecognizedClientException", message)
            },
        }
    }
}
