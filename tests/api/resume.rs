//! Uploads go on after a break: of the connection, and of the server.

use std::io::Write as _;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::http::Client;
use super::{begin, content, digest, start};

/// Where an upload stands, in bytes, once it is `at_least` that far.
pub(crate) fn wait_for_offset(client: &Client, location: &str, at_least: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let status = client.get(location);
        assert_eq!(status.status, 204, "{status:?}");
        let last = status
            .header("range")
            .and_then(|range| range.strip_prefix("0-"));
        let last: usize = last.and_then(|last| last.parse().ok()).expect("a range");
        if last + 1 >= at_least {
            return last + 1;
        }
        assert!(Instant::now() < deadline, "the upload stands at {last}");
        std::thread::yield_now();
    }
}

/// Sends what is missing from `offset` on, and reads the blob back.
pub(crate) fn finish(client: &Client, location: &str, bytes: &[u8], offset: usize) {
    let range = format!("{offset}-{}", bytes.len() - 1);
    let path = format!("{location}?digest={}", digest(bytes));
    let done = client.send("PUT", &path, &[("Content-Range", &range)], &bytes[offset..]);
    assert_eq!(done.status, 201, "{done:?}");
    let blob = client.get(done.header("location").expect("a location"));
    assert!(blob.body == bytes, "the blob differs");
}

#[test]
fn what_arrived_before_the_connection_broke_is_kept() {
    let (_registry, client) = start();
    let bytes = content(3_000_000);
    let location = begin(&client, "broken");
    let mut stream = client.open("PATCH", &location, &[], Some(bytes.len()));
    stream
        .write_all(&bytes[..1_000_000])
        .expect("a part is sent");
    stream
        .shutdown(Shutdown::Both)
        .expect("the connection breaks");
    // How much of it the server saw before the end is its own to say.
    let offset = wait_for_offset(&client, &location, 2);
    assert!(offset <= 1_000_000);
    finish(&client, &location, &bytes, offset);
}

#[test]
fn an_upload_goes_on_after_a_restart_where_it_says_that_it_stands() {
    let (mut registry, client) = start();
    let bytes = content(2_000_000);
    let location = begin(&client, "restarted");
    let sent = client.send("PATCH", &location, &[], &bytes[..1_500_000]);
    assert_eq!(sent.status, 202);
    registry.stop();
    registry.start_again();
    let client = Client::new(registry.base());
    assert_eq!(wait_for_offset(&client, &location, 1_500_000), 1_500_000);
    finish(&client, &location, &bytes, 1_500_000);
}

#[test]
fn an_upload_goes_on_after_a_kill_in_the_middle_of_a_chunk() {
    let (mut registry, client) = start();
    let bytes = content(2_000_000);
    let location = begin(&client, "killed");
    let sent = client.send("PATCH", &location, &[], &bytes[..1_000_000]);
    assert_eq!(sent.status, 202);
    let mut stream = client.open("PATCH", &location, &[], Some(1_000_000));
    stream
        .write_all(&bytes[1_000_000..1_600_000])
        .expect("a part is sent");
    registry.kill();
    registry.start_again();
    let client = Client::new(registry.base());
    let offset = wait_for_offset(&client, &location, 1_000_000);
    finish(&client, &location, &bytes, offset);
}

#[test]
fn a_cancelled_upload_is_gone() {
    let (_registry, client) = start();
    let location = begin(&client, "cancelled");
    assert_eq!(
        client.send("PATCH", &location, &[], b"0123456789").status,
        202
    );
    assert_eq!(client.send("DELETE", &location, &[], b"").status, 204);
    for (method, path) in [
        ("GET", location.clone()),
        ("PATCH", location.clone()),
        ("DELETE", location.clone()),
        (
            "PUT",
            format!("{location}?digest={}", digest(b"0123456789")),
        ),
    ] {
        let answer = client.send(method, &path, &[], b"");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "BLOB_UPLOAD_UNKNOWN")
        );
    }
}

#[test]
fn chunks_of_an_upload_are_taken_one_request_at_a_time() {
    let (registry, client) = start();
    let bytes = content(400_000);
    let location = begin(&client, "racing");
    // Eight clients race to append each chunk: whoever lies wrong is told so, and one is right.
    for start in (0..bytes.len()).step_by(100_000) {
        let racers: Vec<_> = (0..8)
            .map(|_| {
                let (client, location) = (Client::new(registry.base()), location.clone());
                let chunk = bytes[start..start + 100_000].to_vec();
                std::thread::spawn(move || {
                    let range = format!("{start}-{}", start + 99_999);
                    client
                        .send("PATCH", &location, &[("Content-Range", &range)], &chunk)
                        .status
                })
            })
            .collect();
        let mut statuses: Vec<u16> = racers
            .into_iter()
            .map(|racer| racer.join().expect("an answer"))
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 416, 416, 416, 416, 416, 416, 416]);
    }
    let path = format!("{location}?digest={}", digest(&bytes));
    assert_eq!(client.send("PUT", &path, &[], b"").status, 201);
}
