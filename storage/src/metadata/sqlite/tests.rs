//! SQLite against the contract, and what only SQLite has.

use std::sync::Arc;

use super::*;
use crate::metadata::{Metadata, contract};

#[tokio::test]
async fn sqlite_holds_the_contract_of_the_metadata() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Sqlite::open(&folder.path().join("metadata.sqlite3")).expect("opened");
    let metadata = Metadata::new(Arc::new(database));
    contract::holds(&metadata).await;
    metadata.check().await.expect("the database answers");
}

#[tokio::test]
async fn a_page_costs_the_same_however_long_its_list_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Sqlite::open(&folder.path().join("metadata.sqlite3")).expect("opened");
    let planner = contract::lists::Planner {
        explain: "EXPLAIN QUERY PLAN",
        column: 3,
        growing: &["SCAN ", "USE TEMP B-TREE"],
    };
    contract::lists::hold(Arc::new(database), planner).await;
}

#[tokio::test]
async fn what_was_written_is_there_when_the_database_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("metadata.sqlite3");
    let metadata = Metadata::new(Arc::new(Sqlite::open(&path).expect("opened")));
    contract::holds(&metadata).await;
    let before = metadata.repositories(None, 1000).await.expect("read");
    drop(metadata);
    let metadata = Metadata::new(Arc::new(Sqlite::open(&path).expect("opened again")));
    assert_eq!(
        metadata.repositories(None, 1000).await.expect("read"),
        before
    );
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("metadata.sqlite3");
    drop(Sqlite::open(&path).expect("opened"));
    let connection = Connection::open(&path).expect("opened");
    connection
        .pragma_update(None, "user_version", 999)
        .expect("changed");
    drop(connection);
    assert!(matches!(
        Sqlite::open(&path),
        Err(OpenError::Newer { found: 999, .. })
    ));
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("metadata.sqlite3");
    std::fs::write(
        &path,
        "no database at all, just a text of some length".repeat(9),
    )
    .expect("written");
    let error = Sqlite::open(&path).expect_err("a text is no database");
    assert!(error.to_string().contains("metadata.sqlite3"), "{error}");
}

#[test]
fn a_commit_is_synced_before_it_is_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = Connection::open(folder.path().join("metadata.sqlite3")).expect("opened");
    connection::set_up_writer(&connection).expect("set up");
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    // 2 is FULL.
    assert_eq!(pragma("synchronous").expect("read"), 2);
}
