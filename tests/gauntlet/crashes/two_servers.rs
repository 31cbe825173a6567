//! Row 10: two servers on one PostgreSQL and one bucket push tags to one repository. None is lost,
//! and each server shows at once what the other one has acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::caller::Caller;
use super::place::Place;
use super::{Form, row};
use crate::api::{self, IMAGE, digest};
use crate::support::s3::Bucket;

/// How many clients push at once, half of them to each server.
const CLIENTS: usize = 8;

/// How many tags all clients move against each other.
const SHARED: usize = 4;

const REPOSITORY: &str = "gauntlet/shared";

#[test]
fn no_tag_is_lost_between_two_servers_and_one_repository() {
    let pushes = Form::pick(400, 5000);
    let bucket = Bucket::new();
    let place = Place::on_postgres().in_bucket(&bucket);
    let servers = [place.server(&[]), place.server(&[])];
    let bases = servers.each_ref().map(|server| server.base().to_owned());
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let per_client = std::thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|client| {
            let (bases, next) = (&bases, &next);
            scope.spawn(move || push_until(bases, client, next, pushes))
        });
        let clients: Vec<_> = clients.collect();
        let join = |client: std::thread::ScopedJoinHandle<'_, _>| client.join().expect("no panic");
        clients.into_iter().map(join).collect::<Vec<Pushed>>()
    });
    let took = began.elapsed();
    let mut own = BTreeMap::new();
    let mut moved = BTreeMap::new();
    let mut slowest = Duration::ZERO;
    for pushed in per_client {
        own.extend(pushed.own);
        for (tag, digests) in pushed.shared {
            moved
                .entry(tag)
                .or_insert_with(BTreeSet::new)
                .extend(digests);
        }
        slowest = slowest.max(pushed.slowest);
    }
    let of_shared: usize = moved.values().map(BTreeSet::len).sum();
    assert_eq!(own.len() + of_shared, pushes, "each push was acknowledged");
    let all: BTreeSet<_> = own.keys().chain(moved.keys()).cloned().collect();
    let mut named_by_first = BTreeMap::new();
    for base in &bases {
        let mut caller = Caller::new(base);
        assert_eq!(
            tags(&mut caller),
            all,
            "the list has every tag, and no other"
        );
        for (tag, digest) in &own {
            assert_eq!(named(&mut caller, tag).as_ref(), Some(digest), "{tag}");
        }
        for (tag, digests) in &moved {
            let digest = named(&mut caller, tag).expect("it is there");
            assert!(digests.contains(&digest), "{tag} names what nobody pushed");
            let first = named_by_first.entry(tag).or_insert_with(|| digest.clone());
            assert_eq!(*first, digest, "{tag} is the same on both servers");
            // What was moved away is still there, by its digest.
            for digest in digests {
                assert_eq!(named(&mut caller, digest).as_ref(), Some(digest));
            }
        }
    }
    for (tag, digests) in &moved {
        let told = servers[0].administer(["tag", "history", "--limit", "10000", REPOSITORY, tag]);
        let told = told.succeeds();
        for digest in digests {
            assert!(
                told.contains(digest),
                "{tag}: {digest} is not in its history: {told}"
            );
        }
    }
    row(
        10,
        "",
        &format!(
            "{pushes} tag pushes over two servers in {:.1} s, {of_shared} of them to {SHARED} tags \
             that all clients moved; each seen by the other server at once (a look took {} ms at \
             most); 0 lost",
            took.as_secs_f64(),
            slowest.as_millis()
        ),
    );
}

/// What a client pushed.
#[derive(Debug, Default)]
struct Pushed {
    own: BTreeMap<String, String>,
    shared: BTreeMap<String, Vec<String>>,
    /// How long a look at the other server took.
    slowest: Duration,
}

/// Pushes tags until there are enough, and looks at the other server after each.
fn push_until(bases: &[String; 2], client: usize, next: &AtomicUsize, pushes: usize) -> Pushed {
    let mut here = Caller::new(&bases[client % 2]);
    let mut there = Caller::new(&bases[(client + 1) % 2]);
    let mut pushed = Pushed::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= pushes {
            return pushed;
        }
        let is_shared = number.is_multiple_of(10);
        let tag = match is_shared {
            true => format!("shared-{}", number / 10 % SHARED),
            false => format!("tag-{number}"),
        };
        let mut manifest = api::image(b"{}");
        manifest["annotations"] = json!({"number": number.to_string()});
        let manifest = manifest.to_string();
        let digest = digest(manifest.as_bytes());
        let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
        let headers = [("Content-Type", IMAGE)];
        let put = here.send("PUT", &path, &headers, manifest.as_bytes());
        let put = put.expect("an answer");
        assert_eq!(put.status, 201, "{tag}: {put:?}");
        let began = Instant::now();
        let reference = if is_shared { &digest } else { &tag };
        let seen = named(&mut there, reference);
        pushed.slowest = pushed.slowest.max(began.elapsed());
        assert_eq!(seen.as_ref(), Some(&digest), "{tag} on the other server");
        if is_shared {
            pushed.shared.entry(tag).or_default().push(digest);
        } else {
            pushed.own.insert(tag, digest);
        }
    }
}

/// The digest of what a reference names.
fn named(caller: &mut Caller, reference: &str) -> Option<String> {
    let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
    let answer = caller.get(&path).expect("an answer");
    (answer.status == 200).then(|| digest(&answer.body))
}

/// All tags, page by page.
fn tags(caller: &mut Caller) -> BTreeSet<String> {
    let mut tags = BTreeSet::new();
    let mut path = format!("/v2/{REPOSITORY}/tags/list?n=700");
    loop {
        let page = caller.get(&path).expect("an answer");
        assert_eq!(page.status, 200, "{page:?}");
        let list = page.json()["tags"].as_array().cloned().unwrap_or_default();
        for tag in list {
            let is_new = tags.insert(tag.as_str().expect("a tag").to_owned());
            assert!(is_new, "{tag} stands twice");
        }
        let link = page
            .header("link")
            .and_then(|link| link.split(['<', '>']).nth(1));
        let Some(link) = link else { return tags };
        path = link.to_owned();
    }
}
