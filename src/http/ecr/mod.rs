//! The ECR door: Amazon ECR's JSON API over the same store as `/v2`.
//!
//! `POST /` with `X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.<Operation>`, signed with
//! Signature Version 4. The action that an operation needs has the operation's own name, so one
//! policy rules both doors.
//!
//! | module | job |
//! |---|---|
//! | `model` | what is wrong with an input, by the service's own model |
//! | `error` | failures in the protocol's form |
//! | `input` | members of an input as parsed types |
//! | `paging` | tokens that lead on |
//! | `operations` | what each operation does |
//! | [`download`] | the address that `GetDownloadUrlForLayer` gives |
//!
//! `docs/ecr.md` says of each operation what it does here, and what differs from AWS.

pub mod download;
mod error;
mod input;
mod model;
mod operations;
mod paging;

use std::sync::Arc;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wharf_auth::action::Action;
use wharf_auth::authorizer::Answer;
use wharf_auth::identity::{Caller, Kind, Principal};
use wharf_auth::sigv4::{Authorization, SignedRequest};
use wharf_storage::metadata::{Change, Creation};
use wharf_storage::oci::RepositoryName;

use self::error::{ACCESS_DENIED, Error, REPOSITORY_NOT_FOUND};
use self::input::Input;
use self::model::{MODEL, Operation};
use super::State as Shared;
use super::access::request_id;
use super::caller;
use crate::audit::Outcome;
use crate::metrics::OperationOutcome;
use crate::registry::{Pusher, Requester};

/// A layer part of 20 MiB is 28 MB of base64.
const LONGEST_BODY: usize = 32 << 20;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.";

/// What an operation knows of its call.
#[derive(Debug)]
struct Call {
    state: Shared,
    operation: &'static str,
    caller: Caller,
    region: String,
    request_id: String,
    /// The address of this server as the caller knows it, `https://host:port`.
    base: String,
}

/// `POST /`.
pub(super) async fn post(State(state): State<Shared>, request: Request) -> Response {
    match answer(state, request).await {
        Ok(value) => {
            let mut response = Json(value).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
            response
        }
        Err(error) => error.into_response(),
    }
}

async fn answer(state: Shared, request: Request) -> Result<Value, Error> {
    let (parts, body) = request.into_parts();
    let name = operation_name(&parts)?;
    let body = to_bytes(body, LONGEST_BODY).await.map_err(|_| {
        Error::new(
            "SerializationException",
            format!("the body has at most {LONGEST_BODY} bytes"),
        )
    })?;
    let (caller, region) = identify(&state, &parts, &body).inspect_err(|error| {
        let id = request_id(&parts);
        let context = caller::context(&state, &parts);
        let note = state.audit.failed_login(&shown(&parts), &context, id);
        let note = note.about(error.message());
        state.audit.record(note.ended(Outcome::Denied));
    })?;
    caller::known(&parts, &caller);
    let (name, operation) = MODEL.operations.get_key_value(name).ok_or_else(unknown)?;
    let call = Call {
        operation: name,
        caller,
        region,
        request_id: request_id(&parts).to_owned(),
        base: caller::base(&state, &parts),
        state,
    };
    let outcome = carry_out(&call, operation, &parts, &body).await;
    call.state.metrics.ecr_operation(
        name,
        match &outcome {
            Ok(_) => OperationOutcome::Answered,
            Err(error) if error.is_of_caller() => OperationOutcome::Refused,
            Err(_) => OperationOutcome::Failed,
        },
    );
    outcome
}

/// Does what a known operation says, where its input makes sense and its caller may.
async fn carry_out(
    call: &Call,
    operation: &Operation,
    parts: &Parts,
    body: &Bytes,
) -> Result<Value, Error> {
    let name = call.operation;
    let action: Action = format!("ecr:{name}").parse().map_err(|_| unknown())?;
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| Error::new("SerializationException", error.to_string()))?;
    if let Some(fault) = MODEL.fault(operation, &value) {
        return Err(Error::new(operation.invalid(), fault));
    }
    let input = Input::new(value);
    call.check_registry(operation, &input)?;
    let named = call.named(&input)?;
    let outcome = match call.authorize(action, &named) {
        Ok(()) => operations::run(name, call, &input).await,
        Err(error) => Err(error),
    };
    call.note(parts, action, &named, &input, outcome.as_ref().err());
    outcome
}

/// Reads an input as the operation of this name does, or as all do where there is none.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(name: &str, body: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let known = MODEL.operations.get(name);
    let all = MODEL.operations.values().filter(|_| known.is_none());
    let mut fits = 0;
    for operation in known.into_iter().chain(all) {
        fits += u32::from(MODEL.fault(operation, &value).is_none());
    }
    let input = Input::new(value);
    let names = (input.repository(), input.repositories(), input.images());
    let images: Vec<_> = input
        .image_ids()
        .iter()
        .map(|id| (id.tag(), id.json()))
        .collect();
    let rest = (
        input.image_id().tag(),
        input.digest("layerDigest"),
        input.bytes("layerPartBlob"),
    );
    let tags = operations::read_tags(input.value("tags"));
    // What can't be told apart by its types is looked at so that nothing is left out.
    let _ = (fits, names, images, rest, tags);
}

/// The key that a request says it is signed with.
fn shown(parts: &Parts) -> String {
    let header = parts.headers.get(header::AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok());
    let parsed = header.and_then(|header| Authorization::parse(header).ok());
    parsed.map_or_else(|| "unknown".into(), |parsed| parsed.access_key)
}

fn unknown() -> Error {
    Error::new("UnknownOperationException", "there is no such operation")
}

fn operation_name(parts: &Parts) -> Result<&str, Error> {
    let target = parts
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    target
        .and_then(|target| target.strip_prefix(TARGET))
        .ok_or_else(unknown)
}

/// Who signed the request, and for which region.
fn identify(state: &Shared, parts: &Parts, body: &Bytes) -> Result<(Caller, String), Error> {
    let context = caller::context(state, parts);
    let header = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let authorization = header.map(Authorization::parse).transpose();
    let default = || state.settings.ecr.region.clone();
    if state.authority.is_open() {
        let region = authorization.ok().flatten().map(|found| found.region);
        return Ok((Caller::anonymous(context), region.unwrap_or_else(default)));
    }
    let missing = || {
        Error::new(
            "MissingAuthenticationTokenException",
            "the request is not signed with Signature Version 4",
        )
    };
    let authorization = authorization.map_err(|_| missing())?.ok_or_else(missing)?;
    if authorization.service != "ecr" {
        let message = "the credential is scoped to another service than ecr";
        return Err(Error::new("InvalidSignatureException", message));
    }
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .chain(host_of_http2(parts))
        .collect();
    let payload: String = Sha256::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let request = SignedRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
        payload: &payload,
    };
    let signer = state
        .authority
        .identify_signer(&authorization, &request, context);
    Ok((signer?, authorization.region))
}

/// HTTP/2 has the host beside the headers.
fn host_of_http2(parts: &Parts) -> Option<(String, String)> {
    let authority = parts.uri.authority()?;
    let is_said = parts.headers.contains_key(header::HOST);
    (!is_said).then(|| ("host".to_owned(), authority.to_string()))
}

impl Call {
    fn account(&self) -> &str {
        &self.state.settings.ecr.account_id
    }

    /// Whether the caller may do `action`.
    fn may(&self, action: Action, repository: Option<&RepositoryName>) -> bool {
        let answer = self
            .state
            .authority
            .decide(&self.caller, action, repository);
        answer == Answer::Allowed
    }

    fn require(&self, action: Action, repository: Option<&RepositoryName>) -> Result<(), Error> {
        if self.may(action, repository) {
            return Ok(());
        }
        let resource = match repository {
            Some(name) => self.arn(name),
            None => "*".to_owned(),
        };
        let who = &self.caller.principal;
        Err(Error::new(
            ACCESS_DENIED,
            format!("User: {who} is not authorized to perform: {action} on resource: {resource}"),
        ))
    }

    /// Whether the input is about this registry, and no other.
    fn check_registry(&self, operation: &Operation, input: &Input) -> Result<(), Error> {
        let ids = input.texts("registryIds").into_iter();
        let foreign = ids
            .chain(input.text("registryId"))
            .find(|id| *id != self.account());
        let Some(id) = foreign else {
            return Ok(());
        };
        let kind = match operation.has_error(REPOSITORY_NOT_FOUND) {
            true => REPOSITORY_NOT_FOUND,
            false => operation.invalid(),
        };
        Err(Error::new(
            kind,
            format!("The registry with id '{id}' does not exist"),
        ))
    }

    /// The repositories that the input names.
    fn named(&self, input: &Input) -> Result<Vec<RepositoryName>, Error> {
        match (input.text("repositoryName"), input.text("resourceArn")) {
            (Some(_), _) => Ok(vec![input.repository()?]),
            (None, Some(arn)) => Ok(vec![self.of_arn(arn)?]),
            (None, None) => input.repositories(),
        }
    }

    /// Asks for what the operation needs in each repository that it is about.
    fn authorize(&self, action: Action, named: &[RepositoryName]) -> Result<(), Error> {
        match named {
            // A list of all shows what the caller may see of it.
            [] if action == Action::DescribeRepositories => Ok(()),
            [] => self.require(action, None),
            named => named
                .iter()
                .try_for_each(|name| self.require(action, Some(name))),
        }
    }

    /// Writes into the audit log how a call ended: all that was denied, and what changes something,
    /// but for the parts of layers, whose end tells enough; and reads where that was chosen.
    fn note(
        &self,
        parts: &Parts,
        action: Action,
        named: &[RepositoryName],
        input: &Input,
        error: Option<&Error>,
    ) {
        let outcome = match error {
            None => Outcome::Allowed,
            Some(error) if error.is_denied() => Outcome::Denied,
            Some(_) => Outcome::Failed,
        };
        let audit = &self.state.audit;
        let name = action.as_str().trim_start_matches("ecr:");
        let reads = ["Get", "List", "Describe", "Batch", "Validate"];
        let is_read = name != "BatchDeleteImage" && reads.iter().any(|verb| name.starts_with(verb));
        let is_small = is_read && !audit.keeps_reads() || action == Action::UploadLayerPart;
        if is_small && outcome != Outcome::Denied {
            return;
        }
        let denied = |name: &&RepositoryName| !self.may(action, Some(*name));
        let refused = named
            .iter()
            .find(denied)
            .filter(|_| outcome == Outcome::Denied);
        let resource = refused.or(named.first());
        let resource = resource.map_or("registry", RepositoryName::as_str);
        let note = audit.note(&self.caller, request_id(parts), action.as_str(), resource);
        audit.record(note.about(&input.images()).ended(outcome));
    }

    fn arn(&self, name: &RepositoryName) -> String {
        let (region, account) = (&self.region, self.account());
        format!("arn:aws:ecr:{region}:{account}:repository/{name}")
    }

    /// The repository that an ARN of ours names.
    fn of_arn(&self, arn: &str) -> Result<RepositoryName, Error> {
        let name = arn.rsplit_once(":repository/").map(|(_, name)| name);
        let name: Option<RepositoryName> = name.and_then(|name| name.parse().ok());
        // One of another partition, service, region or account names nothing of ours.
        name.filter(|name| self.arn(name) == arn)
            .ok_or_else(|| input::malformed("resourceArn", "Invalid ARN"))
    }

    /// The host that images are named by, and `docker login` goes to.
    fn host(&self) -> String {
        match &*self.state.settings.ecr.host {
            "" => {
                let host = self.base.split_once("://").map_or("", |(_, host)| host);
                host.to_owned()
            }
            template => template
                .replace("{account}", self.account())
                .replace("{region}", &self.region),
        }
    }

    /// The address of that host.
    fn endpoint(&self) -> String {
        match self.state.settings.ecr.host.is_empty() {
            true => self.base.clone(),
            false => {
                let scheme = self
                    .base
                    .split_once("://")
                    .map_or("https", |(scheme, _)| scheme);
                format!("{scheme}://{}", self.host())
            }
        }
    }

    /// The caller as one who pushes to a repository that is there.
    fn pusher(&self) -> Pusher {
        Pusher {
            by: self.requester(),
            creation: Creation::Forbidden,
        }
    }

    /// The caller as one who pushes, and makes the repository by it where a creation template is for
    /// its name. Without one, the calls here want it to be there, as on AWS.
    async fn creating_pusher(&self, name: &RepositoryName) -> Result<Pusher, Error> {
        let mut pusher = self.pusher();
        if self.state.registry.is_made_by_template(name).await? {
            self.require(Action::CreateRepository, Some(name))?;
            pusher.creation = Creation::Allowed;
        }
        Ok(pusher)
    }

    fn metadata(&self) -> &wharf_storage::metadata::Metadata {
        &self.state.metadata
    }

    fn now(&self) -> wharf_storage::clock::Timestamp {
        self.state.clock.now()
    }

    /// The caller as one who asks for a change.
    fn requester(&self) -> Requester {
        Requester {
            principal: self.caller.principal.clone(),
            request_id: self.request_id.clone(),
        }
    }

    /// A change of the caller's.
    fn change(&self) -> Change {
        self.requester().change(self.now())
    }
}

/// The principal that an ARN of AWS stands for here.
pub(super) fn principal_of_arn(arn: &str) -> Option<String> {
    let resource = arn.splitn(6, ':').nth(5)?;
    let (kind, name) = resource.split_once('/')?;
    match kind {
        "user" => Some(Principal::user(name).to_string()),
        "role" => Some(format!("{}/{name}", Kind::Federated)),
        _ => None,
    }
}

/// What the ECR door is called and where it seems to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Twelve digits.
    pub account_id: String,
    /// The region of callers that don't say one.
    pub region: String,
    /// The host of images and logins, with `{account}` and `{region}`; empty: as the caller knows it.
    pub host: Arc<str>,
}
