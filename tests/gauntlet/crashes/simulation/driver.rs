//! Makes the steps on a real server, and compares it with the model after each.

use std::time::Duration;

use serde_json::json;

use super::model::{BLOBS, Fate, GRACE, IMAGES, KEEP_DELETED, Model, REPOSITORIES, TAGS};
use super::{Step, Torn};
use crate::api::http::Answer;
use crate::api::{IMAGE, digest};
use crate::gauntlet::crashes::caller::Caller;
use crate::gauntlet::crashes::clock::Clock;
use crate::gauntlet::crashes::dice::Dice;
use crate::support::{Registry, wait};

/// What a run had.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: usize,
    pub(super) looks: usize,
    pub(super) kills: usize,
    pub(super) collections: usize,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.looks += other.looks;
        self.kills += other.kills;
        self.collections += other.collections;
    }
}

/// A server, its model, and all that is pushed to it.
pub(super) struct Driver {
    registry: Registry,
    clock: Clock,
    caller: Caller,
    model: Model,
    blobs: Vec<Vec<u8>>,
    images: Vec<String>,
    tally: Tally,
}

impl Driver {
    pub(super) fn start(dice: &mut Dice) -> Self {
        let clock = Clock::new();
        let variables = clock.variables();
        let seconds = |seconds: i64| format!("{seconds}s");
        let (grace, keep) = (seconds(GRACE), seconds(KEEP_DELETED));
        let mut all: Vec<(&str, &str)> = vec![
            ("WHARF__GC__RUN_EVERY", "0s"),
            ("WHARF__GC__GRACE", &grace),
            ("WHARF__GC__KEEP_DELETED", &keep),
            ("WHARF__GC__KEEP_CONDEMNED", "30s"),
            ("WHARF__UPLOADS__EXPIRE_AFTER", "2s"),
            ("WHARF__UPLOADS__SWEEP_EVERY", "100ms"),
        ];
        all.extend(
            variables
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let registry = Registry::wharf_with(&all);
        let model = Model::new(dice);
        let length = |dice: &mut Dice| 100 + dice.below(30_000);
        let blobs: Vec<_> = (0..BLOBS)
            .map(|_| {
                let length = length(dice);
                dice.bytes(length)
            })
            .collect();
        let images = (0..IMAGES).map(|image| manifest(image, model.named_by(image), &blobs));
        Self {
            caller: Caller::new(registry.base()),
            images: images.collect(),
            registry,
            clock,
            model,
            blobs,
            tally: Tally::default(),
        }
    }

    /// Writes a step where the test harness shows it when the run fails.
    pub(super) fn announce(&self, number: usize, step: &Step) {
        println!("{number:3} {step:?}");
    }

    pub(super) fn make(&mut self, step: &Step) {
        match *step {
            Step::Push(repository, blob, chunks) => self.push(repository, blob, chunks),
            Step::PushImage(repository, image, tag) => self.push_image(repository, image, tag),
            Step::DeleteImage(repository, image) => {
                let path = self.image_path(repository, image);
                let answer = self.ask("DELETE", &path, &[], b"");
                let now = self.clock.now();
                expect_gone(&answer, self.model.image(repository, image));
                self.model.deleted(repository, image, now);
            }
            Step::DeleteTag(repository, tag) => {
                let path = tag_path(repository, tag);
                let answer = self.ask("DELETE", &path, &[], b"");
                let is_there = !self.model.may_name(repository, tag, None);
                expect_gone(&answer, if is_there { Fate::There } else { Fate::Gone });
                self.model.untagged(repository, tag);
            }
            Step::DeleteBlob(repository, blob) => {
                let path = self.blob_path(repository, blob);
                let known = self.model.blob(repository, blob, self.clock.now());
                let answer = self.ask("DELETE", &path, &[], b"");
                expect_gone(&answer, known);
                self.model.lost(repository, blob);
            }
            Step::Mount(from, to, blob) => self.mount(from, to, blob),
            Step::Later(seconds) => self.clock.jump(seconds),
            Step::Collect => {
                self.collect();
                self.compare();
            }
            Step::CollectAlone => {
                self.registry.kill();
                self.collect();
                self.restart();
            }
            Step::Kill => {
                self.registry.kill();
                self.restart();
            }
            Step::Torn(ref torn, part, micros) => {
                let (method, path, body) = self.torn(torn);
                let headers = [("Content-Type", IMAGE)];
                let length = body.len() + 200;
                let count = length * part / 1000 + usize::from(part == 1000) * 1000;
                let sent = self.caller.send_part(method, &path, &headers, &body, count);
                let connection = sent.expect("the server listens");
                std::thread::sleep(Duration::from_micros(micros));
                self.registry.kill();
                drop(connection);
                self.restart();
            }
        }
    }

    /// Compares all, lets everything that nothing needs go, and looks whether that is gone.
    pub(super) fn end(mut self) -> Tally {
        self.compare();
        self.registry.kill();
        for _ in 0..4 {
            self.clock.jump(2 * (GRACE + KEEP_DELETED));
            self.collect();
        }
        self.restart();
        for (repository, blob) in pairs(BLOBS) {
            let known = self.model.blob(repository, blob, i64::MAX);
            assert!(
                known != Fate::Open || !self.sees_blob(repository, blob),
                "{repository} still has blob {blob}, that nothing names"
            );
        }
        let data = self.registry.data();
        let needed = self.model.needed_blobs();
        wait::until("what nothing needs to go", Duration::from_secs(30), || {
            let open = files(&data.join("uploads"));
            let stored: usize = std::fs::read_dir(data.join("blobs/sha256"))
                .expect("a folder")
                .map(|folder| files(&folder.expect("an entry").path()))
                .sum();
            (open == 0 && stored == needed).then_some(())
        });
        self.tally
    }

    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.tally.requests += 1;
        let answer = self.caller.send(method, path, headers, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn push(&mut self, repository: usize, blob: usize, chunks: usize) {
        let bytes = self.blobs[blob].clone();
        let digest = digest(&bytes);
        let uploads = format!("/v2/sim/{repository}/blobs/uploads/");
        let done = if chunks == 1 {
            self.ask("POST", &format!("{uploads}?digest={digest}"), &[], &bytes)
        } else {
            let begun = self.ask("POST", &uploads, &[], b"");
            let mut location = begun.header("location").expect("a location").to_owned();
            for chunk in bytes.chunks(bytes.len().div_ceil(chunks)) {
                let sent = self.ask("PATCH", &location, &[], chunk);
                assert_eq!(sent.status, 202, "{sent:?}");
                sent.header("location")
                    .expect("one")
                    .clone_into(&mut location);
            }
            self.ask("PUT", &format!("{location}?digest={digest}"), &[], b"")
        };
        assert_eq!(done.status, 201, "{done:?}");
        self.model.told(repository, blob, self.clock.now());
        assert!(self.sees_blob(repository, blob));
    }

    fn push_image(&mut self, repository: usize, image: usize, tag: usize) {
        self.push_missing(repository, image);
        let (path, manifest) = (tag_path(repository, tag), self.images[image].clone());
        let headers = [("Content-Type", IMAGE)];
        let put = self.ask("PUT", &path, &headers, manifest.as_bytes());
        assert_eq!(put.status, 201, "{put:?}");
        self.model.put(repository, image, tag);
        self.compare_tag(repository, tag);
    }

    fn push_missing(&mut self, repository: usize, image: usize) {
        for blob in self.model.named_by(image) {
            let path = self.blob_path(repository, blob);
            let now = self.clock.now();
            let known = self.model.blob(repository, blob, now);
            let is_there = match self.ask("HEAD", &path, &[], b"").status {
                200 => true,
                404 => false,
                other => panic!("HEAD {path}: {other}"),
            };
            agree(known, is_there, || path.clone());
            match is_there {
                true => self.model.told(repository, blob, now),
                false => self.push(repository, blob, 1),
            }
        }
    }

    fn mount(&mut self, from: usize, to: usize, blob: usize) {
        let now = self.clock.now();
        let known = self.model.blob(from, blob, now);
        let path = self.mount_path(from, to, blob);
        let answer = self.ask("POST", &path, &[], b"");
        let is_there = match answer.status {
            201 => true,
            202 => false,
            _ => panic!("{path}: {answer:?}"),
        };
        agree(known, is_there, || path.clone());
        self.model.saw_blob(from, blob, is_there);
        if is_there {
            self.model.told(to, blob, now);
            assert!(self.sees_blob(to, blob));
        }
    }

    /// The request of a torn step, whose outcome the model leaves open.
    fn torn(&mut self, torn: &Torn) -> (&'static str, String, Vec<u8>) {
        match *torn {
            Torn::Push(repository, blob) => {
                self.model.may_be_told(repository, blob);
                let bytes = self.blobs[blob].clone();
                let digest = digest(&bytes);
                let path = format!("/v2/sim/{repository}/blobs/uploads/?digest={digest}");
                ("POST", path, bytes)
            }
            Torn::PushImage(repository, image, tag) => {
                self.push_missing(repository, image);
                self.model.may_be_put(repository, image, tag);
                let manifest = self.images[image].clone().into_bytes();
                ("PUT", tag_path(repository, tag), manifest)
            }
            Torn::DeleteImage(repository, image) => {
                self.model.may_be_deleted(repository, image);
                ("DELETE", self.image_path(repository, image), Vec::new())
            }
            Torn::Mount(from, to, blob) => {
                self.model.may_be_told(to, blob);
                ("POST", self.mount_path(from, to, blob), Vec::new())
            }
        }
    }

    fn collect(&mut self) {
        self.tally.collections += 1;
        let words = ["gc", "run", "--trust-clock"];
        self.registry.administer(words).succeeds();
    }

    fn restart(&mut self) {
        self.tally.kills += 1;
        let log = self.registry.log();
        assert!(!log.contains("panicked"), "{log}");
        self.registry.start_again();
        self.caller = Caller::new(self.registry.base());
        self.compare();
    }

    /// Looks at everything, and settles what is open.
    fn compare(&mut self) {
        for (repository, image) in pairs(IMAGES) {
            let path = self.image_path(repository, image);
            let answer = self.ask("GET", &path, &[], b"");
            let is_there = is_there(&answer, self.images[image].as_bytes());
            agree(self.model.image(repository, image), is_there, || {
                path.clone()
            });
            self.model.saw_image(repository, image, is_there);
            self.tally.looks += 1;
        }
        for (repository, tag) in pairs(TAGS) {
            self.compare_tag(repository, tag);
        }
        for (repository, blob) in pairs(BLOBS) {
            let known = self.model.blob(repository, blob, self.clock.now());
            let is_there = self.sees_blob(repository, blob);
            agree(known, is_there, || format!("blob {blob} of {repository}"));
            self.model.saw_blob(repository, blob, is_there);
        }
    }

    fn compare_tag(&mut self, repository: usize, tag: usize) {
        let path = tag_path(repository, tag);
        let answer = self.ask("GET", &path, &[], b"");
        let named = self
            .images
            .iter()
            .position(|one| one.as_bytes() == answer.body);
        assert!(
            named.is_some() || answer.status == 404,
            "{path}: {answer:?}"
        );
        assert!(
            self.model.may_name(repository, tag, named),
            "{path} names {named:?}, in {:?}",
            self.model
        );
        if let Some(image) = named {
            let known = self.model.image(repository, image);
            assert_eq!(known, Fate::There, "{path} names what is not there");
        }
        self.model.saw_tag(repository, tag, named);
        self.tally.looks += 1;
    }

    fn sees_blob(&mut self, repository: usize, blob: usize) -> bool {
        let path = self.blob_path(repository, blob);
        let answer = self.ask("GET", &path, &[], b"");
        self.tally.looks += 1;
        is_there(&answer, &self.blobs[blob])
    }

    fn blob_path(&self, repository: usize, blob: usize) -> String {
        format!("/v2/sim/{repository}/blobs/{}", digest(&self.blobs[blob]))
    }

    fn image_path(&self, repository: usize, image: usize) -> String {
        let digest = digest(self.images[image].as_bytes());
        format!("/v2/sim/{repository}/manifests/{digest}")
    }

    fn mount_path(&self, from: usize, to: usize, blob: usize) -> String {
        let digest = digest(&self.blobs[blob]);
        format!("/v2/sim/{to}/blobs/uploads/?mount={digest}&from=sim/{from}")
    }
}

/// Whether the model and the server agree that something is there.
fn agree(known: Fate, is_there: bool, what: impl Fn() -> String) {
    let agree = match known {
        Fate::There => is_there,
        Fate::Gone => !is_there,
        Fate::Open => true,
    };
    assert!(
        agree,
        "{}: known as {known:?}, and there: {is_there}",
        what()
    );
}

fn is_there(answer: &Answer, content: &[u8]) -> bool {
    match answer.status {
        200 => {
            assert!(answer.body == content, "the bytes differ");
            true
        }
        404 => false,
        _ => panic!("{answer:?}"),
    }
}

fn expect_gone(answer: &Answer, known: Fate) {
    let expected: &[u16] = match known {
        Fate::There => &[202],
        Fate::Gone => &[404],
        Fate::Open => &[202, 404],
    };
    assert!(expected.contains(&answer.status), "{known:?}: {answer:?}");
}

fn tag_path(repository: usize, tag: usize) -> String {
    format!("/v2/sim/{repository}/manifests/t{tag}")
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..REPOSITORIES).flat_map(move |one| (0..count).map(move |other| (one, other)))
}

fn files(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder).expect("a folder").count()
}

fn manifest(image: usize, blobs: [usize; 3], bytes: &[Vec<u8>]) -> String {
    let descriptor = |kind: &str, blob: usize| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": digest(&bytes[blob]),
            "size": bytes[blob].len(),
        })
    };
    let [config, layers @ ..] = blobs;
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor("config.v1+json", config),
        "layers": layers.map(|layer| descriptor("layer.v1.tar", layer)),
        "annotations": {"image": image.to_string()},
    })
    .to_string()
}
