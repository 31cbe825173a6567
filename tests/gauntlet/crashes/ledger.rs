//! What one client was told, and so what its repository has to hold, whatever happened to the server.
//!
//! A client writes to a repository of its own, so it knows what each path there may answer. What was
//! acknowledged has one answer. What was asked for and not answered may have happened or not, until
//! it is looked at; from then on it has to stay as it was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use serde_json::json;

use super::caller::Caller;
use super::dice::Dice;
use crate::api::http::Answer;
use crate::api::{IMAGE, digest};

/// A repository whose blobs all clients mount.
pub(crate) const BASE: &str = "gauntlet/base";

/// The digest that a path answers with, or that it answers with nothing.
type Content = Option<String>;

/// What a client knows of its repository.
#[derive(Debug)]
pub(crate) struct Ledger {
    repository: String,
    /// By the path in the repository, what it may answer.
    allowed: BTreeMap<String, Vec<Content>>,
    /// What was written to since the last look.
    touched: BTreeSet<String>,
    uploads: Vec<Upload>,
    /// Blobs that no manifest names, and that may be deleted so.
    loose: Vec<String>,
    /// Digests and sizes of blobs in [`BASE`].
    base: Vec<(String, usize)>,
    /// How many requests were acknowledged.
    pub(crate) acknowledged: usize,
    /// How many were answered with 503.
    pub(crate) refused: usize,
    /// How many uploads went on after a break.
    pub(crate) resumed: usize,
}

/// An upload in chunks that is under way.
#[derive(Debug)]
struct Upload {
    location: String,
    bytes: Vec<u8>,
    /// How many bytes were acknowledged.
    acknowledged: usize,
    /// How many were sent.
    sent: usize,
    /// Whether its end was asked for.
    is_ended: bool,
}

/// Fills [`BASE`], and gives what lies there.
pub(crate) fn base(caller: &mut Caller, dice: &mut Dice) -> Vec<(String, usize)> {
    try_base(caller, dice).expect("the server does it")
}

/// The same, or nothing where the server can't do it now.
pub(crate) fn try_base(caller: &mut Caller, dice: &mut Dice) -> Option<Vec<(String, usize)>> {
    let push = |length| {
        let bytes = dice.bytes(length);
        let digest = digest(&bytes);
        let path = format!("/v2/{BASE}/blobs/uploads/?digest={digest}");
        let answer = caller.send("POST", &path, &[], &bytes).expect("it answers");
        (answer.status == 201).then_some((digest, length))
    };
    (1_000..1_008).map(push).collect()
}

impl Ledger {
    /// The empty ledger of a repository.
    pub(crate) fn new(repository: &str, base: &[(String, usize)]) -> Self {
        Self {
            repository: repository.to_owned(),
            allowed: BTreeMap::new(),
            touched: BTreeSet::new(),
            uploads: Vec::new(),
            loose: Vec::new(),
            base: base.to_vec(),
            acknowledged: 0,
            refused: 0,
            resumed: 0,
        }
    }

    /// Makes a request or two that change something. An error is a server that went.
    pub(crate) fn step(&mut self, caller: &mut Caller, dice: &mut Dice) -> io::Result<()> {
        match dice.below(12) {
            0..=2 => {
                let length = 1 + dice.below(20_000);
                let path = self.push(caller, &dice.bytes(length))?;
                self.loose.extend(path);
                Ok(())
            }
            3..=5 => self.advance(caller, dice),
            6..=8 => self.push_image(caller, dice),
            9 => self.delete(caller, dice),
            10 => self.delete_blob(caller, dice),
            _ => self.mount(caller, dice),
        }
    }

    /// Looks at what was written to since the last look, at some of the rest, and at the uploads.
    pub(crate) fn check_some(&mut self, caller: &mut Caller, dice: &mut Dice) -> io::Result<()> {
        let mut paths = std::mem::take(&mut self.touched);
        let known: Vec<_> = self.allowed.keys().collect();
        for _ in 0..known.len().min(4) {
            paths.insert((*dice.of(&known)).clone());
        }
        for path in paths {
            self.check(caller, &path)?;
        }
        for number in (0..self.uploads.len()).rev() {
            self.resume(caller, number)?;
        }
        Ok(())
    }

    /// Looks at everything, and gives how many things are there.
    pub(crate) fn check_all(&mut self, caller: &mut Caller) -> io::Result<usize> {
        for number in (0..self.uploads.len()).rev() {
            if self.resume(caller, number)? {
                self.finish(caller, number)?;
            }
        }
        let paths: Vec<_> = self.allowed.keys().cloned().collect();
        let mut there = 0;
        for path in paths {
            there += usize::from(self.check(caller, &path)?.is_some());
        }
        Ok(there)
    }

    /// Reads what a path answers, whole, and compares.
    fn check(&mut self, caller: &mut Caller, path: &str) -> io::Result<Content> {
        let target = format!("/v2/{}/{path}", self.repository);
        let mut answer = caller.get(&target)?;
        // What a server can't tell now it tells later.
        while answer.status == 503 {
            std::thread::sleep(Duration::from_millis(20));
            answer = caller.get(&target)?;
        }
        let seen = match answer.status {
            200 => Some(digest(&answer.body)),
            404 => None,
            _ => panic!("{}/{path}: {answer:?}", self.repository),
        };
        let allowed = self.allowed.get(path).expect("it was written to");
        assert!(
            allowed.contains(&seen),
            "{}/{path} answers with {seen:?}, and not with one of {allowed:?}",
            self.repository
        );
        self.allowed.insert(path.to_owned(), vec![seen.clone()]);
        Ok(seen)
    }

    /// A path may answer with this too, from now on.
    fn open(&mut self, path: &str, content: Content) {
        let allowed = self.allowed.entry(path.to_owned());
        let allowed = allowed.or_insert_with(|| vec![None]);
        if !allowed.contains(&content) {
            allowed.push(content);
        }
        self.touched.insert(path.to_owned());
    }

    /// A path has to answer with this, from now on.
    fn settle(&mut self, path: &str, content: Content) {
        self.allowed.insert(path.to_owned(), vec![content]);
    }

    /// What a path answers with, if that is certain and there.
    fn certain(&self, path: &str) -> Content {
        match self.allowed.get(path)?.as_slice() {
            [content] => content.clone(),
            _ => None,
        }
    }

    /// The answer, where it is one of those that are expected, or nothing where the server could
    /// not do it now.
    fn ask(
        &mut self,
        caller: &mut Caller,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
        expected: &[u16],
    ) -> io::Result<Option<Answer>> {
        let answer = caller.send(method, path, headers, body)?;
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            self.refused += 1;
            return Ok(None);
        }
        assert!(
            expected.contains(&answer.status),
            "{method} {path}: {answer:?}"
        );
        self.acknowledged += 1;
        Ok(Some(answer))
    }

    /// Pushes a blob in one request, and gives its path where that was acknowledged.
    fn push(&mut self, caller: &mut Caller, bytes: &[u8]) -> io::Result<Option<String>> {
        let digest = digest(bytes);
        let path = format!("blobs/{digest}");
        self.open(&path, Some(digest.clone()));
        let target = format!("/v2/{}/blobs/uploads/?digest={digest}", self.repository);
        let done = self.ask(caller, ("POST", &target), &[], bytes, &[201])?;
        if done.is_some() {
            self.settle(&path, Some(digest));
        }
        Ok(done.map(|_| path))
    }

    fn push_image(&mut self, caller: &mut Caller, dice: &mut Dice) -> io::Result<()> {
        let config = dice.bytes(64);
        if self.push(caller, &config)?.is_none() {
            return Ok(());
        }
        let (layer, size) = dice.of(&self.base).clone();
        let descriptor = |kind: &str, digest: &str, size: usize| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": size});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor("config.v1+json", &digest(&config), config.len()),
            "layers": [descriptor("layer.v1.tar", &layer, size)],
        });
        let manifest = manifest.to_string();
        let digest = digest(manifest.as_bytes());
        let by_digest = format!("manifests/{digest}");
        let by_tag = format!("manifests/t{}", dice.below(8));
        for path in [&by_digest, &by_tag] {
            self.open(path, Some(digest.clone()));
        }
        let target = format!("/v2/{}/{by_tag}", self.repository);
        let headers = [("Content-Type", IMAGE)];
        let put = ("PUT", target.as_str());
        let done = self.ask(caller, put, &headers, manifest.as_bytes(), &[201])?;
        if done.is_some() {
            self.settle(&by_digest, Some(digest.clone()));
            self.settle(&by_tag, Some(digest));
        }
        Ok(())
    }

    /// Deletes a tag, or a manifest with all of its tags.
    fn delete(&mut self, caller: &mut Caller, dice: &mut Dice) -> io::Result<()> {
        let tag = format!("manifests/t{}", dice.below(8));
        let Some(digest) = self.certain(&tag) else {
            return Ok(());
        };
        let mut paths = vec![tag];
        if dice.once_in(2) {
            paths = vec![format!("manifests/{digest}")];
            let tags = (0..8).map(|number| format!("manifests/t{number}"));
            let names = |tag: &String| {
                self.allowed
                    .get(tag)
                    .is_some_and(|a| a.contains(&Some(digest.clone())))
            };
            paths.extend(tags.filter(names));
        }
        for path in &paths {
            self.open(path, None);
        }
        let target = format!("/v2/{}/{}", self.repository, paths[0]);
        let done = self.ask(caller, ("DELETE", &target), &[], b"", &[202, 404])?;
        if done.is_some() {
            for path in &paths {
                let allowed = self.allowed.get_mut(path).expect("it was opened");
                allowed.retain(|content| content.as_ref() != Some(&digest));
            }
        }
        Ok(())
    }

    fn delete_blob(&mut self, caller: &mut Caller, dice: &mut Dice) -> io::Result<()> {
        if self.loose.is_empty() {
            return Ok(());
        }
        let number = dice.below(self.loose.len());
        let path = self.loose.swap_remove(number);
        self.open(&path, None);
        let target = format!("/v2/{}/{path}", self.repository);
        let done = self.ask(caller, ("DELETE", &target), &[], b"", &[202, 404])?;
        if done.is_some() {
            self.settle(&path, None);
        }
        Ok(())
    }

    fn mount(&mut self, caller: &mut Caller, dice: &mut Dice) -> io::Result<()> {
        let (digest, _) = dice.of(&self.base).clone();
        let path = format!("blobs/{digest}");
        self.open(&path, Some(digest.clone()));
        let target = format!(
            "/v2/{}/blobs/uploads/?mount={digest}&from={BASE}",
            self.repository
        );
        if self
            .ask(caller, ("POST", &target), &[], b"", &[201])?
            .is_some()
        {
            self.settle(&path, Some(digest));
        }
        Ok(())
    }

    /// Begins an upload, sends a chunk of one, or ends one.
    fn advance(&mut self, caller: &mut Caller, dice: &mut Dice) -> io::Result<()> {
        if self.uploads.len() < 3 {
            let target = format!("/v2/{}/blobs/uploads/", self.repository);
            let begun = self.ask(caller, ("POST", &target), &[], b"", &[202])?;
            let Some(begun) = begun else { return Ok(()) };
            let length = match dice.once_in(10) {
                true => 1_500_000 + dice.below(500_000),
                false => 3_000 + dice.below(60_000),
            };
            self.uploads.push(Upload {
                location: location(&begun),
                bytes: dice.bytes(length),
                acknowledged: 0,
                sent: 0,
                is_ended: false,
            });
        }
        let number = dice.below(self.uploads.len());
        if !self.resume(caller, number)? {
            return Ok(());
        }
        if self.uploads[number].is_ended || dice.once_in(3) {
            return self.finish(caller, number);
        }
        let upload = &mut self.uploads[number];
        let (begin, length) = (upload.acknowledged, upload.bytes.len());
        let end = length.min(begin + 1_000 + dice.below(length / 2));
        if begin == end {
            return self.finish(caller, number);
        }
        upload.sent = upload.sent.max(end);
        let (target, chunk) = (upload.location.clone(), upload.bytes[begin..end].to_vec());
        let range = format!("{begin}-{}", end - 1);
        let headers = [("Content-Range", range.as_str())];
        let sent = self.ask(caller, ("PATCH", &target), &headers, &chunk, &[202])?;
        if let Some(sent) = sent {
            self.uploads[number].acknowledged = end;
            self.uploads[number].location = location(&sent);
        }
        Ok(())
    }

    /// Ends an upload with the rest of its bytes.
    fn finish(&mut self, caller: &mut Caller, number: usize) -> io::Result<()> {
        let upload = &mut self.uploads[number];
        let (begin, length) = (upload.acknowledged, upload.bytes.len());
        // A commit that nobody heard of may come through until the end is asked for again.
        let expected: &[u16] = if upload.is_ended { &[201, 404] } else { &[201] };
        (upload.is_ended, upload.sent) = (true, length);

        let digest = digest(&upload.bytes);
        let target = format!("{}?digest={digest}", upload.location);
        let rest = upload.bytes[begin..].to_vec();
        let path = format!("blobs/{digest}");
        self.open(&path, Some(digest.clone()));
        let range = format!("{begin}-{}", length - 1);
        let range = [("Content-Range", range.as_str())];
        let headers = if rest.is_empty() { &[][..] } else { &range[..] };
        let done = self.ask(caller, ("PUT", &target), headers, &rest, expected)?;
        if done.is_some() {
            self.uploads.swap_remove(number);
            self.settle(&path, Some(digest));
            self.check(caller, &path)?;
            self.loose.push(path);
        }
        Ok(())
    }

    /// Asks where a broken upload stands, and gives whether it goes on.
    fn resume(&mut self, caller: &mut Caller, number: usize) -> io::Result<bool> {
        let upload = &self.uploads[number];
        if upload.sent == upload.acknowledged && !upload.is_ended {
            return Ok(true);
        }
        let (target, digest) = (upload.location.clone(), digest(&upload.bytes));
        let Some(answer) = self.ask(caller, ("GET", &target), &[], b"", &[204, 404])? else {
            return Ok(false);
        };
        self.resumed += 1;
        if answer.status == 404 {
            let upload = self.uploads.swap_remove(number);
            assert!(upload.is_ended, "{target} is gone, and nobody ended it");
            self.settle(&format!("blobs/{digest}"), Some(digest.clone()));
            self.check(caller, &format!("blobs/{digest}"))?;
            return Ok(false);
        }
        let last = answer
            .header("range")
            .and_then(|text| text.strip_prefix("0-"));
        let last: usize = last.and_then(|text| text.parse().ok()).expect("a range");
        let upload = &mut self.uploads[number];
        let offset = if last == 0 { 0 } else { last + 1 };
        assert!(
            (upload.acknowledged..=upload.sent).contains(&offset),
            "{target} stands at {offset}, of {} acknowledged and {} sent",
            upload.acknowledged,
            upload.sent
        );
        (upload.acknowledged, upload.sent) = (offset, offset);
        Ok(true)
    }
}

fn location(answer: &Answer) -> String {
    let location = answer.header("location").expect("a location");
    location.to_owned()
}
