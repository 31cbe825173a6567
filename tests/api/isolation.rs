//! What one repository has, another one doesn't learn of.

use super::{begin, digest, image, push_blob, push_manifest, start};

#[test]
fn a_blob_of_another_repository_looks_like_one_that_never_was() {
    let (_registry, client) = start();
    let known = push_blob(&client, "private/one", b"secret");
    push_blob(&client, "public", b"something else");
    let never = digest(b"never pushed");
    for digest in [&known, &never] {
        let path = format!("/v2/public/blobs/{digest}");
        let answer = client.get(&path);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "BLOB_UNKNOWN")
        );
        assert_eq!(client.send("HEAD", &path, &[], b"").status, 404);
        let part = client.send("GET", &path, &[("Range", "bytes=0-1")], b"");
        assert_eq!(part.status, 404);
        assert_eq!(client.send("DELETE", &path, &[], b"").status, 404);
    }
    let texts = [&known, &never].map(|digest| {
        let body = client.get(&format!("/v2/public/blobs/{digest}")).body;
        String::from_utf8_lossy(&body).replace(digest.as_str(), "")
    });
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn a_manifest_that_names_a_blob_does_not_open_it() {
    let (_registry, client) = start();
    let known = push_blob(&client, "private/two", b"secret");
    assert_eq!(
        push_manifest(&client, "public", "v1", &image(b"secret")).status,
        201
    );
    assert_eq!(client.get(&format!("/v2/public/blobs/{known}")).status, 404);
}

#[test]
fn an_upload_belongs_to_its_repository() {
    let (_registry, client) = start();
    let location = begin(&client, "mine");
    let stolen = location.replace("/v2/mine/", "/v2/theirs/");
    let finish = format!("{stolen}?digest={}", digest(b"x"));
    for (method, path) in [
        ("GET", &stolen),
        ("PATCH", &stolen),
        ("PUT", &finish),
        ("DELETE", &stolen),
    ] {
        let answer = client.send(method, path, &[], b"x");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "BLOB_UPLOAD_UNKNOWN")
        );
    }
    assert_eq!(client.get(&location).status, 204);
}

#[test]
fn a_blob_deleted_in_one_repository_stays_in_the_other() {
    let (_registry, client) = start();
    let digest = push_blob(&client, "first", b"shared");
    let mount = format!("/v2/second/blobs/uploads/?mount={digest}&from=first");
    assert_eq!(client.send("POST", &mount, &[], b"").status, 201);
    let (first, second) = (
        format!("/v2/first/blobs/{digest}"),
        format!("/v2/second/blobs/{digest}"),
    );
    assert_eq!(client.send("DELETE", &first, &[], b"").status, 202);
    assert_eq!(client.get(&first).status, 404);
    assert_eq!(client.get(&second).body, b"shared");
    let anonymous = format!("/v2/third/blobs/uploads/?mount={digest}");
    assert_eq!(client.send("POST", &anonymous, &[], b"").status, 201);
    for from in ["first", "nowhere", "..", "A"] {
        let mount = format!("/v2/fourth/blobs/uploads/?mount={digest}&from={from}");
        let refused = client.send("POST", &mount, &[], b"");
        assert_eq!(refused.status, 202, "{from}");
        let location = refused.header("location").expect("an upload").to_owned();
        let finish = format!("{location}?digest={digest}");
        assert_eq!(client.send("PUT", &finish, &[], b"shared").status, 201);
        let path = format!("/v2/fourth/blobs/{digest}");
        assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    }
}
