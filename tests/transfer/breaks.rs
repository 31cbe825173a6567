//! Runs that are killed, beside servers that restart, and without a server.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::{is_whole, wharf};
use crate::api::http::Client;
use crate::api::{IMAGE, digest};
use crate::support::image::random_bytes;
use crate::support::{Registry, folder, image, wait};

/// A layout of images with three layers each, tagged by their numbers.
fn many(folder: &Path, count: usize) -> Vec<String> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a folder");
    let put = |kind: &str, bytes: &[u8]| {
        let digest = digest(bytes);
        let (_, hex) = digest.split_once(':').expect("a digest");
        fs::write(blobs.join(hex), bytes).expect("a blob");
        json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
    };
    let mut entries = Vec::new();
    for number in 0..count {
        let layer = || {
            put(
                "application/vnd.oci.image.layer.v1.tar",
                &random_bytes(100_000),
            )
        };
        let layers = [layer(), layer(), layer()];
        let config = json!({"number": number, "of": layers}).to_string();
        let config = put(
            "application/vnd.oci.image.config.v1+json",
            config.as_bytes(),
        );
        let manifest =
            json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers});
        let mut entry = put(IMAGE, manifest.to_string().as_bytes());
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": format!("t{number}")});
        entries.push(entry);
    }
    let index = json!({"schemaVersion": 2, "manifests": entries});
    fs::write(folder.join("index.json"), index.to_string()).expect("a file");
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("a file");
    let names = entries
        .iter()
        .map(|entry| entry["digest"].as_str().expect("a digest").to_owned());
    names.collect()
}

/// How many tags the repository has.
fn tags(registry: &Registry) -> usize {
    let list = Client::new(registry.base()).get("/v2/many/tags/list");
    match list.status {
        200 => list.json()["tags"].as_array().map_or(0, Vec::len),
        _ => 0,
    }
}

#[test]
fn an_import_that_is_killed_beside_a_server_that_restarts_is_run_again_and_whole() {
    let (mut registry, folder) = (Registry::wharf(), folder());
    let images = many(folder.path(), 60);
    let source = format!("oci:{}", folder.path().display());
    for round in 1..=3 {
        let mut import = Command::new(env!("CARGO_BIN_EXE_wharf"))
            .args(["import", "--all-tags", &source, "many", "--data"])
            .arg(registry.data())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let enough = round * 12;
        let limit = Duration::from_secs(60);
        wait::until("some images", limit, || {
            (tags(&registry) >= enough).then_some(())
        });
        // The server goes and comes while bytes are on their way, and then the import is killed.
        registry.kill();
        registry.start_again();
        wait::until("more images, or the end", limit, || {
            let ended = import.try_wait().expect("it can be asked").is_some();
            (ended || tags(&registry) > enough).then_some(())
        });
        let _ = import.kill();
        import.wait().expect("it ends");
    }
    let told = wharf(&registry, ["import", "--all-tags", &source, "many"]).succeeds();
    assert!(told.contains("copied 60 images"), "{told}");
    let client = Client::new(registry.base());
    for (number, image) in images.iter().enumerate() {
        assert_eq!(is_whole(&client, "many", &format!("t{number}")), *image);
    }
    wharf(&registry, ["scrub", "--bytes-per-second", "0B"]).succeeds();
}

#[test]
fn no_server_is_needed() {
    let (mut registry, folder) = (Registry::wharf(), folder());
    registry.stop();
    fs::remove_dir_all(registry.data()).expect("removed");
    let (layout, image) = image::layout(folder.path().join("made"), "v1");
    let source = format!("oci:{}", layout.display());
    wharf(&registry, ["import", &source, "team/app"]).succeeds();
    let target = format!("oci:{}", folder.path().join("exported").display());
    wharf(&registry, ["export", "team/app:v1", &target]).succeeds();
    registry.start_again();
    assert_eq!(
        is_whole(&Client::new(registry.base()), "team/app", "v1"),
        image
    );
}
