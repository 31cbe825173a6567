//! Row 18: ten thousand connections that are kept and say nothing.

use std::io::{BufRead as _, BufReader};
use std::process::Command;

use super::line::{Line, make_room_for};
use super::row;
use crate::support::{Process, folder};

const CONNECTIONS: usize = 10_000;
/// What the server may have in memory then.
const MOST_MEMORY: u64 = 150 << 20;

#[test]
fn ten_thousand_idle_connections_cost_little() {
    make_room_for(CONNECTIONS as u64);
    let folder = folder();
    // Most systems let a program have 1,024 files open, unless it asks for more.
    let mut command = Command::new("prlimit");
    command
        .args(["--nofile=1024:", "--", env!("CARGO_BIN_EXE_wharf")])
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("data"))
        .env("WHARF__LOG__LEVEL", "error");
    let mut server = Process::start(&command);
    let stdout = server.child().stdout.take().expect("the output is piped");
    let mut address = String::new();
    let read = BufReader::new(stdout).read_line(&mut address);
    read.expect("the server prints its address");
    let host = address.trim().strip_prefix("http://").expect("an address");

    let before = server.resident_bytes();
    let mut lines: Vec<Line> = (0..CONNECTIONS)
        .map(|_| {
            let mut line = Line::to(host).expect("the server listens");
            let answer = line.ask("GET", "/v2/", &[], b"").expect("an answer");
            assert_eq!(answer.status, 200);
            line
        })
        .collect();
    let idle = server.resident_bytes();
    assert!(idle < MOST_MEMORY, "{} MiB", idle >> 20);
    // They all are there still.
    for line in &mut lines {
        let answer = line.ask("GET", "/v2/", &[], b"").expect("an answer");
        assert_eq!(answer.status, 200);
    }
    let after = server.resident_bytes();
    assert!(after < MOST_MEMORY, "{} MiB", after >> 20);
    row(
        18,
        "",
        &format!(
            "{CONNECTIONS} connections, {} MiB with them and {} MiB before, \
             from a soft limit of 1,024 files",
            idle.max(after) >> 20,
            before >> 20,
        ),
    );
}
