//! The one Docker daemon of this process: two of them would share a bridge and its firewall rules.

use std::path::PathBuf;
use std::process::{self, ChildStdin, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::{Command, folder, tools, wait};

/// Runs the daemon until standard input ends, which it does with the process that holds the other
/// side of the pipe, however that process ends.
const SUPERVISOR: &str = r#"
folder=$1; shift
"$@" >"$folder/log" 2>&1 &
daemon=$!
read -r _
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
    DOCKER.get_or_init(Docker::start)
}

impl Docker {
    fn start() -> Self {
        // The supervisor removes it, after the daemon has left its mounts.
        let folder = folder().keep();
        let path = |name: &str| folder.join(name).into_os_string();
        let mut supervisor = process::Command::new("setsid")
            .args(["sh", "-c", SUPERVISOR, "supervisor"])
            .arg(&folder)
            .arg(tools::find("dockerd"))
            .args([
                "--data-root".into(),
                path("data"),
                "--exec-root".into(),
                path("exec"),
            ])
            .args(["--pidfile".into(), path("pid")])
            .args(["-H", &format!("unix://{}", folder.join("socket").display())])
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
        docker.wait_until_ready(&mut supervisor);
        docker
    }

    /// A command of the client, with this daemon. Images are built without BuildKit.
    pub(crate) fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        Command::tool("docker")
            .env(
                "DOCKER_HOST",
                format!("unix://{}", self.folder.join("socket").display()),
            )
            .env("DOCKER_CONFIG", self.folder.join("client"))
            .env("DOCKER_BUILDKIT", "0")
            .args(words)
    }

    fn wait_until_ready(&self, supervisor: &mut process::Child) {
        wait::until("a Docker daemon", Duration::from_secs(60), || {
            let ended = supervisor.try_wait().expect("a child can be waited for");
            assert!(
                ended.is_none() && !self.has_failed(),
                "dockerd ended:\n{}",
                self.log()
            );
            (self.command(["version"]).run().code == Some(0)).then_some(())
        });
    }

    fn has_failed(&self) -> bool {
        self.log().contains("failed to start daemon")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}
