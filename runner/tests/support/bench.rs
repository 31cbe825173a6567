//! A registry and a runner of a test's own, and what is asked of them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::docker::docker;
use super::{Command, Process, root, until};

/// What a runner has to be allowed.
const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Resource": "*", "Action": [
    "ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
    "ecr:BatchCheckLayerAvailability", "wharf:ReadEvents", "wharf:Lease"]}}"#;

/// A registry and a runner.
#[derive(Debug)]
pub(crate) struct Bench {
    folder: TempDir,
    registry: Option<Process>,
    runner: Option<Process>,
    registry_port: u16,
    base: String,
    variables: Vec<(String, String)>,
    name: String,
    /// Whether the registry asks who calls.
    is_private: bool,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// With variables that configure the runner.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        let mut bench = Self::prepared(variables);
        bench.start_registry();
        bench.start_runner();
        bench
    }

    /// With a registry that asks who calls, and a robot of the runner's own. Docker is logged in as
    /// the administrator.
    pub(crate) fn private() -> Self {
        let mut bench = Self::prepared(&[]);
        bench.is_private = true;
        bench.start_registry();
        bench.administer("robot add runner").succeeds();
        let policy = bench.path("policy.json");
        std::fs::write(&policy, POLICY).expect("a file");
        let (wharf, data) = (program("wharf"), bench.path("registry"));
        let (wharf, data, policy) = (wharf.display(), data.display(), policy.display());
        let line = format!("{wharf} policy set robot/runner --data {data} <{policy}");
        Command::tool("sh", ["-c", &line]).succeeds();
        let [id, secret] = bench.key("robot/runner");
        let variable =
            |name: &str, value: String| (format!("WHARF_RUNNER__REGISTRY__{name}"), value);
        bench.variables.push(variable("ACCESS_KEY_ID", id));
        bench.variables.push(variable("SECRET_ACCESS_KEY", secret));
        let [id, secret] = bench.key("user/admin");
        let registry = format!("http://{}", bench.registry_host());
        let password = bench
            .command("ecr get-login-password")
            .env("AWS_ENDPOINT_URL", registry);
        let password = password
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .succeeds();
        let host = bench.registry_host();
        docker()
            .command(["login", "-u", "AWS", "-p", &password, &host])
            .succeeds();
        bench.start_runner();
        bench
    }

    /// A command of the registry's administration.
    fn administer(&self, line: &str) -> Command {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let data = self.path("registry").display().to_string();
        words.extend(["--data", &data]);
        Command::program(&program("wharf"), words)
    }

    /// A new key of a principal, and its secret.
    fn key(&self, principal: &str) -> [String; 2] {
        let told = self.administer(&format!("key add {principal}")).succeeds();
        let mut values = told
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.1.to_owned()));
        [(); 2].map(|()| values.next().expect("a key and its secret"))
    }

    fn prepared(variables: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            registry: None,
            runner: None,
            registry_port: free_port(),
            base: String::new(),
            variables: variables.iter().map(pair).collect(),
            name: format!("runner-{}-{number}", process::id()),
            is_private: false,
        }
    }

    pub(crate) fn start_registry(&mut self) {
        let listen = format!("127.0.0.1:{}", self.registry_port);
        let mut command = process::Command::new(program("wharf"));
        command.args(["serve", "--listen", &listen, "--data"]);
        command.arg(self.folder.path().join("registry"));
        command.env("WHARF__LOG__LEVEL", "error");
        if self.is_private {
            command.env("WHARF__AUTH__ENABLED", "true");
            command.env("WHARF__AUTH__REFRESH_EVERY", "20ms");
        }
        self.registry = Some(Process::start(&command).0);
    }

    pub(crate) fn kill_registry(&mut self) {
        self.registry = None;
    }

    pub(crate) fn start_runner(&mut self) {
        let mut command = process::Command::new(env!("CARGO_BIN_EXE_wharf-runner"));
        let listen = match self.base.rsplit_once('/') {
            None => "127.0.0.1:0",
            Some((_, address)) => address,
        };
        command.args(["serve", "--listen", listen, "--data"]);
        command.arg(self.folder.path().join("runner"));
        command.args(["--registry", &format!("http://{}", self.registry_host())]);
        let socket = docker().socket();
        command.env("WHARF_RUNNER__ENGINE__SOCKET", socket);
        command.env("WHARF_RUNNER__ENGINE__NETWORK", &self.name);
        command.env("WHARF_RUNNER__ENGINE__HOLDER", &self.name);
        command.env(
            "WHARF_RUNNER__LOG__LEVEL",
            "debug,hyper=info,bollard=info,reqwest=info",
        );
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let (process, base) = Process::start(&command);
        self.runner = Some(process);
        self.base = base;
    }

    /// Sets a variable for the next start of the runner.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn kill_runner(&mut self) {
        self.runner = None;
    }

    pub(crate) fn stop_runner(&mut self) {
        self.runner.take().expect("it runs").stop();
    }

    /// What the runner has logged.
    pub(crate) fn runner_log(&self) -> String {
        self.runner.as_ref().expect("it runs").log()
    }

    /// How much memory the runner has.
    pub(crate) fn runner_resident_bytes(&self) -> u64 {
        self.runner.as_ref().expect("it runs").resident_bytes()
    }

    /// The ports of loopback that the registry and the runner listen on.
    pub(crate) fn ports(&self) -> [String; 2] {
        let (_, port) = self.base.rsplit_once(':').expect("an address has a port");
        [self.registry_port.to_string(), port.to_owned()]
    }

    /// The runner's base address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The label of this runner's containers.
    pub(crate) fn label(&self) -> String {
        format!("label=wharf-runner.holder={}", self.name)
    }

    /// The name of an image, as clients take it.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry_host())
    }

    fn registry_host(&self) -> String {
        format!("127.0.0.1:{}", self.registry_port)
    }

    /// `aws …` against the runner.
    pub(crate) fn command(&self, line: &str) -> Command {
        let words: Vec<&str> = line.split_whitespace().collect();
        Command::tool("aws", words)
            .env("AWS_ENDPOINT_URL", &self.base)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_PAGER", "")
    }

    /// Its answer.
    pub(crate) fn aws(&self, line: &str) -> Value {
        self.aws_with(line, &[])
    }

    /// The same with an option whose value is JSON.
    pub(crate) fn aws_with(&self, line: &str, options: &[(&str, Value)]) -> Value {
        let mut command = self.command(line);
        for (name, value) in options {
            command = command.arg(name).arg(value.to_string());
        }
        let text = command.succeeds();
        match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    /// Runs a task of a family to its end, with more options, and gives its name and what it became.
    pub(crate) fn run_task(&self, family: &str, options: &[(&str, Value)]) -> (String, Value) {
        let run = self.aws_with(&format!("ecs run-task --task-definition {family}"), options);
        let arn = run["tasks"][0]["taskArn"].as_str().expect("a task");
        self.command(&format!("ecs wait tasks-stopped --tasks {arn}"))
            .succeeds();
        let task = self.aws(&format!("ecs describe-tasks --tasks {arn}"))["tasks"][0].clone();
        let id = arn.rsplit('/').next().expect("a name");
        (id.to_owned(), task)
    }

    /// A path in a folder of the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the registry answers to a path.
    pub(crate) fn registry_json(&self, path: &str) -> Value {
        let (_, body) = get(&self.registry_host(), path).expect("the registry answers");
        serde_json::from_str(&body).expect("it is JSON")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.runner = None;
        let listed = docker()
            .command(["ps", "-aq", "--filter", &self.label()])
            .run()
            .1;
        if !listed.is_empty() {
            docker()
                .command(["rm", "-f"].into_iter().chain(listed.lines()))
                .run();
        }
        docker().command(["network", "rm", &self.name]).run();
    }
}

/// A program of the workspace, beside that of the runner.
fn program(name: &str) -> PathBuf {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_wharf-runner"));
    let path = own.parent().expect("it lies in a folder").join(name);
    assert!(path.is_file(), "{name} is not built: {}", root().display());
    path
}

/// `GET` without a client: the status and the body; nothing where the connection failed.
pub(crate) fn get(host: &str, path: &str) -> Option<(u16, String)> {
    request(host, host, "GET", path, "")
}

/// A request without a client, with a `Host` of its own.
pub(crate) fn request(
    address: &str,
    host: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let body = match head.to_lowercase().contains("transfer-encoding: chunked") {
        true => unchunked(body),
        false => body.to_owned(),
    };
    Some((status, body))
}

fn unchunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        if length == 0 {
            break;
        }
        whole.push_str(rest.get(..length).unwrap_or_default());
        text = rest.get(length + 2..).unwrap_or_default();
    }
    whole
}

/// A port that nothing listens on, below those that the system gives out.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(process::id() % 4000).expect("it is below 4000");
    until("a free port", Duration::from_secs(5), || {
        let port = 14_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 4000;
        TcpListener::bind(("127.0.0.1", port))
            .is_ok()
            .then_some(port)
    })
}
