//! Bringing a database to this program's layout.
//!
//! Migrations only go forward. Each is a transaction with the record that it ran, so a kill in
//! the middle leaves the layout before it.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// The layouts, each made from the one before it. Never change one that was released.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_first.sql"),
    include_str!("../../../migrations/sqlite/0002_access.sql"),
    include_str!("../../../migrations/sqlite/0003_images.sql"),
    include_str!("../../../migrations/sqlite/0004_events.sql"),
    include_str!("../../../migrations/sqlite/0005_collection.sql"),
    include_str!("../../../migrations/sqlite/0006_upload_state.sql"),
];

/// Runs the migrations that the database lacks.
pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite {
        path: path.display().to_string(),
        source,
    };
    let known = MIGRATIONS.len() as i64;
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for (version, sql) in (1..).zip(MIGRATIONS).skip(found.unsigned_abs() as usize) {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        transaction.execute_batch(sql).map_err(failed)?;
        transaction
            .pragma_update(None, "user_version", version)
            .map_err(failed)?;
        transaction.commit().map_err(failed)?;
        tracing::info!(version, "migrated the database");
    }
    Ok(())
}
