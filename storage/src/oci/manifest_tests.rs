//! What is read from manifests, and what is refused.

use std::time::Instant;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn descriptor(media_type: &str, content: &str) -> Value {
    json!({
        "mediaType": media_type,
        "digest": Digest::of(Algorithm::Sha256, content.as_bytes()),
        "size": content.len(),
    })
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_IMAGE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", "config"),
        "layers": [
            descriptor("application/vnd.oci.image.layer.v1.tar+gzip", "layer"),
            descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "foreign"),
        ],
    })
}

fn index(children: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children})
}

fn parse(document: &Value) -> Result<Manifest, ManifestError> {
    parse_text(&document.to_string(), None)
}

fn parse_text(text: &str, content_type: Option<&str>) -> Result<Manifest, ManifestError> {
    let content_type = content_type.map(|text| text.parse().expect("a media type"));
    Manifest::parse(
        Bytes::copy_from_slice(text.as_bytes()),
        content_type.as_ref(),
    )
}

#[test]
fn an_image_names_its_config_and_layers() {
    let manifest = parse(&image()).expect("a manifest");
    let kinds: Vec<_> = manifest
        .references()
        .iter()
        .map(|reference| reference.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            ContentKind::Blob,
            ContentKind::Blob,
            ContentKind::ForeignBlob
        ]
    );
    assert_eq!(
        manifest.artifact_type(),
        Some("application/vnd.oci.image.config.v1+json")
    );
    assert_eq!(manifest.subject(), None);
}

#[test]
fn an_index_names_manifests_and_a_build_cache_names_blobs() {
    let manifest = parse(&index(&[
        descriptor(MediaType::DOCKER_IMAGE, "a"),
        descriptor("application/vnd.buildkit.cacheconfig.v0", "b"),
    ]));
    let manifest = manifest.expect("a manifest");
    let kinds: Vec<_> = manifest
        .references()
        .iter()
        .map(|reference| reference.kind)
        .collect();
    assert_eq!(kinds, [ContentKind::Manifest, ContentKind::Either]);
    assert_eq!(manifest.artifact_type(), None);
}

#[test]
fn an_empty_index_and_null_lists_are_taken() {
    assert!(parse(&index(&[])).is_ok());
    let mut document = image();
    document["layers"] = Value::Null;
    document["annotations"] = Value::Null;
    assert_eq!(parse(&document).expect("a manifest").references().len(), 1);
}

#[test]
fn a_missing_type_is_read_from_the_request_or_the_shape() {
    let mut document = image();
    document
        .as_object_mut()
        .expect("an object")
        .remove("mediaType");
    let by_shape = parse(&document).expect("a manifest");
    assert_eq!(by_shape.media_type().as_str(), MediaType::OCI_IMAGE);
    // A client that names no type, or one that says nothing, gets the same.
    for generic in ["application/json", "application/octet-stream"] {
        let by_shape = parse_text(&document.to_string(), Some(generic));
        let by_shape = by_shape.expect("a manifest");
        assert_eq!(by_shape.media_type().as_str(), MediaType::OCI_IMAGE);
        let whole = parse_text(&image().to_string(), Some(generic));
        assert!(whole.is_ok());
    }
    let by_request = parse_text(&document.to_string(), Some(MediaType::DOCKER_IMAGE));
    assert_eq!(
        by_request.expect("a manifest").media_type().as_str(),
        MediaType::DOCKER_IMAGE
    );
    assert!(matches!(
        parse(&json!({"schemaVersion": 2})),
        Err(ManifestError::TypeUnknown)
    ));
}

#[test]
fn what_is_sent_as_a_page_or_as_schema_1_is_refused() {
    let mut document = image();
    document
        .as_object_mut()
        .expect("an object")
        .remove("mediaType");
    for other in [
        "text/html",
        "text/plain",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ] {
        let refused = parse_text(&document.to_string(), Some(other));
        assert!(
            matches!(refused, Err(ManifestError::OtherType(_))),
            "{other}"
        );
    }
    document["mediaType"] = "text/html".into();
    let refused = parse(&document);
    assert!(matches!(refused, Err(ManifestError::OtherType(_))));
}

#[test]
fn two_types_that_differ_are_refused() {
    let refused = parse_text(&image().to_string(), Some(MediaType::OCI_INDEX));
    assert!(matches!(refused, Err(ManifestError::TypesDiffer { .. })));
}

#[test]
fn a_document_that_reads_as_image_and_as_index_is_refused() {
    let mut document = image();
    document["manifests"] = json!([]);
    assert!(matches!(parse(&document), Err(ManifestError::Ambiguous)));
    let mut document = index(&[]);
    document["layers"] = json!([]);
    assert!(matches!(parse(&document), Err(ManifestError::Ambiguous)));
}

#[test]
fn members_and_annotations_that_stand_twice_are_refused() {
    let text = image().to_string();
    let twice = text.replacen('{', r#"{"layers":[],"#, 1);
    assert!(matches!(
        parse_text(&twice, None),
        Err(ManifestError::Json(_))
    ));
    let twice = text.replacen('{', r#"{"annotations":{"a":"1","a":"2"},"#, 1);
    assert!(matches!(
        parse_text(&twice, None),
        Err(ManifestError::Json(_))
    ));
}

#[test]
fn members_that_nobody_knows_are_kept() {
    let mut document = image();
    document["x-custom"] = json!({"deep": [1, 2, 3]});
    let manifest = parse(&document).expect("a manifest");
    assert_eq!(manifest.bytes(), document.to_string().as_bytes());
}

#[test]
fn types_of_other_tools_are_taken_with_what_they_name() {
    let document = json!({
        "mediaType": "application/vnd.oci.artifact.manifest.v1+json",
        "artifactType": "application/x",
        "blobs": [descriptor("application/x", "a")],
        "subject": descriptor(MediaType::OCI_IMAGE, "subject"),
    });
    let manifest = parse(&document).expect("a manifest");
    assert_eq!(manifest.references().len(), 1);
    assert_eq!(
        manifest.subject(),
        Some(&Digest::of(Algorithm::Sha256, b"subject"))
    );
}

#[test]
fn what_is_incomplete_or_of_another_version_is_refused() {
    for (member, value) in [
        ("schemaVersion", json!(1)),
        ("schemaVersion", json!("2")),
        ("schemaVersion", Value::Null),
        ("config", Value::Null),
        ("config", json!([])),
        ("layers", json!({})),
        (
            "layers",
            json!([{"mediaType": "a/b", "digest": "sha256:00", "size": 1}]),
        ),
        ("layers", json!([{"mediaType": "a/b", "size": 1}])),
        ("subject", json!("sha256:00")),
        ("annotations", json!({"a": 1})),
    ] {
        let mut document = image();
        document[member] = value.clone();
        assert!(parse(&document).is_err(), "{member}: {value}");
    }
    let mut negative = image();
    negative["config"]["size"] = json!(-1);
    assert!(parse(&negative).is_err());
}

#[test]
fn hostile_documents_are_refused_at_once() {
    let members: String = (0..400_000).map(|n| format!("\"k{n}\":{n},")).collect();
    for text in [
        "[".repeat(4 << 20),
        "{\"a\":".repeat(1 << 19),
        format!("{{{members}\"schemaVersion\":2}}"),
        format!("{{\"schemaVersion\":{}}}", "9".repeat(1 << 20)),
        String::from("\u{0}"),
        String::new(),
    ] {
        let start = Instant::now();
        assert!(parse_text(&text, Some(MediaType::OCI_IMAGE)).is_err());
        // A hundred times what it takes in a release build: the bound is against hangs.
        assert!(start.elapsed().as_secs() < 5, "{} bytes", text.len());
    }
}

proptest! {
    #[test]
    fn no_bytes_crash_the_parser(bytes: Vec<u8>) {
        let _ = Manifest::parse(Bytes::from(bytes), None);
    }
}

#[test]
fn an_artifact_type_that_is_no_type_is_refused() {
    for (artifact_type, is_taken) in [
        ("a/".to_owned() + &"b".repeat(253), true),
        ("a/".to_owned() + &"b".repeat(254), false),
        ("a/b\0".to_owned(), false),
    ] {
        let document = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": artifact_type,
            "config": {"mediaType": "a/b", "size": 2, "digest": Digest::of(Algorithm::Sha256, b"{}")},
            "layers": [],
        });
        let parsed = Manifest::parse(document.to_string().into(), None);
        match parsed {
            Ok(_) => assert!(is_taken),
            Err(error) => assert!(matches!(error, ManifestError::ArtifactType) && !is_taken),
        }
    }
}

#[test]
fn what_readers_could_understand_differently_is_refused() {
    let image = image().to_string();
    let with = |member: &str| format!("{{{member},{}", &image[1..]);
    for (member, is_taken) in [
        (r#""x":{"a":1,"A":2}"#, true),
        (r#""Other":{"MediaType":"a/b"}"#, true),
        // Twice, where nobody asked for it.
        (r#""x":1,"x":1"#, false),
        (r#""x":[{"a":1,"\u0061":2}]"#, false),
        // The same for a reader that doesn't care about case, as Go's.
        (r#""Manifests":[]"#, false),
        (
            r#""MEDIATYPE":"application/vnd.oci.image.index.v1+json""#,
            false,
        ),
        ("\"manife\u{17f}ts\":[]", false),
        (r#""x":"\ud800""#, false),
        (r#""x":1e999"#, false),
    ] {
        let parsed = parse_text(&with(member), None);
        assert_eq!(parsed.is_ok(), is_taken, "{member}");
    }
    let mut bytes = with("\"x\":\"?\"").into_bytes();
    let place = bytes
        .iter()
        .position(|byte| *byte == b'?')
        .expect("it is there");
    bytes[place] = 0xff;
    assert!(Manifest::parse(bytes.into(), None).is_err(), "no UTF-8");
    let folded = image.replacen("\"digest\"", "\"Digest\":\"x\",\"digest\"", 1);
    assert!(parse_text(&folded, None).is_err(), "{folded}");
}
