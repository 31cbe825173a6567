//! A program that runs while its test does, and ends with it, however it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::tool;

/// A program that is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a program, and gives the first line that it prints. `setpriv` asks the kernel to end
    /// it with its parent.
    pub(crate) fn start(command: &Command) -> (Self, String) {
        let mut wrapped = Command::new(tool("setpriv"));
        wrapped
            .args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program());
        wrapped.args(command.get_args());
        wrapped.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        wrapped
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = wrapped.spawn().expect("it starts");
        let stdout = child.stdout.take().expect("its output is piped");
        let mut stderr = child.stderr.take().expect("its output is piped");
        let log = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut chunk) {
                let text = String::from_utf8_lossy(&chunk[..length]);
                written.lock().expect("not poisoned").push_str(&text);
            }
        });
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("its output is read");
        let process = Self { child, log };
        assert!(line.starts_with("http"), "{line:?}\n{}", process.log());
        (process, line.trim().to_owned())
    }

    /// How much memory it has.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id());
        let text = std::fs::read_to_string(path).expect("the process runs");
        let pages = text.split(' ').nth(1).and_then(|text| text.parse().ok());
        let pages: u64 = pages.expect("a number of pages");
        pages * 4096
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new(tool("kill"))
            .args(["-s", "TERM", &id])
            .status();
        assert!(asked.expect("kill runs").success());
        self.child.wait().expect("it can be waited for");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log\n{}", self.log());
        }
    }
}
