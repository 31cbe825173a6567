//! Makes an upload a blob: its bytes become one object, whose key stays.
//!
//! Each step may have been done before, by a request whose answer was lost or by another server,
//! and is then found done.

use std::sync::Arc;

use object_store::multipart::{MultipartStore as _, PartId};
use object_store::{
    Attribute, Attributes, ObjectStore as _, ObjectStoreExt as _, PutOptions, PutPayload,
};
use serde::Serialize;

use super::append::with_pieces;
use super::error::failed;
use super::gather::Gathered;
use super::state::{Part, State};
use super::{Shared, WHOLE, place};
use crate::blob::{Error, Location};
use crate::oci::Digest;
use crate::upload::{Progress, UploadId};

/// What an index object says.
#[derive(Debug, Serialize)]
struct Index<'a> {
    digest: &'a Digest,
    size: u64,
    key: &'a str,
}

/// Brings the bytes of an upload together, and tells where they lie.
pub(super) async fn whole(
    shared: &Arc<Shared>,
    id: UploadId,
    progress: &Progress,
) -> Result<Location, Error> {
    let state = State::of(id, progress)?;
    if let (None, [piece]) = (&state.multipart, state.pieces.as_slice()) {
        let location = place(id, &piece.0);
        return match length(shared, &location).await? {
            actual if actual == piece.1 => Ok(location),
            actual => Err(Error::Short {
                name: location.to_string(),
                actual,
            }),
        };
    }
    let location = place(id, WHOLE);
    match &state.multipart {
        Some(multipart) => {
            let made = complete(shared, id, &state, multipart).await;
            if let Err(error) = made {
                // It may have been completed before; then the multipart is gone and the blob there.
                match length(shared, &location).await {
                    Ok(actual) if actual == progress.offset => {}
                    _ => return Err(error),
                }
            }
        }
        None => {
            let body = with_pieces(shared, id, &state.pieces, Gathered::default()).await?;
            let path = shared.path(&location);
            let _sender = shared.room.senders.acquire().await;
            shared.requests.put(&path, &body).await?;
        }
    }
    match length(shared, &location).await? {
        actual if actual == progress.offset => Ok(location),
        actual => Err(Error::Short {
            name: location.to_string(),
            actual,
        }),
    }
}

async fn complete(
    shared: &Arc<Shared>,
    id: UploadId,
    state: &State,
    multipart: &str,
) -> Result<(), Error> {
    let path = shared.path(&place(id, WHOLE));
    let mut tags: Vec<&Part> = state.parts.iter().collect();
    let last;
    if !state.pieces.is_empty() {
        let body = with_pieces(shared, id, &state.pieces, Gathered::default()).await?;
        let _sender = shared.room.senders.acquire().await;
        let requests = &shared.requests;
        let tag = requests
            .put_part(&path, multipart, tags.len() + 1, &body)
            .await?;
        last = Part(tag, body.length());
        tags.push(&last);
    }
    let content_id = |part: &&Part| PartId {
        content_id: part.0.clone(),
    };
    let tags: Vec<PartId> = tags.iter().map(content_id).collect();
    let multipart = multipart.to_owned();
    let s3 = &shared.requests.s3;
    let complete = || async {
        let completed = s3.complete_multipart(&path, &multipart, tags.clone()).await;
        completed.map_err(|error| failed("complete upload", &id, error))
    };
    shared.requests.patiently(complete).await?;
    Ok(())
}

/// How long an object is.
async fn length(shared: &Shared, location: &Location) -> Result<u64, Error> {
    let path = shared.path(location);
    let look = || async {
        let head = shared.requests.s3.head(&path).await;
        head.map_err(|error| failed("look at", location, error))
    };
    Ok(shared.requests.patiently(look).await?.size)
}

/// Writes what the blob is, for the day when the database is lost.
pub(super) async fn write_index(
    shared: &Shared,
    id: UploadId,
    digest: &Digest,
    size: u64,
    location: &Location,
) -> Result<(), Error> {
    let key = location.as_str();
    let index = Index { digest, size, key };
    let text = serde_json::to_string(&index).expect("texts and numbers have a JSON form");
    let options = PutOptions {
        attributes: Attributes::from_iter([(Attribute::ContentType, "application/json")]),
        ..PutOptions::default()
    };
    let path = shared.index_path(id);
    let payload = PutPayload::from(text);
    let s3 = &shared.requests.s3;
    let write = || async {
        let written = s3.put_opts(&path, payload.clone(), options.clone()).await;
        written.map_err(|error| failed("write the index of", location, error))
    };
    shared.requests.patiently(write).await?;
    Ok(())
}
