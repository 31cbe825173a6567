//! podman: push, pull and run with a store of its own, and layers pulled in parts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::image::{self, GREETING};
use crate::support::{Command, Registry, folder};

/// The default limits are above what a container may set here.
const CONTAINERS: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"#;

/// Layers compressed as `zstd:chunked` are fetched file by file, but only when asked for.
const STORAGE: &str = r#"
[storage]
driver = "overlay"
graphroot = "FOLDER/graph"
runroot = "FOLDER/run"
[storage.options]
pull_options = {enable_partial_images = "true", use_hard_links = "false", ostree_repos = ""}
"#;

/// podman with a store of its own.
#[derive(Debug)]
pub(crate) struct Podman {
    folder: PathBuf,
}

impl Podman {
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("containers.conf"), CONTAINERS).expect("a file");
        let storage = STORAGE.replace("FOLDER", folder.to_str().expect("plain letters"));
        fs::write(folder.join("storage.conf"), storage).expect("a file");
        Self { folder }
    }

    pub(crate) fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        Command::tool("podman")
            .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.folder.join("storage.conf"))
            .arg("--tmpdir")
            .arg(self.folder.join("temporary"))
            .args(words)
    }

    /// Makes an image with one layer of a folder.
    pub(crate) fn import(&self, tree: &Path, name: &str) {
        let file = tree.with_extension("tar");
        image::tar(tree, &file);
        let import = self.command(["import", "--change", "CMD [\"/bin/greet\"]"]);
        import.arg(&file).arg(name).succeeds();
    }

    fn push(&self, options: &[&str], name: &str) {
        let push = self.command(["push", "--tls-verify=false"]);
        push.args(options).arg(name).succeeds();
    }

    fn pull(&self, name: &str) {
        self.command(["pull", "--tls-verify=false", name])
            .succeeds();
    }

    fn run(&self, name: &str, words: &[&str]) -> String {
        let run = self.command(["run", "--rm", "--network", "none", name]);
        run.args(words).succeeds()
    }
}

/// Text that compresses, and differs with the number.
fn text(number: usize) -> String {
    (0..20_000)
        .map(|line| format!("{number} {line}\n"))
        .collect()
}

#[test]
fn podman_pushes_pulls_and_runs_an_image() {
    let (registry, folder) = (Registry::chosen(), folder());
    let podman = Podman::new(folder.path().join("podman"));
    let tree = folder.path().join("tree");
    image::root(&tree);
    let name = registry.image("team/app:1");
    podman.import(&tree, &name);

    let file = folder.path().join("digest");
    let digest_to = format!("--digestfile={}", file.display());
    podman.push(&[&digest_to], &name);
    let digest = fs::read_to_string(file).expect("a digest");
    for reference in [name, registry.image(&format!("team/app@{digest}"))] {
        podman.command(["rmi", "--all", "--force"]).succeeds();
        podman.pull(&reference);
        assert_eq!(podman.run(&reference, &[]), GREETING);
    }
}

#[test]
fn podman_pushes_a_tag_again_and_sees_the_change() {
    let (registry, folder) = (Registry::chosen(), folder());
    let pushes = Podman::new(folder.path().join("pushes"));
    let pulls = Podman::new(folder.path().join("pulls"));
    let tree = folder.path().join("tree");
    image::root(&tree);
    let name = registry.image("team/moving:latest");
    for content in ["one", "two"] {
        fs::write(tree.join("content"), content).expect("a file");
        pushes.import(&tree, &name);
        pushes.push(&[], &name);
        pulls.pull(&name);
        assert_eq!(pulls.run(&name, &["cat", "/content"]), content);
    }
}

#[test]
fn podman_pulls_only_the_missing_parts_of_a_chunked_layer() {
    let (registry, folder) = (Registry::chosen(), folder());
    let pushes = Podman::new(folder.path().join("pushes"));
    let pulls = Podman::new(folder.path().join("pulls"));
    let tree = folder.path().join("tree");
    image::root(&tree);
    // A large file that does not compress makes this podman's compressor fail.
    fs::remove_file(tree.join("random")).expect("the file is removed");
    let chunked = ["--format=oci", "--compression-format=zstd:chunked"];

    // Of the second image the first and the last files are there already, and of those between
    // every other one: what is missing lies in several places of the layer.
    for (version, files) in [(1, [0, 1, 2, 3, 4, 5, 6]), (2, [0, 11, 2, 13, 4, 15, 6])] {
        for (place, number) in files.into_iter().enumerate() {
            fs::write(tree.join(format!("file{place}")), text(number)).expect("a file");
        }
        let name = registry.image(&format!("team/chunked:{version}"));
        pushes.import(&tree, &name);
        pushes.push(&chunked, &name);

        let pull = ["--log-level=debug", "pull", "--tls-verify=false", &name];
        let output = pulls.command(pull).run();
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        assert!(
            output.stderr.contains("Retrieved partial blob"),
            "{}",
            output.stderr
        );
        let said = pulls.run(&name, &["sh", "-c", "sha256sum /file*"]);
        let digests = said.lines().map(|line| line.split(' ').next());
        for (said, number) in digests.zip(files) {
            let digest = image::digest(text(number).as_bytes());
            assert_eq!(said, digest.strip_prefix("sha256:"));
        }
        assert_eq!(said.lines().count(), files.len());
    }
}
