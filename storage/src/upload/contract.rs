//! What every store of blobs and uploads must do, run against each of them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use uuid::Uuid;

use super::{Hasher, Progress, UploadId, UploadStore};
use crate::blob::{BlobStore, Error, Location};
use crate::clock::{Clock as _, SystemClock};
use crate::oci::{Algorithm, Digest};

/// A store of both kinds.
pub(crate) trait Store: BlobStore + UploadStore {}
impl<S: BlobStore + UploadStore> Store for S {}

/// Runs the whole contract against `store`.
pub(crate) async fn holds(store: &dyn Store) {
    what_was_uploaded_is_read_back(store).await;
    parts_of_a_blob_are_read(store).await;
    frames_of_every_size_come_together(store).await;
    an_upload_goes_on_behind_its_progress(store).await;
    bytes_that_are_missing_are_noticed(store).await;
    a_finished_upload_can_be_finished_again(store).await;
    a_finished_upload_goes_on_until_that_is_recorded(store).await;
    two_uploads_of_one_digest_lie_apart(store).await;
    what_is_discarded_is_gone(store).await;
    what_is_left_behind_is_found_and_dropped(store).await;
    another_algorithm_reads_the_bytes_again(store).await;
    what_is_not_there_is_not_found(store).await;
}

fn new_id() -> UploadId {
    UploadId::new(Uuid::now_v7())
}

/// Bytes that differ from place to place, so that a part in the wrong place is seen.
fn content(length: usize) -> Bytes {
    (0..length)
        .map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8)
        .collect()
}

async fn append(store: &dyn Store, id: UploadId, from: Progress, bytes: &Bytes) -> Progress {
    let mut appender = store.resume(id, from).await.expect("the upload goes on");
    for start in (0..bytes.len()).step_by(40_000) {
        let frame = bytes.slice(start..bytes.len().min(start + 40_000));
        appender.append(frame).await.expect("bytes are taken");
    }
    appender.pause().await.expect("bytes are written")
}

async fn upload(store: &dyn Store, bytes: &Bytes) -> Location {
    let id = new_id();
    store.create(id).await.expect("an upload begins");
    let progress = append(store, id, Progress::start(Algorithm::Sha256), bytes).await;
    let digest = Digest::of(Algorithm::Sha256, bytes);
    assert_eq!(progress.offset, bytes.len() as u64);
    assert_eq!(progress.hasher.digest(), digest);
    let location = store
        .finish(id, &progress, &digest)
        .await
        .expect("the upload becomes a blob");
    store.settle(id, &location).await.expect("settled");
    location
}

async fn read(store: &dyn Store, location: &Location, range: std::ops::Range<u64>) -> Bytes {
    let stream = store
        .read(location, range)
        .await
        .expect("the blob is there");
    let pieces: Vec<Bytes> = stream.try_collect().await.expect("all of it is read");
    pieces.concat().into()
}

async fn what_was_uploaded_is_read_back(store: &dyn Store) {
    for length in [0, 1, 40_000, 256 << 10, (256 << 10) + 1, 3_000_000] {
        let bytes = content(length);
        let location = upload(store, &bytes).await;
        assert_eq!(read(store, &location, 0..length as u64).await, bytes);
    }
}

async fn parts_of_a_blob_are_read(store: &dyn Store) {
    let bytes = content(1_000_000);
    let location = upload(store, &bytes).await;
    for range in [0..1, 999_999..1_000_000, 5..5, 300_000..900_001] {
        let (start, end) = (range.start as usize, range.end as usize);
        assert_eq!(read(store, &location, range).await, bytes.slice(start..end));
    }
    let beyond = store.read(&location, 999_990..1_000_010).await;
    let outcome: Result<Vec<Bytes>, Error> =
        beyond.expect("the start is there").try_collect().await;
    assert!(matches!(outcome, Err(Error::Short { .. })), "{outcome:?}");
}

async fn frames_of_every_size_come_together(store: &dyn Store) {
    let bytes = content((1 << 20) + 77);
    let id = new_id();
    store.create(id).await.expect("an upload begins");
    let start = Progress::start(Algorithm::Sha256);
    let mut appender = store.resume(id, start).await.expect("there");
    let mut rest = bytes.clone();
    // Nothing, more single bytes than a batch has pieces, more than a batch, and what fits nowhere.
    let mut sizes = vec![0];
    sizes.extend([1; 3000]);
    sizes.extend([600_000, 0, 4095, 65_483, 262_144, 1]);
    for (number, size) in sizes.into_iter().enumerate() {
        let frame = rest.split_to(size.min(rest.len()));
        appender.append(frame).await.expect("taken");
        if number % 1000 == 999 {
            let progress = appender.pause().await.expect("written");
            assert_eq!(progress.offset, (bytes.len() - rest.len()) as u64);
        }
    }
    appender.append(rest).await.expect("taken");
    let progress = appender.pause().await.expect("written");
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    assert_eq!(progress.hasher.digest(), digest);
    let location = store.finish(id, &progress, &digest).await;
    let location = location.expect("finished");
    let whole = 0..bytes.len() as u64;
    assert_eq!(read(store, &location, whole).await, bytes);
}

async fn an_upload_goes_on_behind_its_progress(store: &dyn Store) {
    let bytes = content(700_000);
    let id = new_id();
    store.create(id).await.expect("an upload begins");
    let start = Progress::start(Algorithm::Sha256);
    let half = append(store, id, start, &bytes.slice(..300_000)).await;
    // What came behind the progress that was recorded is dropped, as after a crash.
    append(store, id, half.clone(), &content(123)).await;
    let stored = Hasher::restore(&half.hasher.store()).expect("a stored state");
    let half = Progress {
        offset: half.offset,
        hasher: stored,
        state: half.state,
    };
    let whole = append(store, id, half, &bytes.slice(300_000..)).await;
    assert_eq!(whole.hasher.digest(), Digest::of(Algorithm::Sha256, &bytes));
    let location = store
        .finish(id, &whole, &whole.hasher.digest())
        .await
        .expect("finished");
    assert_eq!(read(store, &location, 0..700_000).await, bytes);
}

async fn bytes_that_are_missing_are_noticed(store: &dyn Store) {
    let id = new_id();
    store.create(id).await.expect("an upload begins");
    let ahead = Progress {
        offset: 10,
        ..Progress::start(Algorithm::Sha256)
    };
    let resumed = store.resume(id, ahead.clone()).await;
    assert!(matches!(
        resumed.err(),
        Some(Error::Short { actual: 0, .. })
    ));
    let rehashed = store.rehash(id, &ahead, Algorithm::Sha512).await;
    assert!(matches!(
        rehashed.err(),
        Some(Error::Short { actual: 0, .. })
    ));
    store.discard(id, None).await.expect("discarded");
}

async fn a_finished_upload_can_be_finished_again(store: &dyn Store) {
    let bytes = content(1000);
    let id = new_id();
    store.create(id).await.expect("an upload begins");
    let progress = append(store, id, Progress::start(Algorithm::Sha256), &bytes).await;
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    let first = store.finish(id, &progress, &digest).await;
    let first = first.expect("finished");
    let second = store.finish(id, &progress, &digest).await;
    assert_eq!(second.expect("finished again"), first);
    assert_eq!(read(store, &first, 0..1000).await, bytes);
}

async fn a_finished_upload_goes_on_until_that_is_recorded(store: &dyn Store) {
    let bytes = content(1000);
    let id = new_id();
    store.create(id).await.expect("an upload begins");
    let progress = append(store, id, Progress::start(Algorithm::Sha256), &bytes).await;
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    let first = store
        .finish(id, &progress, &digest)
        .await
        .expect("finished");
    // The commit failed, and the client asks again, with no more bytes.
    let again = append(store, id, progress, &Bytes::new()).await;
    assert_eq!(again.offset, 1000);
    let second = store.finish(id, &again, &digest).await;
    assert_eq!(second.expect("finished again"), first);
    assert_eq!(read(store, &first, 0..1000).await, bytes);
}

async fn two_uploads_of_one_digest_lie_apart(store: &dyn Store) {
    let bytes = content(1000);
    let (first, second) = (upload(store, &bytes).await, upload(store, &bytes).await);
    assert_ne!(first, second);
    store.remove(&first).await.expect("removed");
    store
        .remove(&first)
        .await
        .expect("removing again is no error");
    assert!(matches!(
        store.read(&first, 0..1000).await.err(),
        Some(Error::NotFound { .. })
    ));
    assert_eq!(read(store, &second, 0..1000).await, bytes);
}

async fn what_is_discarded_is_gone(store: &dyn Store) {
    let bytes = content(1000);
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    let (open, unrecorded) = (new_id(), new_id());
    let mut progress = Vec::new();
    for id in [open, unrecorded] {
        store.create(id).await.expect("an upload begins");
        progress.push(append(store, id, Progress::start(Algorithm::Sha256), &bytes).await);
    }
    assert!(has_left(store, open).await);
    let location = store.finish(unrecorded, &progress[1], &digest).await;
    let location = location.expect("finished");
    for _ in 0..2 {
        let discarded = store.discard(open, Some(&progress[0])).await;
        discarded.expect("discarding again is no error");
    }
    let discarded = store.discard(unrecorded, Some(&progress[1])).await;
    discarded.expect("discarded");
    assert!(!has_left(store, open).await);
    assert!(store.read(&location, 0..1000).await.is_err());
    let finished = store.finish(open, &progress[0], &digest).await;
    assert!(matches!(finished.err(), Some(Error::NotFound { .. })));
}

async fn what_is_left_behind_is_found_and_dropped(store: &dyn Store) {
    let id = new_id();
    store.create(id).await.expect("an upload begins");
    append(store, id, Progress::start(Algorithm::Sha256), &content(10)).await;
    let later = SystemClock.now().after(Duration::from_secs(60));
    for leftover in store.leftovers(None, later).await.expect("listed") {
        if leftover.upload() == id {
            store.drop_leftover(&leftover).await.expect("dropped");
            let again = store.drop_leftover(&leftover).await;
            again.expect("dropping again is no error");
        }
    }
    assert!(!has_left(store, id).await);
}

/// Whether there are bytes of an upload.
async fn has_left(store: &dyn Store, id: UploadId) -> bool {
    let later = SystemClock.now().after(Duration::from_secs(60));
    let listed = store.leftovers(None, later).await.expect("listed");
    let behind = store.leftovers(Some(id), later).await.expect("listed");
    assert!(behind.iter().all(|leftover| leftover.upload() > id));
    listed.iter().any(|leftover| leftover.upload() == id)
}

async fn another_algorithm_reads_the_bytes_again(store: &dyn Store) {
    let bytes = content(2_500_000);
    let id = new_id();
    store.create(id).await.expect("an upload begins");
    let progress = append(store, id, Progress::start(Algorithm::Sha256), &bytes).await;
    let hasher = store
        .rehash(id, &progress, Algorithm::Sha512)
        .await
        .expect("rehashed");
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    assert_eq!(hasher.digest(), digest);
    let location = store.finish(id, &progress, &digest).await;
    let location = location.expect("finished");
    assert_eq!(read(store, &location, 0..2_500_000).await, bytes);
}

async fn what_is_not_there_is_not_found(store: &dyn Store) {
    let location: Location = "sha256/00/none".parse().expect("a location");
    assert!(matches!(
        store.read(&location, 0..1).await.err(),
        Some(Error::NotFound { .. })
    ));
}
