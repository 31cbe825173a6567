//! The envelope of the docker registry's notifications. It knows pushes, pulls and deletes.
//!
//! <https://distribution.github.io/distribution/about/notifications/>

use serde_json::{Map, Value, json};
use wharf_storage::metadata::{Event, EventKind};

use super::{Origin, rfc3339};

pub(super) fn write(event: &Event, origin: &Origin) -> Option<Value> {
    let action = match event.kind {
        EventKind::ImagePushed | EventKind::ArtifactPushed | EventKind::ReferrerPushed => "push",
        EventKind::ImageDeleted | EventKind::TagDeleted | EventKind::RepositoryDeleted => "delete",
        EventKind::ImagePulled => "pull",
        EventKind::ImageArchived
        | EventKind::ImageRestored
        | EventKind::RepositoryCreated
        | EventKind::PolicyChanged
        | EventKind::LifecyclePolicyChanged => return None,
    };
    let (_, host) = origin.url.split_once("://").unwrap_or_default();
    let envelope = json!({
        "events": [{
            "id": event.id,
            "timestamp": rfc3339(event.at),
            "action": action,
            "target": target(event, origin)?,
            "request": {"id": event.request_id, "addr": "", "host": host, "method": "", "useragent": ""},
            "actor": {"name": event.actor},
            "source": {"addr": host, "instanceID": origin.instance},
        }],
    });
    Some(envelope)
}

fn target(event: &Event, origin: &Origin) -> Option<Value> {
    let detail = &event.detail;
    let name = event.repository.as_ref()?;
    let mut members = Map::new();
    members.insert("repository".into(), json!(name));
    if let Some(kind) = &detail.media_type {
        members.insert("mediaType".into(), json!(kind));
    }
    if let Some(digest) = &detail.digest {
        members.insert("digest".into(), json!(digest));
        if !origin.url.is_empty() {
            let url = format!("{}/v2/{name}/manifests/{digest}", origin.url);
            members.insert("url".into(), url.into());
        }
    }
    if let Some(size) = detail.size {
        members.insert("size".into(), size.into());
        members.insert("length".into(), size.into());
    }
    // A delete of an image takes all of its tags, and the envelope names one.
    if let [tag] = detail.tags.as_slice() {
        members.insert("tag".into(), json!(tag));
    }
    Some(Value::Object(members))
}
