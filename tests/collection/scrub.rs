//! Row 13 of what has to hold: a bit flips in a stored blob.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::api::http::Client;
use crate::api::{content, digest};
use crate::support::{Registry, wait};

/// The file of a blob, of which there is one.
fn file(registry: &Registry, digest: &str) -> PathBuf {
    let (_, hex) = digest.split_once(':').expect("a digest");
    let folder = registry.data().join("blobs/sha256").join(&hex[..2]);
    let mut entries = std::fs::read_dir(folder).expect("a folder");
    let found = entries.find(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().starts_with(hex)
    });
    found.expect("a file").expect("an entry").path()
}

fn flip_a_bit(path: &PathBuf) {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path);
    let file = file.expect("it opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1000).expect("a byte");
    file.write_all_at(&[byte[0] ^ 4], 1000).expect("written");
}

fn push(client: &Client, bytes: &[u8]) -> String {
    let digest = digest(bytes);
    let path = format!("/v2/scrub/app/blobs/uploads/?digest={digest}");
    let answer = client.send("POST", &path, &[], bytes);
    assert_eq!(answer.status, 201, "{answer:?}");
    digest
}

#[test]
fn a_bit_that_flips_is_found_and_the_next_push_mends_it() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    let right = push(&client, &content(300_000));
    let bytes = content(400_000);
    let wrong = push(&client, &bytes);
    let told = registry.administer(["scrub"]).succeeds();
    assert!(told.contains("read 2 blobs"), "{told}");
    assert!(told.contains("0 are wrong"), "{told}");

    flip_a_bit(&file(&registry, &wrong));
    let output = registry
        .administer(["scrub", "--bytes-per-second", "0B"])
        .run();
    assert_eq!(output.code, Some(1));
    let told = output.stdout;
    assert!(told.contains("1 are wrong"), "{told}");
    let named = format!("{wrong} is quarantined");
    assert!(told.contains(&named), "{told}");
    let path = format!("/v2/scrub/app/blobs/{wrong}");
    assert_eq!(client.get(&path).status, 404);
    assert_eq!(client.send("HEAD", &path, &[], b"").status, 404);
    let mount = format!("/v2/scrub/other/blobs/uploads/?mount={wrong}&from=scrub/app");
    assert_eq!(client.send("POST", &mount, &[], b"").status, 202);
    let other = client.get(&format!("/v2/scrub/app/blobs/{right}"));
    assert_eq!(other.status, 200);
    let why = registry.administer(["why", &wrong]).succeeds();
    assert!(why.contains("its bytes are wrong"), "{why}");

    push(&client, &bytes);
    let answer = client.get(&path);
    assert_eq!((answer.status, answer.body == bytes), (200, true));
    let told = registry.administer(["scrub"]).succeeds();
    assert!(told.contains("0 are wrong"), "{told}");
}

#[test]
fn bytes_that_come_back_are_given_out_again() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    let digest = push(&client, &content(50_000));
    let path = file(&registry, &digest);
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).expect("moved");
    registry.administer(["scrub"]).fails();
    let blob = format!("/v2/scrub/app/blobs/{digest}");
    assert_eq!(client.get(&blob).status, 404);
    std::fs::rename(&aside, &path).expect("moved back");
    registry.administer(["scrub"]).succeeds();
    assert_eq!(client.get(&blob).status, 200);
}

#[test]
fn a_store_that_is_away_is_not_taken_for_lost() {
    let registry = Registry::wharf();
    let client = Client::new(registry.base());
    let digests: Vec<String> = (1..30)
        .map(|number| push(&client, &content(number)))
        .collect();
    let blobs = registry.data().join("blobs");
    let aside = registry.data().join("aside");
    std::fs::rename(&blobs, &aside).expect("moved");
    let told = registry.administer(["scrub"]).fails();
    assert!(told.contains("the store seems to be away"), "{told}");
    std::fs::rename(&aside, &blobs).expect("moved back");
    for digest in digests {
        let blob = client.get(&format!("/v2/scrub/app/blobs/{digest}"));
        assert_eq!(blob.status, 200, "{digest}");
    }
}

#[test]
fn a_server_scrubs_by_itself() {
    let mut registry = Registry::wharf_with(&[("WHARF__SCRUB__RUN_EVERY", "300ms")]);
    let client = Client::new(registry.base());
    let digest = push(&client, &content(100_000));
    flip_a_bit(&file(&registry, &digest));
    let blob = format!("/v2/scrub/app/blobs/{digest}");
    wait::until("it is found", Duration::from_secs(20), || {
        (client.get(&blob).status == 404).then_some(())
    });
    let log = registry.log();
    assert!(
        log.contains("a blob has other bytes than its digest says"),
        "{log}"
    );
}
