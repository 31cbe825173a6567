//! Every URL, on one page.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};

use super::State;
use super::error::{Code, Error};
use super::v2::{blobs, catalog, manifests, referrers, tags, uploads, version};
use super::{exposition, health, observe, request_id};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// The router of the whole server. Wrap it with [`fold`](super::repository_path::fold), which
/// makes a slashed name one segment.
pub fn all(state: State) -> Router {
    Router::new()
        .merge(v2())
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(exposition::get))
        .fallback(unknown_endpoint)
        .method_not_allowed_fallback(unknown_method)
        .layer(map_response(mark))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .layer(from_fn(request_id::assign))
        .with_state(state)
}

/// The OCI distribution API.
fn v2() -> Router<State> {
    let manifest = get(manifests::get)
        .head(manifests::head)
        .put(manifests::put)
        .delete(manifests::delete);
    let blob = get(blobs::get).head(blobs::head).delete(blobs::delete);
    let upload = get(uploads::get)
        .patch(uploads::patch)
        .put(uploads::put)
        .delete(uploads::delete);

    Router::new()
        .route("/v2", get(version::get))
        .route("/v2/", get(version::get))
        .route("/v2/_catalog", get(catalog::get))
        .route("/v2/{name}/tags/list", get(tags::get))
        .route("/v2/{name}/manifests/{reference}", manifest)
        .route("/v2/{name}/blobs/{digest}", blob)
        .route("/v2/{name}/blobs/uploads/", post(uploads::post))
        .route("/v2/{name}/blobs/uploads/{id}", upload)
        .route("/v2/{name}/referrers/{digest}", get(referrers::get))
}

async fn unknown_endpoint(uri: Uri) -> Error {
    let message = format!("there is no endpoint {}", uri.path().escape_debug());
    Error::new(StatusCode::NOT_FOUND, Code::Unsupported, message)
}

async fn unknown_method() -> Error {
    let message = "the endpoint does not know this method";
    Error::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
}

/// The headers that every answer carries.
async fn mark(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    // What was pushed is never to be taken for a page of this site.
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
