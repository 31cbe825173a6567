//! Every URL, on one page, each with what it asks of its callers.

use axum::Router;
use axum::handler::Handler;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use wharf_auth::action::Action;

use super::access::{self, Need};
use super::error::{Code, Error};
use super::v2::{blobs, catalog, manifests, referrers, tags, uploads, version};
use super::{
    State, admin, ecr, events, exposition, health, leases, observe, request_id, session, token,
};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Whatever a browser takes an answer for, it shows and runs nothing of it.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// The router of the whole server. Wrap it with [`fold`](super::repository_path::fold), which
/// makes a slashed name one segment.
pub fn all(state: State) -> Router {
    table(&state)
        .router
        .fallback(unknown_endpoint)
        .method_not_allowed_fallback(unknown_method)
        .layer(map_response(mark))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .layer(from_fn_with_state(state.clone(), request_id::assign))
        .with_state(state)
}

/// What each route asks of its callers: the table that a test walks.
#[must_use]
pub fn declared(state: &State) -> Vec<Declared> {
    table(state).declared
}

fn table(state: &State) -> Routes {
    let routes = Routes::new(state);
    let routes = operators(routes);
    let routes = tokens(routes);
    let routes = v2(routes);
    let routes = ecr(routes);
    let routes = held(routes);
    let routes = told(routes);
    administration(routes)
}

/// What operators and clients ask before they know anybody.
fn operators(routes: Routes) -> Routes {
    routes
        .get("/healthz", Need::Nothing, health::live)
        .get("/readyz", Need::Nothing, health::ready)
        .get("/metrics", Need::Nothing, exposition::get)
}

/// Getting a token or a session; both look at what callers show themselves.
fn tokens(routes: Routes) -> Routes {
    routes
        .get("/token", Need::Nothing, token::get)
        .post("/token", Need::Nothing, token::post)
        .get("/.well-known/jwks.json", Need::Nothing, token::keys)
        .post("/session", Need::Nothing, session::post)
        .get("/session", Need::Login, session::get)
        .delete("/session", Need::Nothing, session::delete)
}

/// The OCI distribution API.
fn v2(routes: Routes) -> Routes {
    const PULL: Need = Need::Repository(&[Action::BatchGetImage]);
    const READ: Need = Need::Repository(&[Action::GetDownloadUrlForLayer]);
    const CHECK: Need = Need::Repository(&[Action::BatchCheckLayerAvailability]);
    const PUSH: Need = Need::Repository(&[Action::PutImage]);
    const REMOVE: Need = Need::Repository(&[Action::BatchDeleteImage]);
    const BEGIN: Need = Need::Repository(&[Action::InitiateLayerUpload]);
    const SEND: Need = Need::Repository(&[Action::UploadLayerPart]);
    const FINISH: Need = Need::Repository(&[Action::UploadLayerPart, Action::CompleteLayerUpload]);
    const TAGS: Need = Need::Repository(&[Action::ListImages]);
    const REFERRERS: Need = Need::Repository(&[Action::ListImageReferrers]);

    let manifest = "/v2/{name}/manifests/{reference}";
    let blob = "/v2/{name}/blobs/{digest}";
    let upload = "/v2/{name}/blobs/uploads/{id}";
    routes
        .get("/v2", Need::Login, version::get)
        .get("/v2/", Need::Login, version::get)
        .get("/v2/_catalog", Need::Catalog, catalog::get)
        .get("/v2/{name}/tags/list", TAGS, tags::get)
        .get(manifest, PULL, manifests::get)
        .head(manifest, PULL, manifests::head)
        .put(manifest, PUSH, manifests::put)
        .delete(manifest, REMOVE, manifests::delete)
        .get(blob, READ, blobs::get)
        .head(blob, CHECK, blobs::head)
        .delete(blob, REMOVE, blobs::delete)
        .post("/v2/{name}/blobs/uploads/", BEGIN, uploads::post)
        .get(upload, SEND, uploads::get)
        .patch(upload, SEND, uploads::patch)
        .put(upload, FINISH, uploads::put)
        .delete(upload, SEND, uploads::delete)
        .get("/v2/{name}/referrers/{digest}", REFERRERS, referrers::get)
}

/// Amazon ECR's API, which names its operations in a header and its callers by their signature;
/// and the addresses of layers that it gives, which are signed themselves.
fn ecr(routes: Routes) -> Routes {
    routes.post("/", Need::Nothing, ecr::post).get(
        "/layers/{digest}",
        Need::Signature,
        ecr::download::get,
    )
}

/// What keeps digests from being removed.
fn held(routes: Routes) -> Routes {
    const LEASE: Need = Need::Registry(Action::Lease);

    let lease = "/leases/{digest}";
    routes
        .get(lease, LEASE, leases::get)
        .put(lease, LEASE, leases::put)
        .delete(lease, LEASE, leases::delete)
}

/// What happened. Who may see it depends on the repositories that are asked about.
fn told(routes: Routes) -> Routes {
    routes.get("/events", events::NEED, events::get)
}

/// Administration, as JSON.
fn administration(routes: Routes) -> Routes {
    const ADMIN: Need = Need::Registry(Action::Administer);
    const AUDIT: Need = Need::Registry(Action::ReadAudit);

    let user = "/admin/v1/users/{principal}";
    let robot = "/admin/v1/robots/{principal}";
    let policy = "/admin/v1/policies/{*target}";
    let trust = "/admin/v1/trusts/{trust}";
    let endpoint = "/admin/v1/endpoints/{endpoint}";
    let secret = "/admin/v1/endpoints/{endpoint}/secret";
    let replay = "/admin/v1/endpoints/{endpoint}/replay";
    let deliveries = "/admin/v1/endpoints/{endpoint}/deliveries";
    let letters = "/admin/v1/endpoints/{endpoint}/dead-letters";
    let resend = "/admin/v1/endpoints/{endpoint}/dead-letters/resend";
    routes
        .get("/admin/v1/openapi.json", Need::Nothing, admin::openapi)
        .get("/admin/v1/users", ADMIN, admin::users::list)
        .post("/admin/v1/users", ADMIN, admin::users::add)
        .get(user, ADMIN, admin::users::get)
        .patch(user, ADMIN, admin::users::change)
        .delete(user, ADMIN, admin::users::remove)
        .get("/admin/v1/robots", ADMIN, admin::robots::list)
        .post("/admin/v1/robots", ADMIN, admin::robots::add)
        .get(robot, ADMIN, admin::robots::get)
        .patch(robot, ADMIN, admin::robots::change)
        .delete(robot, ADMIN, admin::robots::remove)
        .post(
            "/admin/v1/robots/{principal}/secret",
            ADMIN,
            admin::robots::rotate,
        )
        .get("/admin/v1/keys", ADMIN, admin::keys::list)
        .post("/admin/v1/keys", ADMIN, admin::keys::add)
        .delete("/admin/v1/keys/{key}", ADMIN, admin::keys::remove)
        .get("/admin/v1/signing-keys", ADMIN, admin::signing_keys::list)
        .post("/admin/v1/signing-keys", ADMIN, admin::signing_keys::rotate)
        .delete(
            "/admin/v1/signing-keys/{key}",
            ADMIN,
            admin::signing_keys::remove,
        )
        .get("/admin/v1/policies", ADMIN, admin::policies::list)
        .get(policy, ADMIN, admin::policies::get)
        .put(policy, ADMIN, admin::policies::put)
        .delete(policy, ADMIN, admin::policies::remove)
        .get("/admin/v1/trusts", ADMIN, admin::trusts::list)
        .get(trust, ADMIN, admin::trusts::get)
        .put(trust, ADMIN, admin::trusts::put)
        .delete(trust, ADMIN, admin::trusts::remove)
        .get("/admin/v1/endpoints", ADMIN, admin::endpoints::list)
        .post("/admin/v1/endpoints", ADMIN, admin::endpoints::add)
        .get(endpoint, ADMIN, admin::endpoints::get)
        .patch(endpoint, ADMIN, admin::endpoints::change)
        .delete(endpoint, ADMIN, admin::endpoints::remove)
        .post(secret, ADMIN, admin::endpoints::rotate)
        .post(replay, ADMIN, admin::endpoints::replay)
        .get(deliveries, ADMIN, admin::endpoints::deliveries)
        .get(letters, ADMIN, admin::endpoints::dead_letters)
        .delete(letters, ADMIN, admin::endpoints::discard)
        .post(resend, ADMIN, admin::endpoints::resend)
        .post("/admin/v1/can", ADMIN, admin::can::post)
        .get("/admin/v1/audit", AUDIT, admin::audit::get)
}

/// A route as it was declared. A GET answers HEAD too where no other route does.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The method.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it asks of its callers.
    pub need: Need,
}

/// Routes, none of which can be added without saying what it asks of its callers.
struct Routes {
    state: State,
    router: Router<State>,
    declared: Vec<Declared>,
}

macro_rules! methods {
    ($($name:ident: $method:ident;)*) => {$(
        fn $name<H, T>(self, path: &'static str, need: Need, handler: H) -> Self
        where
            H: Handler<T, State>,
            T: 'static,
        {
            self.on(Method::$method, MethodFilter::$method, path, need, handler)
        }
    )*};
}

impl Routes {
    fn new(state: &State) -> Self {
        Self {
            state: state.clone(),
            router: Router::new(),
            declared: Vec::new(),
        }
    }

    methods! {
        get: GET;
        head: HEAD;
        post: POST;
        put: PUT;
        patch: PATCH;
        delete: DELETE;
    }

    fn on<H, T>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        need: Need,
        handler: H,
    ) -> Self
    where
        H: Handler<T, State>,
        T: 'static,
    {
        let guard = from_fn_with_state((self.state.clone(), need), access::enforce);
        self.router = self
            .router
            .route(path, on(filter, handler).route_layer(guard));
        self.declared.push(Declared { method, path, need });
        self
    }
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
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(NO_PAGE);
    response
}
