//! The image of Wharf itself: built and run by a real daemon, and pushed into itself.
//!
//! No image can be had from outside, so the two bases are made here: the one to run on from two of
//! Debian's packages, the one to build in from Debian's compiler, the Rust toolchain that runs
//! this test, and the sources of the crates.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::api::http::Client;
use crate::support::docker::{Docker, docker};
use crate::support::{Command, folder, image, wait};

const RUN_BASE: &str = "wharf-test/run-base";
const BUILD_BASE: &str = "wharf-test/build-base";
const IMAGE: &str = "wharf-test/wharf";

/// Debootstrap, a copy of the toolchain and a build of everything take their time.
const PATIENCE: Duration = Duration::from_secs(900);

#[test]
fn the_image_of_wharf_is_built_and_serves_itself() {
    let docker = docker();
    make_run_base(docker);
    make_build_base(docker);
    build(docker);
    let container = Container::run(docker);
    let port = docker
        .command(["port", &container.id, "5000/tcp"])
        .succeeds();
    let host = format!("127.0.0.1:{}", port.rsplit(':').next().expect("a port"));
    let client = Client::new(&format!("http://{host}"));
    wait::until(
        "the health of the container",
        Duration::from_secs(60),
        || {
            let format = "{{.State.Health.Status}}";
            let health = docker
                .command(["inspect", "--format", format, &container.id])
                .succeeds();
            (health == "healthy").then_some(())
        },
    );
    assert_eq!(client.get("/v2/").status, 200);

    let user = docker
        .command(["inspect", "--format", "{{.Config.User}}", IMAGE])
        .succeeds();
    assert_eq!(user, "65532:65532");
    let name = format!("{host}/wharf/wharf:latest");
    docker.command(["tag", IMAGE, &name]).succeeds();
    docker.command(["push", &name]).succeeds();
    docker.command(["rmi", &name]).succeeds();
    docker.command(["pull", &name]).succeeds();
    let version = docker
        .command(["run", "--rm", &name, "--version"])
        .succeeds();
    assert!(version.starts_with("wharf "), "{version}");
}

/// A container of Wharf that is removed in the end.
struct Container {
    docker: &'static Docker,
    id: String,
}

impl Container {
    fn run(docker: &'static Docker) -> Self {
        let open = "WHARF__SERVER__ALLOW_ANONYMOUS=true";
        let run = [
            "run",
            "--detach",
            "--publish",
            "127.0.0.1::5000",
            "--env",
            open,
            IMAGE,
        ];
        Self {
            docker,
            id: docker.command(run).succeeds(),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.docker
            .command(["rm", "--force", "--volumes", &self.id])
            .run();
    }
}

fn build(docker: &Docker) {
    let (build_base, run_base) = (
        format!("BUILD_BASE={BUILD_BASE}"),
        format!("RUN_BASE={RUN_BASE}"),
    );
    docker
        .command(["build", "--network", "none", "--tag", IMAGE])
        .args(["--build-arg", &build_base, "--build-arg", &run_base])
        // The same steps as a release, and less of this machine's time.
        .args(["--build-arg", "PROFILE=dev", env!("CARGO_MANIFEST_DIR")])
        .limit(PATIENCE)
        .succeeds();
}

/// The C library and the compiler's runtime, and nothing else.
fn make_run_base(docker: &Docker) {
    let folder = folder();
    let root = folder.path().join("root");
    Command::tool("apt-get")
        .args(["download", "libc6", "libgcc-s1"])
        .directory(folder.path())
        .succeeds();
    for entry in fs::read_dir(folder.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            Command::tool("dpkg-deb")
                .arg("-x")
                .arg(path)
                .arg(&root)
                .succeeds();
        }
    }
    import(docker, &root, RUN_BASE);
}

/// Debian with its compiler, this toolchain, and the crates that the lock file names.
fn make_build_base(docker: &Docker) {
    let folder = folder();
    let root = folder.path().join("root");
    Command::tool("debootstrap")
        .args([
            "--variant=minbase",
            "--include=gcc,libc6-dev,make",
            "bookworm",
        ])
        .arg(&root)
        .limit(PATIENCE)
        .succeeds();
    let cargo = env!("CARGO");
    let sysroot = Path::new(cargo)
        .ancestors()
        .nth(2)
        .expect("cargo lies in a toolchain");
    for name in ["bin/cargo", "bin/rustc", "lib"] {
        let target = root.join("usr/local").join(name);
        fs::create_dir_all(target.parent().expect("a parent")).expect("a folder");
        // Links are followed: toolchains share files through them.
        Command::tool("cp")
            .arg("-rLT")
            .arg(sysroot.join(name))
            .arg(&target)
            .succeeds();
    }
    vendor(&root, cargo);
    import(docker, &root, BUILD_BASE);
}

/// Puts the sources of the crates where cargo in the container finds them.
fn vendor(root: &Path, cargo: &str) {
    let sources = root.join("cargo/vendor");
    Command::program(cargo)
        .args(["vendor", "--quiet", "--locked", "--versioned-dirs"])
        .arg(&sources)
        .directory(Path::new(env!("CARGO_MANIFEST_DIR")))
        .limit(PATIENCE)
        .succeeds();
    let config = "[source.crates-io]\nreplace-with = \"vendored\"\n\
                  [source.vendored]\ndirectory = \"/cargo/vendor\"\n";
    fs::write(root.join("cargo/config.toml"), config).expect("a configuration");
}

/// Makes an image of a folder.
fn import(docker: &Docker, root: &Path, name: &str) {
    let file = root.with_extension("tar");
    image::tar(root, &file);
    docker
        .command([
            "import",
            "--change",
            "ENV CARGO_HOME=/cargo PATH=/usr/local/bin:/usr/bin:/bin",
        ])
        .arg(&file)
        .arg(name)
        .limit(PATIENCE)
        .succeeds();
}
