//! Bringing a database to this program's layout.
//!
//! Migrations only go forward. Each is a transaction with the record that it ran, so a kill in the
//! middle leaves the layout before it. It holds the lock that all writing is done under: servers
//! that start at once wait for each other, and one that serves meanwhile writes before or after.

use std::time::Duration;

use super::OpenError;
use super::connection::Connection;
use super::failure::Failure;

/// The layouts, each made from the one before it. Never change one that was released.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/postgres/0001_first.sql"),
    include_str!("../../../migrations/postgres/0002_access.sql"),
    include_str!("../../../migrations/postgres/0003_images.sql"),
    include_str!("../../../migrations/postgres/0004_events.sql"),
    include_str!("../../../migrations/postgres/0005_collection.sql"),
    include_str!("../../../migrations/postgres/0006_upload_state.sql"),
];

/// A large table takes its time, and so does another server that migrates.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;
    SELECT pg_advisory_xact_lock(8604234232056774657)";

/// Runs the migrations that the database lacks.
pub(super) fn run(connection: &mut Connection) -> Result<(), OpenError> {
    let patience = std::mem::replace(&mut connection.patience, PATIENCE);
    migrate(connection)?;
    connection.patience = patience;
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let known = MIGRATIONS.len() as i64;
    loop {
        connection.say(BEGIN).map_err(failed)?;
        let found = version(connection).map_err(failed)?;
        if found > known {
            return Err(OpenError::Newer { found, known });
        }
        let Some(sql) = MIGRATIONS.get(found.unsigned_abs() as usize) else {
            return connection.say("COMMIT").map_err(failed);
        };
        let version = found + 1;
        let record = format!("UPDATE schema_version SET version = {version}");
        for sql in [sql, record.as_str(), "COMMIT"] {
            connection.say(sql).map_err(failed)?;
        }
        tracing::info!(version, "migrated the database");
    }
}

/// The layout that the database has; 0 for an empty one.
fn version(connection: &mut Connection) -> Result<i64, Failure> {
    let table = connection.ask("SELECT to_regclass('schema_version') IS NOT NULL")?;
    if table != ["t"] {
        connection.say(
            "CREATE TABLE schema_version (version BIGINT NOT NULL);
             INSERT INTO schema_version VALUES (0)",
        )?;
    }
    let rows = connection.ask("SELECT version FROM schema_version")?;
    // A table without its row is none of ours: the first migration will say so.
    Ok(rows.first().and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn failed(failure: Failure) -> OpenError {
    OpenError::Migrate(failure.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_number_of_layouts() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let names = |database: &str| {
            let entries = std::fs::read_dir(folder.join(database)).expect("a folder");
            let mut names: Vec<_> = entries
                .map(|one| one.expect("a file").file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names("postgres"), names("sqlite"));
        assert_eq!(names("postgres").len(), MIGRATIONS.len());
    }
}
