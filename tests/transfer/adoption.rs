//! A docker-registry's folder, or its part of a bucket, taken over in place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{is_whole, push_blob, signed_index, wharf};
use crate::api::digest;
use crate::api::http::Client;
use crate::support::s3::{ACCESS_KEY_ID, Bucket, SECRET_ACCESS_KEY};
use crate::support::{Command, Registry, folder, image};

/// All files below a folder with their bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.clone(), fs::read(&path).expect("a file"))),
            }
        }
    }
    found
}

fn data_of(old: &Registry, digest: &str) -> PathBuf {
    let (_, hex) = digest.split_once(':').expect("a digest");
    let below = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
    old.data().join(below)
}

fn push(layout: &Path, name: &str, old: &Registry) {
    Command::tool("skopeo")
        .args([
            "--insecure-policy",
            "copy",
            "--all",
            "--dest-tls-verify=false",
        ])
        .arg(format!("oci:{}:v1", layout.display()))
        .arg(format!("docker://{}/{name}", old.host()))
        .succeeds();
}

#[test]
fn a_docker_registrys_folder_is_taken_over_and_stays_as_it_was() {
    let (mut old, new, folder) = (Registry::debian(), Registry::wharf(), folder());
    let (index, signature) = signed_index(&old, folder.path(), "team/app");
    let (layout, image) = image::layout(folder.path().join("image"), "v1");
    for name in ["solo:v1", "solo:same", "deep/er/solo:v1"] {
        push(&layout, name, &old);
    }
    let loose = push_blob(
        &Client::new(old.base()),
        "loose",
        b"a blob without an image",
    );
    let client = Client::new(old.base());
    let path = format!("/v2/deep/er/solo/manifests/{image}");
    assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    old.kill();
    let before = files(&old.data());

    let root = old.data().to_string_lossy().into_owned();
    let told = wharf(&new, ["adopt", "--verify", &root]).succeeds();
    assert!(
        told.contains("took over 4 repositories: 5 manifests, 3 tags"),
        "{told}"
    );
    assert!(files(&old.data()) == before, "the old tree is as it was");

    let client = Client::new(new.base());
    assert_eq!(is_whole(&client, "team/app", "v1"), index);
    is_whole(&client, "team/app", &signature);
    for tag in ["v1", "same"] {
        assert_eq!(is_whole(&client, "solo", tag), image);
    }
    assert_eq!(client.get("/v2/deep/er/solo/manifests/v1").status, 404);
    let blob = client.get(&format!("/v2/loose/blobs/{loose}"));
    assert_eq!((blob.status, digest(&blob.body)), (200, loose.clone()));

    // No byte was copied: both names lead to one file. So the old tree can go.
    assert_eq!(
        fs::metadata(data_of(&old, &loose)).expect("a file").nlink(),
        2
    );
    fs::remove_dir_all(old.data()).expect("removed");
    assert_eq!(is_whole(&client, "team/app", "v1"), index);
    wharf(&new, ["scrub", "--bytes-per-second", "0B"]).succeeds();
}

#[test]
fn it_is_run_again_for_what_came_meanwhile_and_tags_that_moved_here_stay() {
    let (old, new, folder) = (Registry::debian(), Registry::wharf(), folder());
    let [(first, one), (second, two), (third, three)] =
        ["1", "2", "3"].map(|name| image::layout(folder.path().join(name), "v1"));
    push(&first, "app:v1", &old);
    let root = old.data().to_string_lossy().into_owned();
    // Both registries run.
    wharf(&new, ["adopt", &root]).succeeds();
    let client = Client::new(new.base());
    assert_eq!(is_whole(&client, "app", "v1"), one);

    push(&second, "app:v1", &old);
    push(&second, "app:new", &old);
    wharf(
        &new,
        ["import", &format!("oci:{}", third.display()), "app:v1"],
    )
    .succeeds();
    let told = wharf(&new, ["adopt", &root]).succeeds();
    assert!(
        told.contains("app:v1 names something else here, and stays"),
        "{told}"
    );
    assert!(told.contains("3 blobs were known"), "{told}");
    assert_eq!(is_whole(&client, "app", "v1"), three);
    assert_eq!(is_whole(&client, "app", "new"), two);
    wharf(&new, ["adopt", "--move-tags", &root]).succeeds();
    assert_eq!(is_whole(&client, "app", "v1"), two);
}

#[test]
fn what_is_broken_there_is_told_and_left_and_the_rest_is_taken_over() {
    let (mut old, new, folder) = (Registry::debian(), Registry::wharf(), folder());
    let (layout, image) = image::layout(folder.path().join("image"), "v1");
    push(&layout, "app:v1", &old);
    let client = Client::new(old.base());
    let [wrong, empty, missing] =
        ["wrong", "empty", "missing"].map(|text| push_blob(&client, "app", text.as_bytes()));
    old.kill();
    fs::write(data_of(&old, &wrong), "WRONG").expect("written");
    fs::write(data_of(&old, &empty), "").expect("written");
    fs::remove_file(data_of(&old, &missing)).expect("removed");
    let root = old.data().to_string_lossy().into_owned();

    let failed = wharf(&new, ["adopt", &root, "--copy", "--verify"]).fails();
    assert_eq!(failed.matches("error: ").count(), 3, "{failed}");
    for digest in [&wrong, &empty, &missing] {
        assert!(failed.contains(digest.as_str()), "{failed}");
    }
    let client = Client::new(new.base());
    assert_eq!(is_whole(&client, "app", "v1"), image);
    for digest in [&wrong, &empty, &missing] {
        assert_eq!(client.get(&format!("/v2/app/blobs/{digest}")).status, 404);
    }
    let layer = client.get("/v2/app/manifests/v1").json()["layers"][0]["digest"].clone();
    let layer = data_of(&old, layer.as_str().expect("a digest"));
    assert_eq!(
        fs::metadata(layer).expect("a file").nlink(),
        1,
        "it was copied"
    );
}

#[test]
fn what_lies_in_the_bucket_is_taken_over_where_it_is() {
    let bucket = Bucket::new();
    let new = Registry::wharf_with(&[
        ("WHARF__S3__BUCKET", bucket.name.as_str()),
        ("WHARF__S3__ENDPOINT", bucket.endpoint.as_str()),
        ("WHARF__S3__ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("WHARF__S3__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("WHARF__S3__PREFIX", "registry/one"),
    ]);
    let on_bucket = |words: &[&str]| {
        let command = wharf(&new, words.iter().copied());
        let command = command.env("WHARF__S3__BUCKET", &bucket.name);
        let command = command.env("WHARF__S3__ENDPOINT", &bucket.endpoint);
        let command = command.env("WHARF__S3__ACCESS_KEY_ID", ACCESS_KEY_ID);
        let command = command.env("WHARF__S3__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
        command.env("WHARF__S3__PREFIX", "registry/one")
    };
    // A docker-registry on a bucket has the same tree there as on a disk.
    let (mut old, folder) = (Registry::debian(), folder());
    let (index, signature) = signed_index(&old, folder.path(), "team/app");
    let loose = push_blob(
        &Client::new(old.base()),
        "loose",
        b"a blob without an image",
    );
    let wrong = push_blob(&Client::new(old.base()), "wrong", b"what is wrong");
    old.kill();
    fs::write(data_of(&old, &wrong), "WHAT IS WRONG").expect("written");
    Command::tool("aws")
        .args(["s3", "cp", "--recursive", "--only-show-errors"])
        .arg(old.data())
        .arg(format!("s3://{}/old/root", bucket.name))
        .args(["--endpoint-url", &bucket.endpoint])
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("HOME", folder.path())
        .succeeds();

    let failed = on_bucket(&["adopt", "--verify", "s3:old/root"]).fails();
    assert!(
        failed.starts_with("error: wrong: ") && failed.contains(&wrong),
        "{failed}"
    );
    assert_eq!(failed.lines().count(), 1, "{failed}");
    let client = Client::new(new.base());
    assert_eq!(is_whole(&client, "team/app", "v1"), index);
    is_whole(&client, "team/app", &signature);
    let blob = client.get(&format!("/v2/loose/blobs/{loose}"));
    assert_eq!((blob.status, digest(&blob.body)), (200, loose));
    assert_eq!(client.get(&format!("/v2/wrong/blobs/{wrong}")).status, 404);
    assert_eq!(bucket.entries("registry/one/data"), 0, "nothing was copied");

    // Again, and a database that is lost is made anew from what the bucket has.
    let told = on_bucket(&["adopt", "s3:old/root"]).run();
    assert!(
        told.stdout.contains("8 blobs were known"),
        "{}",
        told.stdout
    );
    let target = format!("oci:{}", folder.path().join("exported").display());
    let told = on_bucket(&["export", "--all-tags", "team/app", &target]).succeeds();
    assert!(told.contains("copied 1 images"), "{told}");
    let told = on_bucket(&["rebuild", "--merge"]).succeeds();
    assert!(told.contains("found 9 blobs, of which 0 are new"), "{told}");
    on_bucket(&["adopt", "/nowhere"]).fails();
    let elsewhere = Registry::wharf();
    let failed = wharf(&elsewhere, ["adopt", "s3:old/root"]).fails();
    assert!(failed.contains("s3.bucket"), "{failed}");
}
