//! Errors as callers of AWS's APIs know them.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{engine, registry, store};

/// An error with its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct Error {
    /// The answer's status.
    pub(crate) status: StatusCode,
    /// The name of the error's shape.
    pub(crate) code: &'static str,
    /// What is wrong.
    pub(crate) message: String,
}

impl Error {
    /// The caller's fault, 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.into(),
        }
    }

    /// The same with another status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// As the JSON protocols write it.
    pub(crate) fn into_answer(self) -> Response {
        let body = json!({"__type": self.code, "message": self.message, "Message": self.message,
            "Type": if self.status.is_server_error() { "Service" } else { "User" }});
        let mut answer = (self.status, body.to_string()).into_response();
        let headers = answer.headers_mut();
        let kind = HeaderValue::from_static("application/x-amz-json-1.1");
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        answer
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        tracing::error!(%error, "the state can't be used");
        Self::new("ServerException", "the state can't be written")
            .with_status(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        tracing::warn!(%error, "the engine failed");
        Self::new("ServerException", error.to_string())
            .with_status(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<registry::Error> for Error {
    fn from(error: registry::Error) -> Self {
        Self::new("ClientException", error.to_string())
    }
}
