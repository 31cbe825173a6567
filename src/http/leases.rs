//! `/leases/<digest>`: somebody runs this digest, so nothing removes it until the lease ends.
//!
//! A runner or a cluster takes one for each digest that it runs, and renews it before its end; what
//! crashed lets it end by itself. A lease is on a digest, in whatever repository it lies.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_storage::oci::Digest;

use super::State as Shared;
use super::admin::{body, rfc3339};
use super::error::{Code, Error};
use super::extract::Last;
use crate::registry;

/// The longest term; who runs something for longer renews it.
const LONGEST_TERM: u64 = 7 * 86_400;
/// The longest name of a holder.
const LONGEST_HOLDER: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken {
    holder: String,
    term_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Released {
    holder: String,
}

/// `PUT /leases/<digest>` with `{"holder": …, "term_seconds": …}`: takes or renews.
pub(super) async fn put(
    State(state): State<Shared>,
    Last(digest): Last<Digest>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<Json<Value>, Error> {
    let Taken {
        holder,
        term_seconds,
    } = body(&headers, bytes).await?;
    check(&holder)?;
    if !(1..=LONGEST_TERM).contains(&term_seconds) {
        return Err(malformed(&format!("term_seconds is 1 to {LONGEST_TERM}")));
    }
    let now = state.clock.now();
    let expires_at = now.after(Duration::from_secs(term_seconds));
    let taken = state
        .metadata
        .lease(&digest, &holder, expires_at, now)
        .await;
    taken.map_err(registry::Error::from)?;
    Ok(Json(
        json!({"digest": digest, "holder": holder, "expires_at": rfc3339(expires_at)}),
    ))
}

/// `GET /leases/<digest>`: the leases that hold.
pub(super) async fn get(
    State(state): State<Shared>,
    Last(digest): Last<Digest>,
) -> Result<Json<Value>, Error> {
    let leases = state.metadata.leases(&digest, state.clock.now()).await;
    let leases: Vec<Value> = leases
        .map_err(registry::Error::from)?
        .into_iter()
        .map(|(holder, end)| json!({"holder": holder, "expires_at": rfc3339(end)}))
        .collect();
    Ok(Json(json!({"digest": digest, "leases": leases})))
}

/// `DELETE /leases/<digest>` with `{"holder": …}`: gives it back.
pub(super) async fn delete(
    State(state): State<Shared>,
    Last(digest): Last<Digest>,
    headers: HeaderMap,
    bytes: Body,
) -> Result<StatusCode, Error> {
    let Released { holder } = body(&headers, bytes).await?;
    let released = state.metadata.release(&digest, &holder).await;
    match released.map_err(registry::Error::from)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            let message = "there is no such lease";
            Err(Error::new(
                StatusCode::NOT_FOUND,
                Code::NameUnknown,
                message,
            ))
        }
    }
}

fn check(holder: &str) -> Result<(), Error> {
    let is_sane =
        (1..=LONGEST_HOLDER).contains(&holder.len()) && !holder.chars().any(char::is_control);
    match is_sane {
        true => Ok(()),
        false => Err(malformed("holder has 1 to 256 characters")),
    }
}

fn malformed(message: &str) -> Error {
    Error::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
}
