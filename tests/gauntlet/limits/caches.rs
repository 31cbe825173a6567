//! Row 42: what is deleted in one repository is gone there at once, on every server and through
//! every cache, and stays in the other one until it is deleted there too.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::json;

use super::line::{Ends, Line, manifest};
use super::{Form, row};
use crate::api::digest;
use crate::support::postgres::Postgres;
use crate::support::s3::{ACCESS_KEY_ID, Bucket, SECRET_ACCESS_KEY};
use crate::support::{Registry, folder};

const REPOSITORIES: [&str; 2] = ["one/app", "other/app"];

/// A method, a path and headers.
type Request<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// What lies in both repositories.
struct Content {
    blob: Vec<u8>,
    blob_digest: String,
    manifest: String,
    manifest_digest: String,
}

impl Content {
    fn new(round: usize) -> Self {
        let blob = format!("blob {round}").repeat(1000).into_bytes();
        let (manifest, manifest_digest) = manifest(&format!("image {round}"));
        let blob_digest = digest(&blob);
        Self {
            blob,
            blob_digest,
            manifest,
            manifest_digest,
        }
    }

    fn push(&self, line: &mut Line, repository: &str) {
        let path = format!(
            "/v2/{repository}/blobs/uploads/?digest={}",
            self.blob_digest
        );
        let answer = line.ask("POST", &path, &[], &self.blob).expect("an answer");
        assert_eq!(answer.status, 201, "{answer:?}");
        let answer = line
            .put(repository, "v1", &self.manifest)
            .expect("an answer");
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    fn blob_path(&self, repository: &str) -> String {
        format!("/v2/{repository}/blobs/{}", self.blob_digest)
    }

    fn manifest_path(&self, repository: &str) -> String {
        format!("/v2/{repository}/manifests/{}", self.manifest_digest)
    }

    /// All ways to read it: whether each finds something.
    fn read(&self, line: &mut Line, repository: &str) -> Vec<(String, bool)> {
        let (blob, by_digest) = (self.blob_path(repository), self.manifest_path(repository));
        let by_tag = format!("/v2/{repository}/manifests/v1");
        let blob_tag = format!("\"{}\"", self.blob_digest);
        let manifest_tag = format!("\"{}\"", self.manifest_digest);
        let requests: [Request; 9] = [
            ("GET", &blob, &[]),
            ("HEAD", &blob, &[]),
            ("GET", &blob, &[("Range", "bytes=1-5")]),
            ("GET", &blob, &[("If-None-Match", &blob_tag)]),
            ("GET", &by_digest, &[]),
            ("HEAD", &by_digest, &[]),
            ("GET", &by_tag, &[]),
            ("HEAD", &by_tag, &[]),
            ("GET", &by_tag, &[("If-None-Match", &manifest_tag)]),
        ];
        let mut found = Vec::new();
        for (method, path, headers) in requests {
            let answer = line.ask(method, path, headers, b"").expect("an answer");
            assert!([200, 206, 304, 404].contains(&answer.status), "{answer:?}");
            found.push((format!("{method} {path} {headers:?}"), answer.status != 404));
        }
        let input = json!({"repositoryName": repository, "imageIds": [{"imageTag": "v1"}]});
        let answer = line.operation("BatchGetImage", input.to_string().as_bytes());
        let images = answer.expect("an answer").json()["images"]
            .as_array()
            .map_or(0, Vec::len);
        found.push((format!("BatchGetImage {repository}"), images > 0));
        let input = json!({"repositoryName": repository, "layerDigests": [self.blob_digest]});
        let answer = line.operation("BatchCheckLayerAvailability", input.to_string().as_bytes());
        let layers = answer.expect("an answer").json()["layers"].clone();
        let is_there = layers[0]["layerAvailability"] == "AVAILABLE";
        found.push((
            format!("BatchCheckLayerAvailability {repository}"),
            is_there,
        ));
        let path = format!("/v2/{repository}/tags/list");
        let answer = line.ask("GET", &path, &[], b"").expect("an answer");
        let has_tag = String::from_utf8_lossy(&answer.body).contains("\"v1\"");
        found.push((path, answer.status == 200 && has_tag));
        found
    }

    fn delete(&self, line: &mut Line, repository: &str) {
        for path in [self.manifest_path(repository), self.blob_path(repository)] {
            let answer = line.ask("DELETE", &path, &[], b"").expect("an answer");
            assert_eq!(answer.status, 202, "{path}: {answer:?}");
        }
    }
}

/// Reads without a pause, so that every cache is warm, and notes what was read of a repository
/// after it was deleted there.
fn read_until(
    over: &AtomicBool,
    host: &str,
    content: &Content,
    gone: &[Mutex<Option<Instant>>; 2],
    reads: &AtomicUsize,
) {
    let mut line = Line::to(host).expect("the server listens");
    while !over.load(Ordering::SeqCst) {
        for (repository, gone) in REPOSITORIES.iter().zip(gone) {
            for path in [
                content.blob_path(repository),
                format!("/v2/{repository}/manifests/v1"),
            ] {
                let began = Instant::now();
                let answer = line.ask("GET", &path, &[], b"").expect("an answer");
                reads.fetch_add(1, Ordering::Relaxed);
                let gone = *gone.lock().expect("not poisoned");
                let is_late = gone.is_some_and(|gone| began > gone);
                assert!(
                    answer.status == 404 || !is_late,
                    "{path} was gone: {answer:?}"
                );
            }
        }
    }
}

fn expect(lines: &mut [Line], content: &Content, repository: &str, is_there: bool) -> usize {
    let mut count = 0;
    for line in lines {
        for (what, found) in content.read(line, repository) {
            assert_eq!(found, is_there, "{what}");
            count += 1;
        }
    }
    count
}

/// Deletes here and there, round after round, on the servers in turn.
fn check(servers: &[Registry], rounds: usize, part: &str) {
    let mut lines: Vec<Line> = servers
        .iter()
        .map(|server| Line::to(server.host()).expect("the server listens"))
        .collect();
    let (mut checks, reads) = (0, AtomicUsize::new(0));
    for round in 0..rounds {
        let content = Content::new(round);
        for repository in REPOSITORIES {
            content.push(&mut lines[round % servers.len()], repository);
            checks += expect(&mut lines, &content, repository, true);
        }
        let (is_over, gone) = (AtomicBool::new(false), [Mutex::new(None), Mutex::new(None)]);
        thread::scope(|scope| {
            let ends = Ends(&is_over);
            let readers: Vec<_> = servers
                .iter()
                .map(|server| {
                    let (is_over, gone, content, reads) = (&is_over, &gone, &content, &reads);
                    scope.spawn(move || read_until(is_over, server.host(), content, gone, reads))
                })
                .collect();
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for (turn, number) in order.into_iter().enumerate() {
                let server = (round + turn) % servers.len();
                content.delete(&mut lines[server], REPOSITORIES[number]);
                *gone[number].lock().expect("not poisoned") = Some(Instant::now());
                checks += expect(&mut lines, &content, REPOSITORIES[number], false);
                let other = REPOSITORIES[1 - number];
                checks += expect(&mut lines, &content, other, turn == 0);
            }
            drop(ends);
            for reader in readers {
                reader.join().expect("nothing was read that was gone");
            }
        });
        // And back again, at once.
        content.push(&mut lines[(round + 1) % servers.len()], REPOSITORIES[0]);
        checks += expect(&mut lines, &content, REPOSITORIES[0], true);
        checks += expect(&mut lines, &content, REPOSITORIES[1], false);
    }
    row(
        42,
        part,
        &format!(
            "{rounds} images deleted in one repository and then in the other, {checks} reads right \
             behind and {} beside: each saw its own at once",
            reads.load(Ordering::Relaxed)
        ),
    );
}

#[test]
fn a_delete_is_seen_at_once_in_its_repository_and_in_no_other() {
    let registry = Registry::wharf_with(&[("WHARF__LOG__LEVEL", "warn")]);
    check(&[registry], Form::pick(20, 200), "one server");
}

#[test]
fn a_delete_is_seen_at_once_on_every_server() {
    let folder = folder();
    let key = folder.path().join("secret.key");
    fs::write(&key, "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=").expect("a file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("ours");
    let (database, bucket) = (Postgres::shared().database(), Bucket::new());
    let variables = [
        ("WHARF__DATABASE__URL", database.as_str()),
        (
            "WHARF__AUTH__SECRET_KEY_FILE",
            key.to_str().expect("plain letters"),
        ),
        ("WHARF__S3__BUCKET", bucket.name.as_str()),
        ("WHARF__S3__ENDPOINT", bucket.endpoint.as_str()),
        ("WHARF__S3__ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("WHARF__S3__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("WHARF__LOG__LEVEL", "warn"),
    ];
    let servers = [
        Registry::wharf_with(&variables),
        Registry::wharf_with(&variables),
    ];
    check(
        &servers,
        Form::pick(8, 60),
        "two servers, PostgreSQL and S3",
    );
}
