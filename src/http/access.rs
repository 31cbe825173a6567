//! Who may call an endpoint, asked before its handler runs.
//!
//! Each route declares what it [needs](Need) where it stands in [`routes`](super::routes), and
//! [`enforce`] asks for it: it finds out who calls, asks the authority, and hands the handler what
//! was allowed. A handler comes by a repository only through [`Access`], which is there only after
//! that, so authorization can't be forgotten.
//!
//! What is asked for is parsed first: a name that is none is refused in the same way whoever asks.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, Request, State as Extracted};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use wharf_auth::action::Action;
use wharf_auth::authority::Authority;
use wharf_auth::authorizer::Answer;
use wharf_auth::identity::{Caller, Grants, Principal};
use wharf_storage::metadata::Creation;
use wharf_storage::oci::RepositoryName;

use super::State;
use super::caller::{self, Wanted};
use super::error::{Code, Error};
use super::extract::Parameters;
use super::request_id::RequestId;
use super::v2::{DOCKER_CONTENT_DIGEST, OCI_TAG};
use crate::audit::{Note, Outcome};
use crate::registry::{self, Pusher, Requester};

/// What a route asks of its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing, not even who they are.
    Nothing,
    /// An address that the registry signed, which its handler checks: who has it may.
    Signature,
    /// That they say who they are, or show that they could not: with a token for the catalog, whoever
    /// got it. The handler shows of it what they may see.
    Catalog,
    /// That they say who they are; nobody in particular is sent away.
    Login,
    /// That they may do this to the registry.
    Registry(Action),
    /// That they may do all of these to the repository in the path.
    Repository(&'static [Action]),
    /// That they may do this to each repository that the query names with `repository`; to the
    /// registry where it names none, or a pattern.
    Queried(Action),
}

/// A caller, and the authority to ask about it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    request_id: String,
    authority: Arc<Authority>,
}

/// A repository in which the caller may do what the route needs.
#[derive(Clone, Debug)]
pub struct Access {
    /// The repository, which need not exist.
    pub repository: RepositoryName,
    /// Who calls.
    pub caller: Caller,
    request_id: String,
    authority: Arc<Authority>,
}

impl Call {
    /// The caller as one who asks for a change.
    #[must_use]
    pub fn requester(&self) -> Requester {
        Requester {
            principal: self.caller.principal.clone(),
            request_id: self.request_id.clone(),
        }
    }

    /// Whether the caller may do `action`.
    #[must_use]
    pub fn may(&self, action: Action, repository: Option<&RepositoryName>) -> bool {
        let answer = self.authority.decide(&self.caller, action, repository);
        answer == Answer::Allowed
    }

    /// Asks for more than the route does.
    ///
    /// # Errors
    ///
    /// When the caller may not.
    pub fn require(
        &self,
        action: Action,
        repository: Option<&RepositoryName>,
    ) -> Result<(), Error> {
        match self.may(action, repository) {
            true => Ok(()),
            false => Err(denied(action, repository)),
        }
    }
}

impl Access {
    /// The caller as one who asks for a change.
    #[must_use]
    pub fn requester(&self) -> Requester {
        Requester {
            principal: self.caller.principal.clone(),
            request_id: self.request_id.clone(),
        }
    }

    /// Whether the caller may do `action`, here or elsewhere.
    #[must_use]
    pub fn may(&self, action: Action, repository: Option<&RepositoryName>) -> bool {
        let answer = self.authority.decide(&self.caller, action, repository);
        answer == Answer::Allowed
    }

    /// Whether whose token came along may do `action`, whatever the token was asked for. Clients ask
    /// a token for where they push to, and not for what they would like to mount from.
    #[must_use]
    pub fn owner_may(&self, action: Action, repository: &RepositoryName) -> bool {
        let owner = Caller {
            grants: Grants::Everything,
            ..self.caller.clone()
        };
        let answer = self.authority.decide(&owner, action, Some(repository));
        answer == Answer::Allowed
    }

    /// Asks for more than the route does, where a request turns out to need it.
    ///
    /// # Errors
    ///
    /// When the caller may not.
    pub fn require(&self, actions: &[Action]) -> Result<(), Error> {
        let missing = actions
            .iter()
            .find(|action| !self.may(**action, Some(&self.repository)));
        match missing {
            None => Ok(()),
            Some(action) => Err(denied(*action, Some(&self.repository))),
        }
    }

    /// The caller as one who pushes.
    #[must_use]
    pub fn pusher(&self) -> Pusher {
        let may_create = self.may(Action::CreateRepository, Some(&self.repository));
        Pusher {
            by: self.requester(),
            creation: match may_create {
                true => Creation::Allowed,
                false => Creation::Forbidden,
            },
        }
    }

    /// The failure of a push: where the repository is only missing because the caller may not make
    /// it, that is what it is told.
    #[must_use]
    pub fn failure(&self, error: registry::Error) -> Error {
        let is_unknown = matches!(error, registry::Error::RepositoryUnknown(_));
        match is_unknown && !self.may(Action::CreateRepository, Some(&self.repository)) {
            true => denied(Action::CreateRepository, Some(&self.repository)),
            false => error.into(),
        }
    }
}

impl FromRequestParts<State> for Access {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Error> {
        // Without a declaration that says so, a route gives nobody a repository.
        parts.extensions.get().cloned().ok_or_else(undeclared)
    }
}

impl FromRequestParts<State> for Call {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Error> {
        parts.extensions.get().cloned().ok_or_else(undeclared)
    }
}

fn undeclared() -> Error {
    tracing::error!("a route does not declare what it needs");
    Error::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Unknown,
        "the registry failed",
    )
}

/// Asks for what a route needs, and then lets the request through to its handler.
pub(super) async fn enforce(
    Extracted((state, need)): Extracted<(State, Need)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let call = match ask(&state, need, &mut parts).await {
        Ok(call) => call,
        Err(error) => return error.into_response(),
    };
    let note = match &call {
        Some(call) => note(&state, need, &parts, call),
        None => unsigned(&state, need, &parts),
    };
    let response = next.run(Request::from_parts(parts, body)).await;
    if let Some((note, keep)) = note {
        let status = response.status();
        let outcome = match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Outcome::Denied,
            status if status.is_client_error() || status.is_server_error() => Outcome::Failed,
            _ => Outcome::Allowed,
        };
        let is_kept = match keep {
            Keep::All => true,
            Keep::Ends => status == StatusCode::CREATED || outcome == Outcome::Denied,
            Keep::Refusals => outcome == Outcome::Denied,
        };
        if is_kept {
            let note = with_names(note, response.headers());
            state.audit.record(note.ended(outcome));
        }
    }
    response
}

async fn ask(state: &State, need: Need, parts: &mut Parts) -> Result<Option<Call>, Error> {
    if matches!(need, Need::Nothing | Need::Signature) {
        return Ok(None);
    }
    let repository = match need {
        Need::Repository(_) => Some(repository_name(parts, state).await?),
        Need::Nothing
        | Need::Signature
        | Need::Catalog
        | Need::Login
        | Need::Registry(_)
        | Need::Queried(_) => None,
    };
    let wanted = Wanted {
        need,
        repository: repository.as_ref(),
    };
    let caller = caller::identify(state, parts, wanted).await?;
    let authority = Arc::clone(&state.authority);
    let is_unknown = caller.principal == Principal::Anonymous && !authority.is_open();
    let asked: Vec<(Action, Option<RepositoryName>)> = match need {
        Need::Nothing | Need::Signature => Vec::new(),
        // An empty list would tell clients that there is nothing, rather than to log in.
        Need::Catalog if is_unknown && caller.grants == Grants::Everything => {
            return Err(caller::challenge(state, parts, wanted, None));
        }
        Need::Catalog if !caller.grants.allow(Action::DescribeRepositories, None) => {
            let error = Some("insufficient_scope");
            return Err(caller::challenge(state, parts, wanted, error));
        }
        Need::Catalog => Vec::new(),
        // A token that was given to nobody in particular shows that the caller knows the way.
        Need::Login if is_unknown && caller.grants == Grants::Everything => {
            return Err(caller::challenge(state, parts, wanted, None));
        }
        Need::Login => Vec::new(),
        Need::Registry(action) => vec![(action, None)],
        Need::Repository(actions) => actions
            .iter()
            .map(|action| (*action, repository.clone()))
            .collect(),
        Need::Queried(action) => {
            let parameters = Parameters::from_request_parts(parts, state).await?;
            let names = queried(parameters.all("repository")).into_iter();
            names.map(|name| (action, name)).collect()
        }
    };
    for (action, target) in asked {
        let target = target.as_ref();
        let error = match authority.decide(&caller, action, target) {
            Answer::Allowed => continue,
            // Who says nothing is asked who it is; whoever it is may be allowed.
            Answer::Denied if is_unknown => caller::challenge(state, parts, wanted, None),
            Answer::Denied => denied(action, target),
            Answer::BeyondToken => {
                caller::challenge(state, parts, wanted, Some("insufficient_scope"))
            }
        };
        let note = state.audit.note(
            &caller,
            request_id(parts),
            action.as_str(),
            target.map_or("registry", RepositoryName::as_str),
        );
        state.audit.record(note.ended(Outcome::Denied));
        return Err(error);
    }
    let request_id = request_id(parts).to_owned();
    let call = Call {
        caller: caller.clone(),
        request_id: request_id.clone(),
        authority: Arc::clone(&authority),
    };
    if let Some(repository) = repository {
        parts.extensions.insert(Access {
            repository,
            caller,
            request_id,
            authority,
        });
    }
    parts.extensions.insert(call.clone());
    Ok(Some(call))
}

/// What of a request goes into the audit log.
#[derive(Clone, Copy)]
enum Keep {
    /// However it ends.
    All,
    /// When it ends an upload, or is refused. The bytes on the way are left out.
    Ends,
    /// When it is refused.
    Refusals,
}

/// What goes into the audit log when a request is over: all that changes something, all that is
/// refused, and reads where that was chosen.
fn note(state: &State, need: Need, parts: &Parts, call: &Call) -> Option<(Note, Keep)> {
    let action = match need {
        Need::Registry(action) | Need::Queried(action) => action,
        Need::Repository(actions) => *actions.last()?,
        Need::Nothing | Need::Signature | Need::Catalog | Need::Login => return None,
    };
    let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
    let is_part = matches!(
        action,
        Action::InitiateLayerUpload | Action::UploadLayerPart
    );
    let keep = match () {
        () if is_read && !state.audit.keeps_reads() => Keep::Refusals,
        () if is_part => Keep::Ends,
        () => Keep::All,
    };
    let access: Option<&Access> = parts.extensions.get();
    let path = parts.uri.path();
    let (resource, detail) = match access {
        Some(access) => (access.repository.as_str(), named_in(path)),
        None => (path, parts.method.as_str()),
    };
    let id = request_id(parts);
    let note = state
        .audit
        .note(&call.caller, id, action.as_str(), resource);
    Some((note.about(detail), keep))
}

/// The same for an address that the registry signed, or didn't.
fn unsigned(state: &State, need: Need, parts: &Parts) -> Option<(Note, Keep)> {
    if need != Need::Signature {
        return None;
    }
    let caller = Caller::anonymous(caller::context(state, parts));
    let action = Action::GetDownloadUrlForLayer.as_str();
    let path = parts.uri.path();
    let note = state.audit.note(&caller, request_id(parts), action, path);
    Some((note, Keep::Refusals))
}

/// The tag or the digest that a path ends with, where it is about one.
fn named_in(path: &str) -> &str {
    let mut segments = path.rsplit('/');
    match (segments.next(), segments.next()) {
        (Some(name), Some("manifests" | "blobs" | "referrers")) => name,
        _ => "",
    }
}

/// A note with the tags and the digest that the answer names too.
fn with_names(note: Note, headers: &HeaderMap) -> Note {
    let answered = headers.get_all(OCI_TAG).iter();
    let answered = answered.chain(headers.get(DOCKER_CONTENT_DIGEST));
    let mut names: Vec<&str> = Vec::new();
    let known = note.detail().to_owned();
    names.extend(Some(known.as_str()).filter(|known| !known.is_empty()));
    for name in answered.filter_map(|value| value.to_str().ok()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    note.about(&names.join(" "))
}

/// What [`Need::Queried`] is about: the repositories that are named, or the registry.
pub(super) fn queried<'a>(
    repositories: impl IntoIterator<Item = &'a str>,
) -> Vec<Option<RepositoryName>> {
    let named: Option<Vec<RepositoryName>> = repositories
        .into_iter()
        // A pattern is no name.
        .map(|name| name.parse().ok())
        .collect();
    match named {
        Some(names) if !names.is_empty() => names.into_iter().map(Some).collect(),
        _ => vec![None],
    }
}

pub(super) fn request_id(parts: &Parts) -> &str {
    let id: Option<&RequestId> = parts.extensions.get();
    id.map_or("", RequestId::as_str)
}

async fn repository_name(parts: &mut Parts, state: &State) -> Result<RepositoryName, Error> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    // The router gives no parameter only when its text is no UTF-8.
    let params = params.map_err(|_| wharf_storage::oci::NameError::Grammar)?;
    let name = params
        .iter()
        .find_map(|(key, value)| (key == "name").then_some(value));
    Ok(name.unwrap_or_default().parse::<RepositoryName>()?)
}

/// The refusal of a caller that is known, with what it lacks.
pub(super) fn denied(action: Action, repository: Option<&RepositoryName>) -> Error {
    let message = format!("requested access to the resource is denied: {action} is not allowed");
    Error::new(StatusCode::FORBIDDEN, Code::Denied, message)
        .with_detail(json!({"action": action.as_str(), "repository": repository}))
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
