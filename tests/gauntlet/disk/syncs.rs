//! Row 5: a sync fails, of each kind of file and folder.
//!
//! The pages of a file whose sync failed are seen, but the disk never gets them: a later sync that
//! goes well must not make anybody believe in them. So requests are made again after the fault, as
//! clients do, and then the power fails.

use super::acknowledged::{Acknowledged, brief};
use super::faulty_disk::{Call, Fault, FaultyDisk, Kind, Loss, Trouble};
use super::{Form, row};
use crate::api::http::Client;
use crate::support::Registry;

/// A kind of sync, and how its calls are known.
type Chosen = (&'static str, fn(&Call) -> bool);

const KINDS: [Chosen; 5] = [
    ("upload", |call| {
        call.kind == Kind::Sync && (call.path.contains("uploads/") || call.path.contains("blobs/"))
    }),
    ("folder of blobs", |call| {
        call.kind == Kind::SyncFolder && call.path.contains("blobs/")
    }),
    ("log of the database", |call| {
        call.kind == Kind::Sync && call.path.ends_with("-wal")
    }),
    ("database", |call| {
        call.kind == Kind::Sync && call.path.ends_with(".sqlite3")
    }),
    ("any", |call| {
        matches!(call.kind, Kind::Sync | Kind::SyncFolder)
    }),
];

#[test]
fn a_failed_sync_is_never_acknowledged() {
    let rounds = Form::pick(1, 4);
    let mut disk = FaultyDisk::new();
    let mut registry = Registry::wharf_at(&disk.path().join("data"), &[]);
    registry.start_again();
    let (mut failures, mut acknowledged) = (0, 0);
    for round in 0..rounds {
        let mut writers = Vec::new();
        for (number, (name, chosen)) in KINDS.iter().enumerate() {
            let client = Client::new(registry.base());
            let seed = round * 100 + number as u64;
            let mut writer = Acknowledged::new(&format!("syncs/r{seed}"), seed)
                .tries(1 + usize::try_from((round + 1) % 3).expect("few"))
                .long_manifests(if *name == "database" { 1 << 20 } else { 0 });
            writer
                .push_image(&client, "before")
                .expect("nothing is wrong yet");

            disk.fail(Fault::new(Trouble::Errors, 1, *chosen));
            let count = writer.count();
            let outcomes: Vec<_> = (0..6)
                .map(|n| writer.push_image(&client, &format!("t{n}")))
                .collect();
            let failed = disk.heal().len();
            assert!(failed > 0, "a push syncs: {name}");
            // The bytes are already durable where the database copies them from its log.
            if *name != "database" {
                assert!(
                    outcomes.iter().all(Result::is_err),
                    "{name}: no push goes well"
                );
            }
            if *name == "any" {
                assert_eq!(
                    writer.count(),
                    count,
                    "nothing is acknowledged without a sync"
                );
            }
            failures += failed;

            // With a second try all may go well; without one it is refused.
            for trouble in [Trouble::OneError, Trouble::TwoErrors] {
                for first in 1..=3 {
                    disk.fail(Fault::new(trouble, first, *chosen));
                    let _ = writer.push_image(&client, "once");
                    failures += disk.heal().len();
                }
            }
            let after = writer.push_image(&client, "after");
            after.unwrap_or_else(|answer| panic!("{name}: it goes on: {}", brief(&answer)));
            writer.check(&client, name);
            writers.push(writer);
        }
        registry.kill();
        disk.restart(Loss::All);
        registry.start_again();
        let client = Client::new(registry.base());
        for (writer, (name, _)) in writers.iter().zip(KINDS) {
            writer.check(&client, &format!("{name}, after a power cut"));
            acknowledged += writer.count();
        }
    }
    registry.kill();
    let figure = format!(
        "{failures} syncs failed, 0 pushes acknowledged by them; {acknowledged} things acknowledged \
         around them, 0 lost in {rounds} power cuts"
    );
    row(5, "", &figure);
}
