//! Row 22: many pushes at once in little memory, which the kernel counts and enforces.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::{Form, row};
use crate::support::Registry;

const MIB: usize = 1 << 20;

/// A group of processes with a limit of memory, page cache included.
struct Group {
    folder: PathBuf,
}

impl Group {
    /// # Panics
    /// When this program may make none: without it nothing would be shown.
    fn new(limit: u64) -> Self {
        let mounted = Path::new("/sys/fs/cgroup");
        let first = mounted.join("memory");
        let is_first = first.join("memory.limit_in_bytes").exists();
        let parent = if is_first { &first } else { mounted };
        let folder = parent.join(format!("wharf-gauntlet-{}", std::process::id()));
        fs::create_dir(&folder).expect("groups of processes can be made: it takes root");
        let group = Self { folder };
        let file = if is_first {
            "memory.limit_in_bytes"
        } else {
            "memory.max"
        };
        group.write(file, &limit.to_string());
        group
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// The most that was in memory, and how often the limit was met.
    fn told(&self) -> (u64, String) {
        let read = |names: [&str; 2]| {
            let texts = names.map(|name| fs::read_to_string(self.folder.join(name)).ok());
            let text = texts.into_iter().flatten().next().unwrap_or_default();
            text.trim().to_owned()
        };
        let most = read(["memory.max_usage_in_bytes", "memory.peak"]);
        let met = read(["memory.failcnt", "memory.events"]);
        (most.parse().unwrap_or_default(), met)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The last process may leave it a moment later.
        for _ in 0..200 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Pushes a blob that no other one is like, and gives the first line of the answer.
fn push(host: &str, number: usize, block: &[u8], blocks: usize) -> String {
    let mut first = block.to_vec();
    first[..8].copy_from_slice(&number.to_be_bytes());
    let mut hasher = Sha256::new();
    hasher.update(&first);
    for _ in 1..blocks {
        hasher.update(block);
    }
    let digest: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut stream = TcpStream::connect(host).expect("the server listens");
    let patience = Some(Duration::from_secs(300));
    stream.set_read_timeout(patience).expect("a timeout is set");
    let head = format!(
        "POST /v2/team/app-{number}/blobs/uploads/?digest=sha256:{digest} HTTP/1.1\r\n\
         Host: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        blocks * MIB,
    );
    let sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&first))
        .and_then(|()| (1..blocks).try_for_each(|_| stream.write_all(block)));
    let mut line = String::new();
    let read = BufReader::new(stream).read_line(&mut line);
    match (sent, read) {
        (Ok(()), Ok(_)) => line,
        (sent, read) => format!("{sent:?} {read:?} {line}"),
    }
}

#[test]
fn many_pushes_at_once_fit_into_little_memory() {
    let (pushes, blocks) = Form::pick((100, 8), (200, 64));
    let limit: u64 = Form::pick(96 << 20, 256 << 20);
    let mut registry = Registry::wharf_with(&[("WHARF__LOG__LEVEL", "warn")]);
    let group = Group::new(limit);
    let id = registry.process().child().id();
    group.write("cgroup.procs", &id.to_string());
    let block: Vec<u8> = crate::support::image::random_bytes(MIB);
    let began = Instant::now();
    let host = registry.host();
    let start = Barrier::new(pushes);
    let answers: Vec<String> = thread::scope(|scope| {
        let pushers: Vec<_> = (0..pushes)
            .map(|number| {
                let (block, start) = (&block, &start);
                scope.spawn(move || {
                    start.wait();
                    push(host, number, block, blocks)
                })
            })
            .collect();
        let pushers = pushers.into_iter();
        pushers
            .map(|pusher| pusher.join().expect("it ends"))
            .collect()
    });
    let took = began.elapsed();
    let failed: Vec<_> = answers
        .iter()
        .filter(|line| !line.contains(" 201 "))
        .collect();
    assert!(
        failed.is_empty(),
        "{} failed: {:?}",
        failed.len(),
        &failed[..failed.len().min(5)]
    );
    let resident = registry.process().resident_bytes();
    let (most, met) = group.told();
    // The limit was met, and what was over it was page cache, which went.
    assert!(most <= limit && most > limit / 2, "{most} of {limit}");
    registry.stop();
    drop(group);
    row(
        22,
        "",
        &format!(
            "{pushes} pushes of {blocks} MiB at once in {} MiB: all answered 201 in {:.0} s, \
             {} MiB resident behind them, the limit met {met} times",
            limit >> 20,
            took.as_secs_f64(),
            resident >> 20,
        ),
    );
}
