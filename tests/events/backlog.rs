//! Row 15 of what has to hold: a target that is down for long, with 100,000 events behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::sqlite::Sqlite;
use wharf_storage::metadata::{Change, Metadata, Pull, Pulled};
use wharf_storage::oci::{Algorithm, Digest};

use super::endpoint;
use super::hook::Hook;
use crate::api::http::Client;
use crate::support::{Registry, wait};

const EVENTS: u64 = 100_000;
/// How many are written at once.
const BATCH: u64 = 1000;
const REPOSITORIES: u64 = 50;
/// How many dead letters are sent again.
const RESENT: usize = 200;

/// Writes the events of as many pulls into the database of a server that doesn't run.
fn fill(registry: &Registry) {
    let database = registry.data().join("metadata.sqlite3");
    let metadata = Metadata::new(Arc::new(Sqlite::open(&database).expect("it opens")));
    let now = Timestamp::from_seconds(1_700_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        for batch in 0..EVENTS / BATCH {
            let pulls = (0..BATCH).map(|number| {
                let number = batch * BATCH + number;
                let repository = format!("long/app-{}", number % REPOSITORIES);
                let pull = Pull {
                    repository: repository.parse().expect("a name"),
                    digest: Digest::of(Algorithm::Sha256, &number.to_be_bytes()),
                };
                let by = "user/a".into();
                (
                    pull,
                    Pulled {
                        at: now,
                        by,
                        count: 1,
                    },
                )
            });
            let recorded = metadata.record_pulls(pulls.collect(), Change::new("registry", now));
            recorded.await.expect("recorded");
        }
    });
}

fn dead_letters(client: &Client) -> u64 {
    let answer = client.get("/admin/v1/endpoints/long");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["dead_letters"].as_u64().expect("a number")
}

#[test]
fn a_target_that_is_down_for_long_costs_no_memory_and_loses_nothing() {
    let mut registry = Registry::wharf_with(&[
        ("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]"),
        // The events are old already.
        ("WHARF__EVENTS__GIVE_UP_AFTER", "1s"),
        ("WHARF__EVENTS__KEEP", "87600h"),
    ]);
    registry.stop();
    fill(&registry);
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let hook = Hook::answering(move |_| match up.load(Ordering::SeqCst) {
        true => (200, ""),
        false => (503, ""),
    });
    let options = ["--pulls", "--after", "0"];
    endpoint(&registry, "long", hook.url(), &options);

    registry.start_again();
    let client = Client::new(registry.base());
    let before = registry.process().resident_bytes();
    // The caches of the database fill up meanwhile, to 40 MiB; behind them nothing grows with what
    // was given up already.
    let (mut first, mut second) = (before, 0);
    wait::until("all were given up", Duration::from_secs(180), || {
        let dead = dead_letters(&client);
        let half = if dead < EVENTS / 2 {
            &mut first
        } else {
            &mut second
        };
        *half = (*half).max(registry.process().resident_bytes());
        (dead == EVENTS).then_some(())
    });
    let grown = first.max(second).saturating_sub(before) >> 20;
    let late = second.saturating_sub(first) >> 20;
    println!(
        "{EVENTS} events were given up; memory grew by {grown} MiB, by {late} in the second half"
    );
    assert!(grown < 64, "{grown} MiB");
    assert!(late < 8, "{late} MiB");
    assert!(hook.taken().is_empty());

    is_up.store(true, Ordering::SeqCst);
    let path = format!("/admin/v1/endpoints/long/dead-letters?limit={RESENT}");
    let letters = client.get(&path).json();
    let letters = letters["dead_letters"].as_array().expect("a list").clone();
    assert_eq!(letters.len(), RESENT);
    assert_eq!(letters[0]["reason"], "it answers 503 Service Unavailable");
    for letter in &letters {
        let body = serde_json::json!({"sequence": letter["sequence"]}).to_string();
        let headers = [("Content-Type", "application/json")];
        let path = "/admin/v1/endpoints/long/dead-letters/resend";
        let answer = client.send("POST", path, &headers, body.as_bytes());
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    wait::until("they came", Duration::from_secs(60), || {
        (dead_letters(&client) == EVENTS - RESENT as u64).then_some(())
    });
    let mut came: Vec<String> = hook.taken().iter().map(|one| one.id().to_owned()).collect();
    came.sort();
    came.dedup();
    let mut sent: Vec<String> = letters
        .iter()
        .map(|letter| letter["event"]["id"].as_str().expect("a text").to_owned())
        .collect();
    sent.sort();
    assert_eq!(came, sent);
}
