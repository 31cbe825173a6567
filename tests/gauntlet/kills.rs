//! Row 1: `kill -9` in the middle of pushes, again and again. Nothing acknowledged is lost.

use std::time::{Duration, Instant};

use super::caller::Caller;
use super::dice::{Dice, Seed};
use super::ledger::{self, Ledger};
use super::place::Place;
use super::{Form, row};
use crate::support::s3::Bucket;
use crate::support::{Registry, wait};

/// How many clients push at once.
const CLIENTS: u64 = 4;

/// After how many milliseconds a server is killed, at most.
const LIFE: usize = 120;

#[test]
fn a_kill_loses_nothing_on_sqlite_and_disk() {
    let mut registry = Registry::wharf();
    let figure = kill_again_and_again(&mut registry, Form::pick(50, 1000));
    row(1, "SQLite and disk", &figure);
}

#[test]
fn a_kill_loses_nothing_on_postgres() {
    let mut registry = Registry::on_postgres();
    let figure = kill_again_and_again(&mut registry, Form::pick(8, 60));
    row(1, "PostgreSQL and disk", &figure);
}

#[test]
fn a_kill_loses_nothing_in_a_bucket() {
    let bucket = Bucket::new();
    let place = Place::on_postgres().in_bucket(&bucket);
    let mut registry = place.server(&[]);
    let figure = kill_again_and_again(&mut registry, Form::pick(8, 60));
    row(1, "PostgreSQL and S3", &figure);
}

/// Kills a server so many times while clients push, and gives what that showed.
fn kill_again_and_again(registry: &mut Registry, kills: usize) -> String {
    let seed = Seed::of_this_run();
    let mut dice = seed.dice(0);
    let base = ledger::base(&mut Caller::new(registry.base()), &mut dice);
    let mut clients: Vec<(Ledger, Dice)> = (1..=CLIENTS)
        .map(|number| {
            let repository = format!("gauntlet/client-{number}");
            (Ledger::new(&repository, &base), seed.dice(number))
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        let address = registry.base().to_owned();
        std::thread::scope(|scope| {
            for (ledger, dice) in &mut clients {
                let mut caller = Caller::new(&address);
                scope.spawn(move || while ledger.step(&mut caller, dice).is_ok() {});
            }
            std::thread::sleep(Duration::from_millis(dice.below(LIFE) as u64));
            registry.kill();
        });
        let log = registry.log();
        assert!(!log.contains("panicked"), "{log}");
        let began = Instant::now();
        registry.start_again();
        let mut caller = Caller::new(registry.base());
        wait::until("the server to be ready", Duration::from_secs(20), || {
            let ready = caller.get("/readyz").expect("it answers");
            (ready.status == 200).then_some(())
        });
        slowest = slowest.max(began.elapsed());
        for (ledger, dice) in &mut clients {
            let checked = ledger.check_some(&mut caller, dice);
            checked.expect("the server stays");
        }
    }
    let mut caller = Caller::new(registry.base());
    let (mut acknowledged, mut resumed, mut there) = (0, 0, 0);
    for (ledger, _) in &mut clients {
        there += ledger.check_all(&mut caller).expect("the server stays");
        acknowledged += ledger.acknowledged;
        resumed += ledger.resumed;
    }
    assert!(acknowledged > kills, "only {acknowledged} acknowledged");
    format!(
        "{kills} kills, {acknowledged} requests acknowledged, {resumed} broken uploads asked where \
         they stand, {there} blobs, manifests and tags read whole at the end, 0 lost; ready {} ms \
         after a kill at the latest",
        slowest.as_millis()
    )
}
