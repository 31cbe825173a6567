//! PostgreSQL that is killed under load and comes back: nothing that was acknowledged is lost, what
//! can't be done is answered with 503 and when to come again, and soon all is well.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{manifest, put, tagged};
use crate::api::http::{Answer, Client};
use crate::support::postgres::{Postgres, Sync};
use crate::support::{Registry, wait};

const CLIENTS: usize = 6;
const OUTAGES: usize = 3;
/// How soon the server is well again.
const HEALTHY_WITHIN: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);

/// What the clients have seen so far.
#[derive(Default)]
struct Seen {
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
}

impl Seen {
    /// Waits until there are more of something.
    fn more(counter: &AtomicUsize, what: &str) {
        let before = counter.load(Ordering::Relaxed);
        wait::until(what, PATIENCE, || {
            (counter.load(Ordering::Relaxed) >= before + 20).then_some(())
        });
    }
}

fn is_refusal(answer: &Answer) -> bool {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    assert_eq!(answer.code(), "UNAVAILABLE");
    true
}

#[test]
fn nothing_acknowledged_is_lost_when_postgres_is_killed_under_load() {
    let mut postgres = Postgres::start(Sync::On);
    let database = postgres.database();
    let registry = Registry::wharf_with(&[("WHARF__DATABASE__URL", &database)]);
    let client = Client::new(registry.base());
    let seen = Seen::default();
    let acknowledged = std::thread::scope(|scope| {
        let pushers: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (client, seen) = (&client, &seen);
                scope.spawn(move || push_until_told(client, seen, number))
            })
            .collect();
        for _ in 0..OUTAGES {
            Seen::more(&seen.acknowledged, "pushes succeed");
            postgres.kill();
            Seen::more(&seen.refused, "pushes are refused");
            let path = "/v2/team/app/tags/list";
            let read = wait::until("reads are refused", PATIENCE, || {
                let answer = client.get(path);
                (answer.status == 503).then_some(answer)
            });
            is_refusal(&read);
            assert_eq!(client.get("/readyz").status, 503);
            assert_eq!(client.get("/healthz").status, 200);
            let asked = [(
                "X-Amz-Target",
                "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
            )];
            let ecr = client.send("POST", "/", &asked, b"{}");
            if ecr.status == 503 {
                assert_eq!(ecr.json()["__type"], "ServerException");
                assert_eq!(ecr.header("retry-after"), Some("1"));
            }
            postgres.start_again();
            let back = Instant::now();
            wait::until("the server is well", HEALTHY_WITHIN, || {
                (client.get("/readyz").status == 200).then_some(())
            });
            Seen::more(&seen.acknowledged, "pushes succeed again");
            assert!(back.elapsed() < HEALTHY_WITHIN, "{:?}", back.elapsed());
        }
        seen.stop.store(true, Ordering::Relaxed);
        let all = pushers
            .into_iter()
            .flat_map(|one| one.join().expect("it ends"));
        all.collect::<Vec<String>>()
    });
    for tag in &acknowledged {
        let (_, digest) = manifest(tag);
        assert_eq!(tagged(&client, "team/app", tag), Some(digest), "{tag}");
    }
    let events = postgres.sql(
        &database,
        "SELECT COUNT(*) = MAX(seq) AND COUNT(*) = 1 + (SELECT COUNT(*) FROM tag_history)
         FROM events WHERE stream = 'changes'",
    );
    assert_eq!(events.trim(), "t", "each push is told once, without gaps");
}

/// Pushes one tag after the other, and gives those that were acknowledged.
fn push_until_told(client: &Client, seen: &Seen, number: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut round = 0;
    while !seen.stop.load(Ordering::Relaxed) {
        round += 1;
        let tag = format!("v{number}-{round}");
        let (text, _) = manifest(&tag);
        let answer = put(client, "team/app", &tag, &text);
        match answer.status {
            201 => {
                acknowledged.push(tag);
                seen.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            _ if is_refusal(&answer) => {
                seen.refused.fetch_add(1, Ordering::Relaxed);
                // As a client does that was told to come later, but sooner.
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => {}
        }
    }
    acknowledged
}
