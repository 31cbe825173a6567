//! Gives a handler its repository, after asking whether the caller may.
//!
//! A handler can come by a [`RepositoryName`] only through [`Access`], and what it needs stands in
//! its signature, so authorization can't be forgotten. What is asked for is parsed first: a name
//! that is none is refused in the same way whoever asks.

use std::marker::PhantomData;

use axum::extract::{FromRequestParts, RawPathParams};
use http::StatusCode;
use http::request::Parts;
use serde_json::json;
use wharf_auth::action::Action;
use wharf_auth::authorizer::Decision;
use wharf_auth::identity::Principal;
use wharf_storage::oci::RepositoryName;

use super::State;
use super::error::{Code, Error};

/// What a handler needs to be allowed.
pub trait Need: Send + Sync + 'static {
    /// The actions, all of which the caller must be allowed to do.
    const ACTIONS: &'static [Action];
}

/// A repository in which the caller may do what `N` says.
#[derive(Debug)]
pub struct Access<N> {
    /// The repository, which need not exist.
    pub repository: RepositoryName,
    /// Who calls.
    pub principal: Principal,
    need: PhantomData<N>,
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident: $($action:ident),+;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl Need for $name {
            const ACTIONS: &'static [Action] = &[$(Action::$action),+];
        }
    )*};
}

needs! {
    /// Reading manifests.
    PullManifest: BatchGetImage;
    /// Asking whether a blob is there.
    CheckBlob: BatchCheckLayerAvailability;
    /// Reading blobs.
    PullBlob: GetDownloadUrlForLayer;
    /// Listing tags.
    ListTags: ListImages;
    /// Listing referrers.
    ListReferrers: ListImageReferrers;
    /// Pushing manifests.
    PushManifest: PutImage;
    /// Beginning an upload.
    BeginUpload: InitiateLayerUpload;
    /// Sending bytes to an upload, and asking where it stands.
    SendUpload: UploadLayerPart;
    /// Ending an upload.
    FinishUpload: UploadLayerPart, CompleteLayerUpload;
    /// Deleting anything.
    Delete: BatchDeleteImage;
}

impl<N> Access<N> {
    /// Asks for more than the signature says, where a request turns out to need it.
    ///
    /// # Errors
    ///
    /// When the caller may not.
    pub fn also<M: Need>(&self, state: &State) -> Result<(), Error> {
        require::<M>(&self.principal, &self.repository, state)
    }
}

impl<N: Need> FromRequestParts<State> for Access<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Error> {
        let repository = repository_name(parts, state).await?;
        let principal = Principal::Anonymous;
        require::<N>(&principal, &repository, state)?;
        Ok(Self {
            repository,
            principal,
            need: PhantomData,
        })
    }
}

fn require<N: Need>(
    principal: &Principal,
    repository: &RepositoryName,
    state: &State,
) -> Result<(), Error> {
    for action in N::ACTIONS {
        match state.authorizer.decide(principal, *action, repository) {
            Decision::Allowed => {}
            Decision::Denied => return Err(denied(*action, repository)),
        }
    }
    Ok(())
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

fn denied(action: Action, repository: &RepositoryName) -> Error {
    let message = "the caller may not do this";
    Error::new(StatusCode::FORBIDDEN, Code::Denied, message)
        .with_detail(json!({"action": action.as_str(), "repository": repository}))
}
