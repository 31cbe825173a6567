//! Databases with so much in them that pushing it would take longer than all else: the rows are
//! written as `storage/migrations` draws them, while no server runs.

use std::path::Path;

use rusqlite::Connection;

use crate::support::postgres::Postgres;

/// The repository that has all the tags and referrers.
pub(super) const REPOSITORY: &str = "team/app";

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    /// Tags of the repository, each with a manifest of its own.
    pub(super) tags: u64,
    /// Other repositories, without anything.
    pub(super) repositories: u64,
    /// What refers to the first manifest.
    pub(super) referrers: u64,
}

/// The digest of a manifest by its number, from 1.
pub(super) fn digest(number: u64) -> String {
    format!("sha256:{:0<64}", 10_000_000_000 + number)
}

/// The name of a tag by its number, from 1.
pub(super) fn tag(number: u64) -> String {
    format!("v{number:08}")
}

/// The statements, with bytes of manifests as a database writes them. Both take the same else.
fn statements(amount: Amount, bytes: &str) -> String {
    let numbers = |most: u64| {
        format!(
            "WITH RECURSIVE numbers (n) AS
                (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {most})"
        )
    };
    let digest = |number: &str| {
        let zeros = "0".repeat(64);
        format!("'sha256:' || SUBSTR(CAST(10000000000 + {number} AS TEXT) || '{zeros}', 1, 64)")
    };
    let padded = |number: &str| format!("SUBSTR(CAST(100000000 + {number} AS TEXT), 2)");
    let Amount {
        tags,
        repositories,
        referrers,
    } = amount;
    let mut sql = format!(
        "INSERT INTO repositories (id, name, created_at) VALUES (1, '{REPOSITORY}', 1);
         {} INSERT INTO manifests
                (id, repository_id, digest, media_type, size_bytes, pushed_at, bytes)
            SELECT n, 1, {}, 'a/b', 2, 1, {bytes} FROM numbers;
         {} INSERT INTO tags (repository_id, name, manifest_id, updated_at)
            SELECT 1, 'v' || {}, n, 1 FROM numbers;",
        numbers(tags),
        digest("n"),
        numbers(tags),
        padded("n"),
    );
    if repositories > 0 {
        sql.push_str(&format!(
            "{} INSERT INTO repositories (id, name, created_at)
                SELECT 1 + n, 'other/r' || {}, 1 FROM numbers;",
            numbers(repositories),
            padded("n"),
        ));
    }
    if referrers > 0 {
        sql.push_str(&format!(
            "{} INSERT INTO manifests (id, repository_id, digest, media_type, artifact_type, subject,
                    annotations, size_bytes, pushed_at, bytes)
                SELECT {tags} + n, 1, {}, 'a/b', 'a/signature', {}, '{{\"a\":\"b\"}}', 2, 1, {bytes}
                FROM numbers;",
            numbers(referrers),
            digest(&format!("{tags} + n")),
            digest("1"),
        ));
    }
    sql
}

/// Fills the database in a data folder.
pub(super) fn sqlite(data: &Path, amount: Amount) {
    let mut database = Connection::open(data.join("metadata.sqlite3")).expect("it opens");
    let transaction = database.transaction().expect("it begins");
    let sql = statements(amount, "x'7b7d'");
    transaction.execute_batch(&sql).expect("it is filled");
    transaction.commit().expect("it is kept");
}

/// Repeats the last event in a data folder so many times, under ids of their own.
pub(super) fn more_events(data: &Path, count: u64) {
    let mut database = Connection::open(data.join("metadata.sqlite3")).expect("it opens");
    let transaction = database.transaction().expect("it begins");
    let sql = format!(
        "WITH RECURSIVE numbers (n) AS
            (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
         INSERT INTO events (stream, seq, at, event)
         SELECT 'changes', head + n, at, json_set(event, '$.seq', head + n, '$.id',
                SUBSTR(json_extract(event, '$.id'), 1, 24) || printf('%012d', n))
         FROM numbers, event_streams, events
         WHERE name = 'changes' AND stream = 'changes' AND seq = head;
         UPDATE event_streams SET head = head + {count}, size_bytes =
            (SELECT SUM(LENGTH(event)) FROM events WHERE stream = 'changes')
         WHERE name = 'changes';"
    );
    transaction.execute_batch(&sql).expect("they are written");
    transaction.commit().expect("they are kept");
}

/// Fills a PostgreSQL database of the tests' server.
pub(super) fn postgres(database: &str, amount: Amount) {
    let sql = statements(amount, "'\\x7b7d'");
    Postgres::shared().sql(database, &sql);
}
