//! Repositories, their settings and tags.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf_auth::action::Action;
use wharf_storage::metadata::{Deleted, RepositoryRecord, RepositorySettings, TagMutability};
use wharf_storage::oci::RepositoryName;

use super::paging::{Page, with_token};
use super::{epoch, without_nulls};
use crate::http::ecr::input::{Input, malformed};
use crate::http::ecr::{Call, Error};
use crate::registry;

/// How many tags a repository has at most.
const MOST_TAGS: usize = 50;

pub(super) async fn create(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    let (tag_mutability, mutability_filters) = mutability(input)?;
    let settings = RepositorySettings {
        tag_mutability,
        mutability_filters,
        scan_on_push: input.value("imageScanningConfiguration")["scanOnPush"] == true,
        encryption: match input.value("encryptionConfiguration") {
            Value::Null => RepositorySettings::default().encryption,
            value => value.to_string(),
        },
        resource_tags: read_tags(input.value("tags"))?,
    };
    let created = call
        .state
        .registry
        .create_repository(&name, settings, &call.requester())
        .await?;
    match created {
        Some(record) => Ok(json!({"repository": described(call, &record)})),
        None => Err(Error::new(
            "RepositoryAlreadyExistsException",
            format!(
                "The repository with name '{name}' already exists in the registry with id '{}'",
                call.account()
            ),
        )),
    }
}

pub(super) async fn describe(call: &Call, input: &Input) -> Result<Value, Error> {
    let names = input.repositories()?;
    if !names.is_empty() {
        let mut found = Vec::new();
        for name in &names {
            found.push(described(call, &require(call, name).await?));
        }
        return Ok(json!({"repositories": found}));
    }
    let page = Page::of(call, input)?;
    let (after, limit) = (page.after.as_deref(), page.limit + 1);
    let found = call.metadata().repository_records(after, limit).await?;
    let (found, token) = page.cut(found, |record| record.name.to_string());
    let found: Vec<Value> = found
        .iter()
        .filter(|record| call.may(Action::DescribeRepositories, Some(&record.name)))
        .map(|record| described(call, record))
        .collect();
    Ok(with_token(json!({"repositories": found}), token))
}

pub(super) async fn delete(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    let force = input.truth("force");
    let deleted = call
        .metadata()
        .delete_repository(&name, force, call.change());
    match deleted.await? {
        Deleted::Gone(record) => {
            let _ = call.state.authority.refresh().await;
            Ok(json!({"repository": described(call, &record)}))
        }
        Deleted::NotEmpty => Err(Error::new(
            "RepositoryNotEmptyException",
            format!(
                "The repository with name '{name}' in registry with id '{}' cannot be deleted \
                 because it still contains images",
                call.account()
            ),
        )),
    }
}

pub(super) async fn put_mutability(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    let (tag_mutability, filters) = mutability(input)?;
    let stored = filters.clone();
    call.metadata()
        .change_repository(&name, move |settings| {
            settings.tag_mutability = tag_mutability;
            settings.mutability_filters.clone_from(&stored);
        })
        .await?;
    Ok(without_nulls(json!({
        "registryId": call.account(),
        "repositoryName": name,
        "imageTagMutability": tag_mutability.as_str(),
        "imageTagMutabilityExclusionFilters": told_filters(&filters),
    })))
}

pub(super) async fn put_scanning(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    let scan_on_push = input.value("imageScanningConfiguration")["scanOnPush"] == true;
    call.metadata()
        .change_repository(&name, move |settings| settings.scan_on_push = scan_on_push)
        .await?;
    Ok(json!({
        "registryId": call.account(),
        "repositoryName": name,
        "imageScanningConfiguration": {"scanOnPush": scan_on_push},
    }))
}

pub(super) async fn tag(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = call.of_arn(input.required("resourceArn")?)?;
    let added = read_tags(input.value("tags"))?;
    let present = require(call, &name).await?.settings.resource_tags;
    let together: BTreeMap<_, _> = present.into_iter().chain(added.clone()).collect();
    if together.len() > MOST_TAGS {
        let message = format!("a repository has at most {MOST_TAGS} tags");
        return Err(Error::new("TooManyTagsException", message));
    }
    call.metadata()
        .change_repository(&name, move |settings| {
            settings.resource_tags.extend(added.clone());
        })
        .await?;
    Ok(json!({}))
}

pub(super) async fn untag(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = call.of_arn(input.required("resourceArn")?)?;
    let keys: Vec<String> = input.texts("tagKeys").into_iter().map(Into::into).collect();
    call.metadata()
        .change_repository(&name, move |settings| {
            settings.resource_tags.retain(|key, _| !keys.contains(key));
        })
        .await?;
    Ok(json!({}))
}

pub(super) async fn tags(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = call.of_arn(input.required("resourceArn")?)?;
    let record = require(call, &name).await?;
    let tags: Vec<Value> = record
        .settings
        .resource_tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    Ok(json!({"tags": tags}))
}

/// A repository that has to be there.
pub(super) async fn require(call: &Call, name: &RepositoryName) -> Result<RepositoryRecord, Error> {
    let found = call.metadata().repository(name).await?;
    found.ok_or_else(|| registry::Error::RepositoryUnknown(name.clone()).into())
}

/// Which tags can't be moved, with its filters.
pub(super) fn mutability(input: &Input) -> Result<(TagMutability, Vec<String>), Error> {
    let mutability = match input.text("imageTagMutability") {
        None => TagMutability::Mutable,
        Some(text) => text
            .parse()
            .map_err(|_| malformed("imageTagMutability", "unknown"))?,
    };
    let name = "imageTagMutabilityExclusionFilters";
    let filters: Vec<String> = input
        .value(name)
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|filter| filter["filter"].as_str().map(Into::into))
        .collect();
    let takes_filters = matches!(
        mutability,
        TagMutability::ImmutableWithExclusion | TagMutability::MutableWithExclusion
    );
    if takes_filters == filters.is_empty() {
        let what = "goes with IMMUTABLE_WITH_EXCLUSION and MUTABLE_WITH_EXCLUSION, which need it";
        return Err(malformed(name, what));
    }
    let stars = |text: &String| text.bytes().filter(|byte| *byte == b'*').count();
    if filters.iter().any(|filter| stars(filter) > 2) {
        return Err(malformed(name, "a filter has at most 2 wildcards"));
    }
    Ok((mutability, filters))
}

fn told_filters(filters: &[String]) -> Value {
    match filters {
        [] => Value::Null,
        filters => filters
            .iter()
            .map(|filter| json!({"filterType": "WILDCARD", "filter": filter}))
            .collect(),
    }
}

pub(in crate::http::ecr) fn read_tags(value: &Value) -> Result<BTreeMap<String, String>, Error> {
    let mut tags = BTreeMap::new();
    for tag in value.as_array().into_iter().flatten() {
        let (Some(key), Some(value)) = (tag["Key"].as_str(), tag["Value"].as_str()) else {
            continue;
        };
        if key.starts_with("aws:") || key.is_empty() || tags.contains_key(key) {
            let message = format!("the tag '{key}' is reserved, empty, or stands twice");
            return Err(Error::new("InvalidTagParameterException", message));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    match tags.len() > MOST_TAGS {
        true => {
            let message = format!("a repository has at most {MOST_TAGS} tags");
            Err(Error::new("TooManyTagsException", message))
        }
        false => Ok(tags),
    }
}

fn described(call: &Call, record: &RepositoryRecord) -> Value {
    let settings = &record.settings;
    let encryption: Value = serde_json::from_str(&settings.encryption).unwrap_or_default();
    without_nulls(json!({
        "repositoryArn": call.arn(&record.name),
        "registryId": call.account(),
        "repositoryName": record.name,
        "repositoryUri": format!("{}/{}", call.host(), record.name),
        "createdAt": epoch(record.created_at),
        "imageTagMutability": settings.tag_mutability.as_str(),
        "imageTagMutabilityExclusionFilters": told_filters(&settings.mutability_filters),
        "imageScanningConfiguration": {"scanOnPush": settings.scan_on_push},
        "encryptionConfiguration": encryption,
    }))
}
