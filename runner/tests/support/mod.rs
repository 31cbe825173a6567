//! An engine, a registry and a runner for each test.
//!
//! | module | job |
//! |---|---|
//! | `command` | a client's command line, with a deadline |
//! | `process` | a program that runs while its test does |
//! | `docker` | the one Docker daemon of the tests |
//! | `image` | images, made of busybox |
//! | `bench` | a registry and a runner, and what is asked of them |

pub(crate) mod bench;
mod command;
pub(crate) mod docker;
pub(crate) mod image;
mod process;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use bench::Bench;
pub(crate) use command::Command;
pub(crate) use process::Process;

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the crate lies in the checkout")
}

/// A client by its name.
///
/// # Panics
/// When it is missing, for a test without its client has shown nothing.
pub(crate) fn tool(name: &str) -> PathBuf {
    let own = root().join(".tools/bin");
    let system = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"];
    let mut folders = std::iter::once(own).chain(system.map(PathBuf::from));
    folders
        .find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))
        .unwrap_or_else(|| panic!("{name} is missing: run make tools"))
}

/// Asks until there is an answer, and gives it.
///
/// # Panics
/// When there is none in time.
pub(crate) fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(10));
    }
}
