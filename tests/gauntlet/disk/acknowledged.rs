//! What one repository was told to keep and to forget, and what the registry has acknowledged of it.
//!
//! Requests come one after another, so at most the last one is in doubt when the registry falls. What
//! was acknowledged has to be there byte for byte, or gone; what was not may be there as a whole, or
//! not at all.

use std::collections::BTreeMap;

use serde_json::json;

use super::faulty_disk::random::Random;
use crate::api::http::{Answer, Client};
use crate::api::{IMAGE, digest};

/// What has to be seen of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    There,
    Gone,
    Either,
}

#[derive(Debug)]
struct Thing {
    bytes: Vec<u8>,
    fate: Fate,
}

/// A repository with one writer.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    repository: String,
    random: Random,
    /// How long a layer is, at most.
    longest: usize,
    /// How long the annotations of a manifest are.
    annotation: usize,
    /// Whether blobs go once no manifest names them.
    is_collected: bool,
    /// How often a request is made where the registry fails.
    tries: usize,
    /// Blobs and manifests by their paths.
    things: BTreeMap<String, Thing>,
    /// What a tag may name: more than one thing where an answer failed.
    tags: BTreeMap<String, Vec<Option<String>>>,
    count: usize,
}

impl Acknowledged {
    /// A new repository, whose content a seed gives.
    pub(crate) fn new(repository: &str, seed: u64) -> Self {
        Self {
            repository: repository.to_owned(),
            random: Random::new(seed),
            longest: 64 << 10,
            annotation: 0,
            is_collected: false,
            tries: 1,
            things: BTreeMap::new(),
            tags: BTreeMap::new(),
            count: 0,
        }
    }

    /// Makes each request again where the registry fails, as clients do.
    pub(crate) fn tries(mut self, tries: usize) -> Self {
        self.tries = tries;
        self
    }

    /// Expects only those blobs that a manifest names, as where they are collected soon.
    pub(crate) fn collected(mut self) -> Self {
        self.is_collected = true;
        self
    }

    /// Pushes manifests of such a length.
    pub(crate) fn long_manifests(mut self, length: usize) -> Self {
        self.annotation = length;
        self
    }

    /// How many requests were acknowledged.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Pushes, moves, mounts or deletes something; the error is the answer that was none.
    pub(crate) fn step(&mut self, client: &Client) -> Result<(), Answer> {
        match self.random.below(10) {
            0 => self.delete_tag(client),
            1 => self.delete_manifest(client),
            2 | 3 => {
                let tag = self.some_tag().unwrap_or_else(|| "first".to_owned());
                self.push_image(client, &tag)
            }
            _ => {
                let tag = format!("t{}", self.tags.len());
                self.push_image(client, &tag)
            }
        }
    }

    /// Pushes an image whose layer comes in parts, with a config that comes at once.
    pub(crate) fn push_image(&mut self, client: &Client, tag: &str) -> Result<(), Answer> {
        let length = 1 + self.random.below(self.longest);
        let (layer, config) = (self.random.bytes(length), self.random.bytes(100));
        self.push_in_parts(client, &layer)?;
        self.push_at_once(client, &config)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(&config),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest(&layer),
                "size": layer.len(),
            }],
            "annotations": {"note": "n".repeat(self.annotation)},
        });
        self.push_manifest(client, tag, manifest.to_string().as_bytes())
    }

    fn push_at_once(&mut self, client: &Client, bytes: &[u8]) -> Result<(), Answer> {
        let digest = digest(bytes);
        let path = format!("/v2/{}/blobs/uploads/?digest={digest}", self.repository);
        let thing = self.expect(&format!("blobs/{digest}"), bytes);
        let answer = self.send(client, "POST", &path, bytes);
        self.told(answer, 201, &thing, Fate::There)
    }

    fn push_in_parts(&mut self, client: &Client, bytes: &[u8]) -> Result<(), Answer> {
        let digest = digest(bytes);
        let thing = self.expect(&format!("blobs/{digest}"), bytes);
        let path = format!("/v2/{}/blobs/uploads/", self.repository);
        let mut location = went_well(self.send(client, "POST", &path, b""), 202)?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for part in [first, second] {
            location = went_well(client.send("PATCH", &location, &[], part), 202)?;
        }
        let mark = if location.contains('?') { '&' } else { '?' };
        let end = format!("{location}{mark}digest={digest}");
        let answer = self.send(client, "PUT", &end, b"");
        self.told(answer, 201, &thing, Fate::There)
    }

    fn push_manifest(&mut self, client: &Client, tag: &str, bytes: &[u8]) -> Result<(), Answer> {
        let digest = digest(bytes);
        let thing = self.expect(&format!("manifests/{digest}"), bytes);
        let named = self
            .tags
            .entry(tag.to_owned())
            .or_insert_with(|| vec![None]);
        named.push(Some(digest.clone()));
        let path = format!("/v2/{}/manifests/{tag}", self.repository);
        let answer = self.send(client, "PUT", &path, bytes);
        self.told(answer, 201, &thing, Fate::There)?;
        self.tags.insert(tag.to_owned(), vec![Some(digest)]);
        Ok(())
    }

    fn delete_tag(&mut self, client: &Client) -> Result<(), Answer> {
        let Some(tag) = self.some_tag() else {
            return Ok(());
        };
        let path = format!("/v2/{}/manifests/{tag}", self.repository);
        self.tags.get_mut(&tag).expect("it was chosen").push(None);
        let answer = self.send(client, "DELETE", &path, b"");
        went_well(answer, 202)?;
        self.tags.insert(tag, vec![None]);
        self.count += 1;
        Ok(())
    }

    /// Deletes the image that a tag names, with all tags that name it.
    pub(crate) fn delete_manifest(&mut self, client: &Client) -> Result<(), Answer> {
        let Some(tag) = self.some_tag() else {
            return Ok(());
        };
        let digest = self.tags[&tag][0].clone().expect("it names something");
        let thing = format!("manifests/{digest}");
        self.things.get_mut(&thing).expect("it was pushed").fate = Fate::Either;
        for named in self.tags.values_mut() {
            if named.contains(&Some(digest.clone())) {
                named.push(None);
            }
        }
        let path = format!("/v2/{}/{thing}", self.repository);
        let answer = self.send(client, "DELETE", &path, b"");
        self.told(answer, 202, &thing, Fate::Gone)?;
        for named in self.tags.values_mut() {
            named.retain(|name| *name != Some(digest.clone()));
        }
        Ok(())
    }

    fn send(&self, client: &Client, method: &str, path: &str, body: &[u8]) -> Answer {
        let ask = || client.send(method, path, &[("Content-Type", IMAGE)], body);
        let mut answer = ask();
        for _ in 1..self.tries {
            if answer.status < 500 {
                break;
            }
            answer = ask();
        }
        answer
    }

    /// A tag that is known to name something.
    fn some_tag(&mut self) -> Option<String> {
        let known = |named: &[Option<String>]| matches!(named, [Some(_)]);
        let tags: Vec<_> = self.tags.iter().filter(|(_, named)| known(named)).collect();
        let chosen = self.random.below(tags.len().max(1));
        tags.get(chosen).map(|(tag, _)| (*tag).clone())
    }

    /// Something is about to be pushed.
    fn expect(&mut self, path: &str, bytes: &[u8]) -> String {
        let thing = Thing {
            bytes: bytes.to_vec(),
            fate: Fate::Either,
        };
        self.things.entry(path.to_owned()).or_insert(thing);
        path.to_owned()
    }

    fn told(&mut self, answer: Answer, status: u16, path: &str, fate: Fate) -> Result<(), Answer> {
        went_well(answer, status)?;
        self.things.get_mut(path).expect("it was expected").fate = fate;
        self.count += 1;
        Ok(())
    }

    /// Asserts that a registry has all that it must have, and nothing by halves.
    ///
    /// # Panics
    /// Where it doesn't, with `when`.
    pub(crate) fn check(&self, client: &Client, when: &str) {
        for (path, thing) in &self.things {
            let answer = client.get(&format!("/v2/{}/{path}", self.repository));
            let is_there = match answer.status {
                200 => true,
                404 => false,
                _ => panic!("{when}: {}/{path}: {}", self.repository, brief(&answer)),
            };
            let may_be_gone = self.is_collected && !self.is_named(path);
            let is_right = match thing.fate {
                Fate::There if may_be_gone => true,
                Fate::There => is_there,
                Fate::Gone => !is_there,
                Fate::Either => true,
            };
            let (repository, fate) = (&self.repository, thing.fate);
            assert!(is_right, "{when}: {repository}/{path} must be {fate:?}");
            let is_whole = !is_there || answer.body == thing.bytes;
            assert!(is_whole, "{when}: {repository}/{path} has other bytes");
        }
        for (tag, named) in &self.tags {
            let answer = client.get(&format!("/v2/{}/manifests/{tag}", self.repository));
            let found = match answer.status {
                200 => Some(digest(&answer.body)),
                404 => None,
                _ => panic!("{when}: {}:{tag}: {}", self.repository, brief(&answer)),
            };
            let repository = &self.repository;
            let is_right = named.contains(&found);
            assert!(
                is_right,
                "{when}: {repository}:{tag} names {found:?}, not one of {named:?}"
            );
        }
        self.check_list(client, when);
    }

    /// Whether it is a manifest, or a manifest that is there names it.
    fn is_named(&self, path: &str) -> bool {
        let Some(digest) = path.strip_prefix("blobs/") else {
            return true;
        };
        let mut things = self.things.iter();
        things.any(|(name, thing)| {
            let is_there = name.starts_with("manifests/") && thing.fate == Fate::There;
            is_there && String::from_utf8_lossy(&thing.bytes).contains(digest)
        })
    }

    /// No tag is listed that nobody pushed, or that names nothing.
    fn check_list(&self, client: &Client, when: &str) {
        let answer = client.get(&format!("/v2/{}/tags/list", self.repository));
        if answer.status == 404 {
            return;
        }
        let list = answer.json()["tags"].clone();
        for tag in list.as_array().map(Vec::as_slice).unwrap_or_default() {
            let tag = tag.as_str().expect("a tag is a text");
            let is_known = self
                .tags
                .get(tag)
                .is_some_and(|named| named.iter().any(Option::is_some));
            assert!(is_known, "{when}: {}:{tag} is listed", self.repository);
        }
    }
}

/// The location of an answer with that status.
fn went_well(answer: Answer, status: u16) -> Result<String, Answer> {
    if answer.status != status {
        return Err(answer);
    }
    Ok(answer.header("location").unwrap_or_default().to_owned())
}

/// An answer in few words.
pub(crate) fn brief(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let body: String = body.chars().take(300).collect();
    format!("{} {body}", answer.status)
}
