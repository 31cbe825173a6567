//! Row 3: the disk is full, a real one of 64 MiB.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::acknowledged::{Acknowledged, brief};
use super::faulty_disk::MountPoint;
use super::faulty_disk::random::Random;
use super::{Form, row};
use crate::api::http::{Answer, Client};
use crate::api::{IMAGE, digest};
use crate::support::{Registry, wait};
use std::time::Duration;

/// How large the disk is.
const MIB: usize = 64;

/// A file system in memory of a fixed size.
struct SmallDisk {
    place: MountPoint,
}

impl SmallDisk {
    fn new() -> Self {
        let place = MountPoint::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={MIB}m"), "tmpfs"]);
        let status = mount.arg(place.path()).status().expect("mount runs");
        assert!(status.success(), "root may mount");
        Self { place }
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    /// Takes all the space that is left, and gives the file that did.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.path().join("ballast");
        let mut file = fs::File::create(&path).expect("a file");
        for length in [1 << 20, 4096] {
            while std::io::Write::write_all(&mut file, &vec![1; length]).is_ok() {}
        }
        path
    }
}

/// What is told when there is no space: 507 or 503, with a code and without a path.
fn assert_full(answer: &Answer, when: &str) {
    let text = brief(answer);
    assert!([507, 503].contains(&answer.status), "{when}: {text}");
    assert_ne!(answer.code(), "", "{when}: {text}");
    let told = ["/tmp", "data/", "sqlite", "uploads/"]
        .iter()
        .find(|word| text.contains(**word));
    assert_eq!(told, None, "{when}: {text}");
}

/// A registry on a small disk, with an image that reads and deletes are tried on.
fn start(disk: &SmallDisk) -> (Registry, Acknowledged) {
    let short = [
        ("WHARF__GC__KEEP_DELETED", "0s"),
        ("WHARF__GC__GRACE", "1s"),
        ("WHARF__GC__KEEP_CONDEMNED", "0s"),
        ("WHARF__UPLOADS__SWEEP_EVERY", "200ms"),
    ];
    let mut registry = Registry::wharf_at(&disk.path().join("data"), &short);
    registry.start_again();
    let client = Client::new(registry.base());
    let mut writer = Acknowledged::new("full/kept", 1).collected();
    for tag in ["a", "b", "c"] {
        writer.push_image(&client, tag).expect("there is space");
    }
    (registry, writer)
}

/// Blobs of a size until there is no more space; gives how many there are, and the refusal.
fn push_until_full(client: &Client, random: &mut Random, length: usize) -> (Vec<String>, Answer) {
    let mut pushed = Vec::new();
    loop {
        let bytes = random.bytes(length);
        let digest = digest(&bytes);
        let path = format!("/v2/full/blobs/blobs/uploads/?digest={digest}");
        let answer = client.send("POST", &path, &[], &bytes);
        if answer.status != 201 {
            return (pushed, answer);
        }
        pushed.push(digest);
        assert!(pushed.len() * length < MIB << 20, "it fits no more");
    }
}

/// Manifests until there is no more space.
fn push_manifests_until_full(client: &Client, random: &mut Random) -> (usize, Answer) {
    for count in 0.. {
        let note: String = random
            .bytes(200_000)
            .iter()
            .map(|byte| char::from(b'a' + byte % 26))
            .collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2},
            "layers": [],
            "annotations": {"note": note},
        });
        let path = format!("/v2/full/manifests/manifests/t{count}");
        let body = manifest.to_string();
        let answer = client.send("PUT", &path, &[("Content-Type", IMAGE)], body.as_bytes());
        if answer.status != 201 {
            return (count, answer);
        }
        assert!(count * 200_000 < MIB << 20, "it fits no more");
    }
    unreachable!("a disk has an end")
}

#[test]
fn a_disk_that_blobs_have_filled_serves_deletes_and_recovers() {
    let disk = SmallDisk::new();
    let (mut registry, mut kept) = start(&disk);
    let client = Client::new(registry.base());
    let mut random = Random::new(3);
    let rounds = Form::pick(1, 3);
    let mut pushed = 0;
    for round in 0..rounds {
        // Large ones leave some space, and small ones take that too.
        let mut blobs = Vec::new();
        for length in [5 << 20, 300_000, 10_000, 500] {
            let (more, answer) = push_until_full(&client, &mut random, length);
            assert_full(&answer, &format!("a blob of {length} bytes"));
            blobs.extend(more);
        }
        pushed += blobs.len();
        let uploads = fs::read_dir(registry.data().join("uploads")).expect("a folder");
        assert_eq!(
            uploads.count(),
            0,
            "what was refused at once leaves nothing behind"
        );
        kept.check(&client, "while the disk is full");
        let deleted = kept.delete_manifest(&client);
        deleted.unwrap_or_else(|answer| panic!("a delete goes on: {}", brief(&answer)));
        for digest in &blobs {
            let answer = client.send(
                "DELETE",
                &format!("/v2/full/blobs/blobs/{digest}"),
                &[],
                b"",
            );
            assert_eq!(answer.status, 202, "a delete goes on: {}", brief(&answer));
        }
        // What was deleted comes back as the documents say: in steps, each after its time.
        let bytes = random.bytes(5 << 20);
        let path = format!("/v2/full/blobs/blobs/uploads/?digest={}", digest(&bytes));
        wait::until("the bytes are collected", Duration::from_secs(30), || {
            registry.administer(["gc", "run"]).succeeds();
            let answer = client.send("POST", &path, &[], &bytes);
            if answer.status == 201 {
                return Some(());
            }
            assert_full(&answer, "a push while nothing is collected");
            None
        });
        let pushed = kept.push_image(&client, &format!("again{round}"));
        pushed.unwrap_or_else(|answer| panic!("there is space again: {}", brief(&answer)));
        kept.check(&client, "with space again");
    }
    registry.kill();
    registry.start_again();
    kept.check(&Client::new(registry.base()), "after a restart");
    registry.kill();
    row(
        3,
        "blobs",
        &format!(
            "filled {rounds} times by {pushed} blobs; reads and deletes went on, pushes came back"
        ),
    );
}

#[test]
fn a_disk_that_manifests_have_filled_serves_deletes_and_recovers() {
    let disk = SmallDisk::new();
    let (mut registry, mut kept) = start(&disk);
    let client = Client::new(registry.base());
    let mut random = Random::new(4);
    // Somebody else takes most of it, so that the database meets the end.
    let ballast = disk.path().join("other");
    fs::write(&ballast, vec![1; 40 << 20]).expect("there is space");
    let (pushed, answer) = push_manifests_until_full(&client, &mut random);
    assert_full(&answer, "a manifest");
    assert!(pushed > 0, "some fit");
    kept.check(&client, "while the disk is full");
    let deleted = kept.delete_manifest(&client);
    deleted.unwrap_or_else(|answer| panic!("a delete goes on: {}", brief(&answer)));
    let list = client.get("/v2/full/manifests/tags/list").json();
    assert_eq!(
        list["tags"].as_array().map(Vec::len),
        Some(pushed),
        "what was told is listed"
    );

    fs::remove_file(ballast).expect("it was there");
    kept.push_image(&client, "again")
        .expect("there is space again");
    kept.check(&client, "with space again");
    registry.kill();
    registry.start_again();
    kept.check(&Client::new(registry.base()), "after a restart");
    registry.kill();
    row(
        3,
        "manifests",
        &format!("filled by {pushed} manifests; reads and deletes went on, pushes came back"),
    );
}

#[test]
fn a_disk_that_others_have_filled_to_the_last_byte_serves_and_recovers() {
    let disk = SmallDisk::new();
    let (mut registry, mut kept) = start(&disk);
    let mut refused = 0;
    let mut deletes = 0;
    for round in 0..Form::pick(3, 12) {
        let ballast = disk.fill();
        if round % 3 == 0 {
            registry.kill();
            registry.start_again();
        }
        let client = Client::new(registry.base());
        kept.check(&client, "while the disk is full");
        let deleted = kept.delete_manifest(&client);
        deleted.unwrap_or_else(|answer| panic!("a delete goes on: {}", brief(&answer)));
        deletes += 1;
        for n in 0..5 {
            if let Err(answer) = kept.push_image(&client, &format!("no{n}")) {
                assert_full(&answer, "a push");
                refused += 1;
            }
        }
        fs::remove_file(ballast).expect("it was there");
        kept.push_image(&client, &format!("r{round}"))
            .expect("there is space again");
        kept.check(&client, "with space again");
    }
    registry.kill();
    registry.start_again();
    kept.check(&Client::new(registry.base()), "after a restart");
    registry.kill();
    row(
        3,
        "others",
        &format!(
            "{refused} pushes refused and {deletes} deletes done with no byte left, after starts like that too"
        ),
    );
}
