//! Images, made of busybox and pushed by docker.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::OnceLock;

use super::docker::docker;
use super::{Command, root, tool};

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
        fs::set_permissions(
            folder.path().join("tree/tmp"),
            fs::Permissions::from_mode(0o1777),
        )
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
    let copies: String = files
        .iter()
        .map(|(path, _)| format!("COPY {path} /{path}\n"))
        .collect();
    let text = format!("FROM {}\n{copies}{lines}\n", base());
    fs::write(folder.path().join("Dockerfile"), text).expect("a file");
    docker()
        .command(["build", "-q", "-t", name])
        .arg(folder.path())
        .succeeds();
}

/// Builds an image and pushes it.
pub(crate) fn push(name: &str, files: &[(&str, &str)], lines: &str) {
    build(name, files, lines);
    docker().command(["push", "-q", name]).succeeds();
}

/// Pushes the function that is written in Rust, with the libraries that it is linked to.
pub(crate) fn push_function(name: &str, lines: &str) {
    push_function_with(name, &[], lines);
}

/// The same with more files.
pub(crate) fn push_function_with(name: &str, files: &[(&str, &str)], lines: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_wharf-runner")).with_file_name("examples/function");
    let folder = tempfile::tempdir().expect("a folder");
    let linked = Command::tool("ldd", [program.to_str().expect("a path")]).succeeds();
    let libraries = linked
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    let lines = format!("{lines}\nENTRYPOINT [\"/function\"]");
    let all = libraries
        .map(Path::new)
        .map(|path| (path, path.strip_prefix("/").expect("it is absolute")));
    let all = all.chain([(&*program, Path::new("function"))]);
    for (path, text) in files {
        write(&folder.path().join("tree"), path, text);
    }
    push_tree(name, folder.path(), all, &lines);
}

/// Pushes a function that is written in Python, with `awslambdaric` and all of Python.
pub(crate) fn push_python(name: &str, source: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let python = fs::canonicalize("/usr/bin/python3").expect("Python");
    let version = python
        .file_name()
        .and_then(|name| name.to_str())
        .expect("its version");
    let library = Path::new("/usr/lib").join(version);
    let linked = Command::tool("ldd", [python.to_str().expect("a path")]).succeeds();
    let runtime = root().join(".tools/lambda-python");
    assert!(runtime.is_dir(), "awslambdaric is missing: run make tools");
    let folders = [library.join("lib-dynload"), runtime.clone()];
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("modules"));
    let modules: Vec<String> = entries
        .map(|entry| entry.expect("an entry").path().display().to_string())
        .filter(|path| path.ends_with(".so"))
        .collect();
    let more = Command::tool("ldd", modules.iter().map(String::as_str))
        .run()
        .1;
    let words = format!("{linked} {more}");
    let mut libraries: Vec<&str> = words
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .collect();
    libraries.sort_unstable();
    libraries.dedup();
    write(folder.path(), "var/task/app.py", source);
    let own = [
        (&*python, Path::new("usr/bin/python3")),
        (
            &*library,
            library.strip_prefix("/").expect("it is absolute"),
        ),
        (&*runtime, Path::new("var/runtime")),
    ];
    let libraries = libraries
        .into_iter()
        .map(Path::new)
        .map(|path| (path, path.strip_prefix("/").expect("it is absolute")));
    let lines = "ENV PYTHONPATH=/var/runtime:/var/task PYTHONDONTWRITEBYTECODE=1\nWORKDIR /var/task\nENTRYPOINT [\"/usr/bin/python3\", \"-m\", \"awslambdaric\"]\nCMD [\"app.handler\"]";
    push_tree(name, folder.path(), own.into_iter().chain(libraries), lines);
}

/// Builds an image of copies, and pushes it.
fn push_tree<'a>(
    name: &str,
    folder: &Path,
    copies: impl IntoIterator<Item = (&'a Path, &'a Path)>,
    lines: &str,
) {
    let tree = folder.join("tree");
    for (from, to) in copies {
        let to = tree.join(to);
        fs::create_dir_all(to.parent().expect("it is in the tree")).expect("a folder");
        Command::tool("cp", ["-rL"]).arg(from).arg(&to).run();
    }
    if folder.join("var").is_dir() {
        Command::tool("cp", ["-r"])
            .arg(folder.join("var"))
            .arg(&tree)
            .succeeds();
        fs::remove_dir_all(folder.join("var")).expect("it is removed");
    }
    let text = format!("FROM {}\nCOPY tree /\n{lines}\n", base());
    fs::write(folder.join("Dockerfile"), text).expect("a file");
    docker()
        .command(["build", "-q", "-t", name])
        .arg(folder)
        .succeeds();
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
