//! containerd, as Kubernetes pulls: with ranges, and pushes in one PUT.

use std::fs;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use super::{pull_layout, push_layout};
use crate::support::image::{self, GREETING, same_blobs};
use crate::support::{Command, Process, Registry, folder, tools, wait};

/// A containerd with a folder of its own.
#[derive(Debug)]
pub(crate) struct Containerd {
    // Ended before its folder is removed.
    _process: Process,
    folder: PathBuf,
}

impl Containerd {
    pub(crate) fn start(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.to_str().expect("plain letters");
        let config = format!(
            "version = 2\nroot = '{path}/root'\nstate = '{path}/state'\n\
             disabled_plugins = ['io.containerd.grpc.v1.cri']\n\
             [grpc]\naddress = '{path}/socket'\n"
        );
        fs::write(folder.join("config.toml"), config).expect("a file");
        let mut command = process::Command::new(tools::find("containerd"));
        command.args(["--log-level", "error", "--config"]);
        command.arg(folder.join("config.toml"));
        let containerd = Self {
            _process: Process::start(&command),
            folder,
        };
        wait::until("containerd", Duration::from_secs(30), || {
            let version = containerd.command(["version"]).run();
            (version.code == Some(0)).then_some(())
        });
        containerd
    }

    pub(crate) fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        Command::tool("ctr")
            .arg("--address")
            .arg(self.folder.join("socket"))
            .args(words)
    }

    /// The digest of the manifest that an image name stands for.
    fn digest(&self, name: &str) -> String {
        let images = self.command(["images", "ls"]).succeeds();
        let line = images.lines().find(|line| line.starts_with(name));
        let digest = line.and_then(|line| line.split_whitespace().nth(2));
        digest
            .unwrap_or_else(|| panic!("no {name} in {images}"))
            .to_owned()
    }

    fn pull(&self, name: &str) {
        let pull = ["images", "pull", "--plain-http", "--all-platforms", name];
        self.command(pull).succeeds();
    }

    fn push(&self, name: &str) {
        self.command(["images", "push", "--plain-http", name])
            .succeeds();
    }
}

#[test]
fn containerd_pulls_and_runs_an_image() {
    let (registry, folder) = (Registry::chosen(), folder());
    let containerd = Containerd::start(folder.path().join("containerd"));
    let (layout, digest) = image::layout(folder.path().join("source"), "v1");
    let name = registry.image("team/app:1");
    push_layout(&layout, &name);
    let by_digest = registry.image(&format!("team/app@{digest}"));

    for reference in [name, by_digest] {
        containerd.pull(&reference);
        assert_eq!(containerd.digest(&reference), digest);
        // Names of containers become names of control groups, which all tests share.
        let id = &uuid::Uuid::now_v7().to_string();
        let run = ["run", "--rm", &reference, id, "/bin/greet"];
        assert_eq!(containerd.command(run).succeeds(), GREETING);
    }
}

#[test]
fn containerd_copies_an_index_byte_for_byte() {
    let (from, to, folder) = (Registry::chosen(), Registry::chosen(), folder());
    let containerd = Containerd::start(folder.path().join("containerd"));
    let (layout, digest) = image::two_architectures(folder.path().join("source"), "v1");
    let (source, target) = (from.image("team/index:1"), to.image("team/index:1"));
    push_layout(&layout, &source);

    containerd.pull(&source);
    containerd
        .command(["images", "tag", &source, &target])
        .succeeds();
    containerd.push(&target);
    assert_eq!(containerd.digest(&target), digest);
    let copied = folder.path().join("copied");
    pull_layout(&target, &copied);
    assert!(same_blobs(&layout, &copied));
}

#[test]
fn containerd_pushes_to_another_repository() {
    let (registry, folder) = (Registry::chosen(), folder());
    let containerd = Containerd::start(folder.path().join("containerd"));
    let (layout, _) = image::layout(folder.path().join("source"), "v1");
    let (source, target) = (registry.image("team/a:1"), registry.image("other/b:1"));
    push_layout(&layout, &source);

    containerd.pull(&source);
    containerd
        .command(["images", "tag", &source, &target])
        .succeeds();
    containerd.push(&target);
    let copied = folder.path().join("copied");
    pull_layout(&target, &copied);
    assert!(same_blobs(&layout, &copied));
}
