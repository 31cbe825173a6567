//! buildah: an image built without any Dockerfile or daemon.

use std::fs;
use std::path::Path;

use crate::support::{Command, Registry, folder, image};

fn buildah<'a>(store: &Path, words: impl IntoIterator<Item = &'a str>) -> Command {
    Command::tool("buildah")
        .args([
            "--storage-driver",
            "vfs",
            "--registries-conf",
            "/dev/null",
            "--root",
        ])
        .arg(store.join("graph"))
        .arg("--runroot")
        .arg(store.join("run"))
        .args(words)
}

#[test]
fn buildah_builds_from_scratch_and_pushes_and_pulls() {
    let (registry, folder) = (Registry::chosen(), folder());
    let store = folder.path().join("store");
    let content = image::random_bytes(1 << 20);
    let file = folder.path().join("content");
    fs::write(&file, &content).expect("a file");
    let name = registry.image("team/built:1");

    let container = buildah(&store, ["from", "scratch"]).succeeds();
    let add = buildah(&store, ["add", &container]);
    add.arg(&file).arg("/content").succeeds();
    let label = ["config", "--label", "built=by-hand", &container];
    buildah(&store, label).succeeds();
    buildah(&store, ["commit", &container, &name]).succeeds();
    let built = buildah(&store, ["images", "--quiet", "--no-trunc", &name]).succeeds();
    buildah(&store, ["push", "--tls-verify=false", &name]).succeeds();

    // Into another store, so that nothing is there already.
    let store = folder.path().join("other");
    buildah(&store, ["pull", "--tls-verify=false", &name]).succeeds();
    let pulled = buildah(&store, ["images", "--quiet", "--no-trunc", &name]).succeeds();
    assert_eq!(pulled, built);
    let container = buildah(&store, ["from", "--pull-never", &name]).succeeds();
    let mounted = buildah(&store, ["mount", &container]).succeeds();
    let found = fs::read(Path::new(&mounted).join("content")).expect("the content");
    assert!(found == content, "the content differs");
}

#[test]
fn buildah_pushes_a_list_of_two_architectures() {
    let (registry, folder) = (Registry::chosen(), folder());
    let store = folder.path().join("store");
    let list = "list-of-two";
    buildah(&store, ["manifest", "create", list]).succeeds();
    for architecture in ["amd64", "arm64"] {
        let file = folder.path().join(architecture);
        fs::write(&file, image::random_bytes(1 << 10)).expect("a file");
        let from = ["from", "--arch", architecture, "scratch"];
        let container = buildah(&store, from).succeeds();
        buildah(&store, ["add", &container])
            .arg(&file)
            .arg("/content")
            .succeeds();
        let commit = ["commit", "--manifest", list, &container];
        buildah(&store, commit).succeeds();
    }
    let name = registry.image("team/list:1");
    let to = format!("docker://{name}");
    let push = ["manifest", "push", "--all", "--tls-verify=false", list, &to];
    buildah(&store, push).succeeds();

    let inspect = ["inspect", "--raw", "--tls-verify=false", &to];
    let index = Command::tool("skopeo").args(inspect).succeeds();
    let index: serde_json::Value = serde_json::from_str(&index).expect("an index");
    let manifests = index["manifests"].as_array().expect("manifests");
    let mut architectures: Vec<_> = manifests
        .iter()
        .map(|manifest| manifest["platform"]["architecture"].as_str())
        .collect();
    architectures.sort_unstable();
    assert_eq!(architectures, [Some("amd64"), Some("arm64")]);
}
