//! What is kept comes back as it was.

use serde_json::json;

use super::{IMAGE, content, descriptor, digest, image, push_blob, push_manifest, start};

#[test]
fn a_manifest_of_4_mib_comes_back_to_the_byte() {
    let (_registry, client) = start();
    let mut manifest = image(b"{}");
    manifest["annotations"] = json!({"filler": "x".repeat((4 << 20) - 400)});
    let text = manifest.to_string();
    assert_eq!(push_manifest(&client, "large", "v1", &manifest).status, 201);
    let answer = client.get("/v2/large/manifests/v1");
    assert_eq!(answer.body, text.as_bytes());
    let digest = digest(text.as_bytes());
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(digest.as_str())
    );
    assert_eq!(
        answer.header("etag"),
        Some(format!("\"{digest}\"").as_str())
    );
    assert_eq!(answer.header("content-type"), Some(IMAGE));
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let (_registry, client) = start();
    let blob = push_blob(&client, "etags", b"content");
    push_manifest(&client, "etags", "v1", &image(b"{}"));
    for path in [
        format!("/v2/etags/blobs/{blob}"),
        "/v2/etags/manifests/v1".to_owned(),
    ] {
        let etag = client
            .get(&path)
            .header("etag")
            .expect("an etag")
            .to_owned();
        let again = client.send("GET", &path, &[("If-None-Match", &etag)], b"");
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let weak = format!("\"other\", W/{etag}");
        assert_eq!(
            client
                .send("GET", &path, &[("If-None-Match", &weak)], b"")
                .status,
            304
        );
        let other = client.send("GET", &path, &[("If-None-Match", "\"other\"")], b"");
        assert_eq!(other.status, 200);
    }
}

#[test]
fn blobs_of_every_size_come_back_to_the_byte() {
    let (_registry, client) = start();
    for length in [0, 1, 262_143, 262_144, 262_145, 5_000_000] {
        let bytes = content(length);
        let path = format!("/v2/sizes/blobs/{}", push_blob(&client, "sizes", &bytes));
        let answer = client.get(&path);
        assert_eq!(answer.status, 200);
        assert!(answer.body == bytes, "{length} bytes differ");
        let head = client.send("HEAD", &path, &[], b"");
        assert_eq!(
            head.header("content-length"),
            Some(length.to_string().as_str())
        );
    }
}

#[test]
fn a_tag_can_go_while_its_manifest_stays_and_the_other_way_takes_both() {
    let (_registry, client) = start();
    let manifest = image(b"{}");
    let digest = digest(manifest.to_string().as_bytes());
    let tagged = push_manifest(&client, "tags", &format!("{digest}?tag=a&tag=b"), &manifest);
    assert_eq!(tagged.status, 201);
    assert_eq!(tagged.headers["oci-tag"], ["a", "b"]);
    assert_eq!(
        client
            .send("DELETE", "/v2/tags/manifests/a", &[], b"")
            .status,
        202
    );
    assert_eq!(client.get("/v2/tags/manifests/a").status, 404);
    assert_eq!(
        client.get("/v2/tags/tags/list").json()["tags"],
        json!(["b"])
    );
    assert_eq!(
        client.get(&format!("/v2/tags/manifests/{digest}")).status,
        200
    );
    let path = format!("/v2/tags/manifests/{digest}");
    assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    assert_eq!(client.get("/v2/tags/manifests/b").status, 404);
    assert_eq!(client.get("/v2/tags/tags/list").json()["tags"], json!([]));
}

#[test]
fn referrers_of_both_kinds_are_listed_a_page_at_a_time() {
    let (_registry, client) = start();
    let subject = descriptor(IMAGE, b"the subject");
    let subject_digest = digest(b"the subject");
    let mut listed = Vec::new();
    for number in 0..5 {
        let mut referrer = image(number.to_string().as_bytes());
        referrer["artifactType"] = json!("application/x.sbom");
        if number < 4 {
            referrer["subject"] = subject.clone();
        }
        let text = referrer.to_string();
        let digest = digest(text.as_bytes());
        assert_eq!(
            push_manifest(&client, "refs", &digest, &referrer).status,
            201
        );
        listed.push(digest);
    }
    // The last one was pushed by a client that keeps the list itself, under the fallback tag.
    let fallback = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {"mediaType": IMAGE, "digest": listed[4], "size": 1, "artifactType": "application/x.sbom"},
            {"mediaType": IMAGE, "digest": digest(b"gone"), "size": 1},
        ],
    });
    let path = format!("/v2/refs/manifests/{}", subject_digest.replace(':', "-"));
    let headers = [("Content-Type", "application/vnd.oci.image.index.v1+json")];
    assert_eq!(
        client
            .send("PUT", &path, &headers, fallback.to_string().as_bytes())
            .status,
        201
    );

    let mut next = Some(format!("/v2/refs/referrers/{subject_digest}?n=2"));
    let mut seen = Vec::new();
    while let Some(path) = next {
        let answer = client.get(&path);
        assert_eq!(answer.status, 200);
        let manifests = answer.json()["manifests"]
            .as_array()
            .expect("a list")
            .clone();
        assert!(manifests.len() <= 2);
        let digest = |entry: &serde_json::Value| entry["digest"].as_str().unwrap_or("").to_owned();
        seen.extend(manifests.iter().map(digest));
        let link = answer
            .header("link")
            .and_then(|link| link.strip_prefix('<'));
        next = link
            .and_then(|link| link.split('>').next())
            .map(ToOwned::to_owned);
    }
    listed.sort();
    assert_eq!(seen, listed);
    let path = format!("/v2/refs/referrers/{subject_digest}?artifactType=application/x.none");
    let none = client.get(&path);
    assert_eq!(none.json()["manifests"], json!([]));
    assert_eq!(none.header("oci-filters-applied"), Some("artifactType"));
}
