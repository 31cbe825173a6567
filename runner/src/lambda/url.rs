//! Function URLs: hosts of their own, `ID.lambda-url.DOMAIN`.

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::functions::WRONG;
use super::model::{Function, Url};
use super::payload::{self, Place};
use super::{Asked, Lambda};
use crate::aws::door::{Call, written};
use crate::aws::{Error, id, iso, now, sigv4};

/// The longest body of a request.
const MOST_BYTES: usize = 6 << 20;

impl Lambda {
    pub(super) async fn create_url(&self, name: &str, call: &Call) -> Result<Response, Error> {
        let input = call.input(WRONG)?;
        let function = self.function(name)?;
        if function.url.is_some() {
            let message = format!(
                "Failed to create function url config for [functionArn = {}]",
                function.arn
            );
            return Err(
                Error::new("ResourceConflictException", message).with_status(StatusCode::CONFLICT)
            );
        }
        let auth_type = input.text("AuthType")?.to_owned();
        let invoke_mode = input.maybe("InvokeMode").unwrap_or("BUFFERED").to_owned();
        let is_known = ["NONE", "AWS_IAM"].contains(&auth_type.as_str())
            && ["BUFFERED", "RESPONSE_STREAM"].contains(&invoke_mode.as_str());
        if !is_known {
            return Err(
                input.wrong("AuthType is NONE or AWS_IAM, InvokeMode BUFFERED or RESPONSE_STREAM")
            );
        }
        if auth_type == "AWS_IAM" && self.ground.config.aws.access_key_id.is_empty() {
            return Err(input.wrong("AuthType AWS_IAM needs a key, aws.access_key_id"));
        }
        let url = Url {
            id: id()[..20].to_owned(),
            auth_type,
            invoke_mode,
            cors: input.value()["Cors"].clone(),
            created_at: now(),
        };
        let kept = url.clone();
        let changed = self
            .functions
            .update(&function.name, |function| function.url = Some(kept))
            .await?;
        Ok(written(
            StatusCode::CREATED,
            &self.shown_url(&changed.unwrap_or(function), &url),
        ))
    }

    pub(super) fn get_url(&self, name: &str) -> Result<Response, Error> {
        let function = self.function(name)?;
        let url = function.url.clone().ok_or_else(missing)?;
        Ok(written(StatusCode::OK, &self.shown_url(&function, &url)))
    }

    pub(super) async fn delete_url(&self, name: &str) -> Result<Response, Error> {
        let function = self.function(name)?;
        function.url.ok_or_else(missing)?;
        self.functions
            .update(&function.name, |function| function.url = None)
            .await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    fn shown_url(&self, function: &Function, url: &Url) -> Value {
        let address = self.ground.hosted("lambda-url", &url.id);
        let mut shown = json!({
            "FunctionUrl": format!("{address}/"), "FunctionArn": function.arn, "AuthType": url.auth_type,
            "CreationTime": iso(url.created_at), "LastModifiedTime": iso(url.created_at),
            "InvokeMode": url.invoke_mode,
        });
        if url.cors.is_object() {
            shown["Cors"] = url.cors.clone();
        }
        shown
    }

    /// Serves a request to a function's URL.
    pub(crate) async fn serve_url(&self, id: &str, parts: Parts, body: Body) -> Response {
        let found = self.functions.list().into_iter().find_map(|function| {
            let url = function.url.clone().filter(|url| url.id == id)?;
            Some((function, url))
        });
        let Some((function, url)) = found else {
            return refused(StatusCode::NOT_FOUND, "Not Found");
        };
        let Ok(body) = to_bytes(body, MOST_BYTES).await else {
            return refused(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long");
        };
        if url.auth_type == "AWS_IAM" && !self.is_signed(&parts, &body) {
            return refused(StatusCode::FORBIDDEN, "Forbidden");
        }
        let place = Place {
            account: "anonymous".into(),
            api: url.id,
            route: "$default".into(),
            stage: "$default".into(),
            source: source(&parts),
            ..Place::default()
        };
        let event = payload::event(&place, &parts, &body);
        match self.ask(&function.name, Asked::from(event)).await {
            Ok(answer) => payload::response(answer, url.invoke_mode == "RESPONSE_STREAM").await,
            Err(error) if error.status == StatusCode::TOO_MANY_REQUESTS => {
                refused(error.status, "Rate Exceeded.")
            }
            Err(_) => refused(StatusCode::BAD_GATEWAY, "Internal Server Error"),
        }
    }

    fn is_signed(&self, parts: &Parts, body: &[u8]) -> bool {
        let aws = &self.ground.config.aws;
        let key = (&*aws.access_key_id, &*aws.secret_access_key);
        let now = OffsetDateTime::now_utc();
        let verified = sigv4::verify(
            parts.method.as_str(),
            &parts.uri,
            &parts.headers,
            body,
            key,
            now,
        );
        verified.is_ok() && sigv4::service(&parts.headers) == Some("lambda")
    }
}

/// The address that a request came from.
pub(crate) fn source(parts: &Parts) -> String {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map(|ConnectInfo(peer)| peer.ip().to_string())
        .unwrap_or_default()
}

fn refused(status: StatusCode, message: &str) -> Response {
    written(status, &json!({"Message": message}))
}

fn missing() -> Error {
    Error::new(
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    )
    .with_status(StatusCode::NOT_FOUND)
}
