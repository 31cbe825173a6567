//! What each operation does.
//!
//! | module | operations about |
//! |---|---|
//! | `authorization` | logins, the registry itself |
//! | `repositories` | repositories, their settings and tags |
//! | `layers` | layers, pushed and pulled |
//! | `images` | images, their lists, referrers, storage class |
//! | `lifecycle` | lifecycle policies and their previews |
//! | `policies` | who may do what |
//! | `documents` | what is kept and returned: settings, templates, rules |
//! | `scanning` | scans, which are not made here |
//! | `replication` | replication, which is not done here |

mod authorization;
mod documents;
mod images;
mod layers;
mod lifecycle;
mod policies;
mod replication;
mod repositories;
mod scanning;

use serde_json::{Value, json};
use wharf_storage::clock::Timestamp;

#[cfg(any(test, fuzzing))]
pub(super) use self::repositories::read_tags;
use super::error::Error;
use super::input::Input;
use super::{Call, paging};

/// Does what an operation says.
pub(super) async fn run(name: &str, call: &Call, input: &Input) -> Result<Value, Error> {
    match name {
        "GetAuthorizationToken" => authorization::token(call),
        "DescribeRegistry" => replication::registry(call).await,

        "CreateRepository" => repositories::create(call, input).await,
        "DescribeRepositories" => repositories::describe(call, input).await,
        "DeleteRepository" => repositories::delete(call, input).await,
        "PutImageTagMutability" => repositories::put_mutability(call, input).await,
        "PutImageScanningConfiguration" => repositories::put_scanning(call, input).await,
        "TagResource" => repositories::tag(call, input).await,
        "UntagResource" => repositories::untag(call, input).await,
        "ListTagsForResource" => repositories::tags(call, input).await,

        "InitiateLayerUpload" => layers::initiate(call, input).await,
        "UploadLayerPart" => layers::upload_part(call, input).await,
        "CompleteLayerUpload" => layers::complete(call, input).await,
        "BatchCheckLayerAvailability" => layers::check(call, input).await,
        "GetDownloadUrlForLayer" => layers::download_url(call, input).await,

        "PutImage" => images::put(call, input).await,
        "BatchGetImage" => images::batch_get(call, input).await,
        "ListImages" => images::list(call, input).await,
        "DescribeImages" => images::describe(call, input).await,
        "BatchDeleteImage" => images::batch_delete(call, input).await,
        "ListImageReferrers" => images::referrers(call, input).await,
        "UpdateImageStorageClass" => images::update_storage_class(call, input).await,

        "PutLifecyclePolicy" => lifecycle::put(call, input).await,
        "GetLifecyclePolicy" => lifecycle::get(call, input).await,
        "DeleteLifecyclePolicy" => lifecycle::delete(call, input).await,
        "StartLifecyclePolicyPreview" => lifecycle::start_preview(call, input).await,
        "GetLifecyclePolicyPreview" => lifecycle::get_preview(call, input).await,

        "SetRepositoryPolicy" => policies::set_repository(call, input).await,
        "GetRepositoryPolicy" => policies::get_repository(call, input).await,
        "DeleteRepositoryPolicy" => policies::delete_repository(call, input).await,
        "PutRegistryPolicy" => policies::put_registry(call, input).await,
        "GetRegistryPolicy" => policies::get_registry(call),
        "DeleteRegistryPolicy" => policies::delete_registry(call).await,

        "GetAccountSetting" => documents::get_account_setting(call, input).await,
        "PutAccountSetting" => documents::put_account_setting(call, input).await,
        "PutSigningConfiguration" => documents::put_signing(call, input).await,
        "GetSigningConfiguration" => documents::get_signing(call).await,
        "DeleteSigningConfiguration" => documents::delete_signing(call).await,
        "DescribeImageSigningStatus" => documents::signing_status(call, input).await,
        "CreateRepositoryCreationTemplate" => documents::create_template(call, input).await,
        "DescribeRepositoryCreationTemplates" => documents::templates(call, input).await,
        "UpdateRepositoryCreationTemplate" => documents::update_template(call, input).await,
        "DeleteRepositoryCreationTemplate" => documents::delete_template(call, input).await,
        "CreatePullThroughCacheRule" => documents::create_rule(call, input).await,
        "DescribePullThroughCacheRules" => documents::rules(call, input).await,
        "UpdatePullThroughCacheRule" => documents::update_rule(call, input).await,
        "DeletePullThroughCacheRule" => documents::delete_rule(call, input).await,
        "ValidatePullThroughCacheRule" => documents::validate_rule(call, input).await,
        "RegisterPullTimeUpdateExclusion" => documents::register_exclusion(call, input).await,
        "DeregisterPullTimeUpdateExclusion" => documents::deregister_exclusion(call, input).await,
        "ListPullTimeUpdateExclusions" => documents::exclusions(call, input).await,

        "StartImageScan" => scanning::start(call, input).await,
        "DescribeImageScanFindings" => scanning::findings(call, input).await,
        "BatchGetRepositoryScanningConfiguration" => scanning::batch_get(call, input).await,
        "GetRegistryScanningConfiguration" => scanning::get_registry(call).await,
        "PutRegistryScanningConfiguration" => scanning::put_registry(call, input).await,

        "PutReplicationConfiguration" => replication::put(call, input).await,
        "DescribeImageReplicationStatus" => replication::status(call, input).await,
        "StartReplicationBackfill" => replication::start_backfill(),
        "StopReplicationBackfill" | "DescribeReplicationBackfillResults" => {
            replication::unknown_backfill(input)
        }
        "ListReplicationBackfills" => replication::backfills(call, input),
        _ => Err(super::unknown()),
    }
}

/// A moment as the protocol has it: seconds since 1970, with milliseconds.
fn epoch(time: Timestamp) -> Value {
    json!(time.as_micros().div_euclid(1000) as f64 / 1000.0)
}

/// A moment that may not have come.
fn epoch_if(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, epoch)
}

/// The members of an object that are there.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}

#[cfg(test)]
mod tests {
    use crate::http::ecr::model::MODEL;

    /// Which names `run` knows, read from its own source.
    fn known() -> Vec<String> {
        let source = include_str!("mod.rs");
        let quoted = source.split('"').skip(1).step_by(2);
        let is_name = |text: &&str| MODEL.operations.contains_key(*text);
        quoted.filter(is_name).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn every_operation_of_the_model_is_answered() {
        let known = known();
        for name in MODEL.operations.keys() {
            assert!(known.contains(name), "{name}");
        }
    }

    #[test]
    fn the_errors_that_are_sent_are_the_models() {
        let operation = &MODEL.operations["PutImage"];
        assert!(operation.has_error("ImageAlreadyExistsException"));
        assert_eq!(operation.invalid(), "InvalidParameterException");
        let without = &MODEL.operations["DeleteSigningConfiguration"];
        assert_eq!(without.invalid(), "ValidationException");
    }
}
