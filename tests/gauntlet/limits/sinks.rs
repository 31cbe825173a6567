//! Row 14: a sink of events that fails, while the server is killed again and again. Every push that
//! was acknowledged is told at least once, under one id, and in order for its repository.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::line::{Ends, Line, manifest};
use super::sink::{Fate, Sink, Told};
use super::{Form, row};
use crate::support::{Registry, wait};

const REPOSITORIES: usize = 6;
/// How many pushes a life of the server acknowledges before it is killed.
const PUSHES_A_LIFE: usize = 60;
/// Every so many lives the server lives until it has delivered something. A server that was killed
/// leaves the turn at the endpoint to nobody for some seconds, so others are killed without.
const LIVES_A_DELIVERY: usize = 4;
/// How many deliveries such a life has.
const DELIVERIES_A_LIFE: usize = 150;
/// How many deliveries are left without an answer, each of which holds its repository for long.
const STALLS: usize = 6;

/// The digests that were acknowledged, by repository, in that order.
type Acknowledged = BTreeMap<String, Vec<String>>;

/// Pushes to all repositories at once until the server is killed.
fn push_through_a_life(
    registry: &mut Registry,
    life: usize,
    sink: &Sink,
    acknowledged: &mut Acknowledged,
) {
    let host = registry.host().to_owned();
    let count = AtomicUsize::new(0);
    let wanted = match life % LIVES_A_DELIVERY {
        0 => sink.told().len() + DELIVERIES_A_LIFE,
        _ => 0,
    };
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let ends = Ends(is_over);
        let pushers: Vec<_> = (0..REPOSITORIES)
            .map(|number| {
                let (host, count) = (&host, &count);
                scope.spawn(move || {
                    let repository = format!("team/app-{number}");
                    let mut digests = Vec::new();
                    let Ok(mut line) = Line::to(host) else {
                        return (repository, digests);
                    };
                    for push in 0.. {
                        if is_over.load(Ordering::SeqCst) {
                            break;
                        }
                        let (text, digest) = manifest(&format!("{number}-{life}-{push}"));
                        let Ok(answer) = line.put(&repository, &format!("v{push}"), &text) else {
                            break;
                        };
                        assert_eq!(answer.status, 201, "{answer:?}");
                        digests.push(digest);
                        if count.fetch_add(1, Ordering::SeqCst) > PUSHES_A_LIFE {
                            thread::sleep(Duration::from_millis(50));
                        }
                    }
                    (repository, digests)
                })
            })
            .collect();
        wait::until("pushes", Duration::from_secs(60), || {
            let is_enough = count.load(Ordering::SeqCst) >= PUSHES_A_LIFE;
            (is_enough && sink.told().len() >= wanted).then_some(())
        });
        registry.kill();
        drop(ends);
        for pusher in pushers {
            let (repository, digests) = pusher.join().expect("no push was refused");
            acknowledged.entry(repository).or_default().extend(digests);
        }
    });
}

/// What is wrong with what was told about one repository.
fn check_order(told: &[&Told], acknowledged: &[String]) {
    let mut taken = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    for one in told {
        if seen.insert(one.sequence) {
            let earlier = seen.range(..one.sequence).find(|one| !taken.contains(*one));
            assert_eq!(earlier, None, "was not taken before {one:?} came");
            let later = seen.range(one.sequence + 1..).next();
            assert_eq!(later, None, "came before {one:?}");
        }
        if one.fate == Fate::Take && taken.insert(one.sequence) {
            order.push(&one.digest);
        }
    }
    // Between them may be pushes whose answer the kill took.
    let mut order = order.into_iter();
    for digest in acknowledged {
        assert!(order.any(|one| one == digest), "{digest} was not told");
    }
}

#[test]
fn every_push_is_told_in_order_though_the_sink_fails_and_the_server_is_killed() {
    let lives = Form::pick(8, 50);
    let is_willing = Arc::new(AtomicBool::new(false));
    let willing = Arc::clone(&is_willing);
    let sink = Sink::start(move |number| {
        if willing.load(Ordering::SeqCst) {
            return Fate::Take;
        }
        match number % 20 {
            1 | 9 => Fate::Refuse(500),
            4 => Fate::Refuse(503),
            13 => Fate::HangUp,
            17 if number / 20 < STALLS => Fate::Stall,
            _ => Fate::Take,
        }
    });
    let mut registry = Registry::wharf_with(&[
        ("WHARF__OUTBOUND__ALLOW", "[\"127.0.0.0/8\"]"),
        ("WHARF__LOG__LEVEL", "warn"),
    ]);
    let words = ["endpoint", "add", "sink", sink.url()];
    let only = ["--type", "wharf.image.pushed"];
    registry.administer(words).args(only).succeeds();

    let mut acknowledged = Acknowledged::new();
    for life in 0..lives {
        push_through_a_life(&mut registry, life, &sink, &mut acknowledged);
        registry.start_again();
    }
    is_willing.store(true, Ordering::SeqCst);
    let wanted: BTreeSet<&String> = acknowledged.values().flatten().collect();
    wait::until("all were told", Duration::from_secs(150), || {
        let told = sink.told();
        let taken = told.iter().filter(|one| one.fate == Fate::Take);
        let taken: BTreeSet<&String> = taken.map(|one| &one.digest).collect();
        taken.is_superset(&wanted).then_some(())
    });

    let told = sink.told().clone();
    let mut names: BTreeMap<u64, BTreeSet<(&str, &str)>> = BTreeMap::new();
    let mut places: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for one in &told {
        let name = (one.id.as_str(), one.digest.as_str());
        names.entry(one.sequence).or_default().insert(name);
        places.entry(&one.id).or_default().insert(one.sequence);
    }
    assert!(names.values().all(|names| names.len() == 1), "{names:?}");
    assert!(places.values().all(|places| places.len() == 1));
    for (repository, digests) in &acknowledged {
        let about = told.iter().filter(|one| one.repository == *repository);
        check_order(&about.collect::<Vec<_>>(), digests);
    }
    let failed = told.iter().filter(|one| one.fate != Fate::Take).count();
    assert!(failed > lives, "the sink failed {failed} times");
    row(
        14,
        "",
        &format!(
            "{lives} kills, {} pushes acknowledged, {} deliveries of which {failed} failed, \
             0 pushes untold, each under one id and in order",
            wanted.len(),
            told.len(),
        ),
    );
}
