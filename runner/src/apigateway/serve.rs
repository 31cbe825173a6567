//! Requests of an API's callers: stage, route, integration.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::model::Api;
use super::{Gateway, routing, text};
use crate::aws::door::written;
use crate::lambda::payload::{self, Place};
use crate::lambda::{Asked, source};

/// The longest body of a request.
const MOST_BYTES: usize = 10 << 20;

impl Gateway {
    /// Serves a request to an API.
    pub(crate) async fn serve(&self, id: &str, parts: Parts, body: Body) -> Response {
        let Some(api) = self.apis.get(id) else {
            return told(StatusCode::NOT_FOUND, "Not Found");
        };
        let Ok(body) = to_bytes(body, MOST_BYTES).await else {
            return told(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        };
        let origin = parts.headers.get(header::ORIGIN).cloned();
        let is_preflight =
            parts.method == Method::OPTIONS && origin.is_some() && api.cors.is_object();
        let mut answer = match is_preflight {
            true => StatusCode::NO_CONTENT.into_response(),
            false => self.routed(&api, parts, body).await,
        };
        if let Some(origin) = origin {
            allow(&api.cors, &origin, is_preflight, &mut answer);
        }
        answer
    }

    async fn routed(&self, api: &Api, parts: Parts, body: Bytes) -> Response {
        // A named stage is the first part of the path.
        let path = parts.uri.path().to_owned();
        let first = path.split('/').nth(1).unwrap_or_default();
        let (stage, rest) = match api.stages.get(first).filter(|_| !first.is_empty()) {
            Some(stage) => (stage, path[first.len() + 1..].to_owned()),
            None => match api.stages.get("$default") {
                Some(stage) => (stage, path.clone()),
                None => return told(StatusCode::NOT_FOUND, "Not Found"),
            },
        };
        let keys = api
            .routes
            .values()
            .filter_map(|route| route["routeKey"].as_str());
        let Some(found) = routing::find(keys, parts.method.as_str(), &rest) else {
            return told(StatusCode::NOT_FOUND, "Not Found");
        };
        let route = api
            .routes
            .values()
            .find(|route| route["routeKey"] == found.key);
        let target = route.map(|route| text(route, "target")).unwrap_or_default();
        let integration = target
            .strip_prefix("integrations/")
            .and_then(|id| api.integrations.get(id));
        let Some(integration) = integration else {
            return told(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        };
        let milliseconds = integration["timeoutInMillis"].as_u64().unwrap_or(30_000);
        let work = async {
            match integration["integrationType"] == "AWS_PROXY" {
                true => {
                    let place = Place {
                        account: self.ground.names.account().to_owned(),
                        api: api.id.clone(),
                        route: found.key.to_owned(),
                        stage: text(stage, "stageName"),
                        path_parameters: found.parameters,
                        stage_variables: variables(stage),
                        source: source(&parts),
                    };
                    self.function(&text(integration, "integrationUri"), &place, &parts, &body)
                        .await
                }
                false => {
                    self.forward(integration, &found.parameters, &parts, body.clone())
                        .await
                }
            }
        };
        let answered = tokio::time::timeout(Duration::from_millis(milliseconds), work).await;
        answered.unwrap_or_else(|_| told(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"))
    }

    async fn function(&self, uri: &str, place: &Place, parts: &Parts, body: &Bytes) -> Response {
        // `arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations`, or the ARN.
        let arn = uri.split("/functions/").nth(1).unwrap_or(uri);
        let arn = arn.trim_end_matches("/invocations");
        let event = payload::event(place, parts, body);
        match self.lambda.ask(arn, Asked::from(event)).await {
            Ok(answer) => payload::response(answer, false).await,
            Err(error) if error.status == StatusCode::TOO_MANY_REQUESTS => {
                told(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            Err(_) => told(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        }
    }

    async fn forward(
        &self,
        integration: &Value,
        parameters: &BTreeMap<String, String>,
        parts: &Parts,
        body: Bytes,
    ) -> Response {
        let mut url = text(integration, "integrationUri");
        for (name, value) in parameters {
            url = url.replace(&format!("{{{name}}}"), value);
        }
        if let Some(query) = parts.uri.query() {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(query);
        }
        let method = match integration["integrationMethod"].as_str() {
            None | Some("ANY") => parts.method.clone(),
            Some(name) => name.parse().unwrap_or(Method::GET),
        };
        let mut request = self.http.request(method, url).body(body);
        let own = [
            header::HOST,
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ];
        for (name, value) in parts.headers.iter().filter(|(name, _)| !own.contains(name)) {
            request = request.header(name, value);
        }
        let Ok(answer) = request.send().await else {
            return told(StatusCode::BAD_GATEWAY, "Bad Gateway");
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        for (name, value) in answer
            .headers()
            .iter()
            .filter(|(name, _)| !own.contains(name))
        {
            response.headers_mut().append(name, value.clone());
        }
        match answer.bytes().await {
            Ok(bytes) => {
                *response.body_mut() = Body::from(bytes);
                response
            }
            Err(_) => told(StatusCode::BAD_GATEWAY, "Bad Gateway"),
        }
    }
}

fn variables(stage: &Value) -> BTreeMap<String, String> {
    let members = stage["stageVariables"].as_object().into_iter().flatten();
    let texts =
        members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    texts.collect()
}

/// Says which pages may read the answer.
fn allow(cors: &Value, origin: &HeaderValue, is_preflight: bool, answer: &mut Response) {
    let origins = crate::aws::texts(&cors["allowOrigins"]);
    let text = origin.to_str().unwrap_or_default();
    if !origins.iter().any(|known| known == "*" || known == text) {
        return;
    }
    let headers = answer.headers_mut();
    let any = origins.iter().any(|known| known == "*");
    let allowed = if any {
        HeaderValue::from_static("*")
    } else {
        origin.clone()
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    let mut put = |name: header::HeaderName, member: &str| {
        let list = crate::aws::texts(&cors[member]).join(",");
        if let Some(value) = HeaderValue::try_from(list)
            .ok()
            .filter(|value| !value.is_empty())
        {
            headers.insert(name, value);
        }
    };
    put(header::ACCESS_CONTROL_EXPOSE_HEADERS, "exposeHeaders");
    if is_preflight {
        put(header::ACCESS_CONTROL_ALLOW_METHODS, "allowMethods");
        put(header::ACCESS_CONTROL_ALLOW_HEADERS, "allowHeaders");
    }
}

fn told(status: StatusCode, message: &str) -> Response {
    written(status, &json!({"message": message}))
}
