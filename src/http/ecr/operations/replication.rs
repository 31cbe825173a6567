//! Replication. Its configuration is kept; nothing is replicated yet.

use serde_json::{Value, json};
use wharf_storage::metadata::Replace;

use super::paging::Page;
use super::{documents, images, repositories};
use crate::http::ecr::input::Input;
use crate::http::ecr::{Call, Error};

const REPLICATION: &str = "replication";
const ONLY: &str = "only";

pub(super) async fn registry(call: &Call) -> Result<Value, Error> {
    let found = call.metadata().document(REPLICATION, ONLY).await?;
    let configuration = match found {
        Some(document) => documents::members(&document),
        None => json!({"rules": []}),
    };
    Ok(json!({"registryId": call.account(), "replicationConfiguration": configuration}))
}

pub(super) async fn put(call: &Call, input: &Input) -> Result<Value, Error> {
    let configuration = input.value("replicationConfiguration");
    let text = configuration.to_string();
    documents::put(call, REPLICATION, ONLY, &text, Replace::Allowed).await?;
    Ok(json!({"replicationConfiguration": configuration}))
}

/// `DescribeImageReplicationStatus`: an image of this registry is in this registry alone.
pub(super) async fn status(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    repositories::require(call, &name).await?;
    let image = images::require(call, &name, &input.image_id()).await?;
    Ok(json!({
        "repositoryName": name,
        "imageId": {"imageDigest": image.digest},
        "replicationStatuses": [],
    }))
}

/// `StartReplicationBackfill`: there is nowhere to.
pub(super) fn start_backfill() -> Result<Value, Error> {
    let message = "this registry does not replicate yet, so there is nothing to fill";
    Err(Error::new("ValidationException", message))
}

/// The operations about a backfill: none was ever started.
pub(super) fn unknown_backfill(input: &Input) -> Result<Value, Error> {
    let id = input.required("replicationBackfillId")?;
    let message = format!("There is no replication backfill with the id '{id}'");
    Err(Error::new("ReplicationBackfillNotFoundException", message))
}

/// `ListReplicationBackfills`.
pub(super) fn backfills(call: &Call, input: &Input) -> Result<Value, Error> {
    // A token of this list was never given.
    Page::of(call, input)?;
    Ok(json!({"registryId": call.account(), "backfills": []}))
}
