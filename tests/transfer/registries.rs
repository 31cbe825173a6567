//! To and from other registries.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{is_whole, referrers, signed_index, wharf};
use crate::access::{Login, push_image, send_as, user};
use crate::api::http::Client;
use crate::support::{Registry, folder, image};

#[test]
fn a_docker_registry_is_migrated_whole_and_gets_it_back() {
    let (old, new, folder) = (Registry::debian(), Registry::wharf(), folder());
    let (index, signature) = signed_index(&old, folder.path(), "team/app");
    let (layout, image) = image::layout(folder.path().join("image"), "x");
    for tag in ["a", "b", "c"] {
        let source = format!("oci:{}", layout.display());
        wharf(&new, ["import", &source, &format!("seed:{tag}")]).succeeds();
    }
    // docker-registry knows no referrers: the signature is listed under a fallback tag.
    let source = format!("docker://{}", old.host());
    let told = wharf(
        &new,
        [
            "export",
            "--all-tags",
            "seed",
            &format!("{source}/deep/er/seed"),
        ],
    )
    .succeeds();
    assert!(told.contains("copied 3 images"), "{told}");
    let told = wharf(&new, ["import", "--all", "--referrers", &source]).succeeds();
    assert!(told.contains("copied 4 images"), "{told}");
    let client = Client::new(new.base());
    assert_eq!(is_whole(&client, "team/app", "v1"), index);
    for tag in ["a", "b", "c"] {
        assert_eq!(is_whole(&client, "deep/er/seed", tag), image);
    }
    let told = wharf(&new, ["import", "--all", &source]).succeeds();
    assert!(told.contains(" 0 blobs with 0B"), "{told}");

    // And back, with the signature.
    let name = format!("team/app@{signature}");
    wharf(&new, ["import", &format!("{source}/{name}"), "team/app"]).succeeds();
    let target = format!("{source}/back/app:v1");
    wharf(&new, ["export", "--referrers", "team/app:v1", &target]).succeeds();
    let client = Client::new(old.base());
    assert_eq!(is_whole(&client, "back/app", "v1"), index);
    is_whole(&client, "back/app", &signature);
    let fallback = format!("/v2/back/app/manifests/{}", index.replace(':', "-"));
    let accept = [("Accept", "application/vnd.oci.image.index.v1+json")];
    let listed = client.send("GET", &fallback, &accept, b"").json();
    assert_eq!(listed["manifests"][0]["digest"], signature.as_str());

    // From where it is found by the fallback tag.
    let third = Registry::wharf();
    let words = ["import", "--referrers", &target, "again"];
    wharf(&third, words).succeeds();
    assert_eq!(
        referrers(&Client::new(third.base()), "again", &index),
        [signature]
    );
}

#[test]
fn another_wharf_is_read_and_written_with_a_login() {
    let (private, own, folder) = (Registry::private(), Registry::wharf(), folder());
    let client = Client::new(private.base());
    let alice = user(&private, "alice", "push", "*");
    push_image(&client, &alice, "team/app");
    let source = format!("docker://{}/team/app:v1", private.host());

    let refused = wharf(&own, ["import", &source]).fails();
    assert!(refused.contains("error: "), "{refused}");
    let wrong = wharf(&own, ["import", "--user", "alice", &source])
        .stdin("wrong\n")
        .fails();
    assert!(wrong.contains("refuses the login"), "{wrong}");
    assert!(
        !wrong.contains("wrong\n") && !wrong.contains("YWxpY2U6d3Jvbmc="),
        "{wrong}"
    );

    // By the standard input, by variables, and by docker's file.
    let Login { name, password } = &alice;
    wharf(&own, ["import", "--user", name, &source, "one"])
        .stdin(password)
        .succeeds();
    wharf(&own, ["import", &source, "two"])
        .env("WHARF_REGISTRY_USER", name)
        .env("WHARF_REGISTRY_PASSWORD", password)
        .succeeds();
    let auth = BASE64_STANDARD.encode(format!("{name}:{password}"));
    let auths = serde_json::json!({"auths": {private.host(): {"auth": auth}}});
    fs::write(folder.path().join("config.json"), auths.to_string()).expect("written");
    let with_file = |words: &[&str]| {
        let command = wharf(&own, words.iter().copied());
        command.env("DOCKER_CONFIG", folder.path()).succeeds()
    };
    with_file(&["import", &source, "three"]);
    let mine = Client::new(own.base());
    for repository in ["one", "two", "three"] {
        is_whole(&mine, repository, "v1");
    }
    let (layout, image) = image::layout(folder.path().join("made"), "v9");
    wharf(
        &own,
        ["import", &format!("oci:{}", layout.display()), "three"],
    )
    .succeeds();
    let target = format!("docker://{}/exported", private.host());
    let told = with_file(&["export", "--all-tags", "three", &target]);
    assert!(told.contains("copied 2 images"), "{told}");
    let path = format!("/v2/exported/manifests/{image}");
    assert_eq!(send_as(&client, &alice, "GET", &path, b"").status, 200);
}
