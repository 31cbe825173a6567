//! Row 9 of what has to hold: a collection in a loop, with pushes, deletes and mounts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::stored_blobs;
use crate::api::http::Client;
use crate::api::{IMAGE, digest};
use crate::support::{Registry, wait};

const IMAGES: usize = 10_000;
const CLIENTS: usize = 8;
const REPOSITORIES: usize = 12;
/// How many layers the images share.
const LAYERS: usize = 40;
/// How many images a client keeps; older ones it deletes.
const KEPT: usize = 12;
const GRACE: Duration = Duration::from_secs(3);
/// A client that took longer than this asks again: its grace may be over.
const PATIENCE: Duration = Duration::from_secs(1);

/// An image that was acknowledged.
struct Image {
    repository: String,
    digest: String,
    config: Vec<u8>,
    layer: usize,
}

fn layer(number: usize) -> Vec<u8> {
    format!("layer {number} ").repeat(64).into_bytes()
}

/// What a client does, one after the other.
struct Pusher {
    client: Client,
    number: usize,
    kept: VecDeque<Image>,
    mounted: usize,
    reused: usize,
}

impl Pusher {
    /// Sees to it that a repository has a blob, as clients do: asks, mounts, or uploads.
    fn ensure(&mut self, repository: &str, bytes: &[u8], source: Option<&str>) {
        let digest = digest(bytes);
        let path = format!("/v2/{repository}/blobs/{digest}");
        if self.client.send("HEAD", &path, &[], b"").status == 200 {
            self.reused += 1;
            return;
        }
        if let Some(source) = source {
            let path = format!("/v2/{repository}/blobs/uploads/?mount={digest}&from={source}");
            let answer = self.client.send("POST", &path, &[], b"");
            if answer.status == 201 {
                self.mounted += 1;
                return;
            }
            assert_eq!(answer.status, 202, "{answer:?}");
            let location = answer.header("location").expect("a location").to_owned();
            let path = format!("{location}?digest={digest}");
            let answer = self.client.send("PUT", &path, &[], bytes);
            assert_eq!(answer.status, 201, "{answer:?}");
            return;
        }
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.client.send("POST", &path, &[], bytes);
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    fn push(&mut self, turn: usize) {
        let repository = format!("online/app-{}", (self.number + turn) % REPOSITORIES);
        let elsewhere = format!("online/app-{}", (self.number * 5 + turn * 7) % REPOSITORIES);
        let shared = (self.number * 13 + turn * 3) % LAYERS;
        let config = format!("{{\"client\":{},\"turn\":{turn}}}", self.number).into_bytes();
        let bytes = layer(shared);
        loop {
            let began = Instant::now();
            self.ensure(&repository, &bytes, Some(&elsewhere));
            self.ensure(&repository, &config, None);
            if began.elapsed() < PATIENCE {
                break;
            }
        }
        let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
        let document = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &bytes)],
        })
        .to_string();
        let path = format!("/v2/{repository}/manifests/c{}-{turn}", self.number);
        let headers = [("Content-Type", IMAGE)];
        let answer = self
            .client
            .send("PUT", &path, &headers, document.as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
        self.kept.push_back(Image {
            repository,
            digest: digest(document.as_bytes()),
            config,
            layer: shared,
        });
        if self.kept.len() > KEPT {
            let old = self.kept.pop_front().expect("there are some");
            self.check(&old);
            let path = format!("/v2/{}/manifests/{}", old.repository, old.digest);
            let answer = self.client.send("DELETE", &path, &[], b"");
            assert_eq!(answer.status, 202, "{answer:?}");
        }
    }

    /// Pulls an image whole.
    fn check(&self, image: &Image) {
        let Image {
            repository,
            digest: name,
            ..
        } = image;
        let manifest = self
            .client
            .get(&format!("/v2/{repository}/manifests/{name}"));
        assert_eq!(manifest.status, 200, "{repository}@{name}");
        assert_eq!(digest(&manifest.body), *name);
        for bytes in [&image.config, &layer(image.layer)] {
            let blob = self
                .client
                .get(&format!("/v2/{repository}/blobs/{}", digest(bytes)));
            assert_eq!(blob.status, 200, "{repository}@{name} is broken");
            assert_eq!(blob.body, *bytes);
        }
    }
}

#[test]
fn ten_thousand_images_and_none_broken() {
    let mut registry = Registry::wharf_with(&[
        ("WHARF__GC__KEEP_DELETED", "1s"),
        ("WHARF__GC__GRACE", "3s"),
        ("WHARF__GC__KEEP_CONDEMNED", "500ms"),
        ("WHARF__GC__RUN_EVERY", "50ms"),
        ("WHARF__UPLOADS__SWEEP_EVERY", "100ms"),
    ]);
    let next = Arc::new(AtomicUsize::new(0));
    let pushers: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (next, client) = (Arc::clone(&next), Client::new(registry.base()));
            std::thread::spawn(move || {
                let mut pusher = Pusher {
                    client,
                    number,
                    kept: VecDeque::new(),
                    mounted: 0,
                    reused: 0,
                };
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= IMAGES {
                        return pusher;
                    }
                    pusher.push(turn);
                }
            })
        })
        .collect();
    let pushers: Vec<Pusher> = pushers
        .into_iter()
        .map(|pusher| pusher.join().expect("no image is broken"))
        .collect();

    // What is left stays, and what was deleted goes, its bytes too.
    let kept: usize = pushers.iter().map(|pusher| pusher.kept.len()).sum();
    let mut digests: Vec<String> = pushers
        .iter()
        .flat_map(|pusher| &pusher.kept)
        .flat_map(|image| [digest(&image.config), digest(&layer(image.layer))])
        .collect();
    digests.sort();
    digests.dedup();
    let data = registry.data();
    let patience = 10 * GRACE + Duration::from_secs(60);
    wait::until("the rest to go", patience, || {
        (stored_blobs(&data) == digests.len()).then_some(())
    });
    for pusher in &pushers {
        for image in &pusher.kept {
            pusher.check(image);
        }
    }
    let collected = registry
        .log()
        .matches("collected what nothing needs")
        .count();
    assert!(collected > 5, "{collected}");
    let (mounted, reused) = pushers.iter().fold((0, 0), |(mounted, reused), pusher| {
        (mounted + pusher.mounted, reused + pusher.reused)
    });
    println!(
        "{IMAGES} images pushed, {mounted} blobs mounted, {reused} found there, {kept} images \
         kept, 0 broken, {collected} collections"
    );
}
