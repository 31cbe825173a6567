//! APIs with their integrations, routes, stages and deployments: created, told, deleted.

use std::collections::BTreeMap;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::model::Api;
use super::{Gateway, routing, text};
use crate::aws::door::{unknown, written};
use crate::aws::{Error, Input, id, iso, now};

impl Gateway {
    pub(super) async fn create(&self, input: &Input) -> Result<Response, Error> {
        let name = input.text("name")?.to_owned();
        if input.text("protocolType")? != "HTTP" {
            return Err(input.wrong("APIs are of the protocol type HTTP here"));
        }
        let mut api = Api {
            id: id()[..10].to_owned(),
            name,
            description: input.maybe("description").map(str::to_owned),
            cors: input.value()["corsConfiguration"].clone(),
            tags: input.value()["tags"].clone(),
            created_at: now(),
            integrations: BTreeMap::new(),
            routes: BTreeMap::new(),
            stages: BTreeMap::new(),
            deployments: BTreeMap::new(),
        };
        // Quick create: one route that leads everything there, and a stage.
        if let Some(target) = input.maybe("target") {
            let kind = if target.starts_with("arn:") {
                "AWS_PROXY"
            } else {
                "HTTP_PROXY"
            };
            let integration = json!({"integrationType": kind, "integrationUri": target});
            let integration = keep(&mut api, "integrations", &integration, input)?;
            let route = json!({
                "routeKey": input.maybe("routeKey").unwrap_or("$default"),
                "target": format!("integrations/{}", text(&integration, "integrationId")),
            });
            keep(&mut api, "routes", &route, input)?;
            keep(
                &mut api,
                "stages",
                &json!({"stageName": "$default", "autoDeploy": true}),
                input,
            )?;
        }
        self.apis.put(&api.id, api.clone()).await?;
        Ok(written(StatusCode::CREATED, &self.shown(&api)))
    }

    pub(super) fn list(&self) -> Response {
        let items: Vec<Value> = self.apis.list().iter().map(|api| self.shown(api)).collect();
        written(StatusCode::OK, &json!({"items": items}))
    }

    pub(super) fn get(&self, id: &str) -> Result<Response, Error> {
        Ok(written(StatusCode::OK, &self.shown(&self.api(id)?)))
    }

    pub(super) async fn delete(&self, id: &str) -> Result<Response, Error> {
        self.apis
            .remove(id)
            .await?
            .ok_or_else(|| Self::missing(id))?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    pub(super) async fn add(&self, id: &str, kind: &str, input: &Input) -> Result<Response, Error> {
        let mut api = self.api(id)?;
        let part = keep(&mut api, kind, input.value(), input)?;
        // Only this part is put, so that two callers don't undo each other.
        let (name, kept) = (part_id(kind, &part), part.clone());
        let change = |api: &mut Api| {
            if let Some(parts) = api.parts_mut(kind) {
                parts.insert(name, kept);
            }
        };
        self.apis
            .update(id, change)
            .await?
            .ok_or_else(|| Self::missing(id))?;
        Ok(written(StatusCode::CREATED, &part))
    }

    pub(super) fn parts(&self, id: &str, kind: &str) -> Result<Response, Error> {
        let api = self.api(id)?;
        let parts = api.parts(kind).ok_or_else(|| unknown(kind))?;
        let items: Vec<&Value> = parts.values().collect();
        Ok(written(StatusCode::OK, &json!({"items": items})))
    }

    pub(super) fn part(&self, id: &str, kind: &str, part: &str) -> Result<Response, Error> {
        let api = self.api(id)?;
        let found = api.parts(kind).and_then(|parts| parts.get(part));
        Ok(written(
            StatusCode::OK,
            found.ok_or_else(|| Self::missing(part))?,
        ))
    }

    pub(super) async fn remove(&self, id: &str, kind: &str, part: &str) -> Result<Response, Error> {
        let api = self.api(id)?;
        let parts = api.parts(kind).ok_or_else(|| unknown(kind))?;
        if !parts.contains_key(part) {
            return Err(Self::missing(part));
        }
        let target = format!("integrations/{part}");
        if kind == "integrations" && api.routes.values().any(|route| route["target"] == target) {
            return Err(
                Error::new("ConflictException", "a route leads to this integration")
                    .with_status(StatusCode::CONFLICT),
            );
        }
        let change = |api: &mut Api| {
            if let Some(parts) = api.parts_mut(kind) {
                parts.remove(part);
            }
        };
        self.apis.update(id, change).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    fn shown(&self, api: &Api) -> Value {
        let mut shown = json!({
            "apiEndpoint": self.ground.hosted("execute-api", &api.id), "apiId": api.id,
            "name": api.name, "protocolType": "HTTP", "createdDate": iso(api.created_at).replace("+0000", "Z"),
            "routeSelectionExpression": "$request.method $request.path",
            "apiKeySelectionExpression": "$request.header.x-api-key", "disableExecuteApiEndpoint": false,
            "tags": api.tags.as_object().cloned().unwrap_or_default(),
        });
        if api.cors.is_object() {
            shown["corsConfiguration"] = api.cors.clone();
        }
        if let Some(description) = &api.description {
            shown["description"] = description.clone().into();
        }
        shown
    }
}

fn part_id(kind: &str, part: &Value) -> String {
    text(
        part,
        match kind {
            "integrations" => "integrationId",
            "routes" => "routeId",
            "stages" => "stageName",
            _ => "deploymentId",
        },
    )
}

/// Adds a part to an API, with its id and what it has when nobody says.
fn keep(api: &mut Api, kind: &str, wish: &Value, input: &Input) -> Result<Value, Error> {
    let mut part = wish.clone();
    let own = id()[..7].to_owned();
    let at = iso(now()).replace("+0000", "Z");
    match kind {
        "integrations" => {
            let is_known =
                ["AWS_PROXY", "HTTP_PROXY"].contains(&text(wish, "integrationType").as_str());
            if !is_known || text(wish, "integrationUri").is_empty() {
                return Err(input
                    .wrong("an integration is AWS_PROXY or HTTP_PROXY, with an integrationUri"));
            }
            if wish["payloadFormatVersion"]
                .as_str()
                .is_some_and(|version| version != "2.0")
            {
                return Err(input.wrong("the payload's format is 2.0 here"));
            }
            part["payloadFormatVersion"] = "2.0".into();
            part["integrationId"] = own.into();
            part["connectionType"] = "INTERNET".into();
            part["timeoutInMillis"] = wish["timeoutInMillis"].as_u64().unwrap_or(30_000).into();
        }
        "routes" => {
            let key = text(wish, "routeKey");
            if !routing::is_key(&key) {
                return Err(input.wrong("routeKey reads $default, or METHOD /path/{name}"));
            }
            if api.routes.values().any(|route| route["routeKey"] == key) {
                let message = format!("Route with key {key} already exists for this API");
                return Err(
                    Error::new("ConflictException", message).with_status(StatusCode::CONFLICT)
                );
            }
            let target = text(wish, "target");
            let known = target
                .strip_prefix("integrations/")
                .is_some_and(|id| api.integrations.contains_key(id));
            if !target.is_empty() && !known {
                return Err(
                    input.wrong("target reads integrations/ID, of an integration that is there")
                );
            }
            part["routeId"] = own.into();
            part["authorizationType"] = "NONE".into();
            part["apiKeyRequired"] = false.into();
        }
        "stages" => {
            let name = text(wish, "stageName");
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_plain) {
                return Err(input.wrong("stageName has letters, digits, - and _, or is $default"));
            }
            part["createdDate"] = at.clone().into();
            part["lastUpdatedDate"] = at.into();
        }
        "deployments" => {
            part["deploymentId"] = own.into();
            part["createdDate"] = at.into();
            part["deploymentStatus"] = "DEPLOYED".into();
        }
        other => return Err(unknown(other)),
    }
    let name = part_id(kind, &part);
    if let Some(parts) = api.parts_mut(kind) {
        parts.insert(name, part.clone());
    }
    Ok(part)
}
