//! Rows 17 and 20: heads that never end, and heads that are too long.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::line::{Ends, Line, Times, make_room_for, manifest, milliseconds};
use super::{Form, row};
use crate::support::Registry;

/// How many heads are half sent at once.
const HALVES: usize = 5000;
/// When all of them have to be closed.
const LATEST: Duration = Duration::from_secs(15);
/// How often it is looked whether one was closed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A connection on which half a head was sent.
struct Half {
    stream: TcpStream,
    began: Instant,
    /// When the server ended it.
    ended: Option<Duration>,
}

impl Half {
    fn open(host: &str) -> Self {
        // A busy machine may take long to connect; the server's time begins behind that.
        let mut stream = TcpStream::connect(host).expect("the server listens");
        let began = Instant::now();
        let head = b"GET /v2/ HTTP/1.1\r\nHost: somewhere\r\nX-Begun: ";
        stream.write_all(head).expect("half a head is sent");
        stream.set_nonblocking(true).expect("a mode");
        Self {
            stream,
            began,
            ended: None,
        }
    }

    /// Looks whether the server has ended it. What it may say before doesn't matter.
    fn look(&mut self) {
        let mut said = [0; 512];
        while self.ended.is_none() {
            match self.stream.read(&mut said) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => self.ended = Some(self.began.elapsed()),
            }
        }
    }
}

/// Pulls again and again, over one connection and over new ones, until all is over.
fn pull_until(over: &AtomicBool, host: &str) -> Times {
    let mut times = Times::default();
    let mut line = Line::to(host).expect("the server listens");
    while !over.load(Ordering::SeqCst) {
        if times.count() % 10 == 9 {
            line = Line::to(host).expect("the server listens");
        }
        let path = "/v2/team/app/manifests/v1";
        let answer = times.note(|| line.ask("GET", path, &[], b""));
        assert_eq!(answer.expect("an answer").status, 200);
        thread::sleep(Duration::from_millis(5));
    }
    times
}

#[test]
fn half_sent_heads_are_closed_in_time_while_others_are_served() {
    make_room_for(HALVES as u64);
    let registry = Registry::wharf_with(&[("WHARF__LOG__LEVEL", "warn")]);
    let host = registry.host();
    let mut line = Line::to(host).expect("the server listens");
    let answer = line.put("team/app", "v1", &manifest("served").0);
    assert_eq!(answer.expect("an answer").status, 201);

    let is_over = AtomicBool::new(false);
    let (halves, mut times) = thread::scope(|scope| {
        let ends = Ends(&is_over);
        let pulls = scope.spawn(|| pull_until(&is_over, host));
        let mut halves: Vec<Half> = (0..HALVES).map(|_| Half::open(host)).collect();
        let mut dripped = Instant::now();
        let deadline = Instant::now() + LATEST * 2;
        while halves.iter().any(|half| half.ended.is_none()) && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
            // Every other one sends a byte a second.
            if dripped.elapsed() > Duration::from_secs(1) {
                dripped = Instant::now();
                for half in halves.iter_mut().step_by(2) {
                    let _ = half.stream.write(b"x");
                }
            }
            halves.iter_mut().for_each(Half::look);
        }
        drop(ends);
        (halves, pulls.join().expect("pulls go on"))
    });
    let ended: Vec<Duration> = halves.iter().filter_map(|half| half.ended).collect();
    assert_eq!(ended.len(), HALVES, "all of them end");
    let longest = ended.into_iter().max().expect("there are some");
    assert!(longest < LATEST, "{longest:?}");
    let p99 = times.p99();
    assert!(
        p99 < Form::pick(Duration::from_millis(200), Duration::from_millis(100)),
        "{p99:?}"
    );
    row(
        17,
        "",
        &format!(
            "{HALVES} heads half sent, the last one closed after {:.1} s; \
             p99 of {} pulls meanwhile {}",
            longest.as_secs_f64(),
            times.count(),
            milliseconds(p99),
        ),
    );
}

/// Sends a head as it is, and gives the status of the answer.
fn status_of(host: &str, head: &str) -> u16 {
    let mut stream = TcpStream::connect(host).expect("the server listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout is set");
    // The answer may come, and the connection end, before all of it is sent.
    let _ = stream.write_all(head.as_bytes());
    let mut line = [0; 12];
    stream.read_exact(&mut line).expect("an answer");
    let line = String::from_utf8_lossy(&line).into_owned();
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|text| text.parse().ok());
    status.unwrap_or_else(|| panic!("a status line, not {line:?}"))
}

/// So many lines of a head, each so long.
fn lines(count: usize, length: usize) -> String {
    let line = |number| format!("X-{number:04}: {}\r\n", "a".repeat(length - 10));
    (0..count).map(line).collect()
}

#[test]
fn heads_that_are_too_long_are_refused_on_every_route() {
    let registry = Registry::wharf();
    let host = registry.host();
    let routes = [
        "GET /v2/",
        "HEAD /v2/team/app/manifests/v1",
        "PUT /v2/team/app/manifests/v1",
        "PATCH /v2/team/app/blobs/uploads/x",
        "POST /",
        "GET /token",
        "GET /events",
        "PUT /admin/v1/policies/registry",
        "GET /nothing",
    ];
    let mut longest = Duration::ZERO;
    for route in routes {
        let too_long = [
            ("900 KB in one line", lines(1, 900_000)),
            ("900 KB in 900 lines", lines(900, 1000)),
            ("66 KiB in 66 lines", lines(66, 1024)),
            ("201 lines", lines(200, 20)),
            ("10,000 lines", lines(10_000, 20)),
        ];
        for (what, lines) in too_long {
            let head = format!("{route} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
            let began = Instant::now();
            assert_eq!(status_of(host, &head), 431, "{what} to {route}");
            longest = longest.max(began.elapsed());
        }
        // Host is the two hundredth.
        for (what, lines) in [("200 lines", lines(199, 20)), ("60 KiB", lines(60, 1024))] {
            let head = format!("{route} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
            assert_ne!(status_of(host, &head), 431, "{what} to {route}");
        }
    }
    let path = "a".repeat(70_000);
    let head = format!("GET /v2/{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert!([414, 431].contains(&status_of(host, &head)));
    row(
        20,
        "",
        &format!(
            "up to 900 KB and 10,000 lines, refused with 431 on {} routes, the slowest in {}",
            routes.len(),
            milliseconds(longest),
        ),
    );
}
