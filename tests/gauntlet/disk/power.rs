//! Row 2: the power fails.
//!
//! Images are pushed, moved and deleted on a disk that stops at a call that a seed chooses, at the
//! server's start too. The server is killed, and started again on what the disk has kept: what was
//! synced, and by turns nothing else or some of the rest.

use std::thread;

use super::acknowledged::{Acknowledged, brief};
use super::faulty_disk::random::Random;
use super::faulty_disk::{Call, Fault, FaultyDisk, Kind, Loss, Trouble};
use super::{Form, row};
use crate::api::http::Client;
use crate::support::Registry;

/// How many cuts one disk has to live through.
const CUTS: u64 = 20;

#[test]
fn what_was_acknowledged_outlives_power_cuts() {
    let disks = Form::pick(1, 5);
    let (mut acknowledged, mut at_start) = (0, 0);
    for seed in 0..disks {
        let (count, starts) = one_disk(seed);
        acknowledged += count;
        at_start += starts;
    }
    let cuts = disks * CUTS;
    assert!(
        acknowledged > usize::try_from(cuts).expect("few"),
        "pushes go well between the cuts"
    );
    let figure = format!(
        "{cuts} cuts, {at_start} of them while starting, {acknowledged} things acknowledged, 0 lost"
    );
    row(2, "", &figure);
}

/// Gives how much was acknowledged, and how many cuts came while the server started.
fn one_disk(seed: u64) -> (usize, usize) {
    let mut random = Random::new(seed);
    let mut disk = FaultyDisk::new();
    let mut registry = Registry::wharf_at(&disk.path().join("deep/data"), &[]);
    let mut writers: Vec<_> = (0..3)
        .map(|n| Acknowledged::new(&format!("power/r{n}"), random.next()))
        .collect();
    let mut at_start = 0;
    for cut in 0..CUTS {
        let when = format!("seed {seed}, cut {cut}");
        // Every fourth comes while the server starts, the first of them when it does so anew.
        let is_at_start = cut % 4 == 0 && {
            stop_within(&disk, &mut random, if cut == 0 { 60 } else { 12 });
            !registry.try_start() || disk.has_stopped()
        };
        if is_at_start {
            at_start += 1;
        } else {
            if cut % 4 != 0 {
                registry.start_again();
            }
            let client = Client::new(registry.base());
            for writer in &writers {
                writer.check(&client, &when);
            }
            stop_within(&disk, &mut random, 2000);
            push_until_it_stops(&disk, &client, &mut writers);
        }
        registry.kill();
        disk.restart(match cut % 3 {
            0 => Loss::All,
            _ => Loss::Some(random.next()),
        });
    }
    registry.start_again();
    let client = Client::new(registry.base());
    for writer in &mut writers {
        writer.check(&client, "at the end");
        writer
            .push_image(&client, "last")
            .expect("a push goes well");
    }
    registry.kill();
    (writers.iter().map(Acknowledged::count).sum(), at_start)
}

/// The disk stops within so many changes. Of the many folders that a first start makes one is like
/// another.
fn stop_within(disk: &FaultyDisk, random: &mut Random, changes: usize) {
    let first = 1 + random.below(changes) as u64;
    let is_counted = |call: &Call| {
        let is_one_of_many = call.kind == Kind::MakeFolder && call.path.contains("/blobs/");
        call.kind.changes() && !is_one_of_many
    };
    disk.fail(Fault::new(Trouble::Stop, first, is_counted));
}

/// All writers at once, each until something fails.
fn push_until_it_stops(disk: &FaultyDisk, client: &Client, writers: &mut [Acknowledged]) {
    thread::scope(|scope| {
        for writer in writers {
            scope.spawn(move || {
                while !disk.has_stopped() {
                    if let Err(answer) = writer.step(client) {
                        assert!(
                            disk.has_stopped(),
                            "nothing is wrong yet: {}",
                            brief(&answer)
                        );
                    }
                }
            });
        }
    });
}
