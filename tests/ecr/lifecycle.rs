//! Lifecycle policies: kept, previewed, run; leases and locks.

use serde_json::{Value, json};

use super::Account;
use crate::access::{self, send_as, send_json};
use crate::api::http::Client;
use crate::api::{IMAGE, digest, image};

fn keep(number: u32) -> String {
    json!({"rules": [{"rulePriority": 1, "description": "keep the newest", "selection": {
        "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": number,
    }, "action": {"type": "expire"}}]})
    .to_string()
}

/// Pushes images v1 to vN, and gives their digests.
fn push(client: &Client, login: &access::Login, repository: &str, count: u8) -> Vec<String> {
    (1..=count)
        .map(|number| {
            let bytes = [number];
            let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(&bytes));
            assert_eq!(send_as(client, login, "POST", &path, &bytes).status, 201);
            let manifest = image(&bytes).to_string();
            let basic = login.basic();
            let headers = [("Authorization", basic.as_str()), ("Content-Type", IMAGE)];
            let path = format!("/v2/{repository}/manifests/v{number}");
            assert_eq!(
                client
                    .send("PUT", &path, &headers, manifest.as_bytes())
                    .status,
                201
            );
            digest(manifest.as_bytes())
        })
        .collect()
}

#[test]
fn a_preview_tells_what_a_run_does() {
    let account = Account::new();
    let client = Client::new(account.registry.base());
    let alice = access::user(&account.registry, "alice", "admin", "*");
    push(&client, &alice, "team/app", 5);
    let named = ["--repository-name", "team/app"];
    let get = ["get-lifecycle-policy"].into_iter().chain(named);
    assert_eq!(
        account.refusal(get.clone()),
        "LifecyclePolicyNotFoundException"
    );
    let text = keep(2);
    let put = ["put-lifecycle-policy"]
        .into_iter()
        .chain(named)
        .chain(["--lifecycle-policy-text"]);
    assert_eq!(
        account.ask(put.clone().chain([text.as_str()]))["lifecyclePolicyText"],
        text
    );
    assert_eq!(account.ask(get.clone())["lifecyclePolicyText"], text);
    let wrong = keep(2).replace("expire", "explode");
    assert_eq!(
        account.refusal(put.chain([wrong.as_str()])),
        "InvalidParameterException"
    );

    let preview = ["get-lifecycle-policy-preview"].into_iter().chain(named);
    assert_eq!(
        account.refusal(preview.clone()),
        "LifecyclePolicyPreviewNotFoundException"
    );
    let started = account.ask(["start-lifecycle-policy-preview"].into_iter().chain(named));
    assert_eq!(started["status"], "IN_PROGRESS");
    account
        .command(
            ["wait", "lifecycle-policy-preview-complete"]
                .into_iter()
                .chain(named),
        )
        .succeeds();
    let previewed = account.ask(preview.clone());
    assert_eq!(previewed["status"], "COMPLETE");
    assert_eq!(previewed["summary"]["expiringImageTotalCount"], 3);
    let result = &previewed["previewResults"][0];
    assert_eq!(
        (&result["action"]["type"], &result["appliedRulePriority"]),
        (&json!("EXPIRE"), &json!(1))
    );
    let filtered = account.ask(preview.chain(["--image-ids", "imageTag=v1", "imageTag=v5"]));
    assert_eq!(
        filtered["previewResults"].as_array().map(Vec::len),
        Some(1),
        "{filtered}"
    );

    let told = account
        .registry
        .administer(["lifecycle", "preview", "team/app"])
        .succeeds();
    assert_eq!(told.matches("\texpire\t").count(), 3, "{told}");
    assert_eq!(told.matches("\tkeep\t").count(), 2, "{told}");
    account
        .registry
        .administer(["lifecycle", "run", "team/app"])
        .succeeds();
    let tags = send_as(&client, &alice, "GET", "/v2/team/app/tags/list", b"").json();
    assert_eq!(tags["tags"], json!(["v4", "v5"]));
    assert!(account.ask(get)["lastEvaluatedAt"].is_number());
    let deleted = account.ask(["delete-lifecycle-policy"].into_iter().chain(named));
    assert_eq!(deleted["lifecyclePolicyText"], text);
}

#[test]
fn what_is_leased_or_locked_is_not_removed() {
    let account = Account::new();
    let client = Client::new(account.registry.base());
    let alice = access::user(&account.registry, "alice", "admin", "*");
    let digests = push(&client, &alice, "team/app", 4);
    let lease = |method: &str, body: &Value| {
        let path = format!("/leases/{}", digests[0]);
        send_json(&client, &alice, method, &path, body)
    };
    let taken = lease("PUT", &json!({"holder": "cluster/a", "term_seconds": 600}));
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(
        lease("GET", &json!({})).json()["leases"][0]["holder"],
        "cluster/a"
    );
    assert_eq!(
        lease("PUT", &json!({"holder": "", "term_seconds": 600})).status,
        400
    );
    assert_eq!(
        lease("PUT", &json!({"holder": "a", "term_seconds": 0})).status,
        400
    );
    account
        .registry
        .administer(["tag", "lock", "team/app", "v2"])
        .succeeds();

    let text = keep(1);
    let named = ["--repository-name", "team/app"];
    let put = ["put-lifecycle-policy"]
        .into_iter()
        .chain(named)
        .chain(["--lifecycle-policy-text", text.as_str()]);
    account.ask(put);
    let told = account
        .registry
        .administer(["lifecycle", "preview", "team/app"])
        .succeeds();
    assert!(told.contains("somebody runs it"), "{told}");
    assert!(told.contains("a tag is locked"), "{told}");
    let run = || {
        account
            .registry
            .administer(["lifecycle", "run", "team/app"])
            .succeeds()
    };
    let tags =
        || send_as(&client, &alice, "GET", "/v2/team/app/tags/list", b"").json()["tags"].clone();
    run();
    assert_eq!(tags(), json!(["v1", "v2", "v4"]));
    assert_eq!(lease("DELETE", &json!({"holder": "cluster/a"})).status, 204);
    account
        .registry
        .administer(["tag", "unlock", "team/app", "v2"])
        .succeeds();
    run();
    assert_eq!(tags(), json!(["v4"]));
}
