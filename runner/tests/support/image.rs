//! Images, made of busybox and pushed by docker.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::OnceLock;

use super::docker::docker;
use super::{Command, tool};

/// The name of the image that all others are made of.
const BASE: &str = "base:1";

/// Answers with its version on port 8080, and ends when it is asked to.
pub(crate) const SERVER: &str = "#!/bin/sh
mkdir -p /tmp/www
echo \"$VERSION\" >/tmp/www/index.html
trap 'exit 0' TERM
httpd -f -p 8080 -h /tmp/www &
wait
";

/// Makes the image of busybox that others begin with, once.
fn base() -> &'static str {
    static BASE_IS_MADE: OnceLock<()> = OnceLock::new();
    BASE_IS_MADE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join("tree/bin");
        fs::create_dir_all(&bin).expect("a folder");
        fs::create_dir_all(folder.path().join("tree/tmp")).expect("a folder");
        fs::set_permissions(folder.path().join("tree/tmp"), fs::Permissions::from_mode(0o1777))
            .expect("a mode");
        fs::copy(tool("busybox"), bin.join("busybox")).expect("busybox is copied");
        let applets = Command::tool("busybox", ["--list"]).succeeds();
        for applet in applets.lines().filter(|applet| *applet != "busybox") {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("a link");
        }
        let tar = folder.path().join("root.tar");
        Command::tool("tar", ["-cf"])
            .arg(&tar)
            .arg("-C")
            .arg(folder.path().join("tree"))
            .arg(".")
            .succeeds();
        docker().command(["import"]).arg(&tar).arg(BASE).succeeds();
    });
    BASE
}

/// Builds an image of the base, some files and lines of a Dockerfile, under a name.
pub(crate) fn build(name: &str, files: &[(&str, &str)], lines: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        write(folder.path(), path, text);
    }
    let copies: String = files.iter().map(|(path, _)| format!("COPY {path} /{path}\n")).collect();
    let text = format!("FROM {}\n{copies}{lines}\n", base());
    fs::write(folder.path().join("Dockerfile"), text).expect("a file");
    docker().command(["build", "-q", "-t", name]).arg(folder.path()).succeeds();
}

/// Builds an image and pushes it.
pub(crate) fn push(name: &str, files: &[(&str, &str)], lines: &str) {
    build(name, files, lines);
    docker().command(["push", "-q", name]).succeeds();
}

/// Pushes a server that answers with a version.
pub(crate) fn push_server(name: &str, version: &str) {
    let lines = format!("ENV VERSION={version}\nCMD [\"/serve\"]");
    push(name, &[("serve", SERVER)], &lines);
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
}
