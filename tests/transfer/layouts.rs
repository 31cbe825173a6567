//! Folders and archives: there and back, and read by other programs.

use std::fs;

use serde_json::Value;

use super::{is_whole, referrers, signed_index, wharf};
use crate::api::http::Client;
use crate::support::{Command, Registry, folder, image};

#[test]
fn an_index_with_its_signature_goes_through_a_folder_and_an_archive() {
    let (registry, other, folder) = (Registry::wharf(), Registry::wharf(), folder());
    let (index, signature) = signed_index(&registry, folder.path(), "team/app");
    for place in ["oci", "oci-archive"] {
        let place = format!("{place}:{}", folder.path().join(place).display());
        // Beside the running server.
        let told = wharf(&registry, ["export", "--referrers", "team/app:v1", &place]).succeeds();
        assert!(told.contains("copied 1 images: 4 manifests"), "{told}");
        let target = format!(
            "copied/{}",
            if place.contains("archive") {
                "archive"
            } else {
                "folder"
            }
        );
        let words = ["import", "--referrers", &place, &target];
        let told = wharf(&other, words).succeeds();
        assert!(told.contains("copied 1 images: 4 manifests"), "{told}");
        let client = Client::new(other.base());
        assert_eq!(is_whole(&client, &target, "v1"), index);
        assert_eq!(referrers(&client, &target, &index).join(" "), signature);
        is_whole(&client, &target, &signature);

        // Again: nothing is sent.
        let told = wharf(&other, words).succeeds();
        assert!(
            told.contains("0 blobs with 0B; 7 blobs were there already"),
            "{told}"
        );
    }
}

#[test]
fn skopeo_crane_and_oras_read_what_was_exported() {
    let (registry, target, folder) = (Registry::wharf(), Registry::wharf(), folder());
    let (index, signature) = signed_index(&registry, folder.path(), "team/app");
    let (layout, archive) = (folder.path().join("layout"), folder.path().join("a.tar"));
    let (layout, archive) = (layout.to_string_lossy(), archive.to_string_lossy());
    let places = [format!("oci:{layout}"), format!("oci-archive:{archive}")];
    for place in &places {
        wharf(&registry, ["export", "--referrers", "team/app:v1", place]).succeeds();
        let source = format!("{place}:v1");
        let copy = format!("docker://{}/skopeo/{}:v1", target.host(), place.len());
        Command::tool("skopeo")
            .args([
                "--insecure-policy",
                "copy",
                "--all",
                "--dest-tls-verify=false",
            ])
            .args([&source, &copy])
            .succeeds();
        let client = Client::new(target.base());
        assert_eq!(
            is_whole(&client, &format!("skopeo/{}", place.len()), "v1"),
            index
        );
    }
    let resolve = ["resolve", "--oci-layout", &format!("{layout}:v1")];
    assert_eq!(Command::tool("oras").args(resolve).succeeds(), index);
    let discover = [
        "discover",
        "--oci-layout",
        "--format=json",
        &format!("{layout}:v1"),
    ];
    let found: Value = serde_json::from_str(&Command::tool("oras").args(discover).succeeds())
        .expect("oras prints JSON");
    assert_eq!(found["referrers"][0]["digest"], signature.as_str());

    // crane pushes the whole of a layout that has one thing.
    let single = folder.path().join("single");
    let single = single.to_string_lossy();
    wharf(
        &registry,
        ["export", "team/app:v1", &format!("oci:{single}")],
    )
    .succeeds();
    let name = format!("{}/crane/app:v1", target.host());
    Command::tool("crane")
        .args(["push", "--insecure", "--index", &single, &name])
        .succeeds();
    let digest = Command::tool("crane")
        .args(["digest", "--insecure", &name])
        .succeeds();
    assert_ne!(digest, "", "crane pushed an index");
    is_whole(&Client::new(target.base()), "crane/app", &index);
}

#[test]
fn what_skopeo_wrote_is_imported() {
    let (registry, folder) = (Registry::wharf(), folder());
    let (layout, image) = image::layout(folder.path().join("made"), "v7");
    let archive = folder.path().join("by-skopeo.tar");
    Command::tool("skopeo")
        .args(["--insecure-policy", "copy"])
        .arg(format!("oci:{}:v7", layout.display()))
        .arg(format!("oci-archive:{}:v7", archive.display()))
        .succeeds();
    let client = Client::new(registry.base());
    let source = format!("oci-archive:{}", archive.display());
    wharf(&registry, ["import", &source, "team/archive"]).succeeds();
    assert_eq!(is_whole(&client, "team/archive", "v7"), image);
    let source = format!("oci:{}:v7", layout.display());
    wharf(&registry, ["import", &source, "team/folder:other"]).succeeds();
    assert_eq!(is_whole(&client, "team/folder", "other"), image);
}

#[test]
fn all_repositories_come_back_from_one_layout_by_their_full_names() {
    let (registry, other, folder) = (Registry::wharf(), Registry::wharf(), folder());
    let (index, _) = signed_index(&registry, folder.path(), "team/app");
    let (layout, image) = image::layout(folder.path().join("image"), "v1");
    let source = format!("oci:{}", layout.display());
    for name in ["solo", "solo:2", "team/app:plain"] {
        wharf(&registry, ["import", &source, name]).succeeds();
    }
    let place = format!("oci:{}", folder.path().join("all").display());
    let told = wharf(&registry, ["export", "--all", &place]).succeeds();
    assert!(told.contains("copied 4 images"), "{told}");
    let told = wharf(&other, ["import", "--all", &place, "mirror"]).succeeds();
    assert!(told.contains("copied 4 images"), "{told}");
    let client = Client::new(other.base());
    assert_eq!(is_whole(&client, "mirror/team/app", "v1"), index);
    for (repository, tag) in [("solo", "v1"), ("solo", "2"), ("team/app", "plain")] {
        assert_eq!(
            is_whole(&client, &format!("mirror/{repository}"), tag),
            image
        );
    }
    let several = wharf(&other, ["import", &place, "one"]).fails();
    assert!(several.contains("has 4 images"), "{several}");
}

#[test]
fn bytes_that_are_wrong_are_not_taken_and_an_archive_has_its_name_when_it_is_whole() {
    let (registry, folder) = (Registry::wharf(), folder());
    let (layout, _) = image::layout(folder.path().join("made"), "v1");
    let source = format!("oci:{}", layout.display());
    wharf(&registry, ["import", &source, "team/app"]).succeeds();
    let manifest = Client::new(registry.base())
        .get("/v2/team/app/manifests/v1")
        .json();
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest");
    let (_, hex) = layer.split_once(':').expect("a digest");

    // In the layout that is imported.
    let blob = layout.join("blobs/sha256").join(hex);
    let mut bytes = fs::read(&blob).expect("a blob");
    bytes[1000] ^= 1;
    fs::write(&blob, &bytes).expect("written");
    let other = Registry::wharf();
    let failed = wharf(&other, ["import", &source, "team/app"]).fails();
    assert!(failed.contains("the content has digest"), "{failed}");
    assert_eq!(
        Client::new(other.base())
            .get("/v2/team/app/manifests/v1")
            .status,
        404
    );

    // In the store that is exported.
    let prefix = registry.data().join("blobs/sha256").join(&hex[..2]);
    let stored = fs::read_dir(prefix)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let stored = stored
        .into_iter()
        .find(|path| path.to_string_lossy().contains(hex));
    fs::write(stored.expect("the blob"), &bytes).expect("written");
    let archive = folder.path().join("a.tar");
    fs::write(&archive, "what was there").expect("written");
    let place = format!("oci-archive:{}", archive.display());
    let failed = wharf(&registry, ["export", "team/app:v1", &place]).fails();
    assert!(
        failed.contains("has other bytes than its digest says"),
        "{failed}"
    );
    assert_eq!(
        fs::read_to_string(&archive).expect("it is there"),
        "what was there"
    );
    assert!(!folder.path().join("a.tar.partial").exists());
}
