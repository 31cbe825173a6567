//! Row 13: a bit flips in a stored blob, on the disk and below all caches.

use super::calls::whole_answer;
use super::faulty_disk::FaultyDisk;
use super::faulty_disk::random::Random;
use super::{Form, row};
use crate::api::http::Client;
use crate::api::push_blob;
use crate::support::Registry;

/// Where the file of a blob lies, below the disk.
fn file_of(disk: &FaultyDisk, digest: &str) -> String {
    let (_, hex) = digest.split_once(':').expect("a digest has a colon");
    let folder = format!("data/blobs/sha256/{}", &hex[..2]);
    let entries = std::fs::read_dir(disk.path().join(&folder)).expect("a folder");
    let mut names = entries.map(|entry| entry.expect("an entry").file_name());
    let name = names
        .find(|name| name.to_string_lossy().starts_with(hex))
        .expect("a file");
    format!("{folder}/{}", name.to_string_lossy())
}

#[test]
fn a_bit_that_flips_on_the_disk_is_never_told_and_the_next_push_mends_it() {
    let flips = Form::pick(3, 8);
    let mut random = Random::new(13);
    let mut disk = FaultyDisk::new();
    let mut registry = Registry::wharf_at(&disk.path().join("data"), &[]);
    let mut cut_short = 0;
    for flip in 0..flips {
        registry.start_again();
        let client = Client::new(registry.base());
        let length = 1 + random.below(3 << 20);
        let bytes = random.bytes(length);
        let digest = push_blob(&client, "rot/app", &bytes);
        let other = push_blob(&client, "rot/app", &random.bytes(5000));
        let path = format!("/v2/rot/app/blobs/{digest}");
        let file = file_of(&disk, &digest);
        registry.kill();
        disk.flip(&file, random.below(length));
        registry.start_again();
        let client = Client::new(registry.base());

        let when = format!("flip {flip} in {length} bytes");
        // Before anything is known, and when the pages are in the cache.
        for _ in 0..2 {
            match whole_answer(&client, &path) {
                Some((200, body)) => {
                    assert!(body == bytes, "{when}: wrong bytes as a complete answer");
                }
                Some((status, _)) => assert!(status == 404 || status >= 500, "{when}: {status}"),
                None => cut_short += 1,
            }
        }
        let output = registry
            .administer(["scrub", "--bytes-per-second", "0B"])
            .run();
        assert_ne!(
            output.code,
            Some(0),
            "{when}: a scrub fails where something is wrong"
        );
        assert!(output.stdout.contains(&digest), "{when}: {}", output.stdout);
        assert!(!output.stdout.contains(&other), "{when}: {}", output.stdout);
        assert_eq!(client.get(&path).status, 404, "{when}: after the scrub");
        assert_eq!(client.send("HEAD", &path, &[], b"").status, 404, "{when}");
        let part = client.send("GET", &path, &[("Range", "bytes=0-9")], b"");
        assert_eq!(part.status, 404, "{when}: no part of it either");

        push_blob(&client, "rot/app", &bytes);
        let mended = whole_answer(&client, &path);
        assert!(
            mended == Some((200, bytes)),
            "{when}: the next push mends it"
        );
        registry
            .administer(["scrub", "--bytes-per-second", "0B"])
            .succeeds();
        registry.kill();
    }
    let figure = format!(
        "{flips} bits flipped, {cut_short} answers cut short before a scrub, all found by it and \
         mended by the next push, 0 wrong answers"
    );
    row(13, "", &figure);
}
