//! Row 15: a webhook's target that is down while one event after the other queues up for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::fill::{self, Amount, REPOSITORY};
use super::line::Line;
use super::sink::{Fate, Sink};
use super::{Form, row};
use crate::support::{Registry, wait};

/// How long it may take until all of them wait, and until all are given up.
const PATIENCE: Duration = Duration::from_secs(240);
/// How much memory may grow by while events queue up, and while they are given up: the caches of the
/// database, and no event.
const MOST_GROWTH: u64 = 64 << 20;
/// How many dead letters are sent again.
const RESENT: usize = 1000;
/// How many images are deleted.
const DELETED: u64 = 1000;
/// How many come on a page.
const PAGE: usize = 500;

/// Lets a lifecycle policy delete all images but one, each of which is an event.
fn delete_all(registry: &Registry) {
    let mut line = Line::to(registry.host()).expect("the server listens");
    let policy = json!({"rules": [{
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
        "action": {"type": "expire"},
    }]});
    let input = json!({"repositoryName": REPOSITORY, "lifecyclePolicyText": policy.to_string()});
    let answer = line.operation("PutLifecyclePolicy", input.to_string().as_bytes());
    assert_eq!(answer.expect("an answer").status, 200);
    let run = registry.administer(["lifecycle", "run", REPOSITORY]);
    run.limit(PATIENCE).succeeds();
}

/// Waits until so many events wait, and some of them were tried, and gives the memory then.
fn memory_with(registry: &mut Registry, waiting: u64, sink: &Sink) -> u64 {
    let mut line = Line::to(registry.host()).expect("the server listens");
    let tried = sink.told().len();
    wait::until("all of them wait", PATIENCE, || {
        let count = measure(&mut line, "wharf_event_queue_length{endpoint=\"far\"}");
        (count >= waiting as f64 && sink.told().len() > tried + 2).then_some(())
    });
    registry.process().resident_bytes()
}

/// A number of the endpoint, as its place of administration tells it.
fn dead_letters(line: &mut Line) -> u64 {
    let answer = line
        .ask("GET", "/admin/v1/endpoints/far", &[], b"")
        .expect("an answer");
    answer.json()["dead_letters"].as_u64().expect("a number")
}

/// What `/metrics` says of the endpoint.
fn measure(line: &mut Line, name: &str) -> f64 {
    let answer = line.ask("GET", "/metrics", &[], b"").expect("an answer");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.and_then(|rest| rest.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_default()
}

#[test]
fn a_target_that_is_down_for_long_costs_no_memory_and_its_letters_are_sent_again() {
    let count: u64 = Form::pick(10_000, 100_000);
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let sink = Sink::start(move |_| match up.load(Ordering::SeqCst) {
        true => Fate::Take,
        false => Fate::Refuse(503),
    });
    let mut registry = Registry::wharf_with(&[
        ("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]"),
        ("WHARF__LOG__LEVEL", "error"),
    ]);
    let words = [
        "endpoint",
        "add",
        "far",
        sink.url(),
        "--type",
        "wharf.image.deleted",
    ];
    registry.administer(words).succeeds();
    registry.stop();
    let amount = Amount {
        // One of them stays.
        tags: DELETED + 1,
        repositories: 0,
        referrers: 0,
    };
    fill::sqlite(&registry.data(), amount);
    registry.start_again();
    delete_all(&registry);
    let few = memory_with(&mut registry, DELETED, &sink);
    // Deleting all of them one by one takes longer than all else.
    registry.stop();
    fill::more_events(&registry.data(), count - DELETED);
    registry.start_again();
    let queued = memory_with(&mut registry, count, &sink).saturating_sub(few);
    assert!(queued < MOST_GROWTH, "{} MiB", queued >> 20);
    assert_eq!(sink.taken(), 0);

    // All of them are too old from now on.
    registry.stop();
    registry.configure("WHARF__EVENTS__GIVE_UP_AFTER", "1s");
    registry.start_again();
    let mut line = Line::to(registry.host()).expect("the server listens");
    let (mut early, mut most) = (0, 0);
    wait::until("all were given up", PATIENCE, || {
        let dead = dead_letters(&mut line);
        let now = registry.process().resident_bytes();
        if dead < count / 10 {
            early = now;
        }
        most = most.max(now);
        (dead == count).then_some(())
    });
    let given_up = most.saturating_sub(early);
    assert!(given_up < MOST_GROWTH, "{} MiB", given_up >> 20);
    let measured = measure(&mut line, "wharf_event_dead_letters{endpoint=\"far\"}");
    assert!(measured > 0.0, "{measured}");

    is_up.store(true, Ordering::SeqCst);
    let mut letters: Vec<Value> = Vec::new();
    while letters.len() < RESENT {
        let after = letters
            .last()
            .map_or(0, |letter| letter["sequence"].as_u64().unwrap_or_default());
        let path = format!("/admin/v1/endpoints/far/dead-letters?limit={PAGE}&after={after}");
        let page = line.ask("GET", &path, &[], b"").expect("an answer").json();
        let page = page["dead_letters"].as_array().expect("a list").clone();
        assert!(!page.is_empty(), "they are seen");
        letters.extend(page);
    }
    for letter in &letters {
        let body = json!({"sequence": letter["sequence"]}).to_string();
        let path = "/admin/v1/endpoints/far/dead-letters/resend";
        let headers = [("Content-Type", "application/json")];
        let answer = line
            .ask("POST", path, &headers, body.as_bytes())
            .expect("an answer");
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    wait::until("they came", Duration::from_secs(60), || {
        (dead_letters(&mut line) == count - letters.len() as u64).then_some(())
    });
    let told = sink.told();
    let came = told
        .iter()
        .filter(|one| one.fate == Fate::Take)
        .map(|one| one.id.as_str());
    let sent = letters
        .iter()
        .filter_map(|letter| letter["event"]["id"].as_str());
    assert_eq!(came.collect::<BTreeSet<_>>(), sent.collect::<BTreeSet<_>>());
    drop(told);
    // What was given up is done with, whatever came of its letters.
    wait::until("nothing waits", PATIENCE, || {
        (measure(&mut line, "wharf_event_queue_length{endpoint=\"far\"}") == 0.0).then_some(())
    });
    registry
        .administer(["endpoint", "discard", "far"])
        .succeeds();
    assert_eq!(dead_letters(&mut line), 0);
    row(
        15,
        "",
        &format!(
            "{count} events queued, memory grew by {} MiB behind the first thousand, and by {} MiB while \
             they were given up; {} dead letters were sent again, under their ids",
            queued >> 20,
            given_up >> 20,
            letters.len(),
        ),
    );
}
