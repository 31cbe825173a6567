//! A client's command line, with a deadline and a readable failure.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{self, Stdio};

use super::tool;

/// A command to be run to its end.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Command {
    /// A tool that `.ci/tools` installs, with its arguments.
    pub(crate) fn tool<'a>(name: &str, words: impl IntoIterator<Item = &'a str>) -> Self {
        Self::program(&tool(name), words)
    }

    /// A program by its path, with its arguments.
    pub(crate) fn program<'a>(path: &Path, words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = vec![path.as_os_str().to_owned()];
        all.extend(words.into_iter().map(OsString::from));
        Self {
            words: all,
            environment: Vec::new(),
        }
    }

    pub(crate) fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.words.push(word.as_ref().to_owned());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let pair = (name.into(), value.as_ref().to_owned());
        self.environment.push(pair);
        self
    }

    /// Runs it: whether it succeeded, and what it printed on both outputs.
    pub(crate) fn run(&self) -> (bool, String, String) {
        let mut command = process::Command::new(tool("timeout"));
        command.args(["--kill-after=5", "300"]).args(&self.words);
        command.stdin(Stdio::null()).current_dir(Path::new("/"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// Runs it, and gives what it printed on standard output.
    ///
    /// # Panics
    /// When it fails.
    pub(crate) fn succeeds(&self) -> String {
        let (is_good, stdout, stderr) = self.run();
        assert!(is_good, "{:?} failed\n{stdout}\n{stderr}", self.words);
        stdout
    }

    /// Runs it, and gives what it printed on standard error.
    ///
    /// # Panics
    /// When it succeeds.
    pub(crate) fn fails(&self) -> String {
        let (is_good, stdout, stderr) = self.run();
        assert!(!is_good, "{:?} should have failed\n{stdout}", self.words);
        stderr
    }
}
