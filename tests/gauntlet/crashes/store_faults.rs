//! Row 6: the store of buckets fails in every way at every kind of request, once or for long. No wrong
//! byte goes out, no push is acknowledged that is not kept, an upload goes on where it stands, and no
//! multipart is left behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::caller::Caller;
use super::dice::{Dice, Seed};
use super::faulty_store::{Fault, FaultyStore, Kind};
use super::place::Place;
use super::{Form, row};
use crate::api::digest;
use crate::support::Registry;
use crate::support::s3::Bucket;
use crate::support::wait;

/// How many servers meet faults beside each other, each with a bucket of its own.
const LANES: u64 = 3;

const REPOSITORY: &str = "gauntlet/faults";
const MIB: usize = 1 << 20;

/// How soon an upload has to go on when the store is well again.
const SOON: Duration = Duration::from_secs(30);

/// What a fault meets, and how often.
type Case = (Kind, Fault, usize);

#[test]
fn a_store_that_fails_changes_no_byte_and_loses_no_push() {
    let seed = Seed::of_this_run();
    let mut dice = seed.dice(0);
    let mut cases: Vec<Case> = Vec::new();
    for kind in Kind::ALL {
        for fault in Fault::ALL {
            // S3 documents that of no other request.
            if fault == Fault::ErrorWith200 && kind != Kind::Complete {
                continue;
            }
            cases.extend([1, usize::MAX].map(|times| (kind, fault, times)));
        }
    }
    for place in (1..cases.len()).rev() {
        cases.swap(place, dice.below(place + 1));
    }
    cases.truncate(Form::pick(30, usize::MAX));
    let next = AtomicUsize::new(0);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let lanes = (1..=LANES).map(|number| {
            let (cases, next, dice) = (&cases, &next, seed.dice(number));
            scope.spawn(move || Lane::open(dice).run(cases, next))
        });
        let lanes: Vec<_> = lanes.collect();
        let join = |lane: std::thread::ScopedJoinHandle<'_, _>| lane.join().expect("no panic");
        lanes.into_iter().map(join).collect()
    });
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let figure = format!(
        "{} cases of 9 kinds of request, 12 faults, once and for long: {} requests to the store met \
         one, {} blobs acknowledged and read whole, {} requests answered with 503 and Retry-After, \
         {} answers cut, 0 wrong bytes, 0 false 201, no multipart and no object left",
        cases.len(),
        sum(|tally| tally.hits),
        sum(|tally| tally.blobs),
        sum(|tally| tally.refused),
        sum(|tally| tally.broken),
    );
    row(6, "", &figure);
}

#[derive(Default)]
struct Tally {
    hits: usize,
    blobs: usize,
    refused: usize,
    broken: usize,
}

/// A server with a bucket behind a way that fails.
struct Lane {
    bucket: Bucket,
    store: FaultyStore,
    registry: Registry,
    caller: Caller,
    dice: Dice,
    blobs: Vec<String>,
    tally: Tally,
}

/// A blob on its way.
struct Push {
    bytes: Vec<u8>,
    /// Chunks of this size, or all of it in one request.
    chunk: Option<usize>,
    location: Option<String>,
    is_ended: bool,
}

/// How far a push got.
#[derive(Debug, PartialEq)]
enum Got {
    Done,
    Refused,
}

impl Lane {
    fn open(dice: Dice) -> Self {
        let bucket = Bucket::new();
        let store = FaultyStore::start(bucket.host());
        let mut way = bucket.clone();
        way.endpoint = store.endpoint();
        let registry = Place::alone().in_bucket(&way).server(&[
            ("WHARF__S3__TIMEOUT", "1s"),
            ("WHARF__S3__RETRY_FOR", "800ms"),
            ("WHARF__UPLOADS__EXPIRE_AFTER", "10s"),
            ("WHARF__UPLOADS__SWEEP_EVERY", "300ms"),
            ("WHARF__STORAGE__RECORDS", "false"),
        ]);
        Self {
            caller: Caller::new(registry.base()),
            bucket,
            store,
            registry,
            dice,
            blobs: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn run(mut self, cases: &[Case], next: &AtomicUsize) -> Tally {
        for size in [2000, 6 * MIB] {
            let mut push = self.push(size, None);
            // A new bucket takes its time.
            wait::until("a first push", SOON, || {
                (self.go_on(&mut push, "at first") == Got::Done).then_some(())
            });
        }
        while let Some(&(kind, fault, times)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            self.meet(kind, fault, times);
        }
        for blob in self.blobs.clone() {
            assert!(self.reads(&blob, "at the end"), "{blob}");
        }
        // Uploads that nobody goes on with end, and leave nothing.
        let (kept, bucket) = (self.blobs.len(), &self.bucket);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let objects = [bucket.objects("data"), bucket.entries("index")];
            let left = (bucket.multiparts(), objects);
            if left == (0, [kept, kept]) {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "of {kept} blobs so many multiparts, objects and indexes are left: {left:?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = self.registry.log();
        assert!(!log.contains("panicked"), "{log}");
        self.tally.hits = self.store.hits();
        self.tally.blobs = kept;
        self.tally
    }

    fn meet(&mut self, kind: Kind, fault: Fault, times: usize) {
        let case = format!("{kind:?} {fault:?} {times}");
        let (few, many) = (1000 + self.dice.below(9000), 6 * MIB + self.dice.below(MIB));
        self.store.inject(kind, fault, times);
        let mut pushes = match kind {
            Kind::Begin | Kind::Part | Kind::Complete => {
                vec![self.push(many, Some(5 * MIB + MIB / 2))]
            }
            Kind::Put | Kind::Get => vec![self.push(few, None), self.push(300_000, Some(100_000))],
            Kind::Abort | Kind::Multiparts | Kind::List | Kind::DeleteMany => {
                self.cancel(many, &case);
                vec![self.push(200_000, Some(90_000))]
            }
        };
        let got: Vec<_> = pushes
            .iter_mut()
            .map(|push| self.go_on(push, &case))
            .collect();
        if kind == Kind::Get {
            let large = self.blobs[1].clone();
            self.reads(&large, &case);
            self.reads_range(&large, &case);
        }
        self.store.heal();
        for (mut push, got) in pushes.into_iter().zip(got) {
            if got == Got::Refused {
                wait::until("a push to go on", SOON, || {
                    (self.go_on(&mut push, &case) == Got::Done).then_some(())
                });
            }
            assert!(self.reads(&digest(&push.bytes), &case), "{case}");
        }
    }

    fn push(&mut self, size: usize, chunk: Option<usize>) -> Push {
        Push {
            bytes: self.dice.bytes(size),
            chunk,
            location: None,
            is_ended: false,
        }
    }

    /// Goes on with a push as far as it gets.
    fn go_on(&mut self, push: &mut Push, case: &str) -> Got {
        let digest = digest(&push.bytes);
        let uploads = format!("/v2/{REPOSITORY}/blobs/uploads/");
        let Some(chunk) = push.chunk else {
            let path = format!("{uploads}?digest={digest}");
            return match self.ask("POST", &path, &[], &push.bytes, &[201], case) {
                Some(_) => self.acknowledged(digest),
                None => Got::Refused,
            };
        };
        if push.location.is_none() {
            let begun = self.ask("POST", &uploads, &[], b"", &[202], case);
            push.location = begun.as_ref().map(location);
        }
        let Some(mut at) = push.location.clone() else {
            return Got::Refused;
        };
        let Some(status) = self.ask("GET", &at, &[], b"", &[204, 404], case) else {
            return Got::Refused;
        };
        if status.status == 404 {
            assert!(push.is_ended, "{case}: an upload is lost");
            assert!(
                self.reads(&digest, case),
                "{case}: it ended, and made no blob"
            );
            return self.acknowledged(digest);
        }
        let last = status
            .header("range")
            .and_then(|text| text.strip_prefix("0-"));
        let last: usize = last.and_then(|text| text.parse().ok()).expect("a range");
        let mut offset = if last == 0 { 0 } else { last + 1 };
        while push.bytes.len() - offset > chunk {
            let part = &push.bytes[offset..offset + chunk];
            let range = format!("{offset}-{}", offset + chunk - 1);
            let headers = [("Content-Range", range.as_str())];
            let Some(sent) = self.ask("PATCH", &at, &headers, part, &[202], case) else {
                return Got::Refused;
            };
            offset += chunk;
            at = location(&sent);
            push.location = Some(at.clone());
        }
        push.is_ended = true;
        let path = format!("{at}?digest={digest}");
        match self.ask("PUT", &path, &[], &push.bytes[offset..], &[201], case) {
            Some(_) => self.acknowledged(digest),
            None => Got::Refused,
        }
    }

    fn acknowledged(&mut self, digest: String) -> Got {
        self.blobs.push(digest);
        Got::Done
    }

    /// Begins an upload that has a multipart, and gives it up.
    fn cancel(&mut self, size: usize, case: &str) {
        let bytes = self.dice.bytes(size);
        let uploads = format!("/v2/{REPOSITORY}/blobs/uploads/");
        let Some(begun) = self.ask("POST", &uploads, &[], b"", &[202], case) else {
            return;
        };
        let at = location(&begun);
        if let Some(sent) = self.ask("PATCH", &at, &[], &bytes, &[202], case) {
            self.ask("DELETE", &location(&sent), &[], b"", &[204], case);
        }
    }

    /// An answer that is expected, or nothing where the server could not do it.
    fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        expected: &[u16],
        case: &str,
    ) -> Option<crate::api::http::Answer> {
        let answer = match self.caller.send(method, path, headers, body) {
            Ok(answer) => answer,
            // A refusal that comes while the body is sent may be lost with the connection.
            Err(_) if !body.is_empty() => {
                self.tally.broken += 1;
                return None;
            }
            Err(error) => panic!("{case}: {method} {path}: {error}"),
        };
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some(), "{case}: {answer:?}");
            self.tally.refused += 1;
            return None;
        }
        let is_expected = expected.contains(&answer.status);
        assert!(is_expected, "{case}: {method} {path}: {answer:?}");
        Some(answer)
    }

    /// Reads a blob, and gives whether all of it came. What comes is right, or ends before its end.
    fn reads(&mut self, digest: &str, case: &str) -> bool {
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        let Ok(answer) = self.caller.get(&path) else {
            self.tally.broken += 1;
            return false;
        };
        if answer.status == 503 {
            self.tally.refused += 1;
            return false;
        }
        assert_eq!(answer.status, 200, "{case}: {path}");
        assert_eq!(self::digest(&answer.body), digest, "{case}: {path}");
        true
    }

    fn reads_range(&mut self, digest: &str, case: &str) {
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        let range = [("Range", "bytes=1000-2000999")];
        match self.caller.send("GET", &path, &range, b"") {
            Ok(answer) if answer.status == 503 => self.tally.refused += 1,
            Ok(answer) => {
                let got = (answer.status, answer.body.len());
                assert_eq!(got, (206, 2_000_000), "{case}");
            }
            Err(_) => self.tally.broken += 1,
        }
    }
}

fn location(answer: &crate::api::http::Answer) -> String {
    answer.header("location").expect("a location").to_owned()
}
