//! Row 17, over HTTP/2 and TLS: connections that are half open, and floods of frames. They end, or
//! cost nothing, and others are served meanwhile.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::frames::{
    self, CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
    frame,
};
use super::line::{Ends, Line, Times, make_room_for, manifest, milliseconds};
use super::{Form, row};
use crate::api::http::Client;
use crate::api::{content, push_blob};
use crate::support::{Command, Registry, folder};

/// What the servers here are told.
const HEADER_TIMEOUT: Duration = Duration::from_secs(3);
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many connections of each kind are half open.
const HALVES: usize = 100;
/// How many clients flood at once.
const FLOODERS: usize = 2;
/// How much memory a flood may take for good.
const MOST_MEMORY: u64 = 64 << 20;

/// Waits for the end of a connection, whatever comes before it.
fn ended(mut stream: TcpStream, limit: Duration) -> Option<Duration> {
    let began = Instant::now();
    let pause = Some(Duration::from_millis(200));
    stream.set_read_timeout(pause).expect("a timeout is set");
    let mut said = [0; 4096];
    while began.elapsed() < limit {
        match stream.read(&mut said) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return Some(began.elapsed()),
        }
    }
    None
}

/// A certificate for a name, and its key.
fn certificate(folder: &std::path::Path) -> [String; 2] {
    let line = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem \
                -out certificate.pem -days 2 -subj /CN=localhost";
    let openssl = Command::tool("openssl").directory(folder);
    openssl.args(line.split_whitespace()).succeeds();
    ["certificate.pem", "key.pem"].map(|name| folder.join(name).display().to_string())
}

#[test]
fn half_open_connections_of_every_kind_end() {
    make_room_for(HALVES as u64 * 8);
    let folder = folder();
    let [certificate, key] = certificate(folder.path());
    let times = [
        ("WHARF__SERVER__HEADER_TIMEOUT", "3s"),
        ("WHARF__SERVER__IDLE_TIMEOUT", "5s"),
    ];
    let plain = Registry::wharf_with(&times);
    let with_tls = [
        ("WHARF__TLS__CERTIFICATE", certificate.as_str()),
        ("WHARF__TLS__KEY", key.as_str()),
    ];
    let secure = Registry::wharf_with(&[&times[..], &with_tls[..]].concat());
    let hello = [frame(SETTINGS, 0, 0, &[])].concat();
    let head = frames::request("GET", "/v2/", plain.host());
    let half = frame(HEADERS, END_STREAM, 1, &head[..head.len() / 2]);
    let halves: Vec<(&str, &str, Vec<u8>, Duration)> = vec![
        ("nothing", plain.host(), Vec::new(), HEADER_TIMEOUT),
        (
            "half a preface",
            plain.host(),
            PREFACE[..10].to_vec(),
            HEADER_TIMEOUT,
        ),
        (
            "a preface",
            plain.host(),
            PREFACE.to_vec(),
            HEADER_TIMEOUT + IDLE_TIMEOUT,
        ),
        (
            "a hello",
            plain.host(),
            [PREFACE, &hello].concat(),
            HEADER_TIMEOUT + IDLE_TIMEOUT,
        ),
        (
            "half a head in frames",
            plain.host(),
            [PREFACE, &hello, &half].concat(),
            HEADER_TIMEOUT + IDLE_TIMEOUT,
        ),
        ("no handshake", secure.host(), Vec::new(), HEADER_TIMEOUT),
        (
            "half a handshake",
            secure.host(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            HEADER_TIMEOUT,
        ),
    ];
    let kinds = halves.len();
    let mut figures = Vec::new();
    thread::scope(|scope| {
        let mut waiting = Vec::new();
        for (what, host, bytes, bound) in &halves {
            for _ in 0..HALVES {
                let mut stream = TcpStream::connect(host).expect("the server listens");
                stream.write_all(bytes).expect("half of it is sent");
                waiting.push((
                    *what,
                    *bound,
                    scope.spawn(|| ended(stream, Duration::from_secs(30))),
                ));
            }
        }
        for (what, bound, one) in waiting {
            let after = one.join().expect("it is waited for");
            let after = after.unwrap_or_else(|| panic!("{what} never ends"));
            assert!(
                after < bound + Duration::from_secs(2),
                "{what} ends after {after:?}"
            );
            figures.push(after);
        }
    });
    let longest = figures.into_iter().max().expect("there are some");
    row(
        17,
        "half open",
        &format!(
            "{kinds} kinds of half open connections over HTTP/1.1, HTTP/2 and TLS, {HALVES} of each: \
             the last one closed after {:.1} s of {} s allowed",
            longest.as_secs_f64(),
            (HEADER_TIMEOUT + IDLE_TIMEOUT).as_secs(),
        ),
    );
}

/// Sends pieces without reading anything, over one connection after the other, as the server ends
/// them, until a moment. Gives how many pieces there were, and how many connections.
fn flood(
    host: &str,
    settings: &[u8],
    piece: &(impl Fn(usize) -> Vec<u8> + ?Sized),
    until: Instant,
) -> (usize, usize) {
    let (mut pieces, mut connections) = (0, 0);
    while Instant::now() < until {
        let mut stream = frames::open(host, settings).expect("the server listens");
        let patience = Some(Duration::from_millis(500));
        stream
            .set_write_timeout(patience)
            .expect("a timeout is set");
        connections += 1;
        for number in 0.. {
            if Instant::now() > until || stream.write_all(&piece(number)).is_err() {
                break;
            }
            pieces += 1;
        }
    }
    (pieces, connections)
}

fn stream_id(number: usize) -> u32 {
    u32::try_from(number * 2 + 1).expect("there are fewer")
}

#[test]
fn floods_of_frames_cost_nothing_and_others_are_served() {
    let each = Form::pick(Duration::from_millis(1500), Duration::from_secs(5));
    let mut registry = Registry::wharf_with(&[("WHARF__LOG__LEVEL", "error")]);
    let host = registry.host().to_owned();
    let host = host.as_str();
    let mut line = Line::to(host).expect("the server listens");
    let answer = line.put("team/app", "v1", &manifest("served").0);
    assert_eq!(answer.expect("an answer").status, 201);
    let digest = push_blob(&Client::new(registry.base()), "team/app", &content(8 << 20));
    let head = frames::request("GET", "/v2/", host);
    let blob = frames::request("GET", &format!("/v2/team/app/blobs/{}", digest), host);
    // No window: what is asked for can't be sent.
    let no_window = [0, 4, 0, 0, 0, 0];
    type Piece<'a> = Box<dyn Fn(usize) -> Vec<u8> + Send + Sync + 'a>;
    type Flood<'a> = (&'a str, &'a [u8], Piece<'a>);
    let floods: Vec<Flood> = vec![
        (
            "requests that are reset",
            &[],
            Box::new(|number| {
                let id = stream_id(number);
                let begun = frame(HEADERS, END_HEADERS | END_STREAM, id, &head);
                [begun, frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())].concat()
            }),
        ),
        (
            "requests whose answers nobody takes",
            &no_window,
            Box::new(|number| frame(HEADERS, END_HEADERS | END_STREAM, stream_id(number), &blob)),
        ),
        (
            "a head that never ends",
            &[],
            Box::new(|number| match number {
                0 => frame(HEADERS, 0, 1, &head),
                _ => frame(
                    CONTINUATION,
                    0,
                    1,
                    &frames::fields(&[("x-more", &"a".repeat(100))]),
                ),
            }),
        ),
        (
            "a head of empty frames",
            &[],
            Box::new(|number| match number {
                0 => frame(HEADERS, 0, 1, &head),
                _ => frame(CONTINUATION, 0, 1, &[]),
            }),
        ),
        (
            "settings",
            &[],
            Box::new(|_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        ),
        ("pings", &[], Box::new(|_| frame(PING, 0, 0, b"CANARY42"))),
    ];
    let before = registry.process().resident_bytes();
    let is_over = AtomicBool::new(false);
    let (mut times, sent) = thread::scope(|scope| {
        let ends = Ends(&is_over);
        let pulls = scope.spawn(|| {
            let mut times = Times::default();
            while !is_over.load(Ordering::SeqCst) {
                let path = "/v2/team/app/manifests/v1";
                let answer = times.note(|| line.ask("GET", path, &[], b""));
                assert_eq!(answer.expect("an answer").status, 200);
                thread::sleep(Duration::from_millis(5));
            }
            times
        });
        let mut sent = Vec::new();
        for (what, settings, piece) in &floods {
            let until = Instant::now() + each;
            let streams: Vec<_> = (0..FLOODERS)
                .map(|_| scope.spawn(move || flood(host, settings, &**piece, until)))
                .collect();
            let (mut pieces, mut connections) = (0, 0);
            for one in streams {
                let (more, further) = one.join().expect("it ends");
                pieces += more;
                connections += further;
            }
            sent.push((*what, pieces, connections));
        }
        drop(ends);
        (pulls.join().expect("pulls go on"), sent)
    });
    println!("{sent:?}");
    let grown = registry.process().resident_bytes().saturating_sub(before);
    assert!(grown < MOST_MEMORY, "{} MiB", grown >> 20);
    for (what, _, connections) in &sent[..4] {
        assert!(*connections > FLOODERS, "{what} are cut");
    }
    let p99 = times.p99();
    assert!(
        p99 < Form::pick(Duration::from_millis(400), Duration::from_millis(200)),
        "{p99:?}"
    );
    let all: usize = sent.iter().map(|(_, pieces, _)| pieces).sum();
    let connections: usize = sent.iter().map(|(_, _, connections)| connections).sum();
    row(
        17,
        "HTTP/2",
        &format!(
            "{} kinds of floods, {all} pieces over {connections} connections; memory grew by {} MiB, \
             p99 of {} pulls meanwhile {}",
            floods.len(),
            grown >> 20,
            times.count(),
            milliseconds(p99),
        ),
    );
}
