//! Row 1: `kill -9` in the middle of pushes, again and again. Nothing acknowledged is lost.

use std::fmt;
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

/// How many servers are killed beside each other.
const LANES: usize = 2;

#[test]
fn a_kill_loses_nothing_on_sqlite_and_disk() {
    let kills = Form::pick(50, 1000);
    let seed = Seed::of_this_run();
    let showed: Vec<Showed> = std::thread::scope(|scope| {
        let lanes = (0..LANES as u64).map(|lane| {
            let seed = &seed;
            let work =
                move || kill_again_and_again(&mut Registry::wharf(), kills / LANES, seed, lane);
            scope.spawn(work)
        });
        let lanes: Vec<_> = lanes.collect();
        let join =
            |lane: std::thread::ScopedJoinHandle<'_, _>| lane.join().expect("nothing is lost");
        lanes.into_iter().map(join).collect()
    });
    let all = showed.into_iter().fold(Showed::default(), Showed::and);
    row(1, "SQLite and disk", &all.to_string());
}

#[test]
fn a_kill_loses_nothing_on_postgres() {
    let mut registry = Registry::on_postgres();
    let kills = Form::pick(6, 60);
    let showed = kill_again_and_again(&mut registry, kills, &Seed::of_this_run(), 0);
    row(1, "PostgreSQL and disk", &showed.to_string());
}

#[test]
fn a_kill_loses_nothing_in_a_bucket() {
    let bucket = Bucket::new();
    let place = Place::on_postgres().in_bucket(&bucket);
    let mut registry = place.server(&[]);
    let kills = Form::pick(6, 60);
    let showed = kill_again_and_again(&mut registry, kills, &Seed::of_this_run(), 0);
    row(1, "PostgreSQL and S3", &showed.to_string());
}

/// What the kills showed.
#[derive(Default)]
struct Showed {
    kills: usize,
    acknowledged: usize,
    resumed: usize,
    there: usize,
    slowest: Duration,
}

impl Showed {
    fn and(self, other: Self) -> Self {
        Self {
            kills: self.kills + other.kills,
            acknowledged: self.acknowledged + other.acknowledged,
            resumed: self.resumed + other.resumed,
            there: self.there + other.there,
            slowest: self.slowest.max(other.slowest),
        }
    }
}

impl fmt::Display for Showed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kills,
            acknowledged,
            resumed,
            there,
            slowest,
        } = self;
        write!(
            formatter,
            "{kills} kills, {acknowledged} requests acknowledged, {resumed} times a broken upload was asked where it stands, \
             {there} blobs, manifests and tags read whole at the end, 0 lost; ready {} ms after a \
             kill at the latest",
            slowest.as_millis()
        )
    }
}

/// Kills a server so many times while clients push, and gives what that showed.
fn kill_again_and_again(registry: &mut Registry, kills: usize, seed: &Seed, lane: u64) -> Showed {
    let number = lane * (CLIENTS + 1);
    let mut dice = seed.dice(number);
    let base = ledger::base(&mut Caller::new(registry.base()), &mut dice);
    let mut clients: Vec<(Ledger, Dice)> = (number + 1..=number + CLIENTS)
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
        let address = registry.base();
        std::thread::scope(|scope| {
            for (ledger, dice) in &mut clients {
                let mut caller = Caller::new(address);
                scope.spawn(move || {
                    let checked = ledger.check_some(&mut caller, dice);
                    checked.expect("the server stays");
                });
            }
        });
    }
    let mut caller = Caller::new(registry.base());
    let mut showed = Showed {
        kills,
        slowest,
        ..Showed::default()
    };
    for (ledger, _) in &mut clients {
        showed.there += ledger.check_all(&mut caller).expect("the server stays");
        showed.acknowledged += ledger.acknowledged;
        showed.resumed += ledger.resumed;
    }
    assert!(
        showed.acknowledged > kills,
        "only {} acknowledged",
        showed.acknowledged
    );
    showed
}
