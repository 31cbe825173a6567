//! The envelope of the docker registry's notifications. It knows pushes, pulls and deletes.
//!
//! Its media type is that of docker-registry 2; version 3 writes `v2`. What an
//! event doesn't keep of its request is left out: the caller's address, the method, the user agent.
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
    let mut request = Map::new();
    if !event.request_id.is_empty() {
        request.insert("id".into(), event.request_id.as_str().into());
    }
    let mut source = Map::new();
    source.insert("instanceID".into(), origin.instance.as_str().into());
    if let Some((_, host)) = origin.url.split_once("://") {
        request.insert("host".into(), host.into());
        source.insert("addr".into(), host.into());
    }
    let envelope = json!({
        "events": [{
            "id": event.id,
            "timestamp": rfc3339(event.at),
            "action": action,
            "target": target(event, origin)?,
            "request": request,
            "actor": {"name": event.actor},
            "source": source,
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
