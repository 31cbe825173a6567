//! The clients log in, and get what they may: docker, skopeo, podman, crane, oras, helm, containerd.

use std::fs;

use super::{Login, robot, user};
use crate::clients::containerd::Containerd;
use crate::clients::docker::{build, forget, greets};
use crate::clients::podman::Podman;
use crate::support::docker::docker;
use crate::support::{Command, Registry, folder, image};

#[test]
fn docker_logs_in_and_gets_what_it_may() {
    let (registry, docker, folder) = (Registry::private(), docker(), folder());
    let as_docker = |who: &str, words: &[&str]| {
        docker
            .command([])
            .env("DOCKER_CONFIG", folder.path().join(who))
            .args(words)
    };
    let login = |who: &str, login: &Login| {
        let words = [
            "login",
            "-u",
            &login.name,
            "--password-stdin",
            registry.host(),
        ];
        as_docker(who, &words).stdin(&login.password)
    };
    let alice = user(&registry, "alice", "push", "team/*");
    let ci = robot(&registry, "ci", "pull", &[]);
    let name = registry.image("team/app:1");
    build(docker, &name);

    let said = as_docker("nobody", &["push", &name]).fails();
    assert!(
        said.contains("unauthorized") || said.contains("no basic auth"),
        "{said}"
    );
    let wrong = Login {
        password: "wrong".into(),
        ..alice.clone()
    };
    assert!(login("alice", &wrong).fails().contains("unauthorized"));
    login("alice", &alice).succeeds();
    as_docker("alice", &["push", &name]).succeeds();
    forget(docker, &name);
    as_docker("alice", &["pull", &name]).succeeds();
    greets(docker, &name);

    // Elsewhere she may not, and is told what she lacks.
    let elsewhere = registry.image("other/app:1");
    docker.command(["tag", &name, &elsewhere]).succeeds();
    let said = as_docker("alice", &["push", &elsewhere]).fails();
    assert!(said.contains("denied"), "{said}");

    login("ci", &ci).succeeds();
    forget(docker, &name);
    as_docker("ci", &["pull", &name]).succeeds();
    greets(docker, &name);
    let second = registry.image("team/app:2");
    docker.command(["tag", &name, &second]).succeeds();
    let said = as_docker("ci", &["push", &second]).fails();
    assert!(said.contains("denied"), "{said}");
    forget(docker, &name);
    as_docker("nobody", &["pull", &name]).fails();
}

#[test]
fn skopeo_logs_in_and_copies() {
    let (registry, folder) = (Registry::private(), folder());
    let alice = user(&registry, "alice", "push", "*");
    let (layout, _) = image::layout(folder.path().join("source"), "v1");
    let file = folder.path().join("auth.json");
    let from = format!("oci:{}:v1", layout.display());
    let to = format!("docker://{}", registry.image("team/app:1"));
    let copy = || {
        Command::tool("skopeo")
            .args([
                "--insecure-policy",
                "copy",
                "--dest-tls-verify=false",
                "--authfile",
            ])
            .arg(&file)
            .args([&from, &to])
    };
    fs::write(&file, "{}").expect("a file");
    copy().fails();
    Command::tool("skopeo")
        .args(["login", "--tls-verify=false", "--authfile"])
        .arg(&file)
        .args(["-u", &alice.name, "--password-stdin", registry.host()])
        .stdin(&alice.password)
        .succeeds();
    copy().succeeds();
    Command::tool("skopeo")
        .args(["inspect", "--tls-verify=false", "--authfile"])
        .arg(&file)
        .arg(&to)
        .succeeds();
}

#[test]
fn podman_logs_in_pushes_and_pulls() {
    let (registry, folder) = (Registry::private(), folder());
    let podman = Podman::new(folder.path().join("podman"));
    let alice = user(&registry, "alice", "push", "*");
    let tree = folder.path().join("tree");
    image::root(&tree);
    let name = registry.image("team/app:1");
    podman.import(&tree, &name);
    let file = folder.path().join("auth.json");
    let file = file.to_str().expect("plain letters");
    let with = |words: &[&str]| {
        let words = words.iter().copied();
        podman
            .command(words)
            .args(["--tls-verify=false", "--authfile", file])
    };
    fs::write(file, "{}").expect("a file");
    with(&["push"]).arg(&name).fails();
    with(&["login"])
        .args(["-u", &alice.name, "--password-stdin", registry.host()])
        .stdin(&alice.password)
        .succeeds();
    with(&["push"]).arg(&name).succeeds();
    podman.command(["rmi", "--all", "--force"]).succeeds();
    with(&["pull"]).arg(&name).succeeds();
    // The list of all repositories, which podman asks for by a token of its own.
    let all = format!("{}/", registry.host());
    let found = with(&["search"]).arg(&all).succeeds();
    assert!(found.contains("team/app"), "{found}");
    fs::write(file, "{}").expect("a file");
    let found = with(&["search"]).arg(&all).run().stdout;
    assert!(!found.contains("team/app"), "{found}");
}

#[test]
fn crane_and_oras_log_in() {
    let (registry, folder) = (Registry::private(), folder());
    let alice = user(&registry, "alice", "push", "*");
    let ci = robot(&registry, "ci", "pull", &[]);
    fs::write(folder.path().join("thing"), "a thing").expect("a file");
    let with = |tool: &str, config: &str, words: &[&str]| {
        Command::tool(tool)
            .env("DOCKER_CONFIG", folder.path().join(config))
            .directory(folder.path())
            .args(words.iter().copied())
    };
    let name = registry.image("team/thing:1");
    let push = ["push", "--plain-http", &name, "thing:text/plain"];
    with("oras", "alice", &push).fails();
    let login = [
        "login",
        "--plain-http",
        "-u",
        &alice.name,
        "--password-stdin",
        registry.host(),
    ];
    with("oras", "alice", &login)
        .stdin(&alice.password)
        .succeeds();
    with("oras", "alice", &push).succeeds();
    let list = ["repo", "ls", "--plain-http", registry.host()];
    assert_eq!(with("oras", "alice", &list).succeeds(), "team/thing");
    assert_eq!(with("oras", "nobody", &list).run().stdout.trim(), "");

    let login = [
        "auth",
        "login",
        "-u",
        &ci.name,
        "--password-stdin",
        registry.host(),
    ];
    with("crane", "ci", &login).stdin(&ci.password).succeeds();
    let listed = with("crane", "ci", &["ls", &registry.image("team/thing")]).succeeds();
    assert_eq!(listed, "1");
    let copy = ["copy", &name, &registry.image("team/copy:1")];
    with("crane", "ci", &copy).fails();
    with("crane", "nobody", &["ls", &registry.image("team/thing")]).fails();
    // The user of oras may, with what oras kept.
    with("crane", "alice", &copy).succeeds();
}

#[test]
fn helm_logs_in_pushes_and_pulls() {
    let (registry, folder) = (Registry::private(), folder());
    let alice = user(&registry, "alice", "push", "charts/*");
    let folder = folder.path();
    let helm = |words: &[&str]| {
        Command::tool("helm")
            .env("HELM_CACHE_HOME", folder.join("cache"))
            .env("HELM_CONFIG_HOME", folder.join("config"))
            .env("HELM_DATA_HOME", folder.join("data"))
            .directory(folder)
            .args(words.iter().copied())
    };
    helm(&["create", "small"]).succeeds();
    helm(&["package", "small"]).succeeds();
    let charts = format!("oci://{}", registry.image("charts"));
    let push = ["push", "--plain-http", "small-0.1.0.tgz", &charts];
    helm(&push).fails();
    let login = [
        "registry",
        "login",
        "--plain-http",
        "-u",
        &alice.name,
        "--password-stdin",
        registry.host(),
    ];
    helm(&login).stdin(&alice.password).succeeds();
    helm(&push).succeeds();
    let chart = format!("{charts}/small");
    fs::create_dir_all(folder.join("pulled")).expect("a folder");
    helm(&["pull", "--plain-http", &chart, "--destination", "pulled"]).succeeds();
    assert!(folder.join("pulled/small-0.1.0.tgz").is_file());
}

#[test]
fn containerd_shows_its_user_and_pushes_and_pulls() {
    let (registry, folder) = (Registry::private(), folder());
    let alice = user(&registry, "alice", "push", "*");
    let containerd = Containerd::start(folder.path().join("containerd"));
    let (layout, digest) = image::layout(folder.path().join("source"), "v1");
    let (first, second) = (registry.image("team/app:1"), registry.image("team/app:2"));
    Command::tool("skopeo")
        .args([
            "--insecure-policy",
            "copy",
            "--dest-tls-verify=false",
            "--dest-creds",
        ])
        .arg(format!("{}:{}", alice.name, alice.password))
        .arg(format!("oci:{}:v1", layout.display()))
        .arg(format!("docker://{first}"))
        .succeeds();
    let credentials = format!("{}:{}", alice.name, alice.password);
    let pull = ["images", "pull", "--plain-http"];
    containerd.command(pull).arg(&first).fails();
    containerd
        .command(pull)
        .args(["--user", &credentials, &first])
        .succeeds();
    containerd
        .command(["images", "tag", &first, &second])
        .succeeds();
    let push = [
        "images",
        "push",
        "--plain-http",
        "--user",
        &credentials,
        &second,
    ];
    containerd.command(push).succeeds();
    let listed = containerd.command(["images", "ls"]).succeeds();
    assert_eq!(listed.matches(&digest).count(), 2, "{listed}");
}
