//! CloudEvents 1.0, with `sequence` as its extension of that name has it.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>

use serde_json::{Value, json};
use wharf_storage::metadata::Event;

use super::{Origin, eventbridge, rfc3339};

pub(super) fn write(event: &Event, origin: &Origin) -> Value {
    json!({
        "specversion": "1.0",
        "id": event.id,
        "source": origin.arn(event.repository.as_ref()),
        "type": event.kind.as_str(),
        "subject": subject(event),
        "time": rfc3339(event.at),
        "datacontenttype": "application/json",
        // Sequences are compared as texts.
        "sequence": format!("{:020}", event.seq),
        "stream": event.stream.as_str(),
        "actor": event.actor,
        "cause": event.cause.as_str(),
        "requestid": event.request_id,
        "data": eventbridge::detail(event),
    })
}

/// What the event is about, as `docker pull` would name it, without the host.
fn subject(event: &Event) -> String {
    let detail = &event.detail;
    let Some(name) = &event.repository else {
        return detail.target.clone().unwrap_or_default();
    };
    match (detail.tags.as_slice(), &detail.digest) {
        ([tag], _) => format!("{name}:{tag}"),
        (_, Some(digest)) => format!("{name}@{digest}"),
        _ => name.to_string(),
    }
}
