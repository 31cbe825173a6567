//! The address that `GetDownloadUrlForLayer` gives: signed, and good for a while.
//!
//! `GET /layers/<digest>?repository=…&expires=…&signature=…`. Who has the address has the layer, as
//! with the presigned addresses of a store, so it ends soon.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use wharf_storage::clock::Timestamp;
use wharf_storage::oci::{Digest, RepositoryName};

use crate::http::State as Shared;
use crate::http::error::{Code, Error};
use crate::http::extract::{Parameters, Path};
use crate::http::v2::blobs;

/// How long an address is good.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The path and the query of an address.
pub(super) fn sign(state: &Shared, repository: &RepositoryName, digest: &Digest) -> String {
    let expires = state.clock.now().after(LIFETIME).as_seconds();
    let signature = signature(state, repository, digest, expires);
    let name = utf8_percent_encode(repository.as_str(), NON_ALPHANUMERIC);
    format!("/layers/{digest}?repository={name}&expires={expires}&signature={signature}")
}

/// `GET /layers/<digest>`.
pub(in crate::http) async fn get(
    State(state): State<Shared>,
    Path(digest): Path<String>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let refused = || {
        let message = "the address is not one that this registry gave, or it has expired";
        Error::new(StatusCode::FORBIDDEN, Code::Denied, message)
    };
    let digest: Digest = digest.parse().map_err(|_| refused())?;
    let repository = parameters
        .first("repository")
        .and_then(|name| name.parse().ok());
    let repository: RepositoryName = repository.ok_or_else(refused)?;
    let expires: i64 = parameters
        .first("expires")
        .and_then(|text| text.parse().ok())
        .ok_or_else(refused)?;
    let said = parameters.first("signature").unwrap_or_default();
    let own = signature(&state, &repository, &digest, expires);
    if !is_same(said.as_bytes(), own.as_bytes())
        || Timestamp::from_seconds(expires) < state.clock.now()
    {
        return Err(refused());
    }
    blobs::send(&state, &repository, &digest, &headers).await
}

fn signature(state: &Shared, repository: &RepositoryName, digest: &Digest, expires: i64) -> String {
    let text = format!("layer\0{repository}\0{digest}\0{expires}");
    let bytes = state.sealer.fingerprint(&text);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether both are the same, in a time that tells nothing of where they differ.
pub(super) fn is_same(said: &[u8], own: &[u8]) -> bool {
    let differs = said
        .iter()
        .zip(own)
        .fold(0, |differs, (a, b)| differs | (a ^ b));
    said.len() == own.len() && differs == 0
}
