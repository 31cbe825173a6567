//! podman instead of Docker, through its service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Bench, Command, image, tool, until};

/// The default limits are above what a container may set here.
const CONTAINERS: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"#;

/// A registry on loopback, which podman doesn't trust by itself.
const REGISTRIES: &str = "[[registry]]\nlocation = \"REGISTRY\"\ninsecure = true\n";

/// podman's service with a store of its own.
struct Podman {
    folder: tempfile::TempDir,
    service: Child,
}

impl Podman {
    fn start(registry: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        fs::write(path.join("containers.conf"), CONTAINERS).expect("a file");
        let registries = REGISTRIES.replace("REGISTRY", registry);
        fs::write(path.join("registries.conf"), registries).expect("a file");
        let mut command = process::Command::new(tool("setpriv"));
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(tool("podman"))
            .args(options(path));
        command.args(["system", "service", "--time", "0"]);
        command.arg(format!("unix://{}", socket(path).display()));
        command
            .envs(variables(path))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let service = command.spawn().expect("it starts");
        until("podman's service", Duration::from_secs(30), || {
            socket(path).exists().then_some(())
        });
        Self { folder, service }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.service.kill();
        let _ = self.service.wait();
        let path = self.folder.path();
        let words = options(path);
        let mut command = Command::tool("podman", words.iter().map(String::as_str));
        for (name, value) in variables(path) {
            command = command.env(&name, value);
        }
        command.clone().arg("rm").arg("-fa").run();
        command.arg("system").arg("reset").arg("-f").run();
    }
}

fn socket(path: &Path) -> PathBuf {
    path.join("podman.sock")
}

fn options(path: &Path) -> Vec<String> {
    let folder = |name: &str| path.join(name).display().to_string();
    let (root, run, temporary) = (folder("root"), folder("run"), folder("temporary"));
    let words = ["--root", &root, "--runroot", &run, "--tmpdir", &temporary];
    words
        .into_iter()
        .chain(["--storage-driver", "overlay"])
        .map(str::to_owned)
        .collect()
}

fn variables(path: &Path) -> [(String, PathBuf); 2] {
    [
        ("CONTAINERS_CONF".into(), path.join("containers.conf")),
        (
            "CONTAINERS_REGISTRIES_CONF".into(),
            path.join("registries.conf"),
        ),
    ]
}

#[test]
fn tasks_and_functions_run_on_podman() {
    let mut bench = Bench::new();
    bench.kill_runner();
    let podman = Podman::start(&bench.image("").replace('/', ""));
    let socket = socket(podman.folder.path()).display().to_string();
    bench.set("WHARF_RUNNER__ENGINE__SOCKET", &socket);
    bench.start_runner();

    let name = bench.image("team/task:1");
    image::push(
        &name,
        &[],
        "CMD [\"/bin/sh\", \"-c\", \"echo hello; exit 4\"]",
    );
    let containers = json!([{"name": "main", "image": name, "memory": 32}]);
    let options = [("--container-definitions", containers)];
    bench.aws_with("ecs register-task-definition --family once", &options);
    let (_, task) = bench.run_task("once", &[]);
    assert_eq!(task["containers"][0]["exitCode"], 4, "{task}");

    let name = bench.image("team/function:1");
    image::push_function(&name, "");
    let line = format!(
        "lambda create-function --function-name one --package-type Image --code ImageUri={name} --role arn:aws:iam::000000000000:role/any"
    );
    bench.aws(&line);
    bench
        .command("lambda wait function-active-v2 --function-name one")
        .succeeds();
    let file = bench.path("answer");
    let invoke = bench
        .command("lambda invoke --function-name one --payload 7")
        .arg(&file);
    invoke.succeeds();
    let answer = fs::read_to_string(&file).expect("an answer");
    let answer: Value = serde_json::from_str(&answer).expect("it is JSON");
    assert_eq!(answer["event"], 7, "{answer}");
    bench.kill_runner();
}
