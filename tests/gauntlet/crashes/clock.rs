//! A wall clock that a test sets, for servers and commands: a small library that is loaded into them
//! and moves what the kernel says. See `clock.c`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::support::{Command, folder};

pub(crate) const DAY: i64 = 24 * 60 * 60;
pub(crate) const DECADE: i64 = 3652 * DAY;

/// A clock.
#[derive(Debug)]
pub(crate) struct Clock {
    folder: TempDir,
    apart: AtomicI64,
}

impl Clock {
    /// A clock that is right.
    pub(crate) fn new() -> Self {
        let clock = Self {
            folder: folder(),
            apart: AtomicI64::new(0),
        };
        clock.set(0);
        clock
    }

    /// What programs are told, so that they have this clock.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let name = |path: &Path| path.to_str().expect("a name in UTF-8").to_owned();
        [
            ("LD_PRELOAD", name(library())),
            ("GAUNTLET_CLOCK", name(&self.file())),
        ]
    }

    /// Sets it so many seconds apart from the kernel's, for all programs that have it.
    pub(crate) fn set(&self, apart: i64) {
        // One write of eight bytes; a page that somebody maps must not get shorter.
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).truncate(false).write(true);
        let mut file = file.open(self.file()).expect("a file");
        let written = file.write_all(&apart.to_ne_bytes());
        written.expect("eight bytes are written");
        self.apart.store(apart, Ordering::Relaxed);
    }

    /// Lets it jump.
    pub(crate) fn jump(&self, seconds: i64) {
        self.set(self.apart.load(Ordering::Relaxed) + seconds);
    }

    /// What it shows, in seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("it is later than 1970").as_secs();
        now as i64 + self.apart.load(Ordering::Relaxed)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}

/// The library, built by whoever asks first. It goes with the folder of built programs.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gauntlet/crashes/clock.c");
        let built = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let library = built.join("gauntlet-clock.so");
        let fresh = built.join(format!("gauntlet-clock-{}.so", std::process::id()));
        Command::tool("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&fresh)
            .arg(source)
            .succeeds();
        // Another run of the tests may have it loaded.
        fs::rename(&fresh, &library).expect("a name");
        library
    })
}
