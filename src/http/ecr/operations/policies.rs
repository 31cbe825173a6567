//! Who may do what: the policies of repositories and of the registry, the same that `wharf policy`
//! sets.

use serde_json::{Value, json};
use wharf_auth::action::Action;

use super::repositories;
use crate::http::ecr::input::Input;
use crate::http::ecr::{Call, Error};

pub(super) async fn set_repository(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    repositories::require(call, &name).await?;
    let text = input.required("policyText")?;
    put(call, &format!("repository/{name}"), text).await?;
    Ok(json!({"registryId": call.account(), "repositoryName": name, "policyText": text}))
}

pub(super) async fn get_repository(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    repositories::require(call, &name).await?;
    let text = find(call, &format!("repository/{name}")).ok_or_else(|| missing(call, &name))?;
    Ok(json!({"registryId": call.account(), "repositoryName": name, "policyText": text}))
}

pub(super) async fn delete_repository(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    repositories::require(call, &name).await?;
    let target = format!("repository/{name}");
    let text = find(call, &target).ok_or_else(|| missing(call, &name))?;
    remove(call, &target).await?;
    Ok(json!({"registryId": call.account(), "repositoryName": name, "policyText": text}))
}

pub(super) async fn put_registry(call: &Call, input: &Input) -> Result<Value, Error> {
    // The registry's policy says who may do anything at all, so only who may everything sets it.
    call.require(Action::Administer, None)?;
    let text = input.required("policyText")?;
    put(call, "registry", text).await?;
    Ok(json!({"registryId": call.account(), "policyText": text}))
}

pub(super) fn get_registry(call: &Call) -> Result<Value, Error> {
    let text = find(call, "registry").ok_or_else(|| missing_registry(call))?;
    Ok(json!({"registryId": call.account(), "policyText": text}))
}

pub(super) async fn delete_registry(call: &Call) -> Result<Value, Error> {
    call.require(Action::Administer, None)?;
    let text = find(call, "registry").ok_or_else(|| missing_registry(call))?;
    remove(call, "registry").await?;
    Ok(json!({"registryId": call.account(), "policyText": text}))
}

async fn put(call: &Call, target: &str, text: &str) -> Result<(), Error> {
    call.state
        .administration
        .put_policy(target, text, call.change())
        .await?;
    Ok(call.state.authority.refresh().await?)
}

async fn remove(call: &Call, target: &str) -> Result<(), Error> {
    call.metadata().remove_policy(target, call.change()).await?;
    Ok(call.state.authority.refresh().await?)
}

fn find(call: &Call, target: &str) -> Option<String> {
    let snapshot = call.state.authority.snapshot();
    let policy = snapshot.documents().get(target)?;
    Some(policy.document.clone())
}

fn missing(call: &Call, name: &wharf_storage::oci::RepositoryName) -> Error {
    Error::new(
        "RepositoryPolicyNotFoundException",
        format!(
            "Repository policy does not exist for the repository with name '{name}' in the \
             registry with id '{}'",
            call.account()
        ),
    )
}

fn missing_registry(call: &Call) -> Error {
    let message = format!(
        "Registry policy does not exist in the registry with id '{}'",
        call.account()
    );
    Error::new("RegistryPolicyNotFoundException", message)
}
