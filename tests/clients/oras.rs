//! oras: artifacts, what refers to them, and single blobs.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::push_layout;
use crate::support::{Command, Registry, folder, image};

const THING: &str = "application/vnd.example.thing";
const SIGNATURE: &str = "application/vnd.example.signature";
const REPORT: &str = "application/vnd.example.report";

/// A command in a folder, since the names of files become titles of layers.
fn oras<'a>(folder: &Path, words: impl IntoIterator<Item = &'a str>) -> Command {
    Command::tool("oras")
        .env("ORAS_CACHE", "")
        .env("DOCKER_CONFIG", folder)
        .directory(folder)
        .args(words)
}

/// Runs a command, and gives the JSON that it prints.
fn json<'a>(folder: &Path, words: impl IntoIterator<Item = &'a str>) -> Value {
    let text = oras(folder, words).succeeds();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn digest(answer: &Value) -> String {
    answer["digest"].as_str().expect("a digest").to_owned()
}

/// Pushes a random file as an artifact, and gives its digest.
fn push(folder: &Path, name: &str) -> String {
    fs::write(folder.join("thing"), image::random_bytes(100_000)).expect("a file");
    let push = ["push", "--plain-http", "--format=json"];
    let rest = ["--artifact-type", THING, name, "thing:text/plain"];
    digest(&json(folder, push.into_iter().chain(rest)))
}

/// Attaches a file to an artifact, and gives the digest of what refers to it.
fn attach(folder: &Path, name: &str, artifact_type: &str) -> String {
    fs::write(folder.join("attached"), artifact_type).expect("a file");
    let attach = ["attach", "--plain-http", "--format=json"];
    let rest = [
        "--artifact-type",
        artifact_type,
        name,
        "attached:text/plain",
    ];
    digest(&json(folder, attach.into_iter().chain(rest)))
}

/// The digests of what refers to an artifact, with one type or with any.
fn discover(folder: &Path, name: &str, options: &[&str]) -> Vec<String> {
    let discover = ["discover", "--plain-http", "--format=json"];
    let words = discover.iter().chain(options).copied().chain([name]);
    let found = json(folder, words);
    let referrers = found["referrers"].as_array().expect("referrers");
    let mut digests: Vec<String> = referrers.iter().map(digest).collect();
    digests.sort();
    digests
}

#[test]
fn oras_pushes_and_pulls_an_artifact() {
    let (registry, folder) = (Registry::chosen(), folder());
    let folder = folder.path();
    let name = registry.image("team/thing:1");
    let pushed = push(folder, &name);
    let resolve = oras(folder, ["resolve", "--plain-http", &name]);
    assert_eq!(resolve.succeeds(), pushed);

    oras(folder, ["pull", "--plain-http", "--output=pulled", &name]).succeeds();
    let pulled = fs::read(folder.join("pulled/thing")).expect("a file");
    let thing = fs::read(folder.join("thing")).expect("a file");
    assert!(pulled == thing, "the file differs");
}

#[test]
fn oras_attaches_and_discovers() {
    let (registry, folder) = (Registry::chosen(), folder());
    let folder = folder.path();
    let name = registry.image("team/thing:1");
    push(folder, &name);
    assert_eq!(discover(folder, &name, &[]), [""; 0]);

    let signature = attach(folder, &name, SIGNATURE);
    let report = attach(folder, &name, REPORT);
    let mut both = [signature.clone(), report.clone()];
    both.sort();
    assert_eq!(discover(folder, &name, &[]), both);
    let of_type = ["--artifact-type", SIGNATURE];
    assert_eq!(discover(folder, &name, &of_type), [signature]);

    let report = registry.image(&format!("team/thing@{report}"));
    let delete = ["manifest", "delete", "--plain-http", "--force", &report];
    oras(folder, delete).succeeds();
    assert_eq!(discover(folder, &name, &of_type).len(), 1);
}

#[test]
fn oras_copies_an_artifact_with_what_refers_to_it() {
    let (from, to, folder) = (Registry::chosen(), Registry::chosen(), folder());
    let folder = folder.path();
    let source = from.image("team/thing:1");
    let pushed = push(folder, &source);
    attach(folder, &source, SIGNATURE);
    let attached = discover(folder, &source, &[]);

    for target in [from.image("other/thing:2"), to.image("team/thing:1")] {
        let copy = ["cp", "--recursive", "--from-plain-http", "--to-plain-http"];
        oras(folder, copy).args([&source, &target]).succeeds();
        let resolve = oras(folder, ["resolve", "--plain-http", &target]);
        assert_eq!(resolve.succeeds(), pushed);
        assert_eq!(discover(folder, &target, &[]), attached);
    }
}

#[test]
fn oras_makes_and_updates_an_index() {
    let (registry, folder) = (Registry::chosen(), folder());
    let folder = folder.path();
    let repository = registry.image("team/index");
    for architecture in ["one", "two"] {
        let (layout, _) = image::layout(folder.join(architecture), "v1");
        push_layout(&layout, &format!("{repository}:{architecture}"));
    }
    let name = format!("{repository}:all");
    let create = ["manifest", "index", "create", "--plain-http", &name, "one"];
    oras(folder, create).succeeds();
    let update = [
        "manifest",
        "index",
        "update",
        "--plain-http",
        &name,
        "--add",
        "two",
    ];
    oras(folder, update).succeeds();
    let index = json(folder, ["manifest", "fetch", "--plain-http", &name]);
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(2));

    let tags = oras(folder, ["repo", "tags", "--plain-http", &repository]).succeeds();
    assert_eq!(tags.lines().collect::<Vec<_>>(), ["all", "one", "two"]);
    let repositories = oras(folder, ["repo", "ls", "--plain-http", registry.host()]);
    assert_eq!(repositories.succeeds(), "team/index");
}

#[test]
fn oras_pushes_fetches_and_deletes_a_blob() {
    let (registry, folder) = (Registry::chosen(), folder());
    let folder = folder.path();
    let repository = registry.image("team/blobs");
    let bytes = image::random_bytes(5 << 20);
    fs::write(folder.join("blob"), &bytes).expect("a file");
    let push = ["blob", "push", "--plain-http", &repository, "blob"];
    oras(folder, push).succeeds();

    let name = format!("{repository}@{}", image::digest(&bytes));
    let fetch = ["blob", "fetch", "--plain-http", "--output=fetched", &name];
    oras(folder, fetch).succeeds();
    let fetched = fs::read(folder.join("fetched")).expect("a file");
    assert!(fetched == bytes, "the blob differs");

    let delete = ["blob", "delete", "--plain-http", "--force", &name];
    oras(folder, delete).succeeds();
    oras(folder, fetch).fails();
}
