//! A client's command line, with a deadline and a readable failure.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::{self, Stdio};
use std::time::Duration;

use super::tools;

/// The exit code of `timeout` when the deadline passed.
const TIMED_OUT: i32 = 124;

/// A command to be run to its end.
#[derive(Debug)]
pub(crate) struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<OsString>,
    stdin: String,
    limit: Duration,
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Command {
    /// A tool that `.ci/tools` installs.
    pub(crate) fn tool(name: &str) -> Self {
        Self::program(tools::find(name))
    }

    /// A program by its path.
    pub(crate) fn program(path: impl AsRef<OsStr>) -> Self {
        Self {
            program: path.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            stdin: String::new(),
            limit: Duration::from_secs(120),
        }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<T: AsRef<OsStr>>(mut self, list: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(
            list.into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.into(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// What it reads from its standard input.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    /// How long it may take.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it, whatever its end.
    ///
    /// # Panics
    /// When it cannot be started, or is not done in time.
    pub(crate) fn run(&self) -> Output {
        // `timeout` ends the whole process group, and does so when nobody waits any more.
        let mut command = process::Command::new("timeout");
        command.args(["--kill-after=5", &self.limit.as_secs().to_string()]);
        command
            .arg(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let ran = |error| format!("{}: {error}", self.line());
        let mut child = command.spawn().map_err(ran).expect("it starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A program that doesn't read it may have ended already.
        let _ = stdin.write_all(self.stdin.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().map_err(ran).expect("it ends");
        let output = Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(
            output.code != Some(TIMED_OUT),
            "{}",
            self.report(&output, "took too long")
        );
        output
    }

    /// Runs it, and gives what it printed on standard output, less the space around it.
    ///
    /// # Panics
    /// When it fails.
    pub(crate) fn succeeds(&self) -> String {
        let output = self.run();
        assert!(output.code == Some(0), "{}", self.report(&output, "failed"));
        output.stdout.trim().to_owned()
    }

    /// Runs it, and gives what it printed on standard error.
    ///
    /// # Panics
    /// When it succeeds.
    pub(crate) fn fails(&self) -> String {
        let output = self.run();
        assert!(
            output.code != Some(0),
            "{}",
            self.report(&output, "should have failed")
        );
        output.stderr
    }

    fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn report(&self, output: &Output, what: &str) -> String {
        let code = output
            .code
            .map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        let Output { stdout, stderr, .. } = output;
        format!(
            "{what} ({code}): {}\n--- stdout\n{stdout}\n--- stderr\n{stderr}",
            self.line()
        )
    }
}
