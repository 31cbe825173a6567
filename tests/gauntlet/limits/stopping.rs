//! Row 34: a server that is told to stop while it works.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::line::{Line, manifest};
use super::{Form, row};
use crate::api::http::{Answer, Client, read_answer};
use crate::api::{begin, content, digest, push_blob};
use crate::support::{Registry, wait};

/// How many clients push small things.
const PUSHERS: usize = 8;
/// How many slow uploads and slow pulls are under way.
const SLOW: usize = 4;
const BLOB: usize = 24 << 20;
/// In how many pieces something slow is sent or read, with a pause behind each.
const PIECES: usize = 30;
const PAUSE: Duration = Duration::from_millis(100);

/// Within what of the signal a request is answered, on any connection. The server waits longer.
const ANSWERED: Duration = Duration::from_millis(200);

/// What came of a client that pushes until it is told that the connection ends.
struct Pushed {
    acknowledged: Vec<String>,
    /// When the request began that was not answered, where it was cut instead.
    cut: Option<Instant>,
}

fn push(host: &str, number: usize, round: usize) -> Pushed {
    let mut acknowledged = Vec::new();
    let mut line = Line::to(host).expect("the server listens");
    for count in 0.. {
        let (text, digest) = manifest(&format!("{round}-{number}-{count}"));
        let began = Instant::now();
        let Ok(answer) = line.put("team/app", &format!("v{number}"), &text) else {
            let cut = Some(began);
            return Pushed { acknowledged, cut };
        };
        assert_eq!(answer.status, 201, "{answer:?}");
        acknowledged.push(digest);
        if answer.header("connection") == Some("close") {
            break;
        }
    }
    let cut = None;
    Pushed { acknowledged, cut }
}

fn upload(mut stream: TcpStream, bytes: &[u8], begun: &AtomicUsize) -> Answer {
    for (number, piece) in bytes.chunks(bytes.len().div_ceil(PIECES)).enumerate() {
        stream.write_all(piece).expect("it is not cut");
        if number == 3 {
            begun.fetch_add(1, Ordering::SeqCst);
        }
        thread::sleep(PAUSE);
    }
    read_answer(stream, "POST")
}

fn pull(mut stream: TcpStream, begun: &AtomicUsize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = vec![0; BLOB / PIECES];
    loop {
        let length = stream.read(&mut piece).expect("it is not cut");
        if length == 0 {
            break;
        }
        if all.is_empty() {
            begun.fetch_add(1, Ordering::SeqCst);
        }
        all.extend_from_slice(&piece[..length]);
        // The last of what was sent at once is read at once.
        if all.len() < BLOB / 2 {
            thread::sleep(PAUSE);
        }
    }
    let head = all.windows(4).position(|four| four == b"\r\n\r\n");
    all.split_off(head.expect("a head") + 4)
}

/// Stops a server under load, and gives how many pushes it had acknowledged and how long it took.
fn stop_under_load(registry: &mut Registry, round: usize) -> (usize, Duration) {
    let client = Client::new(registry.base());
    let host = registry.host().to_owned();
    let blob = content(BLOB);
    let stored = push_blob(&client, "team/app", &blob);
    let begun = &AtomicUsize::new(0);
    let mut open = Vec::new();
    for number in 0..SLOW {
        // No two are the same bytes.
        let bytes: Vec<u8> = content(1 << 20)
            .into_iter()
            .map(|byte| byte ^ (number + 1) as u8)
            .collect();
        let path = format!("/v2/team/app/blobs/uploads/?digest={}", digest(&bytes));
        open.push(("POST", path, bytes));
        let bytes = content(1 << 20);
        open.push(("PATCH", begin(&client, "team/app"), bytes));
    }
    let (pushed, took) = thread::scope(|scope| {
        let host = &host;
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|number| scope.spawn(move || push(host, number, round)))
            .collect();
        let uploads: Vec<_> = open
            .iter()
            .map(|(method, path, bytes)| {
                let stream = client.open(method, path, &[], Some(bytes.len()));
                (*method, scope.spawn(move || upload(stream, bytes, begun)))
            })
            .collect();
        let pulls: Vec<_> = (0..SLOW)
            .map(|_| {
                let path = format!("/v2/team/app/blobs/{stored}");
                let stream = client.open("GET", &path, &[], Some(0));
                scope.spawn(move || pull(stream, begun))
            })
            .collect();
        wait::until("all are under way", Duration::from_secs(20), || {
            (begun.load(Ordering::SeqCst) == 3 * SLOW).then_some(())
        });
        let told = Instant::now();
        registry.process().signal("TERM");
        wait::until("no new connection is taken", Duration::from_secs(2), || {
            TcpStream::connect(host).is_err().then_some(())
        });
        for (method, answer) in uploads {
            let answer = answer.join().expect("it is served to its end");
            let wanted = if method == "POST" { 201 } else { 202 };
            assert_eq!(answer.status, wanted, "{answer:?}");
        }
        for bytes in pulls {
            assert!(bytes.join().expect("it is served to its end") == blob);
        }
        let pushed: Vec<Pushed> = pushers
            .into_iter()
            .map(|pusher| pusher.join().expect("no push was refused"))
            .collect();
        for cut in pushed.iter().filter_map(|one| one.cut) {
            let after = cut.saturating_duration_since(told);
            assert!(after > ANSWERED, "a push {after:?} behind was not answered");
        }
        (pushed, told)
    });
    let status = registry.process().wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0));
    let took = took.elapsed();
    registry.kill();
    registry.start_again();
    let mut line = Line::to(registry.host()).expect("the server listens");
    let mut count = 0;
    for digest in pushed.iter().flat_map(|one| &one.acknowledged) {
        let path = format!("/v2/team/app/manifests/{digest}");
        let answer = line.ask("HEAD", &path, &[], b"").expect("an answer");
        assert_eq!(answer.status, 200, "{digest} was acknowledged");
        count += 1;
    }
    (count, took)
}

#[test]
fn requests_in_flight_are_finished_when_the_server_is_told_to_stop() {
    let rounds = Form::pick(2, 6);
    let mut registry = Registry::wharf_with(&[("WHARF__LOG__LEVEL", "warn")]);
    let (mut count, mut longest) = (0, Duration::ZERO);
    for round in 0..rounds {
        let (pushed, took) = stop_under_load(&mut registry, round);
        count += pushed;
        longest = longest.max(took);
    }
    row(
        34,
        "",
        &format!(
            "{rounds} stops, each with {} slow uploads and {SLOW} slow pulls, all of them finished, \
             {count} small pushes acknowledged and there; exit 0, the last after {:.1} s",
            2 * SLOW,
            longest.as_secs_f64(),
        ),
    );
}
