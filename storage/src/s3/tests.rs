//! The bucket against the contract, by ways that fail as stores do, and what only a bucket has.

use bytes::Bytes;
use uuid::Uuid;

use self::support::{Bucket, Fate, Proxy};
use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::upload::contract;

#[path = "../../../tests/support/s3.rs"]
mod support;

const MIB: usize = 1 << 20;

fn settings(bucket: &Bucket) -> Settings {
    Settings {
        bucket: bucket.name.clone(),
        prefix: "some/prefix".into(),
        endpoint: Some(bucket.endpoint.clone()),
        region: None,
        credentials: Some(Credentials {
            access_key_id: support::ACCESS_KEY_ID.into(),
            secret_access_key: support::SECRET_ACCESS_KEY.into(),
        }),
        virtual_hosted: false,
        part_bytes: LEAST_PART_BYTES,
        growth: Growth::Growing,
        memory_bytes: 8 * MIB,
        spool: std::env::temp_dir(),
        timeout: Duration::from_secs(10),
        retry_for: Duration::from_secs(10),
    }
}

async fn open(bucket: &Bucket) -> S3Store {
    S3Store::open(settings(bucket)).await.expect("opened")
}

fn new_id() -> UploadId {
    UploadId::new(Uuid::now_v7())
}

fn content(length: usize) -> Bytes {
    (0..length)
        .map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8)
        .collect()
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// Sends bytes as one request does.
async fn send(
    store: &S3Store,
    id: UploadId,
    from: Progress,
    bytes: Bytes,
) -> Result<Progress, Error> {
    let mut appender = store.resume(id, from).await?;
    for start in (0..bytes.len()).step_by(64 << 10) {
        let end = bytes.len().min(start + (64 << 10));
        appender.append(bytes.slice(start..end)).await?;
    }
    appender.pause().await
}

async fn read_all(store: &S3Store, location: &Location, length: usize) -> Result<Bytes, Error> {
    let stream = store.read(location, 0..length as u64).await?;
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(pieces.concat().into())
}

#[tokio::test]
async fn the_bucket_holds_the_contract_of_stores() {
    contract::holds(&open(&Bucket::new()).await).await;
}

#[tokio::test]
async fn the_bucket_holds_the_contract_of_records() {
    crate::record::contract::holds(&open(&Bucket::new()).await).await;
}

#[tokio::test]
async fn a_store_that_ignores_conditions_holds_the_contract_too() {
    let bucket = Bucket::new();
    let proxy = Proxy::start(bucket.host(), |_| Fate::Pass);
    contract::holds(&open(&bucket.through(&proxy)).await).await;
}

#[tokio::test]
async fn a_blob_of_many_small_requests_goes_on_at_another_server() {
    let bucket = Bucket::new();
    let servers = [open(&bucket).await, open(&bucket).await];
    let bytes = content(12 * MIB);
    let id = new_id();
    let mut progress = Progress::start(Algorithm::Sha256);
    for (number, start) in (0..bytes.len()).step_by(100_000).enumerate() {
        let end = bytes.len().min(start + 100_000);
        let server = &servers[number % 2];
        progress = send(server, id, progress, bytes.slice(start..end))
            .await
            .expect("it goes on");
    }
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    assert_eq!(progress.hasher.digest(), digest);
    let location = servers[0].finish(id, &progress, &digest).await;
    let location = location.expect("finished");
    servers[1].settle(id, &location).await.expect("settled");
    let read = read_all(&servers[1], &location, bytes.len()).await;
    assert_eq!(read.expect("read"), bytes);
    assert_eq!(bucket.objects("some/prefix/data"), 1);
    let objects = servers[0].shared.objects_of(id).await.expect("listed");
    assert_eq!(objects, [servers[0].shared.path(&location)]);
}

#[tokio::test]
async fn a_completion_that_was_done_before_is_found_done() {
    let store = open(&Bucket::new()).await;
    let bytes = content(11 * MIB);
    let id = new_id();
    let start = Progress::start(Algorithm::Sha256);
    let progress = send(&store, id, start, bytes.clone()).await.expect("sent");
    let digest = progress.hasher.digest();
    let first = store
        .finish(id, &progress, &digest)
        .await
        .expect("finished");
    let again = store
        .finish(id, &progress, &digest)
        .await
        .expect("finished");
    assert_eq!(first, again);
    let hasher = store.rehash(id, &progress, Algorithm::Sha512).await;
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    assert_eq!(hasher.expect("hashed").digest(), digest);
}

#[tokio::test]
async fn a_checkpoint_names_whole_parts_and_the_upload_goes_on_there() {
    let store = open(&Bucket::new()).await;
    let bytes = content(13 * MIB);
    let id = new_id();
    let start = Progress::start(Algorithm::Sha256);
    let mut appender = store.resume(id, start).await.expect("begun");
    appender.append(bytes.clone()).await.expect("taken");
    let recorded = loop {
        let progress = appender.checkpoint().await.expect("a point");
        if progress.offset > 0 {
            break progress;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(recorded.offset % LEAST_PART_BYTES, 0);
    drop(appender);
    let rest = bytes.slice(usize::try_from(recorded.offset).expect("small")..);
    let progress = send(&store, id, recorded, rest).await.expect("it goes on");
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    assert_eq!(progress.hasher.digest(), digest);
    let location = store
        .finish(id, &progress, &digest)
        .await
        .expect("finished");
    assert_eq!(
        read_all(&store, &location, bytes.len())
            .await
            .expect("read"),
        bytes
    );
}

#[tokio::test]
async fn an_unfinished_multipart_is_found_by_its_age_and_ended() {
    let bucket = Bucket::new();
    let store = open(&bucket).await;
    let id = new_id();
    let start = Progress::start(Algorithm::Sha256);
    send(&store, id, start, content(6 * MIB))
        .await
        .expect("sent");
    let hour = Duration::from_secs(3600);
    let young = store.multiparts(now().before(hour)).await.expect("listed");
    assert_eq!(young, []);
    assert_eq!(bucket.multiparts(), 1);
    let found = store.multiparts(now().after(hour)).await.expect("listed");
    let [multipart @ Leftover::Multipart(of, _)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(*of, id);
    store.drop_leftover(multipart).await.expect("dropped");
    store.drop_leftover(multipart).await.expect("dropped again");
    let found = store.multiparts(now().after(hour)).await.expect("listed");
    assert_eq!(found, []);
}

#[tokio::test]
async fn the_index_says_what_a_blob_is_and_goes_with_it() {
    let store = open(&Bucket::new()).await;
    let (id, bytes) = (new_id(), content(10));
    let start = Progress::start(Algorithm::Sha256);
    let progress = send(&store, id, start, bytes.clone()).await.expect("sent");
    let digest = progress.hasher.digest();
    let location = store
        .finish(id, &progress, &digest)
        .await
        .expect("finished");
    let s3 = &store.shared.requests.s3;
    let path = store.shared.index_path(id);
    let got = s3
        .get_opts(&path, object_store::GetOptions::default())
        .await;
    let text = got.expect("it is there").bytes().await.expect("read");
    let index: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let expected = serde_json::json!({"digest": digest, "size": 10, "key": location.as_str()});
    assert_eq!(index, expected);
    store.remove(&location).await.expect("removed");
    let got = s3
        .get_opts(&path, object_store::GetOptions::default())
        .await;
    assert!(matches!(got, Err(object_store::Error::NotFound { .. })));
}

#[tokio::test]
async fn pieces_that_a_blob_was_made_of_go_and_the_blob_stays() {
    let bucket = Bucket::new();
    let store = open(&bucket).await;
    let id = new_id();
    let mut progress = Progress::start(Algorithm::Sha256);
    for _ in 0..2 {
        let sent = send(&store, id, progress, content(1000)).await;
        progress = sent.expect("sent");
    }
    let digest = progress.hasher.digest();
    let location = store.finish(id, &progress, &digest).await;
    let location = location.expect("finished");
    // The server ends before it has settled the upload.
    let later = now().after(Duration::from_secs(60));
    for leftover in store.leftovers(None, later).await.expect("listed") {
        store.drop_leftover(&leftover).await.expect("looked at");
    }
    let left = store.leftovers(None, later).await.expect("listed");
    let expected = Leftover::Object(id, location);
    assert_eq!(left, [expected], "the blob alone is left");
}

#[tokio::test]
async fn what_an_old_upload_wrote_lately_is_told_and_stays() {
    let store = open(&Bucket::new()).await;
    let long_ago = now().before(Duration::from_secs(600));
    let id = UploadId::first_at(long_ago);
    let start = Progress::start(Algorithm::Sha256);
    let progress = send(&store, id, start, content(10)).await.expect("sent");
    let until = now().before(Duration::from_secs(60));
    let listed = store.leftovers(None, until).await.expect("listed");
    assert_eq!(listed, [Leftover::Young(id)]);
    let dropped = store.drop_leftover(&listed[0]).await.expect("looked at");
    assert!(!dropped, "it may be needed");
    let digest = progress.hasher.digest();
    store
        .finish(id, &progress, &digest)
        .await
        .expect("finished");
}

#[tokio::test]
async fn a_bucket_that_does_not_answer_is_told_and_no_secret_is() {
    let bucket = Bucket::new();
    let mut wrong = settings(&bucket);
    wrong.credentials = Some(Credentials {
        access_key_id: "wharf".into(),
        secret_access_key: "canary-of-a-secret".into(),
    });
    let told = format!("{wrong:?}");
    let error = S3Store::open(wrong).await.expect_err("the key is wrong");
    let told = format!("{told} {error} {error:?}");
    assert!(!told.contains("canary"), "{told}");
    assert!(matches!(error, OpenError::Bucket { .. }));
}

/// What may go wrong with a request, in turn.
const FATES: [Fate; 5] = [
    Fate::Fail(500),
    Fate::Fail(503),
    Fate::Swallow,
    Fate::Cut,
    Fate::Delay(Duration::from_millis(300)),
];

#[tokio::test]
async fn faults_of_every_third_request_change_no_byte() {
    let bucket = Bucket::new();
    let proxy = Proxy::start(bucket.host(), |passing| match passing.number {
        number if number % 3 == 0 => FATES[number / 3 % FATES.len()],
        _ => Fate::Pass,
    });
    let store = open(&bucket.through(&proxy)).await;
    for length in [0, 10, 3 * MIB, 11 * MIB] {
        let (id, bytes) = (new_id(), content(length));
        let half = bytes.slice(..length / 2);
        let start = Progress::start(Algorithm::Sha256);
        let progress = send(&store, id, start, half).await.expect("sent");
        let rest = bytes.slice(length / 2..);
        let progress = send(&store, id, progress, rest).await.expect("sent");
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        assert_eq!(progress.hasher.digest(), digest);
        let location = store
            .finish(id, &progress, &digest)
            .await
            .expect("finished");
        store.settle(id, &location).await.expect("settled");
        assert_eq!(
            read_all(&store, &location, length).await.expect("read"),
            bytes
        );
        store.remove(&location).await.expect("removed");
    }
    assert!(proxy.faults() > 10, "{}", proxy.faults());
}

#[tokio::test]
async fn a_store_that_fails_for_long_is_unavailable_and_the_upload_waits() {
    let bucket = Bucket::new();
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let proxy = Proxy::start(bucket.host(), move |_| {
        match is_down.load(std::sync::atomic::Ordering::Relaxed) {
            true => Fate::Fail(503),
            false => Fate::Pass,
        }
    });
    let mut hasty = settings(&bucket.through(&proxy));
    hasty.retry_for = Duration::from_millis(300);
    let store = S3Store::open(hasty).await.expect("opened");
    let (id, bytes) = (new_id(), content(11 * MIB));
    let start = Progress::start(Algorithm::Sha256);
    let progress = send(&store, id, start.clone(), bytes.clone())
        .await
        .expect("sent");
    let digest = progress.hasher.digest();
    down.store(true, std::sync::atomic::Ordering::Relaxed);
    let finished = store
        .finish(id, &progress, &digest)
        .await
        .expect_err("down");
    assert!(finished.is_temporary(), "{finished:?}");
    let sent = send(&store, new_id(), start, bytes.clone())
        .await
        .expect_err("down");
    assert!(sent.is_temporary(), "{sent:?}");
    down.store(false, std::sync::atomic::Ordering::Relaxed);
    let location = store
        .finish(id, &progress, &digest)
        .await
        .expect("it is up again");
    assert_eq!(
        read_all(&store, &location, bytes.len())
            .await
            .expect("read"),
        bytes
    );
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_makes_one_blob() {
    let bucket = Bucket::new();
    let lost = AtomicBool::new(false);
    let proxy = Proxy::start(bucket.host(), move |passing| {
        let is_completion = passing.method == "POST" && passing.target.contains("uploadId=");
        match is_completion && !lost.swap(true, std::sync::atomic::Ordering::Relaxed) {
            true => Fate::Swallow,
            false => Fate::Pass,
        }
    });
    let store = open(&bucket.through(&proxy)).await;
    let (id, bytes) = (new_id(), content(11 * MIB));
    let start = Progress::start(Algorithm::Sha256);
    let progress = send(&store, id, start, bytes.clone()).await.expect("sent");
    let digest = progress.hasher.digest();
    let location = store
        .finish(id, &progress, &digest)
        .await
        .expect("finished");
    assert_eq!(
        read_all(&store, &location, bytes.len())
            .await
            .expect("read"),
        bytes
    );
    assert_eq!(proxy.faults(), 1);
}

#[tokio::test]
async fn a_writer_that_was_thought_dead_changes_no_blob() {
    let store = open(&Bucket::new()).await;
    let (id, bytes) = (new_id(), content(14 * MIB));
    let start = Progress::start(Algorithm::Sha256);
    let half = send(&store, id, start, bytes.slice(..6 * MIB)).await;
    let half = half.expect("sent");
    let whole = send(&store, id, half.clone(), bytes.slice(6 * MIB..)).await;
    let whole = whole.expect("sent");
    // It sends other bytes from the same point on, under the same numbers of parts.
    let other = Bytes::from(vec![7; 8 * MIB]);
    let late = send(&store, id, half, other).await.expect("sent");
    assert_ne!(late.hasher.digest(), whole.hasher.digest());
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    match store.finish(id, &whole, &digest).await {
        Ok(location) => {
            let read = read_all(&store, &location, bytes.len()).await;
            assert!(read.expect("read") == bytes, "a wrong byte");
        }
        Err(error) => assert!(!error.is_temporary(), "{error:?}"),
    }
}
