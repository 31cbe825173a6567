//! The envelope and the details that Amazon EventBridge delivers for ECR.
//!
//! <https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html>
//!
//! What ECR has no event for has `wharf` as its source, and a detail type of its own.

use serde_json::{Map, Value, json};
use wharf_storage::metadata::{Event, EventKind};

use super::{Origin, rfc3339};

pub(super) fn write(event: &Event, origin: &Origin) -> Value {
    let (source, detail_type) = types(event.kind);
    let resources = match detail_type {
        "ECR Image Action" | "ECR Referrer Action" => Vec::new(),
        _ => vec![origin.arn(event.repository.as_ref())],
    };
    // The envelope has no parts of a second.
    let time = rfc3339(wharf_storage::clock::Timestamp::from_seconds(
        event.at.as_seconds(),
    ));
    json!({
        "version": "0",
        "id": event.id,
        "detail-type": detail_type,
        "source": source,
        "account": origin.account,
        "time": time,
        "region": origin.region,
        "resources": resources,
        "detail": detail(event),
    })
}

const fn types(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::ImagePushed
        | EventKind::ArtifactPushed
        | EventKind::ImageDeleted
        | EventKind::ImageArchived
        | EventKind::ImageRestored
        | EventKind::TagDeleted => ("aws.ecr", "ECR Image Action"),
        EventKind::ReferrerPushed => ("aws.ecr", "ECR Referrer Action"),
        EventKind::ImagePulled => ("wharf", "Wharf Image Pull"),
        EventKind::RepositoryCreated | EventKind::RepositoryDeleted => {
            ("wharf", "Wharf Repository Action")
        }
        EventKind::PolicyChanged | EventKind::LifecyclePolicyChanged => {
            ("wharf", "Wharf Policy Action")
        }
    }
}

/// What happened, in the words of ECR's events, and in further ones where those say too little.
pub(super) fn detail(event: &Event) -> Value {
    let detail = &event.detail;
    let mut members = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.insert(name.to_owned(), value);
        }
    };
    let action = match event.kind {
        EventKind::ImagePushed | EventKind::ArtifactPushed | EventKind::ReferrerPushed => "PUSH",
        EventKind::ImageDeleted | EventKind::TagDeleted | EventKind::RepositoryDeleted => "DELETE",
        EventKind::ImageArchived | EventKind::ImageRestored => "UPDATE_STORAGE_CLASS",
        EventKind::ImagePulled => "PULL",
        EventKind::RepositoryCreated => "CREATE",
        EventKind::PolicyChanged | EventKind::LifecyclePolicyChanged if detail.removed => "DELETE",
        EventKind::PolicyChanged | EventKind::LifecyclePolicyChanged => "PUT",
    };
    put("result", Some("SUCCESS".into()));
    put("action-type", Some(action.into()));
    put(
        "repository-name",
        event.repository.as_ref().map(|name| json!(name)),
    );
    // A tag that goes is told with what it named.
    let digest = match event.kind {
        EventKind::TagDeleted => &detail.previous,
        _ => &detail.digest,
    };
    put("image-digest", digest.as_ref().map(|digest| json!(digest)));
    put("image-tag", detail.tags.first().map(|tag| json!(tag)));
    if detail.tags.len() > 1 {
        put("image-tags", Some(json!(detail.tags)));
    }
    if event.kind != EventKind::TagDeleted {
        let previous = detail.previous.as_ref().map(|digest| json!(digest));
        put("previous-image-digest", previous);
    }
    put(
        "subject-image-digest",
        detail.subject.as_ref().map(|digest| json!(digest)),
    );
    put(
        "manifest-media-type",
        detail.media_type.as_ref().map(|kind| json!(kind)),
    );
    put(
        "artifact-media-type",
        detail.artifact_type.as_ref().map(|kind| json!(kind)),
    );
    put("manifest-size-in-bytes", detail.size.map(Value::from));
    put("pull-count", detail.count.map(Value::from));
    let class = match event.kind {
        EventKind::ImageArchived => Some("ARCHIVE"),
        EventKind::ImageRestored => Some("STANDARD"),
        _ => None,
    };
    put("target-storage-class", class.map(Value::from));
    if event.kind == EventKind::ImageRestored {
        put("last-activated-at", rfc3339(event.at).map(Value::from));
    }
    put("policy-target", detail.target.as_deref().map(Value::from));
    Value::Object(members)
}
