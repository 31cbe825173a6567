//! Input outside the grammar gets the specification's code, and never a failure of the server.

use super::{IMAGE, begin, image, start};

/// `{method, path, headers, body, status, code}`
type Case<'a> = (
    &'a str,
    &'a str,
    &'a [(&'a str, &'a str)],
    &'a [u8],
    u16,
    &'a str,
);

#[test]
fn input_outside_the_grammar_gets_the_code_of_the_specification() {
    let (_registry, client) = start();
    let long_name = format!("/v2/{}/tags/list", "a".repeat(256));
    let long_tag = format!("/v2/a/manifests/{}", "t".repeat(129));
    let nested = vec![b'['; 4 << 20];
    let upper = format!("/v2/a/blobs/sha256:{}", "A".repeat(64));
    let text: &[(&str, &str)] = &[("Content-Type", IMAGE)];
    let other: &[(&str, &str)] = &[("Content-Type", "application/vnd.oci.image.index.v1+json")];
    let page: &[(&str, &str)] = &[("Content-Type", "text/html")];
    let old: &[(&str, &str)] = &[(
        "Content-Type",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    )];
    let odd: &[(&str, &str)] = &[("Content-Type", "no type at all")];
    let manifest = image(b"{}").to_string();
    let manifest = manifest.as_bytes();
    let mut untyped = image(b"{}");
    untyped
        .as_object_mut()
        .expect("an object")
        .remove("mediaType");
    let untyped = untyped.to_string();
    let untyped = untyped.as_bytes();

    let cases: &[Case<'_>] = &[
        ("GET", "/v2/A/tags/list", &[], b"", 400, "NAME_INVALID"),
        ("GET", "/v2/-a/tags/list", &[], b"", 400, "NAME_INVALID"),
        ("GET", "/v2/a//b/tags/list", &[], b"", 400, "NAME_INVALID"),
        ("GET", "/v2/a/../b/tags/list", &[], b"", 400, "NAME_INVALID"),
        ("GET", "/v2/%2e%2e/tags/list", &[], b"", 400, "NAME_INVALID"),
        ("GET", "/v2/a%00b/tags/list", &[], b"", 400, "NAME_INVALID"),
        ("GET", "/v2/%ff%fe/tags/list", &[], b"", 400, "NAME_INVALID"),
        (
            "GET",
            "/v2/a%0d%0aX:%20y/tags/list",
            &[],
            b"",
            400,
            "NAME_INVALID",
        ),
        ("GET", &long_name, &[], b"", 400, "NAME_INVALID"),
        (
            "POST",
            "/v2/A/blobs/uploads/",
            &[],
            b"",
            400,
            "NAME_INVALID",
        ),
        ("GET", "/v2/a/manifests/-v1", &[], b"", 400, "TAG_INVALID"),
        ("GET", "/v2/a/manifests/.v1", &[], b"", 400, "TAG_INVALID"),
        ("GET", "/v2/a/manifests/v%2f1", &[], b"", 400, "TAG_INVALID"),
        ("GET", &long_tag, &[], b"", 400, "TAG_INVALID"),
        (
            "PUT",
            "/v2/a/manifests/v1?tag=-no",
            text,
            manifest,
            400,
            "TAG_INVALID",
        ),
        (
            "GET",
            "/v2/a/manifests/sha256:00",
            &[],
            b"",
            400,
            "DIGEST_INVALID",
        ),
        ("GET", "/v2/a/blobs/latest", &[], b"", 400, "DIGEST_INVALID"),
        (
            "GET",
            "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e",
            &[],
            b"",
            400,
            "DIGEST_INVALID",
        ),
        ("HEAD", &upper, &[], b"", 400, ""),
        ("GET", &upper, &[], b"", 400, "DIGEST_INVALID"),
        (
            "DELETE",
            "/v2/a/blobs/sha256:..%2f..%2fetc",
            &[],
            b"",
            400,
            "DIGEST_INVALID",
        ),
        (
            "GET",
            "/v2/a/referrers/latest",
            &[],
            b"",
            400,
            "DIGEST_INVALID",
        ),
        (
            "POST",
            "/v2/a/blobs/uploads/?digest=nope",
            &[],
            b"x",
            400,
            "DIGEST_INVALID",
        ),
        (
            "POST",
            "/v2/a/blobs/uploads/?digest-algorithm=md5",
            &[],
            b"",
            400,
            "DIGEST_INVALID",
        ),
        (
            "GET",
            "/v2/a/tags/list?n=-1",
            &[],
            b"",
            400,
            "PAGINATION_NUMBER_INVALID",
        ),
        (
            "GET",
            "/v2/a/tags/list?n=abc",
            &[],
            b"",
            400,
            "PAGINATION_NUMBER_INVALID",
        ),
        (
            "GET",
            "/v2/_catalog?n=1e3",
            &[],
            b"",
            400,
            "PAGINATION_NUMBER_INVALID",
        ),
        (
            "GET",
            "/v2/a/tags/list?n=99999999999999999999",
            &[],
            b"",
            404,
            "NAME_UNKNOWN",
        ),
        (
            "PUT",
            "/v2/a/manifests/v1",
            text,
            b"",
            400,
            "MANIFEST_INVALID",
        ),
        (
            "PUT",
            "/v2/a/manifests/v1",
            text,
            b"{",
            400,
            "MANIFEST_INVALID",
        ),
        (
            "PUT",
            "/v2/a/manifests/v1",
            text,
            b"[]",
            400,
            "MANIFEST_INVALID",
        ),
        (
            "PUT",
            "/v2/a/manifests/v1",
            text,
            b"\xff\xfe",
            400,
            "MANIFEST_INVALID",
        ),
        (
            "PUT",
            "/v2/a/manifests/v1",
            text,
            &nested,
            400,
            "MANIFEST_INVALID",
        ),
        (
            "PUT",
            "/v2/a/manifests/v1",
            other,
            manifest,
            400,
            "MANIFEST_INVALID",
        ),
        (
            "PUT",
            "/v2/a/manifests/v1",
            odd,
            manifest,
            400,
            "MANIFEST_INVALID",
        ),
        (
            "GET",
            "/v2/a/blobs/uploads/nope",
            &[],
            b"",
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (
            "PATCH",
            "/v2/a/blobs/uploads/..%2f..%2fx",
            &[],
            b"x",
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (
            "GET",
            "/v2/nowhere/tags/list",
            &[],
            b"",
            404,
            "NAME_UNKNOWN",
        ),
        (
            "GET",
            "/v2/nowhere/manifests/v1",
            &[],
            b"",
            404,
            "MANIFEST_UNKNOWN",
        ),
        (
            "DELETE",
            "/v2/nowhere/manifests/v1",
            &[],
            b"",
            404,
            "MANIFEST_UNKNOWN",
        ),
        // What a browser would show, and docker's schema 1, is no manifest.
        (
            "PUT",
            "/v2/a/manifests/v1",
            page,
            untyped,
            400,
            "MANIFEST_INVALID",
        ),
        (
            "PUT",
            "/v2/a/manifests/v1",
            old,
            untyped,
            400,
            "MANIFEST_INVALID",
        ),
        ("GET", "/v2/nothing/here", &[], b"", 404, "UNSUPPORTED"),
        ("POST", "/v2/a/tags/list", &[], b"", 405, "UNSUPPORTED"),
        ("PATCH", "/v2/a/manifests/v1", &[], b"", 405, "UNSUPPORTED"),
    ];
    for (method, path, headers, body, status, code) in cases {
        let answer = client.send(method, path, headers, body);
        assert_eq!(answer.status, *status, "{method} {path}: {answer:?}");
        if *method != "HEAD" {
            assert_eq!(answer.code(), *code, "{method} {path}");
        }
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{method} {path}"
        );
        assert_eq!(
            answer.header("content-security-policy"),
            Some("default-src 'none'; sandbox"),
            "{method} {path}"
        );
    }
}

#[test]
fn chunks_that_lie_wrong_are_told_where_the_upload_stands() {
    let (_registry, client) = start();
    let location = begin(&client, "chunks");
    let sent = client.send(
        "PATCH",
        &location,
        &[("Content-Range", "0-9")],
        b"0123456789",
    );
    assert_eq!((sent.status, sent.header("range")), (202, Some("0-9")));
    for range in ["10-8", "x-y", "10", "-10", "0-9", "11-20", "bytes 0-9/*"] {
        let headers = [("Content-Range", range)];
        let answer = client.send("PATCH", &location, &headers, b"0123456789");
        assert_eq!(answer.status, 416, "{range}: {answer:?}");
        assert_eq!(answer.code(), "BLOB_UPLOAD_INVALID");
        assert_eq!(answer.header("range"), Some("0-9"));
        assert_eq!(answer.header("location"), Some(location.as_str()));
    }
    let short = client.send(
        "PATCH",
        &location,
        &[("Content-Range", "10-29")],
        b"0123456789",
    );
    assert_eq!((short.status, short.code().as_str()), (400, "SIZE_INVALID"));
    let status = client.get(&location);
    assert_eq!((status.status, status.header("range")), (204, Some("0-9")));
}

#[test]
fn an_upload_ends_with_a_digest_or_not_at_all() {
    let (_registry, client) = start();
    let location = begin(&client, "ends");
    let without = client.send("PUT", &location, &[], b"content");
    assert_eq!(
        (without.status, without.code().as_str()),
        (400, "DIGEST_INVALID")
    );
    let wrong = format!("{location}?digest={}", super::digest(b"other"));
    let answer = client.send("PUT", &wrong, &[], b"content");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "DIGEST_INVALID")
    );
    for bytes in [b"other".as_slice(), b"content"] {
        let path = format!("/v2/ends/blobs/{}", super::digest(bytes));
        assert_eq!(client.get(&path).status, 404);
    }
}
