//! Who did what, from where, and whether they were let.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use wharf_storage::metadata::{AuditEntry, AuditQuery};

use super::rfc3339;
use crate::audit::{Outcome, moment};
use crate::http::State as Shared;
use crate::http::error::{Code, Error};
use crate::http::extract::Parameters;
use crate::registry;

/// How many records a page has at most.
const MOST: u64 = 1000;
/// How many it has when nobody says.
const USUAL: u64 = 100;

/// `GET /admin/v1/audit?principal=&action=&resource=&outcome=&since=&before=&limit=`: the newest
/// first. `next` leads on, as `before`; `since` is a time, or how long ago.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    parameters: Parameters,
) -> Result<Json<Value>, Error> {
    let number = |name: &str| {
        parameters.parsed::<i64>(name).map_err(|_| {
            let message = format!("{name} is no number");
            Error::new(
                StatusCode::BAD_REQUEST,
                Code::PaginationNumberInvalid,
                message,
            )
        })
    };
    let wrong = |name: &str, error: &dyn std::error::Error| {
        let message = format!("{name}: {error}");
        Error::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
    };
    let outcome: Option<Outcome> = parameters
        .parsed("outcome")
        .map_err(|error| wrong("outcome", &error))?;
    let now = state.clock.now();
    let since = parameters.first("since");
    let since = since.map(|text| moment(text, now)).transpose();
    let text = |name: &str| parameters.first(name).map(ToOwned::to_owned);
    let limit = number("limit")?.map_or(USUAL, |limit| limit.unsigned_abs().clamp(1, MOST));
    let query = AuditQuery {
        principal: text("principal"),
        action: text("action"),
        resource: text("resource"),
        outcome: outcome.map(|outcome| outcome.as_str().to_owned()),
        since: since.map_err(|error| wrong("since", &error))?,
        before: number("before")?,
        limit,
    };
    let entries = state
        .metadata
        .audit(query)
        .await
        .map_err(registry::Error::from)?;
    let next = match entries.len() as u64 == limit {
        true => entries.last().map(|entry| entry.id),
        false => None,
    };
    let records: Vec<Value> = entries.iter().map(described).collect();
    Ok(Json(json!({ "records": records, "next": next })))
}

fn described(AuditEntry { id, record }: &AuditEntry) -> Value {
    json!({
        "id": id,
        "at": rfc3339(record.at),
        "principal": record.principal,
        "address": record.address,
        "action": record.action,
        "resource": record.resource,
        "outcome": record.outcome,
        "request_id": record.request_id,
        "detail": record.detail,
    })
}
