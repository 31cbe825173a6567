//! The metadata against a model: random calls to both, and each answer compared.
//!
//! | module | job |
//! |---|---|
//! | `world` | the few names and documents that the calls are about |
//! | `step` | what is called, as a seed decides |
//! | `model` | what should come of it, in plain maps |
//! | `perform`, `ask` | calling both, and comparing |
//! | `shrink` | leaving out what a failure doesn't need |
//!
//! `WHARF_GAUNTLET_SEED` replays a seed, `WHARF_GAUNTLET=long` takes more steps.

mod ask;
mod dice;
mod model;
mod perform;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../../../tests/support/postgres.rs"]
mod server;
mod shrink;
mod step;
mod world;

use std::io::Write as _;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wharf_storage::metadata::Metadata;
use wharf_storage::metadata::postgres::{Postgres, Settings};
use wharf_storage::metadata::sqlite::Sqlite;

use crate::ask::ask_all;
use crate::perform::{Difference, Pair};
use crate::step::{Step, Steps};
use crate::world::World;

/// A new and empty database each time.
trait Databases {
    fn empty(&self) -> Metadata;
}

struct OnSqlite {
    folder: tempfile::TempDir,
    made: AtomicU32,
}

impl Databases for OnSqlite {
    fn empty(&self) -> Metadata {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(format!("{number}.sqlite3"));
        Metadata::new(Arc::new(Sqlite::open(&path).expect("opened")))
    }
}

struct OnPostgres;

impl Databases for OnPostgres {
    fn empty(&self) -> Metadata {
        let readers = NonZero::new(2).expect("two");
        let url = server::Postgres::shared().database();
        let settings = Settings::new(&url, readers, Duration::from_secs(30)).expect("an address");
        Metadata::new(Arc::new(Postgres::open(settings).expect("opened")))
    }
}

/// How many steps are taken until everything is compared.
const BETWEEN_LOOKS: usize = 200;

/// Takes steps until there is a difference, and tells after how many.
async fn differ(world: &World, metadata: Metadata, steps: &[Step]) -> Option<(usize, Difference)> {
    let mut pair = Pair::new(world, metadata);
    for (taken, step) in steps.iter().enumerate() {
        let mut outcome = pair.step(step).await;
        if outcome.is_ok() && (taken + 1 == steps.len() || taken % BETWEEN_LOOKS == 0) {
            outcome = ask_all(&mut pair).await;
        }
        if let Err(difference) = outcome {
            return Some((taken + 1, difference));
        }
    }
    None
}

async fn hold(part: &str, databases: &dyn Databases) {
    let count = match std::env::var("WHARF_GAUNTLET").as_deref() {
        Ok("long") => 50_000,
        Ok(other) => panic!("WHARF_GAUNTLET is {other}, which is no form"),
        Err(_) => 3_000,
    };
    let seed = std::env::var("WHARF_GAUNTLET_SEED").map_or_else(
        |_| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.expect("it is past 1970").subsec_nanos().into()
        },
        |seed| seed.parse().expect("a seed is a number"),
    );
    let world = World::new();
    let steps: Vec<Step> = Steps::new(seed, &world).take(count).collect();
    if let Some((taken, difference)) = differ(&world, databases.empty(), &steps).await {
        let small = shrink::shrink(&world, databases, &steps[..taken], &difference).await;
        panic!("seed {seed}, after {taken} steps: {difference}\n{small}");
    }
    let count = format!("{},{:03}", count / 1000, count % 1000);
    let line = format!("gauntlet 11 {part}: {count} steps, 0 differences\n");
    let printed = std::io::stdout().write_all(line.as_bytes());
    printed.expect("the line is printed");
}

#[tokio::test]
async fn sqlite_answers_as_the_model_does() {
    let folder = tempfile::tempdir().expect("a folder");
    hold(
        "SQLite",
        &OnSqlite {
            folder,
            made: AtomicU32::new(0),
        },
    )
    .await;
}

#[tokio::test]
async fn postgres_answers_as_the_model_does() {
    hold("PostgreSQL", &OnPostgres).await;
}
