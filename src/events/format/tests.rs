//! The formats, as those who read them expect them.

use serde_json::json;
use wharf_storage::metadata::{Cause, EventDetail, EventKind, Stream};

use super::*;

fn origin() -> Origin {
    Origin {
        account: "123456789012".into(),
        region: "eu-central-1".into(),
        url: "https://wharf.example".into(),
        instance: "server-1".into(),
    }
}

fn event(kind: EventKind, detail: EventDetail) -> Event {
    Event {
        stream: Stream::Changes,
        seq: 42,
        id: "0198f2c0-0000-7000-8000-000000000000".into(),
        at: Timestamp::from_micros(1_800_000_000_123_456),
        kind,
        repository: Some("team/app".parse().expect("a name")),
        actor: "user/alice".into(),
        cause: Cause::User,
        request_id: "request-1".into(),
        detail,
    }
}

fn digest(fill: char) -> wharf_storage::oci::Digest {
    let text = format!("sha256:{}", fill.to_string().repeat(64));
    text.parse().expect("a digest")
}

fn push() -> Event {
    let detail = EventDetail {
        digest: Some(digest('a')),
        tags: vec!["latest".parse().expect("a tag")],
        previous: Some(digest('b')),
        media_type: Some(
            "application/vnd.oci.image.manifest.v1+json"
                .parse()
                .expect("a type"),
        ),
        size: Some(527),
        ..EventDetail::default()
    };
    event(EventKind::ImagePushed, detail)
}

#[test]
fn a_push_as_a_cloud_event() {
    let written = Format::CloudEvents.write(&push(), &origin());
    assert_eq!(
        written,
        Some(json!({
            "specversion": "1.0",
            "id": "0198f2c0-0000-7000-8000-000000000000",
            "source": "arn:aws:ecr:eu-central-1:123456789012:repository/team/app",
            "type": "wharf.image.pushed",
            "subject": "team/app:latest",
            "time": "2027-01-15T08:00:00.123456Z",
            "datacontenttype": "application/json",
            "sequence": "00000000000000000042",
            "stream": "changes",
            "actor": "user/alice",
            "cause": "user",
            "requestid": "request-1",
            "data": {
                "result": "SUCCESS",
                "action-type": "PUSH",
                "repository-name": "team/app",
                "image-digest": digest('a'),
                "image-tag": "latest",
                "previous-image-digest": digest('b'),
                "manifest-media-type": "application/vnd.oci.image.manifest.v1+json",
                "manifest-size-in-bytes": 527,
            },
        }))
    );
}

#[test]
fn a_push_as_eventbridge_delivers_it() {
    let written = Format::EventBridge.write(&push(), &origin());
    let written = written.expect("it has words for all");
    assert_eq!(written["version"], "0");
    assert_eq!(written["source"], "aws.ecr");
    assert_eq!(written["detail-type"], "ECR Image Action");
    assert_eq!(written["time"], "2027-01-15T08:00:00Z");
    assert_eq!(written["resources"], json!([]));
    assert_eq!(written["detail"]["action-type"], "PUSH");
    assert_eq!(written["detail"]["image-tag"], "latest");
}

#[test]
fn a_push_as_a_notification_of_the_docker_registry() {
    let written = Format::Docker.write(&push(), &origin());
    let written = &written.expect("it knows pushes")["events"][0];
    assert_eq!(written["action"], "push");
    assert_eq!(
        written["target"],
        json!({
            "repository": "team/app",
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest('a'),
            "url": format!("https://wharf.example/v2/team/app/manifests/{}", digest('a')),
            "size": 527,
            "length": 527,
            "tag": "latest",
        })
    );
    assert_eq!(written["actor"]["name"], "user/alice");
    let request = json!({"id": "request-1", "host": "wharf.example"});
    assert_eq!(written["request"], request);
    let source = json!({"addr": "wharf.example", "instanceID": "server-1"});
    assert_eq!(written["source"], source);
}

#[test]
fn a_notification_leaves_out_what_is_not_known() {
    let nowhere = Origin {
        url: String::new(),
        ..origin()
    };
    let mut push = push();
    push.request_id = String::new();
    let written = Format::Docker.write(&push, &nowhere);
    let written = &written.expect("it knows pushes")["events"][0];
    assert_eq!(written["request"], json!({}));
    assert_eq!(written["source"], json!({"instanceID": "server-1"}));
    assert_eq!(written["target"].get("url"), None);
}

#[test]
fn a_tag_that_goes_is_told_with_what_it_named() {
    let detail = EventDetail {
        tags: vec!["v1".parse().expect("a tag")],
        previous: Some(digest('b')),
        ..EventDetail::default()
    };
    let gone = event(EventKind::TagDeleted, detail);
    let written = Format::EventBridge
        .write(&gone, &origin())
        .expect("written");
    assert_eq!(
        written["detail"],
        json!({
            "result": "SUCCESS",
            "action-type": "DELETE",
            "repository-name": "team/app",
            "image-digest": digest('b'),
            "image-tag": "v1",
        })
    );
}

#[test]
fn every_kind_has_words_in_every_format_but_dockers() {
    for kind in EventKind::ALL {
        let event = event(*kind, EventDetail::default());
        for format in [Format::CloudEvents, Format::EventBridge] {
            assert!(format.write(&event, &origin()).is_some(), "{kind:?}");
        }
    }
    let created = event(EventKind::RepositoryCreated, EventDetail::default());
    assert_eq!(Format::Docker.write(&created, &origin()), None);
}
