//! Every route, with every principal and every kind of credential: what was declared is asked for,
//! and nothing else.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{Request, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use wharf_auth::action::Action;
use wharf_auth::authority::Credential;
use wharf_auth::identity::{Context, Kind as PrincipalKind};
use wharf_auth::scope::Scope;
use wharf_auth::token::Kind;
use wharf_storage::metadata::Change;

use super::*;
use crate::app::App;
use crate::config::Config;
use crate::http::caller::SESSION_COOKIE;
use crate::http::listener::Peer;
use crate::http::routes::{self, Declared};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const PASSWORD: &str = "correct horse";

/// A server without its listener.
struct Server {
    state: State,
    router: axum::Router,
    asked: AtomicU32,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn open(enabled: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::default();
        config.storage.data = folder.path().to_owned();
        config.auth.enabled = enabled;
        let app = App::open(&config).await.expect("it opens");
        let (state, _writer) = app.doors(CancellationToken::new());
        Self {
            router: routes::all(state.clone()),
            state,
            asked: AtomicU32::new(0),
            _folder: folder,
        }
    }

    /// Makes a user with a policy of its own.
    async fn user(&self, name: &str, policy: Option<&str>) {
        let admin = &self.state.administration;
        admin.add_user(name, PASSWORD, "").await.expect("made");
        if let Some(policy) = policy {
            let target = format!("user/{name}");
            let change = Change::new("test", self.state.clock.now());
            admin
                .put_policy(&target, policy, change)
                .await
                .expect("a policy");
        }
        self.state.authority.refresh().await.expect("it sees them");
    }

    /// Makes a robot with a policy of its own, and gives its secret.
    async fn robot(&self, name: &str, policy: &str, lifetime: Option<Duration>) -> String {
        let admin = &self.state.administration;
        let made = admin.add_robot(name, "", lifetime).await.expect("made");
        self.policy(&format!("robot/{name}"), policy).await;
        made.secret
    }

    async fn policy(&self, target: &str, policy: &str) {
        let change = Change::new("test", self.state.clock.now());
        let admin = &self.state.administration;
        let put = admin.put_policy(target, policy, change).await;
        put.expect("a policy");
        self.state.authority.refresh().await.expect("it sees it");
    }

    /// A token for a caller as another issuer's token or a certificate makes one.
    fn token_for(&self, principal: &str, scopes: &[&str]) -> String {
        let caller = Caller {
            principal: principal.parse().expect("a principal"),
            ..Caller::anonymous(Context::default())
        };
        let scopes: Vec<Scope> = scopes
            .iter()
            .map(|scope| scope.parse().expect("a scope"))
            .collect();
        let issued = self.state.authority.issue(Kind::Access, &caller, &scopes);
        issued.expect("there is a key").token
    }

    async fn ask(
        &self,
        declared: &Declared,
        shown: Option<(header::HeaderName, String)>,
    ) -> Response {
        self.ask_over(declared, shown, None).await
    }

    /// The same over a connection that was made with a certificate.
    async fn ask_over(
        &self,
        declared: &Declared,
        shown: Option<(header::HeaderName, String)>,
        certificate: Option<&str>,
    ) -> Response {
        let path = declared
            .path
            .replace("{name}", "a%2Fb")
            .replace("{reference}", "v1")
            .replace("{digest}", DIGEST)
            .replace("{id}", "01a209ad-7875-7713-95d0-d53b08b76f21")
            .replace("{*target}", "user/nobody")
            .replace("{principal}", "nobody")
            .replace("{trust}", "nobody")
            .replace("{key}", "nobody")
            .replace("{endpoint}", "nobody");
        assert!(
            !path.contains('{'),
            "{path} has a parameter that this test doesn't know"
        );
        let mut request = Request::builder()
            .method(declared.method.clone())
            .uri(path)
            .header(header::HOST, "registry.example")
            .header(header::ORIGIN, "http://registry.example");
        if let Some((name, value)) = shown {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::empty()).expect("a request");
        // Each from an address of its own, so that nobody waits for another's failures.
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        request.extensions_mut().insert(Peer {
            address: (Ipv4Addr::from(0x0a00_0000 + number), 1).into(),
            is_secure: certificate.is_some(),
            certificate: certificate.map(Into::into),
        });
        self.router
            .clone()
            .oneshot(request)
            .await
            .expect("it answers")
    }

    async fn token(&self, name: &str, kind: Kind, scopes: &[&str]) -> String {
        let credential = Credential::Basic {
            username: name,
            password: PASSWORD,
        };
        let caller = self
            .state
            .authority
            .identify(credential, Context::default())
            .await;
        let caller = caller.expect("it is let in");
        let scopes: Vec<Scope> = scopes
            .iter()
            .map(|scope| scope.parse().expect("a scope"))
            .collect();
        let issued = self.state.authority.issue(kind, &caller, &scopes);
        issued.expect("there is a key").token
    }
}

fn basic(name: &str, password: &str) -> Option<(header::HeaderName, String)> {
    let text = BASE64_STANDARD.encode(format!("{name}:{password}"));
    Some((header::AUTHORIZATION, format!("Basic {text}")))
}

fn bearer(token: &str) -> Option<(header::HeaderName, String)> {
    Some((header::AUTHORIZATION, format!("Bearer {token}")))
}

/// A policy that allows these actions everywhere.
fn allowing(actions: &[&str]) -> String {
    serde_json::json!({"Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}})
        .to_string()
}

fn actions(need: Need) -> Vec<Action> {
    match need {
        Need::Nothing | Need::Signature | Need::Catalog | Need::Login => Vec::new(),
        Need::Registry(action) | Need::Queried(action) => vec![action],
        Need::Repository(actions) => actions.to_vec(),
    }
}

fn refuses(response: &Response) -> bool {
    matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    )
}

#[tokio::test]
async fn who_is_not_known_or_not_believed_gets_nothing_that_was_declared() {
    let server = Server::open(true).await;
    server.user("alice", Some(&allowing(&["*"]))).await;
    let refresh = server.token("alice", Kind::Refresh, &[]).await;
    let login = server.token("alice", Kind::Login, &[]).await;
    let session = server.token("alice", Kind::Session, &[]).await;
    let access = server.token("alice", Kind::Access, &[]).await;
    let strangers = [
        ("nobody", None),
        ("an unknown name", basic("bob", PASSWORD)),
        ("a wrong password", basic("alice", "wrong horse")),
        ("no password", basic("alice", "")),
        ("garbage", Some((header::AUTHORIZATION, "Basic !".into()))),
        (
            "another scheme",
            Some((header::AUTHORIZATION, "Digest x".into())),
        ),
        ("no token", bearer("")),
        ("a token of nobody", bearer("a.b.c")),
        ("a refresh token", bearer(&refresh)),
        ("a login token", bearer(&login)),
        ("a session as a token", bearer(&session)),
        (
            "a token as a session",
            Some((header::COOKIE, format!("{SESSION_COOKIE}={access}"))),
        ),
        ("a robot's name", basic("robot/alice", PASSWORD)),
        ("AWS without a token", basic("AWS", PASSWORD)),
        ("oidc without a token", basic("oidc", PASSWORD)),
    ];
    for declared in routes::declared(&server.state) {
        for (who, shown) in &strangers {
            let Declared { method, path, need } = &declared;
            let response = server.ask(&declared, shown.clone()).await;
            let status = response.status();
            match need {
                // The handler itself looks at what is shown, if at all.
                Need::Nothing => continue,
                Need::Signature => assert_eq!(status, StatusCode::FORBIDDEN, "{path} as {who}"),
                _ => {
                    assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} as {who}");
                    assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
                }
            }
        }
    }
}

#[tokio::test]
async fn who_has_ended_is_shut_out_or_comes_to_the_wrong_door_gets_nothing_that_was_declared() {
    let server = Server::open(true).await;
    let all = allowing(&["*"]);
    server.user("disabled", Some(&all)).await;
    let of_disabled = server
        .token("disabled", Kind::Access, &["repository:a/b:*"])
        .await;
    let admin = &server.state.administration;
    admin
        .change_user("disabled", None, Some(true))
        .await
        .expect("it is there");
    let short = Some(Duration::from_nanos(1000));
    let expired = server.robot("expired", &all, short).await;
    let shut_out = server.robot("shut-out", &all, None).await;
    admin
        .set_disabled(PrincipalKind::Robot, "shut-out", true)
        .await
        .expect("it is there");
    server.policy("federated/gone", &all).await;
    server.policy("certificate/node", &all).await;
    let of_gone = server.token_for("federated/gone/job", &["repository:a/b:*"]);
    let of_node = server.token_for("certificate/node", &["repository:a/b:*"]);
    let signed = "AWS4-HMAC-SHA256 Credential=WKIA/20260101/us-east-1/ecr/aws4_request, \
                  SignedHeaders=host, Signature=00";
    let strangers = [
        ("a disabled user", basic("disabled", PASSWORD)),
        ("a disabled user's token", bearer(&of_disabled)),
        ("a robot that has ended", basic("robot/expired", &expired)),
        (
            "a robot that is shut out",
            basic("robot/shut-out", &shut_out),
        ),
        ("whom no trust knows any more", bearer(&of_gone)),
        ("a certificate's token without it", bearer(&of_node)),
        (
            "a signature at another door",
            Some((header::AUTHORIZATION, signed.into())),
        ),
    ];
    for declared in routes::declared(&server.state) {
        for (who, shown) in &strangers {
            let Declared { method, path, need } = &declared;
            let status = server.ask(&declared, shown.clone()).await.status();
            match need {
                // The handler itself looks at what is shown, if at all.
                Need::Nothing => continue,
                Need::Signature => assert_eq!(status, StatusCode::FORBIDDEN, "{path} as {who}"),
                _ => assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} as {who}"),
            }
        }
    }
}

#[tokio::test]
async fn robots_certificates_and_jobs_get_what_was_declared_and_nothing_without_it() {
    let server = Server::open(true).await;
    let trust = r#"{"issuer": "https://a.example", "audience": "a", "claims": {"sub": "job"}}"#;
    let admin = &server.state.administration;
    for kind in ["just", "else"] {
        admin.put_trust(kind, trust).await.expect("a trust");
    }
    let table = routes::declared(&server.state);
    let needs: BTreeSet<Vec<Action>> = table
        .iter()
        .map(|declared| actions(declared.need))
        .filter(|need| !need.is_empty())
        .collect();
    let secrets = [
        ("just", server.robot("just", &allowing(&["*"]), None).await),
        ("else", server.robot("else", &allowing(&["*"]), None).await),
    ];
    for need in needs {
        let names: Vec<&str> = need.iter().map(|action| action.as_str()).collect();
        let is_other = |action: &&Action| !need.contains(action);
        let others = Action::ALL.iter().filter(is_other);
        let others: Vec<&str> = others.map(|action| action.as_str()).collect();
        let just = allowing(&[names.as_slice(), &["ecr:CreateRepository"]].concat());
        for kind in ["robot", "certificate", "federated"] {
            server.policy(&format!("{kind}/just"), &just).await;
            server
                .policy(&format!("{kind}/else"), &allowing(&others))
                .await;
        }
        let scopes = ["repository:a/b:pull,push,delete"];
        for declared in table.iter().filter(|found| actions(found.need) == need) {
            let Declared { method, path, .. } = declared;
            let is_v2 = path.starts_with("/v2/{name}");
            for (name, secret) in &secrets {
                let is_let = *name == "just";
                let robot = basic(&format!("robot/{name}"), secret);
                let response = server.ask(declared, robot).await;
                assert_eq!(!refuses(&response), is_let, "{method} {path} robot/{name}");
                let response = server.ask_over(declared, None, Some(name)).await;
                assert_eq!(
                    !refuses(&response),
                    is_let,
                    "{method} {path} certificate/{name}"
                );
                for principal in [
                    format!("certificate/{name}"),
                    format!("federated/{name}/job"),
                ] {
                    let token = server.token_for(&principal, &scopes);
                    let response = server.ask_over(declared, bearer(&token), Some(name)).await;
                    let is_let = is_let && is_v2;
                    assert_eq!(!refuses(&response), is_let, "{method} {path} {principal}");
                }
            }
        }
    }
}

#[tokio::test]
async fn who_is_known_gets_what_was_declared_and_nothing_without_it() {
    let server = Server::open(true).await;
    server.user("nothing", None).await;
    let everything: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    let table = routes::declared(&server.state);
    let needs: BTreeSet<Vec<Action>> = table
        .iter()
        .map(|declared| actions(declared.need))
        .collect();
    for (place, need) in needs.iter().enumerate() {
        let names: Vec<&str> = need.iter().map(|action| action.as_str()).collect();
        let others: Vec<&str> = everything
            .iter()
            .filter(|name| !names.contains(name))
            .copied()
            .collect();
        // A push to a repository that isn't there yet makes it, which is an action of its own.
        let just = [names.as_slice(), &["ecr:CreateRepository"]].concat();
        let just = allowing(&just);
        server.user(&format!("just-{place}"), Some(&just)).await;
        server
            .user(&format!("else-{place}"), Some(&allowing(&others)))
            .await;
    }
    for declared in &table {
        if declared.need == Need::Signature {
            let response = server.ask(declared, basic("nothing", PASSWORD)).await;
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{declared:?}");
            continue;
        }
        let need = actions(declared.need);
        let place = needs
            .iter()
            .position(|found| *found == need)
            .expect("it is there");
        let Declared { method, path, .. } = declared;
        let is_v2 = path.starts_with("/v2/{name}");
        for (who, is_let) in [
            (format!("just-{place}"), true),
            (format!("else-{place}"), need.is_empty()),
            ("nothing".to_owned(), need.is_empty()),
        ] {
            let response = server.ask(declared, basic(&who, PASSWORD)).await;
            assert_eq!(
                !refuses(&response),
                is_let,
                "{method} {path} as {who}: {response:?}"
            );
            if !is_let {
                assert_eq!(
                    response.status(),
                    StatusCode::FORBIDDEN,
                    "{method} {path} as {who}"
                );
                if *method != Method::HEAD {
                    let body = response
                        .into_body()
                        .collect()
                        .await
                        .expect("a body")
                        .to_bytes();
                    let body: Value = serde_json::from_slice(&body).expect("JSON");
                    let missing = body["errors"][0]["detail"]["action"]
                        .as_str()
                        .expect("an action");
                    assert!(
                        need.iter().any(|action| action.as_str() == missing),
                        "{missing}"
                    );
                }
            }

            // The same with a token: it is good for its scope, and no better than its owner.
            let scopes = ["repository:a/b:pull,push,delete", "registry:catalog:*"];
            let whole = server.token(&who, Kind::Access, &scopes).await;
            let response = server.ask(declared, bearer(&whole)).await;
            let is_let_by_token = is_let && (is_v2 || need.is_empty());
            assert_eq!(
                !refuses(&response),
                is_let_by_token,
                "{method} {path} as {who} with a token"
            );
            let elsewhere = server
                .token(&who, Kind::Access, &["repository:a/c:*"])
                .await;
            let response = server.ask(declared, bearer(&elsewhere)).await;
            assert_eq!(
                !refuses(&response),
                need.is_empty() && declared.need != Need::Catalog,
                "{method} {path} as {who} elsewhere"
            );
            // And with what stands for a password.
            let login = server.token(&who, Kind::Login, &[]).await;
            let response = server.ask(declared, basic("AWS", &login)).await;
            assert_eq!(
                !refuses(&response),
                is_let,
                "{method} {path} as {who} by a login token"
            );
            let session = server.token(&who, Kind::Session, &[]).await;
            let cookie = Some((header::COOKIE, format!("{SESSION_COOKIE}={session}")));
            let response = server.ask(declared, cookie).await;
            let takes_sessions = matches!(
                declared.need,
                Need::Registry(_) | Need::Queried(_) | Need::Login
            );
            let is_let_by_session = match declared.need {
                Need::Nothing => true,
                _ => is_let && takes_sessions,
            };
            assert_eq!(
                !refuses(&response),
                is_let_by_session,
                "{method} {path} as {who} by a session"
            );
        }
    }
}

#[tokio::test]
async fn a_session_is_of_no_use_to_another_sites_page() {
    let server = Server::open(true).await;
    server.user("alice", Some(&allowing(&["*"]))).await;
    let session = server.token("alice", Kind::Session, &[]).await;
    for (name, value, want) in [
        ("origin", "https://evil.example", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "same-site", StatusCode::FORBIDDEN),
        ("x-nothing", "", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "same-origin", StatusCode::NOT_FOUND),
        ("origin", "http://registry.example", StatusCode::NOT_FOUND),
    ] {
        let request = Request::builder()
            .method(Method::DELETE)
            .uri("/admin/v1/users/nobody")
            .header(header::HOST, "registry.example")
            .header(header::COOKIE, format!("{SESSION_COOKIE}={session}"))
            .header(name, value)
            .body(Body::empty())
            .expect("a request");
        let response = server
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("it answers");
        assert_eq!(response.status(), want, "{name}: {value}");
    }
}

#[tokio::test]
async fn an_open_registry_asks_nobody() {
    let server = Server::open(false).await;
    for declared in routes::declared(&server.state) {
        for shown in [None, basic("anyone", "anything"), bearer("a.b.c")] {
            let response = server.ask(&declared, shown).await;
            // Where nobody is asked, the signature of an address still says what it is good for.
            let wants_signature = declared.need == Need::Signature;
            assert_eq!(refuses(&response), wants_signature, "{declared:?}");
        }
    }
}

#[test]
fn no_route_is_added_without_saying_what_it_needs() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let is_page = path.ends_with("http/routes.rs") || name.ends_with("tests.rs");
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let adds = [".route(", ".route_service(", ".nest(", ".merge("];
            let adds = text.contains("axum") && adds.iter().any(|call| text.contains(call));
            assert!(is_page || !adds, "{} adds a route", path.display());
        }
    }
    let page = include_str!("routes.rs");
    assert_eq!(
        page.matches(".route(").count(),
        1,
        "only Routes::on adds routes"
    );
}

#[tokio::test]
async fn the_openapi_document_has_every_endpoint_of_administration() {
    let server = Server::open(true).await;
    let document: Value = serde_json::from_str(crate::http::admin::OPENAPI).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let written: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(|method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    let declared: BTreeSet<(String, String)> = routes::declared(&server.state)
        .into_iter()
        .filter(|declared| declared.path.starts_with("/admin/") || declared.path == "/session")
        .map(|declared| {
            (
                declared.path.replace("{*", "{"),
                declared.method.to_string(),
            )
        })
        .collect();
    assert_eq!(written, declared);

    // Generators of clients name their functions by these, and read what can come back.
    let operations: Vec<&Value> = paths
        .values()
        .flat_map(|methods| methods.as_object().expect("methods").values())
        .collect();
    let names: BTreeSet<&str> = operations
        .iter()
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    assert_eq!(names.len(), operations.len(), "each has a name of its own");
    for operation in operations {
        let responses = operation["responses"].as_object().expect("responses");
        if operation.get("requestBody").is_some() {
            for status in ["400", "413", "415", "429"] {
                assert!(responses.contains_key(status), "{operation}");
            }
        }
    }
    let text = document.to_string();
    for (_, rest) in text
        .match_indices("\"$ref\":\"#")
        .map(|(at, found)| text.split_at(at + found.len()))
    {
        let pointer = rest.split('"').next().expect("a pointer");
        assert!(
            document.pointer(pointer).is_some(),
            "{pointer} leads nowhere"
        );
    }
}
