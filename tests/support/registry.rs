//! Registries of a test: Wharf, and Debian's docker-registry beside it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::postgres::Postgres;
use super::process::Process;
use super::tools;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A registry on a free port, with a folder of its own.
#[derive(Debug)]
pub(crate) struct Registry {
    /// Kept for as long as the registry is there.
    _folder: TempDir,
    data: PathBuf,
    command: Command,
    process: Option<Process>,
    base: String,
    log: Log,
}

/// What a server wrote to its standard error.
#[derive(Debug, Default)]
struct Log {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Registry {
    /// Wharf as it comes.
    pub(crate) fn wharf() -> Self {
        Self::wharf_with(&[])
    }

    /// The registry that clients are tried against: Wharf, or Debian's where `WHARF_TEST_PEER` is
    /// set, which tells a fault of a test from one of Wharf.
    pub(crate) fn chosen() -> Self {
        match std::env::var_os("WHARF_TEST_PEER") {
            None => Self::wharf(),
            Some(_) => Self::debian(),
        }
    }

    /// The name of an image in it, as clients take it.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// Wharf with variables that configure it.
    pub(crate) fn wharf_with(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let mut registry = Self::stopped(folder, data, variables);
        registry.start_again();
        registry
    }

    /// Wharf with its data in a folder of the test's own, not yet started.
    pub(crate) fn wharf_at(data: &Path, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::stopped(folder, data.to_owned(), variables)
    }

    fn stopped(folder: TempDir, data: PathBuf, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(&data);
        command.envs(variables.iter().copied());
        Self {
            _folder: folder,
            data,
            command,
            process: None,
            base: String::new(),
            log: Log::default(),
        }
    }

    /// Wharf that asks callers who they are, and sees at once what the command line changes.
    pub(crate) fn private() -> Self {
        Self::private_with(&[])
    }

    /// The same with further variables.
    pub(crate) fn private_with(variables: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("WHARF__AUTH__ENABLED", "true"),
            ("WHARF__AUTH__REFRESH_EVERY", "20ms"),
        ];
        all.extend(variables);
        Self::wharf_with(&all)
    }

    /// Wharf on a PostgreSQL database of its own.
    pub(crate) fn on_postgres() -> Self {
        let database = Postgres::shared().database();
        Self::wharf_with(&[("WHARF__DATABASE__URL", &database)])
    }

    /// A command of administration on this server's data, with its configuration.
    pub(crate) fn administer<'a>(
        &self,
        words: impl IntoIterator<Item = &'a str>,
    ) -> super::Command {
        let command = super::Command::program(env!("CARGO_BIN_EXE_wharf"))
            .args(words)
            .arg("--data")
            .arg(self.data());
        let variables = self.command.get_envs();
        variables.fold(command, |command, (name, value)| {
            command.env(
                &name.to_string_lossy(),
                value.expect("no variable is taken away"),
            )
        })
    }

    /// Debian's docker-registry, the peer to compare with.
    pub(crate) fn debian() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n",
            folder.path().join("data").display()
        );
        std::fs::write(&config, text).expect("a configuration is written");
        let mut command = Command::new(tools::find("docker-registry"));
        command.arg("serve").arg(config);
        let mut process = Process::start(&command);
        let log = Log::of(&mut process);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < deadline,
                "docker-registry is missing: run make tools"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        let base = format!("http://127.0.0.1:{port}");
        Self {
            data: folder.path().join("data"),
            _folder: folder,
            command,
            process: Some(process),
            base,
            log,
        }
    }

    /// Starts Wharf again on the same data, on another port.
    ///
    /// # Panics
    /// When it doesn't start.
    pub(crate) fn start_again(&mut self) {
        let started = self.try_start();
        assert!(started, "it ended: {}", self.log());
    }

    /// The same, and tells whether it has started; one that hasn't has ended.
    pub(crate) fn try_start(&mut self) -> bool {
        let mut process = Process::start(&self.command);
        let stdout = process.child().stdout.take().expect("the output is piped");
        self.log = Log::of(&mut process);
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the server prints its address");
        if line.is_empty() {
            process.wait(PATIENCE);
            return false;
        }
        assert!(line.starts_with("http"), "{line:?}, {}", self.log());
        line.trim_end().clone_into(&mut self.base);
        self.process = Some(process);
        true
    }

    /// Configures the next start.
    pub(crate) fn configure(&mut self, name: &str, value: &str) {
        self.command.env(name, value);
    }

    /// Starts Wharf and kills it when it is time, whatever it does then.
    pub(crate) fn start_and_kill(&mut self, mut is_time: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut process = Process::start(&self.command);
        self.log = Log::of(&mut process);
        while !is_time() {
            assert!(Instant::now() < deadline, "it is not time in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The base address, `http://127.0.0.1:PORT`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The host and the port, as image names begin with.
    pub(crate) fn host(&self) -> &str {
        let host = self.base.split_once("://").map(|(_, host)| host);
        host.expect("an address")
    }

    /// The folder with the server's data.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// The process, while it runs.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server runs")
    }

    /// Tells the server to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the server runs");
        process.signal("TERM");
        process.wait(PATIENCE)
    }

    /// Kills the server, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// What the server has logged so far; all of it once it has ended.
    pub(crate) fn log(&mut self) -> String {
        if self.process.is_none()
            && let Some(reader) = self.log.reader.take()
        {
            reader.join().expect("the log is read to its end");
        }
        self.log.text.lock().expect("not poisoned").clone()
    }
}

impl Log {
    fn of(process: &mut Process) -> Self {
        let stderr = process.child().stderr.take().expect("the output is piped");
        let text = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut stderr = BufReader::new(stderr);
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut chunk) {
                let mut text = written.lock().expect("not poisoned");
                text.push_str(&String::from_utf8_lossy(&chunk[..length]));
            }
        });
        Self {
            text,
            reader: Some(reader),
        }
    }
}

/// A port that nothing listens on, below those that the system gives out, so that no server of
/// another test takes it meanwhile.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 8000).expect("it is below 8000");
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 8000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
