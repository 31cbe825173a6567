//! The disk store against the contract, and what only a disk has.

use super::*;
use crate::upload::contract;

#[tokio::test]
async fn the_disk_holds_the_contract_of_stores() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = DiskStore::open(folder.path()).expect("opened");
    contract::holds(&store).await;
    crate::record::contract::holds(&store).await;
}

#[test]
fn a_folder_serves_one_server_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = DiskStore::open(folder.path()).expect("opened");
    assert!(matches!(
        DiskStore::open(folder.path()),
        Err(OpenError::Locked(_))
    ));
    drop(store);
    DiskStore::open(folder.path()).expect("opened again");
}

#[test]
fn a_file_in_the_way_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("blobs"), b"").expect("written");
    let error = DiskStore::open(folder.path()).expect_err("a file is no folder");
    assert!(error.to_string().contains("blobs"), "{error}");
}

#[tokio::test]
async fn files_that_are_no_uploads_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = DiskStore::open(folder.path()).expect("opened");
    fs::write(folder.path().join("uploads/notes.txt"), b"").expect("written");
    let listed = store.leftovers(None, Timestamp::from_micros(0)).await;
    assert_eq!(listed.expect("listed"), []);
}
