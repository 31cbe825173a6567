//! Layers: pushed in parts, looked for, and pulled. An upload is the same as one of `/v2`.

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use wharf_storage::oci::{Algorithm, Digest};

use crate::http::ecr::download;
use crate::http::ecr::input::{Input, malformed};
use crate::http::ecr::{Call, Error};
use crate::registry::{self, Chunk, Session};

/// How long parts should be, and are by the clients of AWS.
const PART_BYTES: u64 = 20 << 20;

pub(super) async fn initiate(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    let pusher = call.pusher();
    let session = call
        .state
        .registry
        .begin_upload(&name, &pusher, Algorithm::Sha256)
        .await?;
    Ok(json!({"uploadId": session.id.to_string(), "partSize": PART_BYTES}))
}

pub(super) async fn upload_part(call: &Call, input: &Input) -> Result<Value, Error> {
    let session = session(call, input)?;
    let bytes = Bytes::from(input.bytes("layerPartBlob")?);
    let number = |name: &str| {
        let number = input
            .number(name)
            .and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| malformed(name, "must not be negative"))
    };
    let (first, last) = (number("partFirstByte")?, number("partLastByte")?);
    let registry = &call.state.registry;
    let invalid = |offset: u64, message: String| {
        Error::new("InvalidLayerPartException", message)
            .with("registryId", call.account())
            .with("repositoryName", session.repository.as_str())
            .with("uploadId", session.id.to_string())
            .with("lastValidByteReceived", offset.saturating_sub(1))
    };
    let length = bytes.len() as u64;
    if last.checked_sub(first).and_then(|span| span.checked_add(1)) != Some(length) {
        let status = registry.upload_status(&session).await?;
        let message = format!("the part has {length} bytes, which are not those of {first}-{last}");
        return Err(invalid(status.offset, message));
    }
    let chunk = Chunk {
        start: Some(first),
        length: Some(length),
        body: Box::pin(stream::iter([Ok(bytes)])),
    };
    let status = match registry.append(&session, chunk).await {
        Err(registry::Error::OutOfOrder { offset }) => {
            let message = format!("the part begins at {first}, and the upload stands at {offset}");
            return Err(invalid(offset, message));
        }
        outcome => outcome?,
    };
    Ok(json!({
        "registryId": call.account(),
        "repositoryName": session.repository,
        "uploadId": session.id.to_string(),
        "lastByteReceived": status.offset.saturating_sub(1),
    }))
}

pub(super) async fn complete(call: &Call, input: &Input) -> Result<Value, Error> {
    let session = session(call, input)?;
    let digests = input.texts("layerDigests");
    let digest: Digest = digests
        .first()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed("layerDigests", "Invalid digest"))?;
    let registry = &call.state.registry;
    if registry.upload_status(&session).await?.offset == 0 {
        let message = format!("the upload '{}' has no bytes", session.id);
        return Err(Error::new("EmptyUploadException", message));
    }
    let found = registry.blob_to_rely_on(&session.repository, &digest).await;
    if found.is_ok() {
        let _ = registry.cancel_upload(&session).await;
        let message = format!("Layer with digest '{digest}' already exists in the repository");
        return Err(Error::new("LayerAlreadyExistsException", message));
    }
    let nothing = Chunk {
        start: None,
        length: None,
        body: Box::pin(stream::empty()),
    };
    registry.finish_upload(&session, &digest, nothing).await?;
    Ok(json!({
        "registryId": call.account(),
        "repositoryName": session.repository,
        "uploadId": session.id.to_string(),
        "layerDigest": digest,
    }))
}

pub(super) async fn check(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    super::repositories::require(call, &name).await?;
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for text in input.texts("layerDigests") {
        let Ok(digest) = text.parse::<Digest>() else {
            failures.push(json!({
                "layerDigest": text,
                "failureCode": "InvalidLayerDigest",
                "failureReason": "Invalid layer digest",
            }));
            continue;
        };
        let found = call.state.registry.blob_to_rely_on(&name, &digest).await;
        match found {
            Ok(blob) => layers.push(json!({
                "layerDigest": digest,
                "layerAvailability": "AVAILABLE",
                "layerSize": blob.size,
            })),
            Err(registry::Error::BlobUnknown(_)) => layers.push(json!({
                "layerDigest": digest,
                "layerAvailability": "UNAVAILABLE",
            })),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(json!({"layers": layers, "failures": failures}))
}

pub(super) async fn download_url(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    let digest = input.digest("layerDigest")?;
    let blob = match call.state.registry.blob(&name, &digest).await {
        Ok(blob) => blob,
        Err(registry::Error::BlobUnknown(_)) => {
            let message =
                format!("The layer with digest '{digest}' does not exist in the repository");
            return Err(Error::new("LayersNotFoundException", message));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(address) = call.state.registry.blob_address(&blob).await? {
        return Ok(json!({"downloadUrl": address, "layerDigest": digest}));
    }
    let path = download::sign(&call.state, &name, &digest);
    Ok(json!({"downloadUrl": format!("{}{path}", call.base), "layerDigest": digest}))
}

fn session(call: &Call, input: &Input) -> Result<Session, Error> {
    let id = input.required("uploadId")?;
    let unknown = |_| Error::from(registry::Error::UploadUnknown);
    Ok(Session {
        repository: input.repository()?,
        pusher: call.pusher(),
        id: id.to_lowercase().parse().map_err(unknown)?,
    })
}
