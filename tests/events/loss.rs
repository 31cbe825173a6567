//! Row 14 of what has to hold: a thousand pushes, a sink that fails, and a server that is killed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::hook::Hook;
use super::{endpoint, manifest, registry};
use crate::api::http::Client;
use crate::support::wait;

const REPOSITORIES: usize = 8;
const PUSHES: usize = 1000;
/// After how many pushes the server is killed.
const KILLS: [usize; 3] = [250, 500, 750];

/// Pushes one after the other into a repository, from one tag to another; gives those that were
/// acknowledged.
fn push_all(client: &Client, repository: usize, numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in numbers {
        let name = format!("loss/app-{repository}");
        let tag = format!("v{number:04}");
        let document = manifest(&format!("{name} {tag}"));
        let path = format!("/v2/{name}/manifests/{tag}");
        let headers = [("Content-Type", crate::api::IMAGE)];
        let answer = client.send("PUT", &path, &headers, document.as_bytes());
        if answer.status == 201 {
            acknowledged.push(format!("{name}:{tag}"));
        }
    }
    acknowledged
}

#[test]
fn a_thousand_pushes_arrive_in_order_through_failures_and_kills() {
    let mut registry = registry();
    // At the beginning and every so often it takes nothing.
    let hook = Hook::answering(|number| match number {
        0..4 => (503, ""),
        number if number % 150 == 0 => (500, ""),
        _ => (200, ""),
    });
    endpoint(&registry, "loss", hook.url(), &["--type", "*.pushed"]);

    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut done = 0;
    for until in KILLS.into_iter().chain([PUSHES]) {
        let client = Client::new(registry.base());
        let (from, to) = (done / REPOSITORIES, until / REPOSITORIES);
        let pushers: Vec<_> = (0..REPOSITORIES)
            .map(|repository| {
                let (client, acknowledged) = (client.clone(), Arc::clone(&acknowledged));
                std::thread::spawn(move || {
                    let own = push_all(&client, repository, from..to);
                    acknowledged.lock().expect("not poisoned").extend(own);
                })
            })
            .collect();
        for pusher in pushers {
            pusher.join().expect("it pushed");
        }
        done = to * REPOSITORIES;
        if until < PUSHES {
            registry.kill();
            registry.start_again();
        }
    }
    let acknowledged = acknowledged.lock().expect("not poisoned").clone();
    assert_eq!(acknowledged.len(), done);

    let arrived = wait::until("every push", Duration::from_secs(120), || {
        let mut first: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for (place, delivery) in hook.taken().iter().enumerate() {
            let event = delivery.json();
            let subject = event["subject"].as_str().expect("a text").to_owned();
            let id = delivery.id().to_owned();
            let known = first.entry(subject).or_insert((place, id.clone()));
            assert_eq!(known.1, id, "an id stays the same");
        }
        let is_complete = acknowledged.iter().all(|push| first.contains_key(push));
        is_complete.then_some(first)
    });
    // In order for each repository: what comes later by its tag came later first.
    for repository in 0..REPOSITORIES {
        let prefix = format!("loss/app-{repository}:");
        let places: Vec<usize> = arrived
            .iter()
            .filter(|(subject, _)| subject.starts_with(&prefix))
            .map(|(_, (place, _))| *place)
            .collect();
        assert!(places.is_sorted(), "{prefix}");
    }
    let taken = hook.taken().len();
    println!("{done} pushes, {taken} deliveries, {} kills", KILLS.len());
}
