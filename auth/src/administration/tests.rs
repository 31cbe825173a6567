//! Administration over a database of its own.

use wharf_storage::clock::SystemClock;
use wharf_storage::metadata::sqlite::Sqlite;

use super::*;

/// Several servers' administrations over one database, and its folder.
fn servers<const COUNT: usize>() -> ([Administration; COUNT], tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Sqlite::open(&folder.path().join("metadata.sqlite3")).expect("it opens");
    let metadata = Metadata::new(Arc::new(database));
    let sealer = Arc::new(Sealer::new(&[7; 32]));
    let administration = Administration::new(metadata, sealer, Arc::new(SystemClock));
    (std::array::from_fn(|_| administration.clone()), folder)
}

#[tokio::test]
async fn of_servers_that_start_at_once_one_makes_the_administrator() {
    let ([first, second, third], _folder) = servers();
    let (first, second, third) = tokio::join!(
        first.first_administrator(),
        second.first_administrator(),
        third.first_administrator(),
    );
    let made = [first, second, third].map(|made| made.expect("asked"));
    let made: Vec<String> = made
        .into_iter()
        .flatten()
        .map(|made| made.principal.to_string())
        .collect();
    assert_eq!(made, ["user/admin"]);
}
