//! A connection with its settings, and a transaction on it.

use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ToSql, ffi};

use crate::metadata::error::Error;
use crate::metadata::transaction::{Column, Row, Transaction, Value};

/// More than the number of different statements, so that each is prepared once.
const CACHED_STATEMENTS: usize = 128;

pub(super) fn set_up_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    set_up(connection)
}

pub(super) fn set_up_reader(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "query_only", true)?;
    // The log is the writer's matter.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    set_up(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    // Nobody else writes, but a backup program may hold a lock for a moment.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Without this, values that are bound anew may make SQLite plan a statement anew, each time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // In KiB.
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(())
}

/// A transaction that is open on a connection. Whoever makes it begins and ends it.
pub(super) struct SqliteTransaction<'a>(pub(super) &'a Connection);

impl SqliteTransaction<'_> {
    fn prepare(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<CachedStatement<'_>, Error> {
        let mut statement = self.0.prepare_cached(sql).map_err(from_sqlite)?;
        for (position, value) in values.iter().enumerate() {
            // SQLite takes `$1` for a name and numbers names by where they come first, so a value
            // goes to its name and not to its number.
            let name = PARAMETERS[position];
            let index = statement.parameter_index(name).map_err(from_sqlite)?;
            let index = index.unwrap_or_else(|| panic!("{sql} has no {name}"));
            statement
                .raw_bind_parameter(index, value)
                .map_err(from_sqlite)?;
        }
        Ok(statement)
    }
}

const PARAMETERS: [&str; 12] = [
    "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12",
];

impl Transaction for SqliteTransaction<'_> {
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Error> {
        let changed = self
            .prepare(sql, values)?
            .raw_execute()
            .map_err(from_sqlite)?;
        Ok(changed as u64)
    }

    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        let mut statement = self.prepare(sql, values)?;
        let width = statement.column_count();
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(from_sqlite)? {
            let column = |index| Ok(own(row.get_ref(index).map_err(from_sqlite)?));
            let columns: Result<Vec<Column>, Error> = (0..width).map(column).collect();
            found.push(Row::new(columns?));
        }
        Ok(found)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn own(value: ValueRef<'_>) -> Column {
    match value {
        ValueRef::Null => Column::Null,
        ValueRef::Integer(number) => Column::Integer(number),
        // The tables are STRICT and hold no such numbers; as a text it fails to be read as one.
        ValueRef::Real(number) => Column::Text(number.to_string()),
        ValueRef::Text(text) => Column::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Column::Bytes(bytes.to_vec()),
    }
}

/// Sorts a failure of SQLite into what a caller can act on.
pub(super) fn from_sqlite(error: rusqlite::Error) -> Error {
    // The index of the log could not grow: SQLite says so in other words.
    let is_index_full = |error: &ffi::Error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE;
    match error.sqlite_error_code() {
        Some(_) if error.sqlite_error().is_some_and(is_index_full) => Error::Full(Box::new(error)),
        Some(ErrorCode::DiskFull) => Error::Full(Box::new(error)),
        _ => Error::Database(Box::new(error)),
    }
}
