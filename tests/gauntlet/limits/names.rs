//! Row 30: names that lead elsewhere, in raw request lines, on every route of both doors.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::line::Line;
use super::{Form, row};
use crate::support::Registry;

/// What lies where traversal would lead, and must never be told.
const BAIT: &str = "CANARY-of-bait";

/// Names as their bytes stand in a request line.
fn names() -> Vec<Vec<u8>> {
    let texts = [
        "..",
        ".",
        "../..",
        "../bait",
        "../../bait",
        "a/../../bait",
        "a/./b",
        "a//b",
        "/a",
        "a/",
        "//",
        "%2e%2e",
        "%2e%2e/%2e%2e/bait",
        "..%2fbait",
        "%2e%2e%2fbait",
        "..%2F..%2Fbait",
        "a%2fb",
        "%252e%252e%252fbait",
        "%25252e%25252e%25252fbait",
        "..%c0%afbait",
        "%c0%ae%c0%ae/bait",
        "..\\bait",
        "..%5cbait",
        "%5c..%5cbait",
        "%00",
        "a%00b",
        "bait%00",
        "a%0d%0aX:%20y",
        "%0a",
        "%7f",
        "%c3%bc",
        "ü",
        "日本",
        "%ff%fe",
        "%f0%9f%9a%a2",
        "🚢",
        "%e2%80%ae",
        "A",
        "-a",
        "a-",
        "_a",
        "a..b",
        "a__b",
        "a___b",
        "a.-b",
        "%20",
        "a%20b",
        "a+b",
        "%",
        "%g1",
        "%2",
        "%u002e%u002e",
        "a;b",
        "a&b=c",
        "a%3fb",
        "a%23b",
        "~",
        "~root",
        "$(id)",
        "`id`",
        "%7bid%7d",
        "*",
        "a'b",
        "a%22b",
        "a%27%20or%201=1--",
        "_catalog",
        "manifests",
        "blobs/uploads",
        "a/manifests/b/tags/list",
        "tags/list",
        "con",
        "nul",
        "etc/passwd",
        "../../../../../../etc/passwd",
        "proc/self/environ",
        "file:///etc/passwd",
        "http://127.0.0.1/",
        "@127.0.0.1",
        ":80",
        "sha256:",
        "sha256:..",
        "sha256:../../bait",
        "sha256:%2e%2e%2fbait",
        "sha512:zz",
        "md5:00",
        ":",
        "a:b:c",
        "latest@sha256:00",
    ];
    let mut names: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    names.extend([
        b"\xff\xfe".to_vec(),
        b"a\x80b".to_vec(),
        b"\xc0\xaf".to_vec(),
    ]);
    names.extend([
        b"a\x00b".to_vec(),
        b"a\x01b".to_vec(),
        b"a\tb".to_vec(),
        b"a\x7fb".to_vec(),
    ]);
    let long = [
        "a".repeat(128),
        "a".repeat(129),
        "a".repeat(255),
        "a".repeat(256),
        "a".repeat(5000),
        format!("{}a", "a/".repeat(127)),
        format!("{}a", "a/".repeat(2500)),
        "%2e".repeat(1000),
        "../".repeat(1000),
        "%00".repeat(300),
        format!("sha256:{}", "a".repeat(5000)),
        format!("sha256:{}", "0".repeat(64)),
        "ü".repeat(128),
    ];
    names.extend(long.map(String::into_bytes));
    names
}

const METHODS: [&str; 6] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"];

/// Routes with a place for a name, `{}`.
const ROUTES: [&str; 33] = [
    "/{}",
    "/v2/{}",
    "/v2/{}/manifests/v1",
    "/v2/{}/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/v2/{}/blobs/uploads/",
    "/v2/{}/blobs/uploads/0192d1e0-0000-7000-8000-000000000000",
    "/v2/{}/tags/list",
    "/v2/{}/referrers/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/v2/team/app/manifests/{}",
    "/v2/team/app/blobs/{}",
    "/v2/team/app/blobs/uploads/{}",
    "/v2/team/app/blobs/uploads/?digest={}",
    "/v2/team/app/blobs/uploads/?mount={}&from=team/app",
    "/v2/team/app/blobs/uploads/?mount=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855&from={}",
    "/v2/team/app/referrers/{}",
    "/v2/team/app/referrers/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855?artifactType={}",
    "/v2/team/app/tags/list?last={}",
    "/v2/_catalog?last={}",
    "/token?scope=repository:{}:pull",
    "/token?account={}&service={}",
    "/leases/{}",
    "/events?repository={}&after=oldest",
    "/events?type={}&after={}",
    "/admin/v1/users/{}",
    "/admin/v1/robots/{}",
    "/admin/v1/keys/{}",
    "/admin/v1/signing-keys/{}",
    "/admin/v1/policies/{}",
    "/admin/v1/policies/repository/{}",
    "/admin/v1/trusts/{}",
    "/admin/v1/endpoints/{}",
    "/admin/v1/endpoints/{}/dead-letters",
    "/admin/v1/audit?principal={}&resource={}",
];

/// Inputs of operations with a place for a name.
const OPERATIONS: [(&str, &str); 18] = [
    ("CreateRepository", "repositoryName"),
    ("DeleteRepository", "repositoryName"),
    ("DescribeImages", "repositoryName"),
    ("PutImage", "repositoryName"),
    ("PutImage", "imageTag"),
    ("PutImage", "imageDigest"),
    ("InitiateLayerUpload", "repositoryName"),
    ("UploadLayerPart", "uploadId"),
    ("CompleteLayerUpload", "uploadId"),
    ("CompleteLayerUpload", "layerDigests"),
    ("GetDownloadUrlForLayer", "layerDigest"),
    ("BatchGetImage", "imageTag"),
    ("ListImages", "nextToken"),
    ("TagResource", "resourceArn"),
    ("CreateRepositoryCreationTemplate", "prefix"),
    ("CreatePullThroughCacheRule", "ecrRepositoryPrefix"),
    ("SetRepositoryPolicy", "repositoryName"),
    ("RegisterPullTimeUpdateExclusion", "principalArn"),
];

/// Sends a request as its bytes are, and gives the status and the rest of the answer.
fn ask(host: &str, method: &str, path: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(host).expect("the server listens");
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience).expect("a timeout is set");
    let head =
        "HTTP/1.1\r\nHost: registry\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let request = [
        method.as_bytes(),
        b" ",
        path,
        b" ",
        head.as_bytes(),
        b"Content-Length: 2\r\n\r\n{}",
    ];
    let mut answer = Vec::new();
    // A request that is refused early ends with a reset; the answer came before.
    let _ = stream.write_all(&request.concat());
    let _ = stream.read_to_end(&mut answer);
    let status = answer.split(|byte| *byte == b' ').nth(1);
    let status = status.and_then(|bytes| str::from_utf8(bytes).ok()?.parse().ok());
    let path = path.escape_ascii().to_string();
    (
        status.unwrap_or_else(|| panic!("no answer to {method} {path:.200}")),
        answer,
    )
}

/// All paths below a folder.
fn below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        found.insert(path.to_string_lossy().into_owned());
        if path.is_dir() {
            below(&path, found);
        }
    }
}

/// Asks everything of a server.
fn check(registry: &Registry, part: &str) {
    let data = registry.data();
    let outside = data.parent().expect("a folder around it").to_owned();
    fs::create_dir(outside.join("etc")).expect("a folder");
    for bait in ["bait", "etc/passwd"] {
        fs::write(outside.join(bait), BAIT).expect("a file");
    }
    fs::write(data.join("bait"), BAIT).expect("a file");
    let here = std::env::current_dir().expect("a folder");
    let around = |folder: &Path| -> BTreeSet<_> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        entries.map(|entry| entry.file_name()).collect()
    };
    let before = [
        around(&outside),
        around(&here),
        around(&outside.join("etc")),
    ];
    let (mut asked, mut wrong) = (0, Vec::new());
    let names = names();
    for (number, name) in names.iter().enumerate() {
        for (place, route) in ROUTES.iter().enumerate() {
            for (turn, method) in METHODS.iter().enumerate() {
                // The short form takes every third of them, others for each name.
                if (number + place + turn) % Form::pick(3, 1) != 0 {
                    continue;
                }
                let pieces: Vec<&[u8]> = route.split("{}").map(str::as_bytes).collect();
                let path = pieces.join(&name[..]);
                let (status, answer) = ask(registry.host(), method, &path);
                asked += 1;
                let tells = answer
                    .windows(BAIT.len())
                    .any(|bytes| bytes == BAIT.as_bytes());
                if status >= 500 || tells {
                    let path = path.escape_ascii().to_string();
                    wrong.push(format!("{method} {path:.120}: {status}"));
                }
            }
        }
    }
    let mut line = Line::to(registry.host()).expect("the server listens");
    for name in &names {
        let text = String::from_utf8_lossy(name).into_owned();
        for (operation, member) in OPERATIONS {
            let mut input = json!({
                "repositoryName": "team/app",
                "imageManifest": "{}",
                "imageIds": [{"imageTag": text}],
                "uploadId": "0192d1e0-0000-7000-8000-000000000000",
                "layerDigests": ["sha256:00"],
                "partFirstByte": 0, "partLastByte": 1, "layerPartBlob": "YWI=",
                "tags": [{"Key": text, "Value": text}],
                "appliedFor": ["CREATE_ON_PUSH"],
                "upstreamRegistryUrl": "registry.example",
                "policyText": "{}",
            });
            input[member] = match member {
                "layerDigests" => json!([text]),
                _ => json!(text),
            };
            let answer = line.operation(operation, input.to_string().as_bytes());
            let answer = answer.expect("an answer");
            asked += 1;
            if answer.status >= 500 {
                wrong.push(format!(
                    "{operation} {member} {text:.60}: {}",
                    answer.status
                ));
            }
        }
    }
    let after = [
        around(&outside),
        around(&here),
        around(&outside.join("etc")),
    ];
    assert_eq!(before, after, "nothing appeared outside");
    let mut inside = BTreeSet::new();
    below(&data, &mut inside);
    let baits = inside.iter().filter(|path| path.contains("bait")).count();
    assert_eq!(baits, 1, "{inside:#?}");
    assert!(wrong.is_empty(), "{} of {asked}: {wrong:#?}", wrong.len());
    row(
        30,
        part,
        &format!(
            "{} names on {} routes and in {} operations, {asked} requests: none answered 5xx, \
             nothing appeared outside",
            names.len(),
            ROUTES.len(),
            OPERATIONS.len(),
        ),
    );
}

#[test]
fn names_that_lead_elsewhere_lead_nowhere_on_sqlite() {
    check(
        &Registry::wharf_with(&[("WHARF__LOG__LEVEL", "error")]),
        "SQLite",
    );
}

#[test]
fn names_that_lead_elsewhere_lead_nowhere_on_postgresql() {
    let database = crate::support::postgres::Postgres::shared().database();
    let variables = [
        ("WHARF__DATABASE__URL", database.as_str()),
        ("WHARF__LOG__LEVEL", "error"),
    ];
    check(&Registry::wharf_with(&variables), "PostgreSQL");
}
