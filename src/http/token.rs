//! `/token`: where docker clients get their tokens.
//!
//! `GET` with Basic or without, as docker does, and `POST` with a form, as OAuth 2 clients do:
//! `grant_type` is `password`, `refresh_token`, or
//! `urn:ietf:params:oauth:grant-type:token-exchange` with another issuer's token in
//! `subject_token`. What is not granted is left out of the token in silence; the registry then
//! refuses with its reason.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/>

use axum::Json;
use axum::extract::{Form, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wharf_auth::authority::{Credential, Issued, Refusal};
use wharf_auth::identity::{Caller, Principal};
use wharf_auth::scope::Scope;
use wharf_auth::token::{Kind, SigningKey};

use super::State as Shared;
use super::access::{Need, request_id};
use super::caller::{self, Wanted};
use super::error::{Code, Error};
use super::extract::Parameters;
use crate::audit::Outcome;

/// How many scopes one token may be asked for.
const MOST_SCOPES: usize = 100;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What is asked for besides the token itself.
struct Asked {
    scopes: Vec<Scope>,
    refresh: bool,
}

/// `GET /token`: for whom Basic names, or for anybody.
pub(super) async fn get(
    State(state): State<Shared>,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let scopes = parameters.all("scope").flat_map(str::split_whitespace);
    let asked = Asked {
        scopes: read_scopes(scopes)?,
        refresh: parameters.first("offline_token") == Some("true"),
    };
    let caller = caller::identify(&state, &parts, WANTED).await?;
    Ok(answer(&state, &parts, &caller, &asked)?.into_response())
}

/// `POST /token`: for whom the form names.
pub(super) async fn post(State(state): State<Shared>, request: Request) -> Result<Response, Error> {
    use axum::extract::FromRequest as _;

    let (parts, body) = request.into_parts();
    let form = Request::from_parts(parts.clone(), body);
    let Form(form) = Form::<Vec<(String, String)>>::from_request(form, &state)
        .await
        .map_err(|_| malformed("the form can not be read"))?;
    let field = |name: &str| {
        let mut values = form.iter().filter(|(key, _)| key == name);
        values
            .next()
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let asked = Asked {
        scopes: read_scopes(field("scope").unwrap_or_default().split_whitespace())?,
        refresh: field("access_type") == Some("offline"),
    };
    let context = caller::context(&state, &parts);
    let text = |name: &str| field(name).unwrap_or_default();
    let credential = match field("grant_type") {
        Some("password") => Credential::Basic {
            username: text("username"),
            password: text("password"),
        },
        Some("refresh_token") => Credential::Refresh(text("refresh_token")),
        Some(EXCHANGE) => Credential::Exchange(text("subject_token")),
        Some(_) => return Err(malformed("grant_type is not known here")),
        None => return Err(malformed("grant_type is missing")),
    };
    let caller = state.authority.identify(credential, context.clone()).await;
    let caller = caller.map_err(|refusal| {
        let name = field("username").unwrap_or("token");
        let note = state.audit.failed_login(name, &context, request_id(&parts));
        let note = note.about(&refusal.to_string());
        state.audit.record(note.ended(Outcome::Denied));
        // Who asked with a form is told without a challenge.
        match refusal {
            Refusal::LockedOut { .. } | Refusal::TooManyCalls { .. } => {
                caller::refused(&state, &parts, WANTED, &refusal)
            }
            refusal => {
                let message = format!("authentication required: {refusal}");
                Error::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message)
            }
        }
    })?;
    caller::known(&parts, &caller);
    Ok(answer(&state, &parts, &caller, &asked)?.into_response())
}

/// `GET /.well-known/jwks.json`: the keys that verify our tokens.
pub(super) async fn keys(State(state): State<Shared>) -> Json<Value> {
    let snapshot = state.authority.snapshot();
    let keys: Vec<&Value> = snapshot.signing_keys().map(SigningKey::public).collect();
    Json(json!({ "keys": keys }))
}

const WANTED: Wanted<'_> = Wanted {
    need: Need::Nothing,
    repository: None,
};

fn read_scopes<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Scope>, Error> {
    let scopes: Result<Vec<Scope>, _> = texts.take(MOST_SCOPES + 1).map(str::parse).collect();
    let scopes = scopes.map_err(|error| malformed(&error.to_string()))?;
    match scopes.len() > MOST_SCOPES {
        true => Err(malformed("too many scopes are asked for at once")),
        false => Ok(scopes),
    }
}

fn answer(
    state: &Shared,
    parts: &Parts,
    caller: &Caller,
    asked: &Asked,
) -> Result<(HeaderMap, Json<Value>), Error> {
    let granted = state.authority.grant(caller, &asked.scopes);
    let issue = |kind, scopes: &[Scope]| {
        let issued = state.authority.issue(kind, caller, scopes);
        issued.ok_or_else(|| {
            let message = "the registry has no key that signs tokens";
            Error::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
        })
    };
    let Issued {
        token,
        lifetime,
        issued_at,
    } = issue(Kind::Access, &granted)?;
    let issued_at = OffsetDateTime::from_unix_timestamp(issued_at.as_seconds());
    let issued_at = issued_at.ok().and_then(|time| time.format(&Rfc3339).ok());
    let scope: Vec<String> = granted.iter().map(ToString::to_string).collect();
    let mut answer = json!({
        "token": token,
        "access_token": token,
        "expires_in": lifetime.as_secs(),
        "issued_at": issued_at,
        "scope": scope.join(" "),
    });
    if asked.refresh && caller.may_come_back() {
        answer["refresh_token"] = issue(Kind::Refresh, &[])?.token.into();
    }
    if caller.principal != Principal::Anonymous {
        let note = state
            .audit
            .note(caller, request_id(parts), "login", &scope.join(" "));
        state.audit.record(note.ended(Outcome::Allowed));
    }
    let fresh = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((HeaderMap::from_iter([fresh]), Json(answer)))
}

fn malformed(message: &str) -> Error {
    Error::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
}
