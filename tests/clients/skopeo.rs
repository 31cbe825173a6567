//! skopeo: copies between a registry, OCI layouts and folders, in both manifest formats.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::image::{self, same_blobs};
use crate::support::{Command, Registry, folder};

const SCHEMA_2: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn skopeo<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    Command::tool("skopeo").arg("--insecure-policy").args(words)
}

/// Copies between two places, one of which is in the registry.
fn copy(options: &[&str], from: &str, to: &str) {
    let plain = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo(plain).args(options).args([from, to]).succeeds();
}

fn inspect(options: &[&str], name: &str) -> String {
    skopeo(["inspect", "--tls-verify=false"])
        .args(options)
        .arg(name)
        .succeeds()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn oci(path: &Path, tag: &str) -> String {
    format!("oci:{}:{tag}", path.display())
}

#[test]
fn skopeo_copies_a_layout_to_the_registry_and_back() {
    let (registry, folder) = (Registry::chosen(), folder());
    let (source, digest) = image::layout(folder.path().join("source"), "v1");
    let name = format!("docker://{}", registry.image("team/layout:v1"));
    copy(&[], &oci(&source, "v1"), &name);

    let seen = json(&inspect(&[], &name));
    assert_eq!(seen["Digest"], digest.as_str());
    assert_eq!(seen["Layers"].as_array().map(Vec::len), Some(2));

    let target = folder.path().join("target");
    copy(&[], &name, &oci(&target, "v1"));
    assert!(same_blobs(&source, &target));
}

#[test]
fn skopeo_copies_an_image_to_a_folder() {
    let (registry, folder) = (Registry::chosen(), folder());
    let (source, digest) = image::layout(folder.path().join("source"), "v1");
    let name = registry.image("team/folder");
    copy(&[], &oci(&source, "v1"), &format!("docker://{name}:v1"));

    let target = folder.path().join("target");
    copy(
        &[],
        &format!("docker://{name}@{digest}"),
        &format!("dir:{}", target.display()),
    );
    let manifest = fs::read(target.join("manifest.json")).expect("a manifest");
    assert_eq!(image::digest(&manifest), digest);
}

#[test]
fn skopeo_pushes_schema_2() {
    let (registry, folder) = (Registry::chosen(), folder());
    let (source, _) = image::layout(folder.path().join("source"), "v1");
    let name = format!("docker://{}", registry.image("team/schema2:v1"));
    copy(&["--format", "v2s2"], &oci(&source, "v1"), &name);
    assert_eq!(json(&inspect(&["--raw"], &name))["mediaType"], SCHEMA_2);

    let target = folder.path().join("target");
    copy(&[], &name, &format!("dir:{}", target.display()));
}

#[test]
fn skopeo_copies_an_index_with_all_architectures() {
    let (registry, folder) = (Registry::chosen(), folder());
    let (source, digest) = image::two_architectures(folder.path().join("source"), "v1");
    let name = format!("docker://{}", registry.image("team/index:v1"));
    copy(&["--all"], &oci(&source, "v1"), &name);
    assert_eq!(image::digest(inspect(&["--raw"], &name).as_bytes()), digest);

    let arm = skopeo([
        "--override-arch",
        "arm64",
        "inspect",
        "--tls-verify=false",
        &name,
    ]);
    assert_eq!(json(&arm.succeeds())["Architecture"], "arm64");

    let target = folder.path().join("target");
    copy(&["--all"], &name, &oci(&target, "v1"));
    assert!(same_blobs(&source, &target));
}

#[test]
fn skopeo_lists_tags_and_deletes() {
    let (registry, folder) = (Registry::chosen(), folder());
    let (source, _) = image::layout(folder.path().join("source"), "v1");
    let name = format!("docker://{}", registry.image("team/tags"));
    for tag in ["v1", "v2"] {
        copy(&[], &oci(&source, "v1"), &format!("{name}:{tag}"));
    }
    let listed = json(&skopeo(["list-tags", "--tls-verify=false", &name]).succeeds());
    assert_eq!(listed["Tags"], serde_json::json!(["v1", "v2"]));

    // It resolves the tag and deletes the digest, and with it both tags.
    skopeo(["delete", "--tls-verify=false", &format!("{name}:v1")]).succeeds();
    let said = skopeo(["inspect", "--tls-verify=false", &format!("{name}:v2")]).fails();
    assert!(said.contains("manifest unknown"), "{said}");
}

#[test]
fn skopeo_syncs_a_repository() {
    let (registry, folder) = (Registry::chosen(), folder());
    let (source, digest) = image::layout(folder.path().join("source"), "v1");
    let name = registry.image("team/sync");
    for tag in ["v1", "v2"] {
        copy(&[], &oci(&source, "v1"), &format!("docker://{name}:{tag}"));
    }
    let target = folder.path().join("target");
    skopeo([
        "sync",
        "--src-tls-verify=false",
        "--src",
        "docker",
        "--dest",
        "dir",
        &name,
    ])
    .arg(&target)
    .succeeds();
    for tag in ["v1", "v2"] {
        let manifest = target.join(format!("sync:{tag}/manifest.json"));
        let manifest = fs::read(&manifest).expect("a manifest");
        assert_eq!(image::digest(&manifest), digest);
    }

    // From one repository to another, as a mirror does.
    let mirror = registry.image("mirror");
    skopeo(["sync", "--src-tls-verify=false", "--dest-tls-verify=false"])
        .args(["--src", "docker", "--dest", "docker", &name, &mirror])
        .succeeds();
    let seen = json(&inspect(&[], &format!("docker://{mirror}/sync:v2")));
    assert_eq!(seen["Digest"], digest.as_str());
}
