//! Row 41: an upload in hands that didn't begin it, or in another repository.

use serde_json::json;

use super::people::{House, basic};
use super::row;
use crate::support::image::{digest, random_bytes};

#[test]
fn an_upload_is_unknown_to_everybody_but_who_began_it_where_it_was_begun() {
    let house = House::new(&[]);
    for name in ["alice", "mallory"] {
        house.user(name, &["--allow", "write", "--on", "*"]);
    }
    let (alice, mallory) = (
        house.token(&basic("alice", "the-password-of-alice"), SCOPE),
        house.token(&basic("mallory", "the-password-of-mallory"), SCOPE),
    );
    let bytes = random_bytes(1000);
    let digest = digest(&bytes);
    house.image("team/other", "1", b"so that it is there");

    let begun = house.ask(&alice, "POST", "/v2/team/app/blobs/uploads/");
    assert_eq!(begun.status, 202, "{begun:?}");
    let location = begun.header("location").expect("a location").to_owned();
    let id = location.rsplit_once('/').expect("a path").1.to_owned();
    let send = |who: &str, method: &str, path: &str, body: &[u8]| {
        let headers = [
            ("Authorization", who),
            ("Content-Type", "application/octet-stream"),
        ];
        house.client.send(method, path, &headers, body)
    };
    assert_eq!(send(&alice, "PATCH", &location, &bytes[..500]).status, 202);

    let elsewhere = location.replace("team/app", "team/other");
    let absent = location.replace("team/app", "team/never");
    let unknown = "01a21573-0000-7000-8000-000000000000";
    let never = location.replace(&id, unknown);
    let mut refused = 0;
    for (who, path) in [
        (&mallory, &location),
        (&house.admin, &location),
        (&alice, &elsewhere),
        (&mallory, &elsewhere),
        (&alice, &absent),
    ] {
        for (method, body) in [
            ("PATCH", &bytes[500..]),
            ("PUT", &bytes[500..]),
            ("GET", b""),
            ("DELETE", b""),
        ] {
            let query = |path: &str| match method {
                "PUT" => format!("{path}?digest={digest}"),
                _ => path.to_owned(),
            };
            let answer = send(who, method, &query(path), body);
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
            // The same to the letter as for an upload that never was, but for its id.
            let twin = send(who, method, &query(&never), body);
            let text = |body: &[u8]| String::from_utf8_lossy(body).replace(&id, unknown);
            assert_eq!(text(&answer.body), text(&twin.body), "{method} {path}");
            refused += 1;
        }
    }

    // By the door of ECR, with the same id, and the id of an upload of ECR by the other one.
    let keys = ["user/alice", "user/mallory"].map(|name| house.key(name));
    let part = |repository: &str, id: &str| {
        json!({"repositoryName": repository, "uploadId": id, "partFirstByte": 500,
               "partLastByte": 999, "layerPartBlob": base64(&bytes[500..])})
    };
    let complete = |repository: &str, id: &str| json!({"repositoryName": repository, "uploadId": id, "layerDigests": [digest]});
    for (key, repository) in [
        (&keys[1], "team/app"),
        (&keys[0], "team/other"),
        (&keys[1], "team/other"),
    ] {
        for (operation, body) in [
            ("UploadLayerPart", part(repository, &id)),
            ("CompleteLayerUpload", complete(repository, &id)),
        ] {
            let answer = house.call(key, operation, &body);
            assert_eq!(
                answer.json()["__type"],
                "UploadNotFoundException",
                "{operation}: {answer:?}"
            );
            refused += 1;
        }
    }
    let begun = house.call(
        &keys[0],
        "InitiateLayerUpload",
        &json!({"repositoryName": "team/other"}),
    );
    let other = begun.json()["uploadId"].as_str().expect("an id").to_owned();
    for (who, repository) in [(&mallory, "team/other"), (&alice, "team/app")] {
        for method in ["PATCH", "GET", "DELETE"] {
            let path = format!("/v2/{repository}/blobs/uploads/{other}");
            let answer = send(who, method, &path, b"");
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
            refused += 1;
        }
    }

    // None of it has touched the upload: its owner goes on from where it was.
    let status = send(&alice, "GET", &location, b"");
    assert_eq!(
        (status.status, status.header("range")),
        (204, Some("0-499"))
    );
    let ended = send(
        &alice,
        "PUT",
        &format!("{location}?digest={digest}"),
        &bytes[500..],
    );
    assert_eq!(ended.status, 201, "{ended:?}");
    let pulled = house.ask(&alice, "GET", &format!("/v2/team/app/blobs/{digest}"));
    assert_eq!(pulled.body, bytes);
    let in_other = house.ask(
        &house.admin,
        "HEAD",
        &format!("/v2/team/other/blobs/{digest}"),
    );
    assert_eq!(in_other.status, 404);
    row(
        41,
        "",
        &format!("{refused} attempts through both doors, 0 of them found the upload"),
    );
}

const SCOPE: &str = "repository:team/app:pull,push,delete repository:team/other:pull,push,delete repository:team/never:pull,push,delete";

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}
