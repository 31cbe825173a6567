//! How functions are told.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{Function, Progress};
use crate::aws::iso;

/// A function's configuration.
pub(super) fn configuration(function: &Function) -> Value {
    let state = match &function.state {
        Progress::Pending => "Pending",
        Progress::Done => "Active",
        Progress::Failed(_) => "Failed",
    };
    let update = match (&function.state, &function.update) {
        (Progress::Pending, _) | (_, Progress::Pending) => "InProgress",
        (_, Progress::Done) => "Successful",
        (_, Progress::Failed(_)) => "Failed",
    };
    let digest = function
        .pinned
        .as_ref()
        .map(|pinned| pinned.digest.trim_start_matches("sha256:"));
    let mut shown = json!({
        "FunctionName": function.name, "FunctionArn": function.arn, "Role": function.role,
        "CodeSize": 0, "CodeSha256": digest.unwrap_or_default(), "Description": function.description,
        "Timeout": function.timeout_seconds, "MemorySize": function.memory_mib,
        "LastModified": iso(function.modified_at), "Version": "$LATEST", "PackageType": "Image",
        "TracingConfig": {"Mode": "PassThrough"}, "RevisionId": function.revision,
        "Architectures": function.architectures, "EphemeralStorage": {"Size": 512},
        "State": state, "LastUpdateStatus": update,
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": format!("/aws/lambda/{}", function.name)},
    });
    if let Progress::Failed(reason) = &function.state {
        shown["StateReason"] = reason.clone().into();
        shown["StateReasonCode"] = "InternalError".into();
    }
    if let Progress::Failed(reason) = &function.update {
        shown["LastUpdateStatusReason"] = reason.clone().into();
        shown["LastUpdateStatusReasonCode"] = "InternalError".into();
    }
    if !function.environment.is_empty() {
        shown["Environment"] = json!({"Variables": function.environment});
    }
    if function.image_config.is_object() {
        shown["ImageConfigResponse"] = json!({"ImageConfig": function.image_config});
    }
    shown
}

/// Texts by name.
pub(super) fn texts(value: &Value) -> BTreeMap<String, String> {
    let members = value.as_object().into_iter().flatten();
    let texts =
        members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    texts.collect()
}
