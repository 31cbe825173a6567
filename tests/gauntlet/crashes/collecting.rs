//! Row 9: a collection that never rests, against clients that push, mount and delete. No image that
//! was acknowledged is broken, and in the end nothing is left behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::caller::Caller;
use super::dice::{Dice, Seed};
use super::place::Place;
use super::{Form, row};
use crate::api::{IMAGE, digest};
use crate::support::s3::Bucket;
use crate::support::{Registry, wait};

const CLIENTS: u64 = 6;
const REPOSITORIES: usize = 5;
/// How many layers the images share. Each is pushed again and again, since it goes with its images.
const LAYERS: usize = 60;
/// How often a client pushes an image before it gives up.
const MOST_TRIES: usize = 10;
/// How many images a client keeps about.
const KEPT: usize = 10;

#[test]
fn no_image_is_broken_by_a_collection_in_a_loop_on_disk() {
    let setting = Setting {
        images: Form::pick(500, 10_000),
        grace: Duration::from_secs(2),
    };
    let registry = Place::alone().server(&[
        ("WHARF__GC__GRACE", "2s"),
        ("WHARF__GC__KEEP_DELETED", "0s"),
        ("WHARF__GC__KEEP_CONDEMNED", "0s"),
        ("WHARF__GC__RUN_EVERY", "20ms"),
        ("WHARF__UPLOADS__SWEEP_EVERY", "50ms"),
    ]);
    let figure = push_and_delete(&registry, &setting);
    wait::until("all bytes to go", Duration::from_secs(60), || {
        let folders = std::fs::read_dir(registry.data().join("blobs/sha256"));
        let folders = folders
            .expect("a folder")
            .map(|entry| entry.expect("an entry"));
        let files = |folder: std::fs::DirEntry| std::fs::read_dir(folder.path());
        let left: usize = folders
            .map(|one| files(one).expect("a folder").count())
            .sum();
        (left == 0).then_some(())
    });
    row(9, "disk", &figure);
}

#[test]
fn no_image_is_broken_by_a_collection_in_a_loop_in_a_bucket() {
    let bucket = Bucket::new();
    let setting = Setting {
        images: Form::pick(120, 1500),
        grace: Duration::from_secs(4),
    };
    let registry = Place::alone().in_bucket(&bucket).server(&[
        ("WHARF__GC__GRACE", "4s"),
        ("WHARF__GC__KEEP_DELETED", "0s"),
        ("WHARF__GC__KEEP_CONDEMNED", "0s"),
        ("WHARF__GC__RUN_EVERY", "20ms"),
        ("WHARF__UPLOADS__SWEEP_EVERY", "50ms"),
    ]);
    let figure = push_and_delete(&registry, &setting);
    wait::until("all bytes to go", Duration::from_secs(60), || {
        (bucket.objects("data") == 0 && bucket.entries("index") == 0).then_some(())
    });
    row(9, "S3", &figure);
}

#[test]
fn no_image_is_broken_by_the_shortest_grace_where_missing_content_is_rejected() {
    let setting = Setting {
        images: Form::pick(100, 500),
        // A manifest is taken only with all that it names, however long its push takes.
        grace: Duration::MAX,
    };
    let registry = Place::alone().server(&[
        ("WHARF__GC__GRACE", "1ms"),
        ("WHARF__GC__KEEP_DELETED", "0s"),
        ("WHARF__GC__KEEP_CONDEMNED", "0s"),
        ("WHARF__GC__RUN_EVERY", "20ms"),
        ("WHARF__UPLOADS__SWEEP_EVERY", "20ms"),
        ("WHARF__REGISTRY__MISSING_CONTENT", "reject"),
    ]);
    let figure = push_and_delete(&registry, &setting);
    row(9, "a grace of 1 ms", &figure);
}

/// What a run is made of.
struct Setting {
    images: usize,
    /// Within half of it a push has to be over, or the client makes it again.
    grace: Duration,
}

/// An image that was acknowledged.
struct Image {
    repository: usize,
    manifest: String,
    blobs: Vec<String>,
}

/// What clients did.
#[derive(Default)]
struct Tally {
    uploads: usize,
    known: usize,
    mounts: usize,
    deletes: usize,
    reads: usize,
    again: usize,
    given_up: usize,
}

struct Client<'a> {
    caller: Caller,
    dice: Dice,
    kept: Vec<Image>,
    layers: &'a [Vec<u8>],
    tally: Tally,
}

/// Lets all clients work until there are enough images, reads what is left whole, and deletes it.
fn push_and_delete(registry: &Registry, setting: &Setting) -> String {
    let seed = Seed::of_this_run();
    let mut dice = seed.dice(0);
    let layers: Vec<_> = (0..LAYERS)
        .map(|number| dice.bytes(500 + 100 * number))
        .collect();
    let pushed = AtomicUsize::new(0);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let clients = (1..=CLIENTS).map(|number| {
            let mut client = Client {
                caller: Caller::new(registry.base()),
                dice: seed.dice(number),
                kept: Vec::new(),
                layers: &layers,
                tally: Tally::default(),
            };
            let pushed = &pushed;
            scope.spawn(move || {
                while pushed.fetch_add(1, Ordering::Relaxed) < setting.images {
                    client.push(setting);
                    if client.kept.len() > KEPT || client.dice.once_in(4) {
                        client.delete();
                    }
                    client.read_one();
                }
                client.end()
            })
        });
        let clients: Vec<_> = clients.collect();
        let join = |client: std::thread::ScopedJoinHandle<'_, _>| client.join().expect("no panic");
        clients.into_iter().map(join).collect()
    });
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let uploads = sum(|tally| tally.uploads);
    assert!(
        uploads > setting.images + LAYERS,
        "collected layers come again"
    );
    let given_up = sum(|tally| tally.given_up);
    assert!(given_up < setting.images, "no image got through");
    format!(
        "{} images over {CLIENTS} clients: {uploads} blobs uploaded, {} found there, {} mounted, {} \
         images deleted, {} read whole, 0 broken; {} pushes were refused or too slow and made again, \
         {given_up} images given up",
        setting.images,
        sum(|tally| tally.known),
        sum(|tally| tally.mounts),
        sum(|tally| tally.deletes),
        sum(|tally| tally.reads),
        sum(|tally| tally.again),
    )
}

impl Client<'_> {
    /// Pushes an image as clients do: each blob where it is missing, and then the manifest.
    fn push(&mut self, setting: &Setting) {
        let repository = self.dice.below(REPOSITORIES);
        let config = self.dice.bytes(200);
        let mut blobs = vec![config];
        for _ in 0..2 {
            blobs.push(self.dice.of(self.layers).clone());
        }
        let descriptor = |bytes: &Vec<u8>| json!({"mediaType": "application/octet-stream", "digest": digest(bytes), "size": bytes.len()});
        let descriptors: Vec<_> = blobs.iter().map(descriptor).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": IMAGE,
            "config": descriptors[0], "layers": descriptors[1..]});
        let manifest = manifest.to_string();
        let named = digest(manifest.as_bytes());
        let path = format!("/v2/collect/{repository}/manifests/{named}");
        for tries in 1.. {
            if tries > MOST_TRIES {
                // It may have been taken too slowly to count.
                let deleted = self.send("DELETE", &path, &[], b"");
                assert!([202, 404].contains(&deleted), "{path}: {deleted}");
                self.tally.given_up += 1;
                return;
            }
            let began = Instant::now();
            for bytes in &blobs {
                self.ensure(repository, bytes);
            }
            let headers = [("Content-Type", IMAGE)];
            let put = self.send("PUT", &path, &headers, manifest.as_bytes());
            match put {
                201 if began.elapsed() < setting.grace / 2 => break,
                201 | 400 | 404 => self.tally.again += 1,
                _ => panic!("{path}: {put}"),
            }
        }
        self.kept.push(Image {
            repository,
            manifest: named,
            blobs: blobs.iter().map(|bytes| digest(bytes)).collect(),
        });
    }

    /// Sees to it that a repository has a blob.
    fn ensure(&mut self, repository: usize, bytes: &[u8]) {
        let digest = digest(bytes);
        let path = format!("/v2/collect/{repository}/blobs/{digest}");
        if self.send("HEAD", &path, &[], b"") == 200 {
            self.tally.known += 1;
            return;
        }
        let uploads = format!("/v2/collect/{repository}/blobs/uploads/");
        if self.dice.once_in(2) {
            let from = self.dice.below(REPOSITORIES);
            let path = format!("{uploads}?mount={digest}&from=collect/{from}");
            let mounted = self
                .caller
                .send("POST", &path, &[], b"")
                .expect("an answer");
            if mounted.status == 201 {
                self.tally.mounts += 1;
                return;
            }
            assert_eq!(mounted.status, 202, "{mounted:?}");
            // The upload that it became takes the bytes.
            let location = mounted.header("location").expect("a location");
            let path = format!("{location}?digest={digest}");
            assert_eq!(self.send("PUT", &path, &[], bytes), 201, "{path}");
        } else {
            let path = format!("{uploads}?digest={digest}");
            assert_eq!(self.send("POST", &path, &[], bytes), 201, "{path}");
        }
        self.tally.uploads += 1;
    }

    fn delete(&mut self) {
        if self.kept.is_empty() {
            return;
        }
        let number = self.dice.below(self.kept.len());
        let image = self.kept.swap_remove(number);
        let path = format!(
            "/v2/collect/{}/manifests/{}",
            image.repository, image.manifest
        );
        assert_eq!(self.send("DELETE", &path, &[], b""), 202, "{path}");
        self.tally.deletes += 1;
    }

    fn read_one(&mut self) {
        if !self.kept.is_empty() {
            let number = self.dice.below(self.kept.len());
            self.read(number);
        }
    }

    /// Reads an image whole.
    fn read(&mut self, number: usize) {
        let Image {
            repository,
            manifest,
            blobs,
        } = &self.kept[number];
        let base = format!("/v2/collect/{repository}");
        let manifest = (format!("{base}/manifests/{manifest}"), manifest);
        let blobs = blobs
            .iter()
            .map(|blob| (format!("{base}/blobs/{blob}"), blob));
        for (path, expected) in std::iter::once(manifest).chain(blobs) {
            let answer = self.caller.get(&path).expect("an answer");
            assert_eq!(answer.status, 200, "an image is broken: {path}");
            assert_eq!(digest(&answer.body), *expected, "{path}");
        }
        self.tally.reads += 1;
    }

    /// Reads all that is kept, and deletes it.
    fn end(mut self) -> Tally {
        for number in 0..self.kept.len() {
            self.read(number);
        }
        while !self.kept.is_empty() {
            self.delete();
        }
        self.tally
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        let answer = self.caller.send(method, path, headers, body);
        answer.expect("an answer").status
    }
}
