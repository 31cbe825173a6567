//! Blobs and uploads in a bucket: all that a registry does, and what a store may do to it.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::access::user;
use crate::api::http::Client;
use crate::api::{begin, content, digest, push_blob, push_manifest, resume};
use crate::ecr::Account;
use crate::support::image::{self, same_blobs};
use crate::support::s3::{ACCESS_KEY_ID, Bucket, Fate, Proxy, SECRET_ACCESS_KEY};
use crate::support::wait::until;
use crate::support::{Command, Registry, folder};
use crate::{official, own_suite};

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: usize = 1 << 20;

/// The variables of a server on a bucket, and further ones.
fn bucket_variables<'a>(
    bucket: &'a Bucket,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut variables = vec![
        ("WHARF__S3__BUCKET", bucket.name.as_str()),
        ("WHARF__S3__ENDPOINT", bucket.endpoint.as_str()),
        ("WHARF__S3__ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("WHARF__S3__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("WHARF__S3__PREFIX", "registry/one"),
        ("WHARF__S3__PART_SIZE", "5MiB"),
    ];
    variables.extend(more);
    variables
}

/// Wharf on a bucket, with further variables.
fn wharf_on(bucket: &Bucket, more: &[(&str, &str)]) -> Registry {
    Registry::wharf_with(&bucket_variables(bucket, more))
}

fn wharf() -> Registry {
    wharf_on(&Bucket::new(), &[])
}

#[test]
fn the_official_suites_pass_whole_on_a_bucket() {
    for version in ["1.1", "dev"] {
        official::passes(version, &wharf(), None, " on S3");
    }
}

#[test]
fn our_own_suite_passes_whole_on_a_bucket() {
    own_suite::passes(&wharf(), " on S3");
}

#[test]
fn skopeo_copies_an_image_to_a_bucket_and_back() {
    for redirect in ["false", "true"] {
        let registry = wharf_on(&Bucket::new(), &[("WHARF__S3__REDIRECT", redirect)]);
        let folder = folder();
        let (source, _) = image::layout(folder.path().join("source"), "v1");
        let target = folder.path().join("target");
        let name = format!("docker://{}", registry.image("team/layout:v1"));
        let layout = |path: &Path| format!("oci:{}:v1", path.display());
        for (from, to) in [(layout(&source), name.clone()), (name, layout(&target))] {
            let plain = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
            let skopeo = Command::tool("skopeo").arg("--insecure-policy").args(plain);
            skopeo.args([from, to]).succeeds();
        }
        assert!(same_blobs(&source, &target));
    }
}

#[test]
fn a_blob_of_40_mib_comes_in_small_requests_and_goes_on_after_kills() {
    let bucket = Bucket::new();
    let mut registry = wharf_on(&bucket, &[]);
    let mut client = Client::new(registry.base());
    let bytes = content(40 * MIB);
    let location = begin(&client, "small/requests");
    let (mut offset, mut kills) = (0, 0);
    while offset < bytes.len() {
        if offset > (kills + 1) * 12 * MIB {
            kills += 1;
            let mut stream = client.open("PATCH", &location, &[], Some(2 * MIB));
            let sent = stream.write_all(&bytes[offset..offset + MIB]);
            sent.expect("a part is sent");
            registry.kill();
            registry.start_again();
            client = Client::new(registry.base());
            offset = resume::wait_for_offset(&client, &location, offset);
        }
        let end = bytes.len().min(offset + 400_000);
        let range = format!("{offset}-{}", end - 1);
        let headers = [("Content-Range", range.as_str())];
        let sent = client.send("PATCH", &location, &headers, &bytes[offset..end]);
        assert_eq!(sent.status, 202, "{sent:?}");
        offset = end;
    }
    assert_eq!(kills, 3);
    let path = format!("{location}?digest={}", digest(&bytes));
    let done = client.send("PUT", &path, &[], b"");
    assert_eq!(done.status, 201, "{done:?}");
    let blob = client.get(done.header("location").expect("a location"));
    assert!(blob.body == bytes, "the blob differs");
    let upload = location.rsplit('/').next().expect("an id");
    until("the pieces go", PATIENCE, || {
        let left = bucket.entries(&format!("registry/one/data/{upload}"));
        (left == 1 && bucket.multiparts() == 0).then_some(())
    });
}

#[test]
fn a_kill_in_the_middle_leaves_no_multipart_after_the_sweep() {
    let bucket = Bucket::new();
    let mut registry = wharf_on(
        &bucket,
        &[
            ("WHARF__UPLOADS__EXPIRE_AFTER", "2s"),
            ("WHARF__UPLOADS__SWEEP_EVERY", "200ms"),
        ],
    );
    let client = Client::new(registry.base());
    let location = begin(&client, "killed");
    let sent = client.send("PATCH", &location, &[], &content(MIB));
    assert_eq!(sent.status, 202);
    let mut stream = client.open("PATCH", &location, &[], Some(64 * MIB));
    let sent = stream.write_all(&content(12 * MIB));
    sent.expect("a part is sent");
    until("a multipart begins", PATIENCE, || {
        (bucket.multiparts() > 0).then_some(())
    });
    registry.kill();
    drop(stream);
    assert!(bucket.multiparts() > 0);
    registry.start_again();
    until("the multipart goes", PATIENCE, || {
        (bucket.multiparts() == 0).then_some(())
    });
    let client = Client::new(registry.base());
    assert_eq!(client.get(&location).status, 404);
    let upload = location.rsplit('/').next().expect("an id");
    until("its pieces go", PATIENCE, || {
        let left = bucket.entries(&format!("registry/one/data/{upload}"));
        (left == 0).then_some(())
    });
}

#[test]
fn pulls_are_sent_to_the_store_where_clients_follow() {
    let registry = wharf_on(
        &Bucket::new(),
        &[
            ("WHARF__S3__REDIRECT", "true"),
            ("WHARF__S3__NO_REDIRECT_FOR", "[\"old-client\"]"),
        ],
    );
    let client = Client::new(registry.base());
    let bytes = content(100_000);
    let path = format!("/v2/sent/blobs/{}", push_blob(&client, "sent", &bytes));
    let sent = client.get(&path);
    assert_eq!((sent.status, sent.body.len()), (307, 0), "{sent:?}");
    let address = sent.header("location").expect("an address").to_owned();
    let (host, target) = address
        .strip_prefix("http://")
        .and_then(|address| address.split_once('/'))
        .expect("plain HTTP");
    let store = Client::new(&format!("http://{host}"));
    let whole = store.get(&format!("/{target}"));
    assert!(whole.status == 200 && whole.body == bytes, "{address}");
    let kind = whole.header("content-type");
    assert_eq!(kind, Some("application/octet-stream"));
    let part = [("Range", "bytes=10-19")];
    let part = store.send("GET", &format!("/{target}"), &part, b"");
    assert!(part.status == 206 && part.body == bytes[10..20]);

    let here = |method, headers: &[(&str, &str)]| client.send(method, &path, headers, b"").status;
    assert_eq!(here("HEAD", &[]), 200);
    assert_eq!(here("GET", &[("X-Wharf-Redirect", "off")]), 200);
    assert_eq!(here("GET", &[("User-Agent", "an old-client/1")]), 200);
    assert_eq!(here("GET", &[("Range", "bytes=0-1,5-6")]), 206);
    assert_eq!(here("GET", &[("Range", "bytes=0-1")]), 307);
    assert_eq!(here("GET", &[("Range", "bytes=900000-")]), 416);
    let etag = format!("\"{}\"", digest(&bytes));
    assert_eq!(here("GET", &[("If-None-Match", &etag)]), 304);
    let elsewhere = client.get(&path.replace("/sent/", "/unseen/"));
    assert_eq!(elsewhere.status, 404);
    push_manifest(&client, "sent", "v1", &crate::api::image(&bytes));
    assert_eq!(client.get("/v2/sent/manifests/v1").status, 200);
}

#[test]
fn the_ecr_door_gives_addresses_of_the_store() {
    let bucket = Bucket::new();
    let account = Account::with(&bucket_variables(
        &bucket,
        &[("WHARF__S3__REDIRECT", "true")],
    ));
    let bytes = content(1000);
    let client = Client::new(account.registry.base());
    let login = user(&account.registry, "puller", "write", "*");
    let path = format!("/v2/ecr/sent/blobs/uploads/?digest={}", digest(&bytes));
    let basic = login.basic();
    let headers = [("Authorization", basic.as_str())];
    assert_eq!(client.send("POST", &path, &headers, &bytes).status, 201);
    let told = account.ask([
        "get-download-url-for-layer",
        "--repository-name",
        "ecr/sent",
        "--layer-digest",
        &digest(&bytes),
    ]);
    let address = told["downloadUrl"].as_str().expect("an address");
    let path = address.strip_prefix(&bucket.endpoint).expect("the store's");
    let answer = Client::new(&bucket.endpoint).get(path);
    assert!(answer.status == 200 && answer.body == bytes, "{address}");
}

/// Reads as much of an answer as comes: its status, how long it says that it is, and the body.
fn get_some(client: &Client, path: &str) -> (u16, usize, Vec<u8>) {
    let mut stream = client.open("GET", path, &[], Some(0));
    let mut answer = Vec::new();
    // A connection that breaks is what the caller looks for.
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let body = answer.split_off(end.expect("a head") + 4);
    let head = String::from_utf8(answer).expect("a head is a text");
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
    let mut lines = head.lines();
    let said = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    (status.expect("a status"), said.expect("a length"), body)
}

/// Row 6: no wrong byte, no false 201, and nothing is left after the sweep.
#[test]
fn faults_of_the_store_lose_and_change_nothing() {
    const FATES: [Fate; 5] = [
        Fate::Fail(500),
        Fate::Fail(503),
        Fate::Swallow,
        Fate::Cut,
        Fate::Delay(Duration::from_millis(700)),
    ];
    let bucket = Bucket::new();
    // Runs of faults that are longer than the retries, times without any, and every other answer
    // to a completion lost.
    let is_well = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_well);
    let proxy = Proxy::start(bucket.host(), move |passing| {
        if seen.load(Ordering::Relaxed) {
            return Fate::Pass;
        }
        let is_completion = passing.method == "POST" && passing.target.contains("uploadId=");
        match passing.number % 24 {
            phase @ 0..9 if passing.number > 24 => {
                FATES[(passing.number / 24 + phase) % FATES.len()]
            }
            phase if is_completion && phase % 2 == 0 => Fate::Swallow,
            _ => Fate::Pass,
        }
    });
    let registry = wharf_on(
        &bucket.through(&proxy),
        &[
            ("WHARF__S3__TIMEOUT", "500ms"),
            ("WHARF__S3__RETRY_FOR", "200ms"),
            ("WHARF__UPLOADS__EXPIRE_AFTER", "10s"),
            ("WHARF__UPLOADS__SWEEP_EVERY", "300ms"),
        ],
    );
    let client = Client::new(registry.base());
    let (mut kept, mut refused, mut broken) = (Vec::new(), 0, 0);
    for number in 0..40_usize {
        let mut bytes = content([10, 300_000, 11 * MIB][number % 3]);
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let digest = digest(&bytes);
        let path = format!("/v2/faulty/blobs/uploads/?digest={digest}");
        match client.send("POST", &path, &[], &bytes).status {
            201 => kept.push((digest, bytes)),
            503 => refused += 1,
            status => panic!("{status} for {number}"),
        }
    }
    let mut read = 0;
    for (digest, bytes) in &kept {
        // A broken answer is shorter than it says, and the next one is tried.
        until("a whole answer", PATIENCE, || {
            let (status, said, body) = get_some(&client, &format!("/v2/faulty/blobs/{digest}"));
            match status {
                200 if body == *bytes => {
                    read += 1;
                    return Some(());
                }
                200 => {
                    assert_eq!(said, bytes.len());
                    assert!(bytes.starts_with(&body), "a wrong byte");
                }
                503 => {}
                status => panic!("{status} for {digest}"),
            }
            broken += 1;
            None
        });
    }
    is_well.store(true, Ordering::Relaxed);
    until("no multipart is left", PATIENCE, || {
        (bucket.multiparts() == 0).then_some(())
    });
    until("nothing but blobs is left", PATIENCE, || {
        eprintln!(
            "{} {} {}",
            bucket.objects("registry/one/data"),
            bucket.entries("registry/one/index"),
            kept.len()
        );
        (bucket.objects("registry/one/data") == kept.len()).then_some(())
    });
    let faults = proxy.faults();
    let line = format!(
        "store faults: {faults} injected, {} pushes kept and {refused} refused, {read} blobs read \
         whole, {broken} answers broken off or refused",
        kept.len()
    );
    // Past the capture of the test harness, for the closing lines of a run.
    writeln!(std::io::stdout(), "{line}").expect("the line is printed");
    assert!(faults > 30 && kept.len() > 10 && read == kept.len());
}
