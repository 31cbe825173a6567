//! `/admin/v1`: administration, as JSON. The document of it is `openapi.json`, beside this file.
//!
//! | module | job |
//! |---|---|
//! | [`users`], [`robots`] | who there is |
//! | [`keys`] | AWS-style keys |
//! | [`signing_keys`] | the keys that sign tokens |
//! | [`policies`], [`trusts`] | who may do what, and whose tokens are taken |
//! | [`can`] | whether somebody may, and why |
//! | [`audit`] | who did what |
//! | [`endpoints`] | where events are delivered to |

pub mod audit;
pub mod can;
pub mod endpoints;
pub mod keys;
pub mod policies;
pub mod robots;
pub mod signing_keys;
pub mod trusts;
pub mod users;

use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wharf_auth::administration;
use wharf_auth::identity::Principal;
use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::PrincipalRecord;

use super::State;
use super::error::{Code, Error};
use super::extract::header_text;
use crate::registry;

/// How long a body may be; a policy is the longest.
const LONGEST: usize = 128 << 10;

/// The document of these endpoints.
pub const OPENAPI: &str = include_str!("openapi.json");

/// `GET /admin/v1/openapi.json`.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// A body of JSON.
pub(super) async fn body<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Error> {
    let wrong = |status, message: String| Error::new(status, Code::Unsupported, message);
    let kind = header_text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "the body has Content-Type application/json".to_owned();
        return Err(wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let bytes = to_bytes(body, LONGEST)
        .await
        .map_err(|_| Error::too_large(Code::Unsupported, LONGEST))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| wrong(StatusCode::BAD_REQUEST, format!("the body: {error}")))
}

/// Lets what has just changed count on this server at once; others see it within a moment.
pub(super) async fn changed(state: &State) {
    if let Err(error) = state.authority.refresh().await {
        tracing::warn!(%error, "what has changed will be seen later");
    }
}

/// How long something shall live, such as `90days`.
fn lifetime(text: Option<&str>) -> Result<Option<Duration>, Error> {
    let parsed = text.map(humantime::parse_duration).transpose();
    parsed.map_err(|error| {
        let message = format!("expires_in: {error}");
        Error::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
    })
}

pub(super) fn rfc3339(time: Timestamp) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(time.as_seconds()).ok()?;
    time.format(&Rfc3339).ok()
}

/// A user or a robot that is there.
fn one(state: &State, principal: &Principal) -> Result<Json<Value>, Error> {
    match state.authority.snapshot().record(principal) {
        Some(record) => Ok(Json(described(record))),
        None => Err(administration::Error::Missing(principal.to_string()).into()),
    }
}

fn described(record: &PrincipalRecord) -> Value {
    json!({
        "name": record.name,
        "description": record.description,
        "created_at": rfc3339(record.created_at),
        "expires_at": record.expires_at.and_then(rfc3339),
        "disabled": record.disabled,
    })
}

impl From<administration::Error> for Error {
    fn from(error: administration::Error) -> Self {
        use administration::Error as Admin;

        let message = error.to_string();
        let (status, code) = match error {
            Admin::Name => (StatusCode::BAD_REQUEST, Code::NameInvalid),
            Admin::Exists(_) => (StatusCode::CONFLICT, Code::Unsupported),
            Admin::Missing(_) => (StatusCode::NOT_FOUND, Code::NameUnknown),
            Admin::Lifetime
            | Admin::Password(_)
            | Admin::Policy(_)
            | Admin::Target(_)
            | Admin::Trust(_)
            | Admin::SigningKey(_) => (StatusCode::BAD_REQUEST, Code::Unsupported),
            Admin::OtherKey(_) => (StatusCode::CONFLICT, Code::Unsupported),
            Admin::Metadata(error) => return registry::Error::from(error).into(),
        };
        Self::new(status, code, message)
    }
}
