//! Lifecycle policies and their previews.
//!
//! A preview is made when it is asked for: deciding is quick, so it is complete at once.

use serde_json::{Value, json};
use wharf_storage::metadata::{ImageFacts, LIFECYCLE_PREVIEW, Replace, StorageClass};
use wharf_storage::oci::RepositoryName;

use super::paging::{Page, with_token};
use super::{epoch, epoch_if, repositories, without_nulls};
use crate::http::ecr::input::Input;
use crate::http::ecr::{Call, Error};
use crate::lifecycle::{Decision, Outcome, Policy, Reason, select};

pub(super) async fn put(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    let text = input.required("lifecyclePolicyText")?;
    parse(text)?;
    call.metadata()
        .set_lifecycle_policy(&name, Some(text.to_owned()), call.change())
        .await?;
    Ok(told(call, &name, text))
}

pub(super) async fn get(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    let record = repositories::require(call, &name).await?;
    let text = record
        .lifecycle_policy
        .ok_or_else(|| missing(call, &name))?;
    let mut answer = told(call, &name, &text);
    answer["lastEvaluatedAt"] = epoch_if(record.lifecycle_evaluated_at);
    Ok(without_nulls(answer))
}

pub(super) async fn delete(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    let record = call
        .metadata()
        .set_lifecycle_policy(&name, None, call.change())
        .await?;
    let text = record
        .lifecycle_policy
        .ok_or_else(|| missing(call, &name))?;
    let mut answer = told(call, &name, &text);
    answer["lastEvaluatedAt"] = epoch_if(record.lifecycle_evaluated_at);
    Ok(without_nulls(answer))
}

pub(super) async fn start_preview(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    let record = repositories::require(call, &name).await?;
    let text = match input.text("lifecyclePolicyText") {
        Some(text) => text.to_owned(),
        None => record
            .lifecycle_policy
            .ok_or_else(|| missing(call, &name))?,
    };
    parse(&text)?;
    let (replace, now) = (Replace::Allowed, call.now());
    call.metadata()
        .put_document(LIFECYCLE_PREVIEW, name.as_str(), &text, replace, now)
        .await?;
    let mut answer = told(call, &name, &text);
    answer["status"] = "IN_PROGRESS".into();
    Ok(answer)
}

pub(super) async fn get_preview(call: &Call, input: &Input) -> Result<Value, Error> {
    let name = input.repository()?;
    repositories::require(call, &name).await?;
    let preview = call
        .metadata()
        .document(LIFECYCLE_PREVIEW, name.as_str())
        .await?;
    let preview = preview.ok_or_else(|| {
        let message = format!("There is no lifecycle policy preview for the repository '{name}'");
        Error::new("LifecyclePolicyPreviewNotFoundException", message)
    })?;
    let policy = parse(&preview.text)?;
    let now = call.now();
    let images = call.metadata().image_facts(&name, now).await?;
    let work = move || {
        let outcomes = select(&policy, &images, now);
        (images, outcomes)
    };
    let (images, outcomes) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::invalid("the preview failed"))?;
    let count = |decision: &Decision| {
        outcomes
            .iter()
            .filter(|outcome| outcome.decision == *decision)
            .count()
    };
    let mut summary = json!({"expiringImageTotalCount": count(&Decision::Expire)});
    let archived = count(&Decision::Archive);
    if archived > 0 {
        let counts = json!([{"targetStorageClass": "ARCHIVE", "imageTotalCount": archived}]);
        summary["transitioningImageTotalCounts"] = counts;
    }
    let page = Page::of(call, input)?;
    let wanted = input.image_ids();
    let status = input.value("filter")["tagStatus"]
        .as_str()
        .unwrap_or("ANY")
        .to_owned();
    let is_asked = |facts: &ImageFacts| {
        let image = &facts.image;
        let by_id = wanted.is_empty()
            || wanted.iter().any(|id| {
                id.digest
                    .as_deref()
                    .is_none_or(|digest| digest == image.digest.as_str())
                    && id
                        .tag
                        .as_deref()
                        .is_none_or(|tag| image.tags.iter().any(|found| found.as_str() == tag))
            });
        by_id && (status == "ANY" || (status == "TAGGED") != image.tags.is_empty())
    };
    let mut found: Vec<(&ImageFacts, &Outcome)> = images
        .iter()
        .zip(&outcomes)
        .filter(|(facts, outcome)| outcome.decision != Decision::Keep && is_asked(facts))
        .collect();
    found.sort_by(|(a, _), (b, _)| a.image.digest.cmp(&b.image.digest));
    if let Some(after) = &page.after {
        found.retain(|(facts, _)| facts.image.digest.as_str() > after.as_str());
    }
    let (found, token) = page.cut(found, |(facts, _)| facts.image.digest.to_string());
    let results: Vec<Value> = found
        .into_iter()
        .map(|(facts, outcome)| result(facts, outcome))
        .collect();
    let mut answer = told(call, &name, &preview.text);
    answer["status"] = "COMPLETE".into();
    answer["previewResults"] = results.into();
    answer["summary"] = summary;
    Ok(with_token(answer, token))
}

fn result(facts: &ImageFacts, outcome: &Outcome) -> Value {
    let image = &facts.image;
    let action = match &outcome.decision {
        Decision::Archive => json!({"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}),
        Decision::Expire | Decision::Untag(_) | Decision::Keep => json!({"type": "EXPIRE"}),
    };
    let priority = match &outcome.reason {
        Reason::Rule(priority) => json!(priority),
        _ => Value::Null,
    };
    // What only loses some of its tags is told with these.
    let tags = match &outcome.decision {
        Decision::Untag(tags) => tags,
        Decision::Expire | Decision::Archive | Decision::Keep => &image.tags,
    };
    without_nulls(json!({
        "imageTags": tags,
        "imageDigest": image.digest,
        "imagePushedAt": epoch(image.pushed_at),
        "action": action,
        "appliedRulePriority": priority,
        "storageClass": match image.storage_class {
            StorageClass::Standard => "STANDARD",
            StorageClass::Archive => "ARCHIVE",
        },
    }))
}

fn parse(text: &str) -> Result<Policy, Error> {
    Policy::parse(text).map_err(|error| {
        Error::invalid(format!(
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '{error}'"
        ))
    })
}

fn told(call: &Call, name: &RepositoryName, text: &str) -> Value {
    json!({"registryId": call.account(), "repositoryName": name, "lifecyclePolicyText": text})
}

fn missing(call: &Call, name: &RepositoryName) -> Error {
    Error::new(
        "LifecyclePolicyNotFoundException",
        format!(
            "Lifecycle policy does not exist for the repository with name '{name}' in the registry \
             with id '{}'",
            call.account()
        ),
    )
}
