//! The one Docker daemon of this process, and the containers and networks that it leaves.

use std::path::PathBuf;
use std::process::{self, ChildStdin, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::{Command, tool, until};

/// Runs the daemon until standard input ends, which it does with the process that holds the other
/// side of the pipe; then removes what tests left, so that no bridge stays on the host.
const SUPERVISOR: &str = r#"
folder=$1; docker=$2; shift 2
"$@" >"$folder/log" 2>&1 &
daemon=$!
read -r _
export DOCKER_HOST="unix://$folder/docker.sock"
"$docker" ps -aq | xargs -r "$docker" rm -f >/dev/null 2>&1
"$docker" network prune -f >/dev/null 2>&1
kill "$daemon"
wait "$daemon"
rm -rf "$folder"
"#;

/// A Docker daemon with a folder of its own.
#[derive(Debug)]
pub(crate) struct Docker {
    folder: PathBuf,
    // Closed by the end of this process, and by nothing before that.
    _lifeline: ChildStdin,
}

/// The daemon, started by whoever asks first.
pub(crate) fn docker() -> &'static Docker {
    static DOCKER: OnceLock<Docker> = OnceLock::new();
    // Two daemons that start at once are in each other's way, in the firewall's tables.
    DOCKER.get_or_init(|| {
        let started = (0..5).find_map(|_| Docker::start());
        started.expect("a Docker daemon")
    })
}

impl Docker {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let path = |name: &str| folder.join(name).into_os_string();
        let mut supervisor = process::Command::new(tool("setsid"))
            .args(["sh", "-c", SUPERVISOR, "supervisor"])
            .arg(&folder)
            .arg(tool("docker"))
            .arg(tool("dockerd"))
            .args([
                "--data-root".into(),
                path("data"),
                "--exec-root".into(),
                path("exec"),
            ])
            .args(["--pidfile".into(), path("pid")])
            .args([
                "-H",
                &format!("unix://{}", folder.join("docker.sock").display()),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a daemon can be started");
        let lifeline = supervisor
            .stdin
            .take()
            .expect("its standard input is a pipe");
        let docker = Self {
            folder,
            _lifeline: lifeline,
        };
        let outcome = until("a Docker daemon", Duration::from_secs(90), || {
            let log = std::fs::read_to_string(docker.folder.join("log")).unwrap_or_default();
            let ended = supervisor.try_wait().expect("a child can be waited for");
            if ended.is_some() || log.contains("failed to start daemon") {
                eprintln!("{log}");
                return Some(false);
            }
            docker.command(["version"]).run().0.then_some(true)
        });
        outcome.then_some(docker)
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// A command of the client. Images are built without BuildKit.
    pub(crate) fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        Command::tool("docker", words)
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.folder.join("client"))
            .env("DOCKER_BUILDKIT", "0")
    }
}
