//! docker, with a daemon: build, push, pull, run.

use crate::support::docker::{Docker, docker};
use crate::support::image::{self, GREETING};
use crate::support::{Registry, folder};

/// An image in the daemon, under its first name. Its layers are like no other's.
pub(crate) fn build(docker: &Docker, name: &str) {
    let folder = folder();
    image::build_context(folder.path());
    docker
        .command(["build", "-t", name])
        .arg(folder.path())
        .succeeds();
}

/// The digest that `docker push` says at its end.
fn pushed_digest(output: &str) -> &str {
    let digest = output
        .split_once("digest: ")
        .and_then(|(_, rest)| rest.split(' ').next());
    digest.unwrap_or_else(|| panic!("no digest in {output}"))
}

/// Removes an image from the daemon, under all its names.
pub(crate) fn forget(docker: &Docker, name: &str) {
    let id = docker
        .command(["image", "inspect", "--format", "{{.Id}}", name])
        .succeeds();
    docker.command(["image", "rm", "--force", &id]).succeeds();
}

pub(crate) fn greets(docker: &Docker, name: &str) {
    let said = docker
        .command(["run", "--rm", "--network", "none", name])
        .succeeds();
    assert_eq!(said, GREETING);
}

#[test]
fn docker_pushes_pulls_and_runs_an_image() {
    let (registry, docker) = (Registry::chosen(), docker());
    let name = registry.image("team/app:1");
    build(docker, &name);
    let pushed = docker.command(["push", &name]).succeeds();
    let by_digest = registry.image(&format!("team/app@{}", pushed_digest(&pushed)));
    forget(docker, &name);

    for reference in [name, by_digest] {
        let pulled = docker.command(["pull", &reference]).succeeds();
        assert_eq!(pulled.matches("Pull complete").count(), 2, "{pulled}");
        greets(docker, &reference);
        forget(docker, &reference);
    }
}

#[test]
fn docker_pushes_a_layer_once() {
    let (registry, docker) = (Registry::chosen(), docker());
    let (first, second) = (registry.image("team/once:1"), registry.image("team/once:2"));
    build(docker, &first);
    let pushed = docker.command(["push", &first]).succeeds();
    assert_eq!(pushed.matches("Pushed").count(), 2, "{pushed}");

    docker.command(["tag", &first, &second]).succeeds();
    let again = docker.command(["push", &second]).succeeds();
    assert_eq!(again.matches("Layer already exists").count(), 2, "{again}");
    assert_eq!(pushed_digest(&again), pushed_digest(&pushed));
}

#[test]
fn docker_mounts_layers_from_another_repository() {
    let (registry, docker) = (Registry::chosen(), docker());
    let (first, second) = (
        registry.image("team/source:1"),
        registry.image("other/target:1"),
    );
    build(docker, &first);
    docker.command(["push", &first]).succeeds();
    docker.command(["tag", &first, &second]).succeeds();
    let pushed = docker.command(["push", &second]).succeeds();
    assert_eq!(
        pushed.matches("Mounted from team/source").count(),
        2,
        "{pushed}"
    );
}

#[test]
fn docker_pushes_and_pulls_all_tags() {
    let (registry, docker) = (Registry::chosen(), docker());
    let repository = registry.image("team/many");
    let names = ["1", "2", "latest"].map(|tag| format!("{repository}:{tag}"));
    build(docker, &names[0]);
    for name in &names[1..] {
        docker.command(["tag", &names[0], name]).succeeds();
    }
    docker
        .command(["push", "--all-tags", &repository])
        .succeeds();
    forget(docker, &names[0]);
    docker
        .command(["pull", "--all-tags", &repository])
        .succeeds();
    for name in &names {
        greets(docker, name);
    }
}

#[test]
fn docker_says_that_an_image_is_unknown() {
    let (registry, docker) = (Registry::chosen(), docker());
    let said = docker
        .command(["pull", &registry.image("team/nothing:1")])
        .fails();
    assert!(
        said.contains("manifest unknown") || said.contains("not found"),
        "{said}"
    );
}
