//! `/session`: a browser logs in with a name and a password, and keeps a cookie that scripts can't
//! read and other sites can't use.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_auth::authority::Credential;
use wharf_auth::identity::Principal;
use wharf_auth::token::Kind;

use super::State as Shared;
use super::access::{Call, Need, request_id};
use super::admin::{body, changed};
use super::caller::{self, SESSION_COOKIE, Wanted};
use super::error::{Code, Error};
use crate::audit::Outcome;

/// What a page sends to log in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    username: String,
    password: String,
}

/// `POST /session`: logs in. The body is JSON, which no form of another site's page can send.
pub(super) async fn post(State(state): State<Shared>, request: Request) -> Result<Response, Error> {
    let (parts, bytes) = request.into_parts();
    let Login { username, password } = body(&parts.headers, bytes).await?;
    let context = caller::context(&state, &parts);
    let credential = Credential::Basic {
        username: &username,
        password: &password,
    };
    let outcome = state.authority.identify(credential, context.clone()).await;
    let caller = outcome.map_err(|refusal| {
        let note = state
            .audit
            .failed_login(&username, &context, request_id(&parts));
        let note = note.about(&refusal.to_string());
        state.audit.record(note.ended(Outcome::Denied));
        let wanted = Wanted {
            need: Need::Login,
            repository: None,
        };
        caller::refused(&state, &parts, wanted, &refusal)
    })?;
    caller::known(&parts, &caller);
    let issued = state.authority.issue(Kind::Session, &caller, &[]);
    let issued = issued.ok_or_else(|| {
        let message = "the registry has no key that signs sessions";
        Error::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
    })?;
    let note = state
        .audit
        .note(&caller, request_id(&parts), "login", "session");
    state.audit.record(note.ended(Outcome::Allowed));
    let secure = if context.secure { "; Secure" } else { "" };
    let seconds = issued.lifetime.as_secs();
    let cookie = format!(
        "{SESSION_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}",
        issued.token
    );
    Ok((set_cookie(&cookie), Json(described(&caller.principal))).into_response())
}

/// `GET /session`: who is logged in.
pub(super) async fn get(call: Call) -> Json<Value> {
    Json(described(&call.caller.principal))
}

/// `DELETE /session`: logs out. The session ends on every server, and the cookie goes.
pub(super) async fn delete(
    State(state): State<Shared>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let token = caller::cookie(&parts.headers, SESSION_COOKIE);
    if token.is_some() && !caller::is_from_our_own_page(&parts) {
        let message = "a session is left from this site's own pages only";
        return Err(Error::new(StatusCode::FORBIDDEN, Code::Denied, message));
    }
    let context = caller::context(&state, &parts);
    let session = token.and_then(|token| state.authority.session(token, context));
    if let Some((id, caller, end)) = session {
        state.administration.end_session(&id, end).await?;
        changed(&state).await;
        let id = request_id(&parts);
        let note = state.audit.note(&caller, id, "logout", "session");
        state.audit.record(note.ended(Outcome::Allowed));
    }
    let cookie = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, set_cookie(&cookie)).into_response())
}

fn described(principal: &Principal) -> Value {
    json!({ "principal": principal.to_string() })
}

fn set_cookie(cookie: &str) -> [(header::HeaderName, HeaderValue); 2] {
    let value = HeaderValue::try_from(cookie).expect("a token is plain ASCII");
    [
        (header::SET_COOKIE, value),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}
