//! The command line: what waits for collection, what keeps a digest, what can be restored.

use serde_json::json;

use super::stored_blobs;
use crate::api::http::Client;
use crate::api::{IMAGE, digest};
use crate::support::Registry;

fn push(client: &Client, repository: &str, tag: &str, config: &[u8]) -> String {
    let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(config));
    let answer = client.send("POST", &path, &[], config);
    assert_eq!(answer.status, 201, "{answer:?}");
    let kind = "application/vnd.oci.image.config.v1+json";
    let document = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {"mediaType": kind, "digest": digest(config), "size": config.len()},
        "layers": [],
    })
    .to_string();
    let path = format!("/v2/{repository}/manifests/{tag}");
    let headers = [("Content-Type", IMAGE)];
    let answer = client.send("PUT", &path, &headers, document.as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
    digest(document.as_bytes())
}

fn status(client: &Client, path: &str) -> u16 {
    client.get(path).status
}

/// A server that collects only when it is told to, without graces.
fn registry() -> Registry {
    Registry::wharf_with(&[("WHARF__GC__RUN_EVERY", "0s")])
}

fn told(registry: &Registry, words: &[&str]) -> String {
    registry
        .administer(words.iter().copied())
        .env("WHARF__GC__KEEP_DELETED", "0s")
        .env("WHARF__GC__GRACE", "1ms")
        .env("WHARF__GC__KEEP_CONDEMNED", "0s")
        .succeeds()
}

#[test]
fn what_nothing_needs_is_told_and_goes() {
    let mut registry = registry();
    let client = Client::new(registry.base());
    let keep = push(&client, "gc/app", "keep", b"{\"keep\":1}");
    let drop = push(&client, "gc/app", "drop", b"{\"drop\":1}");
    let path = format!("/v2/gc/app/manifests/{drop}");
    assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);

    let plan = registry.administer(["gc", "plan"]).succeeds();
    assert!(
        plan.contains("manifests in the trash: 1, of which 0"),
        "{plan}"
    );
    assert!(plan.contains("under review: 2, of which 0"), "{plan}");
    let plan = told(&registry, &["gc", "plan"]);
    assert!(
        plan.contains("manifests in the trash: 1, of which 1"),
        "{plan}"
    );

    // With its usual graces a run finds nothing.
    let ran = registry.administer(["gc", "run"]).succeeds();
    assert!(ran.contains("purged 0 manifests"), "{ran}");
    assert!(
        ran.contains("the running server removes their bytes"),
        "{ran}"
    );
    told(&registry, &["gc", "run"]);
    let ran = told(&registry, &["gc", "run"]);
    assert!(ran.contains("purged 0 manifests"), "{ran}");
    told(&registry, &["gc", "run"]);
    assert_eq!(stored_blobs(&registry.data()), 2, "the server removes them");
    registry.stop();
    let ran = told(&registry, &["gc", "run"]);
    assert!(ran.contains("removed the bytes of 1"), "{ran}");
    assert_eq!(stored_blobs(&registry.data()), 1);

    registry.start_again();
    let client = Client::new(registry.base());
    assert_eq!(
        status(&client, &format!("/v2/gc/app/manifests/{keep}")),
        200
    );
    let audit = registry.administer(["audit"]).succeeds();
    assert!(audit.contains("gc run"), "{audit}");
}

#[test]
fn it_can_be_told_what_keeps_a_digest_and_what_removed_it() {
    let registry = registry();
    let client = Client::new(registry.base());
    let config = b"{\"why\":1}";
    let manifest = push(&client, "gc/why", "v1", config);
    let config = digest(config);
    let why = |digest: &str| registry.administer(["why", digest]).succeeds();
    let told_of = why(&config);
    assert!(told_of.contains("blob in gc/why since"), "{told_of}");
    let kept_by = format!("  manifest {manifest} (v1)");
    assert!(told_of.contains(&kept_by), "{told_of}");
    let told_of = why(&manifest);
    assert!(told_of.contains("manifest in gc/why since"), "{told_of}");
    assert!(told_of.contains("named by v1"), "{told_of}");

    let path = format!("/v2/gc/why/manifests/{manifest}");
    assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    let told_of = why(&config);
    assert!(told_of.contains("which is in the trash"), "{told_of}");
    assert!(why(&manifest).contains("can be restored until"));
    for _ in 0..3 {
        told(&registry, &["gc", "run"]);
    }
    let told_of = why(&manifest);
    assert!(
        told_of.contains("its time in the trash was over"),
        "{told_of}"
    );
    let told_of = why(&config);
    assert!(
        told_of.contains("no manifest of the repository named it"),
        "{told_of}"
    );
    assert!(
        told_of.contains("no repository had it any more"),
        "{told_of}"
    );
    let never = digest(b"never");
    assert_eq!(why(&never).trim(), "nothing is known of it");
    let failed = registry.administer(["why", "no digest"]).fails();
    assert!(failed.contains("digest"), "{failed}");
}

#[test]
fn what_was_deleted_is_listed_and_restored() {
    let registry = registry();
    let client = Client::new(registry.base());
    let manifest = push(&client, "gc/trash", "v1", b"{\"trash\":1}");
    let path = format!("/v2/gc/trash/manifests/{manifest}");
    assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    assert_eq!(status(&client, "/v2/gc/trash/manifests/v1"), 404);
    let list = registry.administer(["trash", "list"]).succeeds();
    assert!(
        list.starts_with(&format!("gc/trash@{manifest}\tv1\t")),
        "{list}"
    );

    let words = ["trash", "restore", "gc/trash", &manifest];
    let restored = registry.administer(words).succeeds();
    assert!(restored.contains("restored 1 manifests"), "{restored}");
    assert!(restored.contains("tags: v1"), "{restored}");
    assert_eq!(status(&client, "/v2/gc/trash/manifests/v1"), 200);
    let failed = registry.administer(words).fails();
    assert!(failed.contains("in the trash"), "{failed}");
    assert_eq!(registry.administer(["trash", "list"]).succeeds(), "");
}

#[test]
fn a_tag_is_taken_back_to_what_it_named() {
    let registry = registry();
    let client = Client::new(registry.base());
    let good = push(&client, "gc/tag", "live", b"{\"good\":1}");
    let bad = push(&client, "gc/tag", "live", b"{\"bad\":1}");
    let history = registry
        .administer(["tag", "history", "gc/tag", "live"])
        .succeeds();
    let moves: Vec<Vec<&str>> = history
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(moves[0][1..], [&good, &bad, "anonymous"]);
    assert_eq!(moves[1][1..], ["-", &good, "anonymous"]);

    registry
        .administer(["tag", "rollback", "gc/tag", "live"])
        .succeeds();
    let head = client.send("HEAD", "/v2/gc/tag/manifests/live", &[], b"");
    assert_eq!(head.header("docker-content-digest"), Some(good.as_str()));
    registry
        .administer(["tag", "rollback", "gc/tag", "live", "--to", &bad])
        .succeeds();
    let head = client.send("HEAD", "/v2/gc/tag/manifests/live", &[], b"");
    assert_eq!(head.header("docker-content-digest"), Some(bad.as_str()));
    let never = digest(b"never");
    let failed = registry
        .administer(["tag", "rollback", "gc/tag", "live", "--to", &never])
        .fails();
    assert!(failed.contains("live has not named that"), "{failed}");
}
