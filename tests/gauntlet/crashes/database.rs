//! Row 7: PostgreSQL restarts under load, killed and in order, and its connections are cut. Nothing
//! acknowledged is lost, callers are told to come again, and the server is well soon after.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::caller::Caller;
use super::cutter::Cutter;
use super::dice::{Dice, Seed};
use super::ledger::{self, Ledger};
use super::place::Place;
use super::{Form, row};
use crate::support::postgres::{Postgres, Sync};
use crate::support::{Registry, wait};

const CLIENTS: u64 = 4;

/// How soon after the database the server has to be well.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_database_that_restarts_under_load_loses_nothing() {
    let mut postgres = Postgres::start(Sync::On);
    let registry = Place::on_database(postgres.database()).server(&[]);
    let seed = Seed::of_this_run();
    let rounds = Form::pick(3, 14);
    let mut slowest = Duration::ZERO;
    let showed = under_load(&registry, &seed, |dice| {
        for round in 0..rounds {
            std::thread::sleep(Duration::from_millis(200 + dice.below(300) as u64));
            match round % 3 {
                0 | 1 => postgres.kill(),
                _ => postgres.end("INT"),
            }
            says_so(&registry);
            postgres.start_again();
            slowest = slowest.max(until_well(&registry));
        }
    });
    let figure = format!(
        "{rounds} restarts, two of three by kill -9: {showed}; well again {} ms after the database \
         at the latest",
        slowest.as_millis()
    );
    row(7, "restarts", &figure);
}

#[test]
fn a_database_whose_connections_are_cut_loses_nothing() {
    let postgres = Postgres::start(Sync::On);
    let address = postgres.database();
    let (before, behind) = address.rsplit_once('@').expect("an address with a user");
    let (to, name) = behind.split_once('/').expect("an address with a name");
    // Each of these commits gets through, and its answer doesn't.
    let cutter = Cutter::start(to, "COMMIT", 20);
    let way = format!("{before}@{}/{name}", cutter.address());
    let registry = Place::on_database(way).server(&[]);
    let seed = Seed::of_this_run();
    let rounds = Form::pick(5, 20);
    let showed = under_load(&registry, &seed, |dice| {
        cutter.arm();
        for _ in 0..rounds {
            std::thread::sleep(Duration::from_millis(500 + dice.below(1500) as u64));
            cutter.cut_all();
        }
    });
    let (cuts, lost) = (cutter.cuts(), cutter.lost());
    assert!(cuts > rounds && lost > 0, "{cuts} cut, {lost} lost");
    let figure = format!("{cuts} connections cut, {lost} answers to a commit lost: {showed}");
    row(7, "cuts", &figure);
}

/// Lets clients work while something happens, and then looks whether all is there that they were
/// told.
fn under_load(registry: &Registry, seed: &Seed, happens: impl FnOnce(&mut Dice)) -> String {
    let mut dice = seed.dice(0);
    let mut caller = Caller::new(registry.base());
    let base = wait::until("the base", Duration::from_secs(60), || {
        ledger::try_base(&mut caller, &mut dice)
    });
    let mut ledgers: Vec<_> = (1..=CLIENTS)
        .map(|number| {
            let repository = format!("gauntlet/client-{number}");
            (Ledger::new(&repository, &base), seed.dice(number))
        })
        .collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = ledgers
            .iter_mut()
            .map(|(ledger, dice)| {
                let (mut caller, is_over) = (Caller::new(registry.base()), &is_over);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        let refused = ledger.refused;
                        ledger.step(&mut caller, dice).expect("the server stays");
                        if ledger.refused > refused {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                    }
                })
            })
            .collect();
        happens(&mut dice);
        is_over.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().expect("what a client was told holds");
        }
    });
    let mut caller = Caller::new(registry.base());
    let (mut acknowledged, mut refused, mut there) = (0, 0, 0);
    for (ledger, _) in &mut ledgers {
        there += ledger.check_all(&mut caller).expect("the server stays");
        acknowledged += ledger.acknowledged;
        refused += ledger.refused;
    }
    assert!(acknowledged > 0 && refused > 0, "{acknowledged}, {refused}");
    format!(
        "{acknowledged} requests acknowledged, {refused} answered with 503 and Retry-After, {there} \
         blobs, manifests and tags read whole at the end, 0 lost"
    )
}

/// While the database is away, everything says so, but for the process, which lives.
fn says_so(registry: &Registry) {
    let mut caller = Caller::new(registry.base());
    for path in [
        "/v2/gauntlet/base/tags/list",
        "/v2/gauntlet/base/manifests/none",
    ] {
        let answer = caller.get(path).expect("an answer");
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{path}: {answer:?}");
    }
    wait::until("/readyz to say so", SOON, || {
        let ready = caller.get("/readyz").expect("an answer");
        (ready.status == 503).then_some(())
    });
    let alive = caller.get("/healthz").expect("an answer");
    assert_eq!(alive.status, 200, "{alive:?}");
}

/// Waits until the server reads and writes again, and gives how long that took.
fn until_well(registry: &Registry) -> Duration {
    let began = Instant::now();
    let mut caller = Caller::new(registry.base());
    wait::until("the server to be well", SOON, || {
        let ready = caller.get("/readyz").expect("an answer").status == 200;
        let path = "/v2/gauntlet/probe/blobs/uploads/";
        let written = caller.send("POST", path, &[], b"").expect("an answer");
        let read = caller
            .get("/v2/gauntlet/base/tags/list")
            .expect("an answer");
        (ready && written.status == 202 && read.status != 503).then_some(())
    });
    began.elapsed()
}
