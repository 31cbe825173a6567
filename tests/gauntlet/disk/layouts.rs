//! Row 35: a kill in the middle of a migration.
//!
//! A registry with content is taken back to an older layout: the tables that its first migrations
//! make, with the rows of now. Then it starts, and is killed at a call of its disk (SQLite) or at a
//! moment (PostgreSQL) that a seed chooses. At the next start it has all its content.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::acknowledged::Acknowledged;
use super::faulty_disk::random::Random;
use super::faulty_disk::{Fault, FaultyDisk, Loss, Trouble};
use super::{Form, row};
use crate::api::http::Client;
use crate::support::Registry;
use crate::support::postgres::Postgres;
use crate::support::wait;

/// The texts of the migrations, in their order.
fn migrations(database: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("storage/migrations");
    let entries = fs::read_dir(folder.join(database)).expect("a folder");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let read = |path| fs::read_to_string(path).expect("a text");
    paths.into_iter().map(read).collect()
}

/// Takes a database of SQLite back to a layout.
fn take_back(data: &Path, layout: usize) {
    let newer = data.join("metadata.sqlite3");
    let older = data.join("older.sqlite3");
    let database = Connection::open(&older).expect("it opens");
    for text in migrations("sqlite").iter().take(layout) {
        database.execute_batch(text).expect("it runs");
    }
    let path = newer.to_string_lossy();
    database
        .execute("ATTACH $1 AS newer", [path])
        .expect("it opens");
    let names =
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    for table in texts(&database, names) {
        let columns = texts(
            &database,
            &format!(
                "SELECT name FROM pragma_table_info('{table}', 'main') WHERE name IN \
                 (SELECT name FROM pragma_table_info('{table}', 'newer'))"
            ),
        );
        let columns = columns.join(", ");
        let copy = format!(
            "INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}"
        );
        database.execute_batch(&copy).expect("the rows fit");
    }
    database
        .pragma_update(None, "user_version", layout as i64)
        .expect("it is set");
    database.close().expect("it closes");
    for name in ["metadata.sqlite3-wal", "metadata.sqlite3-shm"] {
        // A server that was stopped has left none.
        let _ = fs::remove_file(data.join(name));
    }
    fs::rename(older, newer).expect("it is moved");
}

fn texts(database: &Connection, sql: &str) -> Vec<String> {
    let mut statement = database.prepare(sql).expect("it is SQL");
    let rows = statement.query_map([], |row| row.get(0)).expect("it runs");
    rows.map(|text| text.expect("a text")).collect()
}

#[test]
fn a_kill_in_a_migration_of_sqlite_loses_nothing() {
    let kills = Form::pick(8, 32);
    let mut random = Random::new(35);
    let layouts = migrations("sqlite").len();
    let (mut disk, mut registry, mut writer) = on_a_disk(0);
    let (mut at_first, mut between) = (0, 0);
    for kill in 0..kills {
        let is_first = kill % 4 == 0;
        if is_first {
            registry.kill();
            drop(registry);
            (disk, registry, writer) = on_a_disk(kill);
        } else {
            registry.start_again();
            let client = Client::new(registry.base());
            writer.check(&client, "with all its migrations");
            for _ in 0..3 {
                writer
                    .push_image(&client, &format!("k{kill}"))
                    .expect("a push goes well");
            }
            assert!(registry.stop().success());
            take_back(&registry.data(), 1 + random.below(layouts - 1));
            disk.settle();
        }
        let first = 1 + random.below(if is_first { 120 } else { 80 }) as u64;
        let stop = Fault::new(Trouble::Stop, first, |call| {
            call.kind.changes() && call.path.contains("metadata.sqlite3")
        });
        disk.fail(stop);
        let has_started = registry.try_start();
        if disk.has_stopped() {
            at_first += usize::from(is_first);
            between += usize::from(!is_first && !has_started);
        }
        registry.kill();
        disk.restart(match kill % 3 {
            0 => Loss::Nothing,
            1 => Loss::All,
            _ => Loss::Some(random.next()),
        });
    }
    registry.start_again();
    let client = Client::new(registry.base());
    writer.check(&client, "at the end");
    writer
        .push_image(&client, "last")
        .expect("a push goes well");
    registry.kill();
    assert!(
        at_first > 0 && between > 0,
        "kills come in the middle: {at_first}, {between}"
    );
    let figure = format!(
        "{kills} starts, {at_first} of them killed while the first layout was made and {between} in \
         a later migration; {} things acknowledged before, 0 lost",
        writer.count()
    );
    row(35, "SQLite", &figure);
}

/// A disk with an empty registry on it, that has not started.
fn on_a_disk(seed: u64) -> (FaultyDisk, Registry, Acknowledged) {
    let disk = FaultyDisk::new();
    let registry = Registry::wharf_at(&disk.path().join("data"), &[]);
    (disk, registry, Acknowledged::new("layouts/app", seed))
}

/// Copies the rows of the schema `newer` to the tables of an older layout.
const COPY: &str = r"
SET session_replication_role = replica;
DO $$
DECLARE t record; names text;
BEGIN
  FOR t IN SELECT table_name FROM information_schema.tables
      WHERE table_schema = 'public' AND table_name <> 'schema_version' LOOP
    SELECT string_agg(quote_ident(a.column_name), ', ') INTO names
      FROM information_schema.columns a JOIN information_schema.columns b
        ON a.table_name = b.table_name AND a.column_name = b.column_name
      WHERE a.table_schema = 'public' AND b.table_schema = 'newer' AND a.table_name = t.table_name;
    EXECUTE format('DELETE FROM public.%I', t.table_name);
    EXECUTE format('INSERT INTO public.%I (%s) SELECT %s FROM newer.%I',
      t.table_name, names, names, t.table_name);
  END LOOP;
  FOR t IN SELECT table_name, column_name FROM information_schema.columns
      WHERE table_schema = 'public' AND is_identity = 'YES' LOOP
    EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, %L), coalesce(max(%I), 1)) FROM public.%I',
      'public.' || t.table_name, t.column_name, t.column_name, t.table_name);
  END LOOP;
END $$;
DROP SCHEMA newer CASCADE;
";

#[test]
fn a_kill_in_a_migration_of_postgresql_loses_nothing() {
    let kills = Form::pick(6, 16);
    let mut random = Random::new(36);
    let postgres = Postgres::shared();
    let texts = migrations("postgres");
    let mut writer = Acknowledged::new("layouts/app", 1);
    let database = postgres.database();
    let folder = crate::support::folder();
    let at = |url: &str, name: &str| {
        Registry::wharf_at(&folder.path().join(name), &[("WHARF__DATABASE__URL", url)])
    };
    let mut registry = at(&database, "data");
    let (mut at_first, mut between) = (0, 0);
    // How long a start with migrations takes, to be killed within it.
    let mut longest = Duration::from_millis(500);
    for kill in 0..kills {
        if kill % 4 == 0 {
            let empty = postgres.database();
            let mut first = at(&empty, &format!("first{kill}"));
            let after = Instant::now() + part_of(longest, &mut random);
            first.start_and_kill(|| Instant::now() >= after);
            let found = version(postgres, &empty);
            at_first += usize::from(found < texts.len());
            first.start_again();
            let mut other = Acknowledged::new("layouts/first", kill);
            other
                .push_image(&Client::new(first.base()), "a")
                .expect("a push goes well");
            first.kill();
            continue;
        }
        registry.start_again();
        let client = Client::new(registry.base());
        writer.check(&client, "with all its migrations");
        for _ in 0..3 {
            writer
                .push_image(&client, &format!("k{kill}"))
                .expect("a push goes well");
        }
        assert!(registry.stop().success());
        let layout = 1 + random.below(texts.len() - 1);
        let sql = [
            "ALTER SCHEMA public RENAME TO newer; CREATE SCHEMA public;",
            &texts[..layout].concat(),
            "CREATE TABLE schema_version (version BIGINT NOT NULL);",
            &format!("INSERT INTO schema_version VALUES ({layout});"),
            COPY,
        ];
        postgres.sql(&database, &sql.concat());
        if kill == 1 {
            let begun = Instant::now();
            registry.start_again();
            longest = begun.elapsed();
            registry.kill();
            continue;
        }
        let after = Instant::now() + part_of(longest, &mut random);
        if kill % 2 == 0 {
            registry.start_and_kill(|| Instant::now() >= after);
        } else {
            kill_behind_a_lock(postgres, &database, &mut registry);
        }
        let found = version(postgres, &database);
        between += usize::from(found < texts.len());
    }
    registry.start_again();
    let client = Client::new(registry.base());
    writer.check(&client, "at the end");
    writer
        .push_image(&client, "last")
        .expect("a push goes well");
    registry.kill();
    assert!(between > 0, "kills come before the last layout");
    let figure = format!(
        "{kills} starts, {at_first} of them killed before the first layout was whole and {between} \
         before a later migration was; {} things acknowledged before, 0 lost",
        writer.count()
    );
    row(35, "PostgreSQL", &figure);
}

/// Somebody holds a table that the last migration changes: the server waits in the middle of its
/// migrations, and is killed there.
fn kill_behind_a_lock(postgres: &Postgres, database: &str, registry: &mut Registry) {
    let count = |what: &str| {
        let sql = format!("SELECT count(*) FROM pg_locks WHERE {what}");
        postgres.sql(database, &sql).trim() != "0"
    };
    thread::scope(|scope| {
        let hold = "BEGIN; LOCK TABLE manifests IN SHARE MODE; SELECT pg_sleep(2); COMMIT";
        scope.spawn(|| postgres.sql(database, hold));
        let table = "relation = to_regclass('manifests')";
        wait::until("the table is locked", Duration::from_secs(20), || {
            count(&format!("{table} AND mode = 'ShareLock' AND granted")).then_some(())
        });
        registry.start_and_kill(|| count(&format!("{table} AND NOT granted")));
    });
}

fn part_of(whole: Duration, random: &mut Random) -> Duration {
    whole * u32::try_from(random.below(1000)).expect("few") / 1000
}

/// The layout of a database; 0 where there is none yet.
fn version(postgres: &Postgres, database: &str) -> usize {
    let there = "SELECT to_regclass('schema_version') IS NOT NULL";
    if postgres.sql(database, there).trim() != "t" {
        return 0;
    }
    let found = postgres.sql(database, "SELECT version FROM schema_version");
    found.trim().parse().expect("a number")
}
