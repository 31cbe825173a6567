//! crane, the client of go-containerregistry, which kaniko and ko are made of.

use std::fs;

use super::{pull_layout, push_layout};
use crate::support::image::{self, same_blobs};
use crate::support::{Command, Registry, folder};

fn crane<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    Command::tool("crane").args(words)
}

/// The lines of a list.
fn list(words: [&str; 2]) -> Vec<String> {
    let lines = crane(words).succeeds();
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn crane_pushes_and_pulls_a_layout() {
    let (registry, folder) = (Registry::chosen(), folder());
    let (source, digest) = image::layout(folder.path().join("source"), "v1");
    let name = registry.image("team/app:1");
    crane(["push"]).arg(&source).arg(&name).succeeds();
    assert_eq!(crane(["digest", &name]).succeeds(), digest);
    crane(["validate", "--remote", &name]).succeeds();

    let target = folder.path().join("target");
    let by_digest = registry.image(&format!("team/app@{digest}"));
    let pull = crane(["pull", "--format", "oci", &by_digest]);
    pull.arg(&target).succeeds();
    assert!(same_blobs(&source, &target));
}

#[test]
fn crane_appends_a_layer() {
    let (registry, folder) = (Registry::chosen(), folder());
    let (source, _) = image::layout(folder.path().join("source"), "v1");
    let (base, appended) = (registry.image("team/base:1"), registry.image("team/more:1"));
    push_layout(&source, &base);
    let (tree, file) = (folder.path().join("tree"), folder.path().join("layer.tar"));
    fs::create_dir_all(&tree).expect("a folder");
    fs::write(tree.join("added"), "by crane").expect("a file");
    image::tar(&tree, &file);

    // The layers of the base are mounted from its repository.
    crane([
        "append",
        "--base",
        &base,
        "--new_tag",
        &appended,
        "--new_layer",
    ])
    .arg(&file)
    .succeeds();
    crane(["validate", "--remote", &appended]).succeeds();
    let exported = folder.path().join("all.tar");
    crane(["export", &appended]).arg(&exported).succeeds();
    let unpack = Command::tool("tar").arg("-xOf").arg(&exported);
    assert!(unpack.arg("added").succeeds().ends_with("by crane"));
}

#[test]
fn crane_copies_an_index_within_and_between_registries() {
    let (from, to, folder) = (Registry::chosen(), Registry::chosen(), folder());
    let (source, digest) = image::two_architectures(folder.path().join("source"), "v1");
    let first = from.image("team/index:1");
    push_layout(&source, &first);
    let targets = [from.image("a/deep/er/path:1"), to.image("team/index:1")];
    for (number, name) in targets.iter().enumerate() {
        crane(["copy", &first, name]).succeeds();
        assert_eq!(&crane(["digest", name]).succeeds(), &digest);
        let copied = folder.path().join(number.to_string());
        pull_layout(name, &copied);
        assert!(same_blobs(&source, &copied));
    }
    assert_eq!(
        list(["catalog", from.host()]),
        ["a/deep/er/path", "team/index"]
    );
    assert_eq!(list(["catalog", to.host()]), ["team/index"]);
}

#[test]
fn crane_tags_lists_and_deletes() {
    let (registry, folder) = (Registry::chosen(), folder());
    let (source, digest) = image::layout(folder.path().join("source"), "v1");
    let repository = registry.image("team/tags");
    push_layout(&source, &format!("{repository}:b"));
    for tag in ["c", "a", "B"] {
        crane(["tag", &format!("{repository}:b"), tag]).succeeds();
    }
    assert_eq!(list(["ls", &repository]), ["B", "a", "b", "c"]);

    crane(["delete", &format!("{repository}@{digest}")]).succeeds();
    let said = crane(["digest", &format!("{repository}:a")]).fails();
    assert!(
        said.contains("404") || said.contains("MANIFEST_UNKNOWN"),
        "{said}"
    );
    // Wharf keeps the repository; a peer may have forgotten it with its last tag.
    let left = crane(["ls", &repository]).run();
    assert_eq!(left.stdout, "");
}

#[test]
fn crane_reads_many_tags_page_by_page() {
    let registry = Registry::wharf_with(&[("WHARF__REGISTRY__PAGE_LIMIT", "7")]);
    let folder = folder();
    let (source, _) = image::layout(folder.path().join("source"), "v1");
    let repository = registry.image("team/pages");
    push_layout(&source, &format!("{repository}:t00"));
    let tags: Vec<String> = (0..21).map(|number| format!("t{number:02}")).collect();
    for tag in &tags[1..] {
        crane(["tag", &format!("{repository}:t00"), tag]).succeeds();
    }
    assert_eq!(list(["ls", &repository]), tags);
}
