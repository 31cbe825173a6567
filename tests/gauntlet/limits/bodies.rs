//! Row 19: bodies that hardly come, and answers that nobody reads.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::frames::{self, DATA, END_HEADERS, HEADERS, WINDOW_UPDATE, frame};
use super::line::make_room_for;
use super::row;
use crate::api::http::{Client, read_answer};
use crate::api::{begin, content, digest, push_blob};
use crate::support::{Registry, wait};

/// Over how long the rate of a body counts.
const WINDOW: Duration = Duration::from_secs(30);
/// When the server must have cut a body that hardly comes.
const LATEST: Duration = Duration::from_secs(36);
/// Twice the rate that is asked for, so that it is served for as long as it takes.
const FAST_ENOUGH: usize = 256;

/// Sends the same bytes each second, until the request is cut: with its connection, or in frames by
/// an answer or the end of its stream.
fn drip(mut stream: TcpStream, bytes: &[u8], in_frames: bool) -> Duration {
    let began = Instant::now();
    let pause = Some(Duration::from_secs(1));
    stream.set_read_timeout(pause).expect("a timeout is set");
    let (mut said, mut all) = ([0; 512], Vec::new());
    while began.elapsed() < LATEST + WINDOW {
        match stream.read(&mut said) {
            Ok(length @ 1..) => {
                all.extend_from_slice(&said[..length]);
                let mut kinds = frames::kinds(&all);
                if in_frames && kinds.any(|(kind, stream)| stream == 1 && kind != WINDOW_UPDATE) {
                    break;
                }
                continue;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => break,
        }
        if stream.write_all(bytes).is_err() {
            break;
        }
    }
    began.elapsed()
}

/// A request over HTTP/2 whose body never ends.
fn open_frames(client: &Client, path: &str) -> TcpStream {
    let mut stream = frames::open(client.address(), &[]).expect("the server listens");
    let head = frames::request("PATCH", path, client.address());
    let head = frame(HEADERS, END_HEADERS, 1, &head);
    stream.write_all(&head).expect("the head is sent");
    stream
}

#[test]
fn a_body_of_a_byte_a_second_is_cut_wherever_it_goes() {
    let registry = Registry::wharf();
    let client = &Client::new(registry.base());
    let target = "X-Amz-Target";
    let operation = "AmazonEC2ContainerRegistry_V20150921.PutImage";
    let length = Some(1 << 20);
    let upload = || begin(client, "slow/app");
    let blob = format!("/v2/slow/app/blobs/uploads/?digest={}", digest(b"x"));
    let kept = upload();
    let slow: Vec<(&str, TcpStream, Vec<u8>)> = vec![
        (
            "a part",
            client.open("PATCH", &kept, &[], length),
            b"x".to_vec(),
        ),
        (
            "a part in chunks",
            client.open("PATCH", &upload(), &[], None),
            b"1\r\nx\r\n".to_vec(),
        ),
        (
            "the last part",
            client.open(
                "PUT",
                &format!("{}?digest={}", upload(), digest(b"x")),
                &[],
                length,
            ),
            b"x".to_vec(),
        ),
        (
            "a blob",
            client.open("POST", &blob, &[], length),
            b"x".to_vec(),
        ),
        (
            "a blob of which nothing comes",
            client.open("POST", &blob, &[], length),
            Vec::new(),
        ),
        (
            "a manifest",
            client.open("PUT", "/v2/slow/app/manifests/v1", &[], length),
            b" ".to_vec(),
        ),
        (
            "an operation",
            client.open("POST", "/", &[(target, operation)], length),
            b" ".to_vec(),
        ),
        (
            "a login",
            client.open("POST", "/token", &[], length),
            b"a".to_vec(),
        ),
        (
            "a session",
            client.open("POST", "/session", &[], length),
            b" ".to_vec(),
        ),
        (
            "a policy",
            client.open("PUT", "/admin/v1/policies/registry", &[], length),
            b" ".to_vec(),
        ),
        (
            "a part in frames",
            open_frames(client, &upload()),
            frame(DATA, 0, 1, b"x"),
        ),
    ];
    let count = slow.len();
    let steady = content(FAST_ENOUGH * (LATEST.as_secs() as usize + 2));
    let longest = thread::scope(|scope| {
        // One that comes fast enough is served to its end meanwhile.
        let path = format!("/v2/fast/app/blobs/uploads/?digest={}", digest(&steady));
        let mut stream = client.open("POST", &path, &[], Some(steady.len()));
        let fast = scope.spawn(move || {
            for bytes in steady.chunks(FAST_ENOUGH) {
                stream.write_all(bytes).expect("it is not cut");
                thread::sleep(Duration::from_secs(1));
            }
            read_answer(stream, "POST").status
        });
        let slow: Vec<_> = slow
            .into_iter()
            .map(|(what, stream, bytes)| {
                (
                    what,
                    scope.spawn(move || drip(stream, &bytes, what.ends_with("frames"))),
                )
            })
            .collect();
        let mut longest = Duration::ZERO;
        for (what, cut) in slow {
            let after = cut.join().expect("it ends");
            assert!(after < LATEST, "{what}: {after:?}");
            longest = longest.max(after);
        }
        assert_eq!(fast.join().expect("it ends"), 201);
        longest
    });
    // What came of an upload is kept.
    let answer = client.get(&kept);
    assert_eq!(answer.status, 204, "{answer:?}");
    row(
        19,
        "",
        &format!(
            "{count} kinds of requests at 1 byte/s, the last one cut after {:.1} s; \
             one at {FAST_ENOUGH} bytes/s was served",
            longest.as_secs_f64(),
        ),
    );
}

#[test]
fn an_answer_that_nobody_reads_is_cut() {
    const READERS: usize = 50;
    const LENGTH: usize = 32 << 20;
    make_room_for(READERS as u64);
    let mut registry = Registry::wharf_with(&[("WHARF__SERVER__IDLE_TIMEOUT", "3s")]);
    let client = Client::new(registry.base());
    // More than fits into the buffers between.
    let digest = push_blob(&client, "slow/app", &content(LENGTH));
    let files = format!("/proc/{}/fd", registry.process().child().id());
    let open = || std::fs::read_dir(&files).expect("it runs").count();
    // What stays open is open behind the first pull.
    let path = format!("/v2/slow/app/blobs/{digest}");
    assert_eq!(client.get(&path).body.len(), LENGTH);
    // Its connection is closed a moment later.
    let looks = (0..20).map(|_| {
        thread::sleep(Duration::from_millis(10));
        open()
    });
    let before = looks.min().expect("there are some");
    let began = Instant::now();
    let readers: Vec<TcpStream> = (0..READERS)
        .map(|_| client.open("GET", &path, &[], Some(0)))
        .collect();
    wait::until("they are served", Duration::from_secs(10), || {
        (open() >= before + READERS).then_some(())
    });
    wait::until("they are cut", Duration::from_secs(20), || {
        (open() <= before).then_some(())
    });
    let after = began.elapsed();
    for mut reader in readers {
        let mut taken = Vec::new();
        // It ends early, with an error or without.
        let _ = reader.read_to_end(&mut taken);
        assert!(taken.len() < LENGTH);
    }
    row(
        19,
        "answers",
        &format!(
            "{READERS} pulls that nobody reads, cut after {:.1} s of 3 s allowed",
            after.as_secs_f64()
        ),
    );
}
