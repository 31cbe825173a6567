//! Takes bytes to parsers that a seed makes of the kept ones.
//!
//! The crates include this file, so it leans on nothing beside it. `WHARF_GAUNTLET_SEED` replays a
//! seed, `WHARF_GAUNTLET=long` tries more. A case that is found belongs into `fuzz/corpus/TARGET`.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a parser may take for one input.
const LIMIT: Duration = Duration::from_secs(1);
/// The longest input that is made.
const LONGEST: usize = 64 << 10;

/// Pieces that mean something to one parser or another.
const WORDS: &[&str] = &[
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "=",
    "/",
    "..",
    "%2F",
    "%",
    "\\u0000",
    "\\",
    "\0",
    "\n",
    "\r\n",
    " ",
    "\t",
    "*",
    "?",
    "-",
    "--",
    "__",
    ".",
    "@",
    ";",
    "&",
    "<",
    ">",
    "0",
    "-1",
    "1e999",
    "18446744073709551616",
    "9223372036854775807",
    "4294967295",
    "null",
    "true",
    "sha256:",
    "application/vnd.oci.image.index.v1+json",
    "\"mediaType\":",
    "\"manifests\":[]",
    "\"config\":{}",
    "bytes=",
    "repository:",
    "AWS4-HMAC-SHA256 ",
    "Bearer ",
    "ä",
    "\u{202e}",
    "\u{feff}",
    "💥",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
];

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("it is below a usize")
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        let most = [1, 4, 16, length].map(|most| most.min(length - from));
        let most = most[self.below(4)];
        from..from + self.below(most + 1)
    }
}

/// The kept inputs of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    // The crates lie one folder below the root, but for the server's.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let candidates = [here.join("fuzz"), here.join("../fuzz")];
    let root: Option<&PathBuf> = candidates.iter().find(|folder| folder.is_dir());
    let folder = root.expect("the folder fuzz").join("corpus").join(target);
    let files = std::fs::read_dir(&folder);
    let files = files.unwrap_or_else(|error| panic!("{target} has no corpus: {error}"));
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let read = |path: &PathBuf| std::fs::read(path).expect("a kept input");
    files.iter().map(read).collect()
}

/// Makes another input of the kept ones.
fn mutated(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(6) {
        let range = dice.range(bytes.len());
        match dice.below(9) {
            0 if !bytes.is_empty() => {
                let at = dice.below(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
            }
            1 => {
                bytes.drain(range);
            }
            2 => {
                let word = WORDS[dice.below(WORDS.len())];
                bytes.splice(range, word.bytes());
            }
            3 => {
                let word = WORDS[dice.below(WORDS.len())];
                bytes.splice(range.start..range.start, word.bytes());
            }
            4 => {
                let other = &corpus[dice.below(corpus.len())];
                let piece = other[dice.range(other.len())].to_vec();
                bytes.splice(range, piece);
            }
            5 => {
                let piece = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, piece);
            }
            6 => {
                let length = dice.below(12);
                let random: Vec<u8> = (0..length).map(|_| dice.next().to_le_bytes()[0]).collect();
                bytes.splice(range, random);
            }
            7 => bytes.truncate(range.start),
            // Something of it, very often.
            _ if dice.below(20) == 0 => {
                let piece = bytes[range.clone()].to_vec();
                let times = 1 << dice.below(14);
                let many = piece
                    .iter()
                    .copied()
                    .cycle()
                    .take((piece.len() * times).min(LONGEST));
                let many: Vec<u8> = many.collect();
                bytes.splice(range, many);
            }
            _ => {}
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// How many inputs a target takes, and for how long at most.
fn plan() -> (usize, Duration) {
    match std::env::var("WHARF_GAUNTLET").as_deref() {
        Ok("long") => (200_000, Duration::from_secs(4)),
        Ok(other) => panic!("WHARF_GAUNTLET is {other}, which is no form"),
        Err(_) => (10_000, Duration::from_millis(600)),
    }
}

fn seed() -> u64 {
    match std::env::var("WHARF_GAUNTLET_SEED") {
        Ok(seed) => seed.parse().expect("a seed is a number"),
        Err(_) => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.expect("it is past 1970").subsec_nanos().into()
        }
    }
}

/// Runs a target on one input, and tells how long it took.
fn run_one(name: &str, target: fn(&[u8]), bytes: &[u8], seed: u64) -> Duration {
    let shown = bytes.escape_ascii();
    let mut took = Duration::MAX;
    // On a machine that does much else the clock tells little, so a slow one may try again.
    for _ in 0..5 {
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(bytes)));
        took = took.min(start.elapsed());
        assert!(
            outcome.is_ok(),
            "{name} fails with seed {seed} on \"{shown}\""
        );
        if took < LIMIT {
            return took;
        }
    }
    panic!("{name} takes {took:?} with seed {seed} for \"{shown}\"");
}

/// Takes the kept inputs and others to all targets, and prints what that showed.
pub(crate) fn run(part: &str, targets: &[super::Target]) {
    let (most, patience) = plan();
    let seed = seed();
    let (mut count, mut slowest) = (0_u64, (Duration::ZERO, ""));
    for (number, (name, target)) in targets.iter().enumerate() {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has inputs to begin with");
        let mut dice = Dice(seed ^ (number as u64) << 32);
        let begun = Instant::now();
        let kept = corpus.iter().cloned();
        let made = (0..most).map(|_| mutated(&mut dice, &corpus));
        for bytes in kept.chain(made) {
            let took = run_one(name, *target, &bytes, seed);
            count += 1;
            slowest = slowest.max((took, name));
            if begun.elapsed() > patience {
                break;
            }
        }
    }
    let line = format!(
        "gauntlet 16 {part}: {} parsers, {count} inputs, 0 crashes, the slowest took {:.1} ms ({})\n",
        targets.len(),
        slowest.0.as_secs_f64() * 1000.0,
        slowest.1,
    );
    let printed = std::io::stdout().write_all(line.as_bytes());
    printed.expect("the line is printed");
}
