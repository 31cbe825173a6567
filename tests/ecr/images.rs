//! Images and layers, pushed through one door and pulled through the other.

use std::fs;

use serde_json::{Value, json};

use super::Account;
use crate::access::{self, send_as};
use crate::api::http::Client;
use crate::api::{IMAGE, digest, image};
use crate::clients::docker::{build, forget, greets};
use crate::support::docker::docker;
use crate::support::folder;

/// Pushes a layer in parts, and gives its digest.
fn push_layer(account: &Account, repository: &str, bytes: &[u8]) -> String {
    let folder = folder();
    let named = ["--repository-name", repository];
    let begun = account.ask(["initiate-layer-upload"].into_iter().chain(named));
    let id = begun["uploadId"].as_str().expect("an upload");
    let half = bytes.len() / 2;
    for (first, part) in [(0, &bytes[..half]), (half, &bytes[half..])] {
        let file = folder.path().join("part");
        fs::write(&file, part).expect("a file");
        let (from, to) = (first.to_string(), (first + part.len() - 1).to_string());
        let blob = format!("fileb://{}", file.display());
        let words = [
            "--upload-id",
            id,
            "--part-first-byte",
            &from,
            "--part-last-byte",
            &to,
        ];
        let words = words.into_iter().chain(["--layer-part-blob", &blob]);
        let sent = account.ask(["upload-layer-part"].into_iter().chain(named).chain(words));
        assert_eq!(sent["lastByteReceived"], first + part.len() - 1);
    }
    let digest = digest(bytes);
    let words = ["--upload-id", id, "--layer-digests", &digest];
    let ended = account.ask(
        ["complete-layer-upload"]
            .into_iter()
            .chain(named)
            .chain(words),
    );
    assert_eq!(ended["layerDigest"], digest);
    digest
}

fn put(account: &Account, repository: &str, manifest: &str, tag: &str) -> crate::support::Command {
    account.command([
        "put-image",
        "--repository-name",
        repository,
        "--image-manifest",
        manifest,
        "--image-manifest-media-type",
        IMAGE,
        "--image-tag",
        tag,
    ])
}

#[test]
fn what_is_pushed_through_one_door_is_pulled_through_the_other() {
    let account = Account::new();
    let client = Client::new(account.registry.base());
    let alice = access::user(&account.registry, "alice", "write", "*");
    account.ask(["create-repository", "--repository-name", "team/app"]);
    let named = ["--repository-name", "team/app"];
    let bytes = b"a layer that was pushed in two parts";
    let layer = push_layer(&account, "team/app", bytes);
    let manifest = image(bytes).to_string();
    let pushed: Value =
        serde_json::from_str(&put(&account, "team/app", &manifest, "v1").succeeds()).expect("JSON");
    let own = digest(manifest.as_bytes());
    assert_eq!(
        pushed["image"]["imageId"],
        json!({"imageDigest": own, "imageTag": "v1"})
    );
    assert!(
        put(&account, "team/app", &manifest, "v1")
            .fails()
            .contains("ImageAlreadyExistsException")
    );
    put(&account, "team/app", &manifest, "v2").succeeds();

    let pulled = send_as(&client, &alice, "GET", "/v2/team/app/manifests/v1", b"");
    assert_eq!(pulled.body, manifest.as_bytes());
    let pulled = send_as(
        &client,
        &alice,
        "GET",
        &format!("/v2/team/app/blobs/{layer}"),
        b"",
    );
    assert_eq!(pulled.body, bytes);

    let other = access::push_image(&client, &alice, "team/app");
    let checked = account.ask(
        ["batch-check-layer-availability"]
            .into_iter()
            .chain(named)
            .chain(["--layer-digests", &other, "sha256:00", "nonsense"]),
    );
    assert_eq!(checked["layers"][0]["layerAvailability"], "AVAILABLE");
    assert_eq!(checked["failures"].as_array().map(Vec::len), Some(2));
    let url = account.ask(
        ["get-download-url-for-layer"]
            .into_iter()
            .chain(named)
            .chain(["--layer-digest", &other]),
    );
    let url = url["downloadUrl"].as_str().expect("an address");
    let path = url
        .strip_prefix(account.registry.base())
        .expect("our own address");
    assert_eq!(client.get(path).body, b"team/app", "without any credential");
    for (from, to) in [
        ("signature=", "signature=0"),
        ("expires=", "expires=9"),
        ("team%2Fapp", "team%2Fother"),
    ] {
        let forged = path.replacen(from, to, 1);
        assert_ne!(forged, path);
        assert_eq!(client.get(&forged).status, 403, "{from}");
    }

    let got = account.ask(["batch-get-image"].into_iter().chain(named).chain([
        "--image-ids",
        "imageTag=v1",
        "imageTag=none",
        "imageDigest=x",
    ]));
    assert_eq!(got["images"].as_array().map(Vec::len), Some(1));
    let codes: Vec<&str> = got["failures"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["failureCode"].as_str())
        .collect();
    assert_eq!(codes, ["ImageNotFound", "InvalidImageDigest"]);

    let listed = account.ask(["list-images"].into_iter().chain(named));
    assert_eq!(
        listed["imageIds"].as_array().map(Vec::len),
        Some(2),
        "{listed}"
    );
    let described = account.ask(
        ["describe-images"]
            .into_iter()
            .chain(named)
            .chain(["--image-ids", "imageTag=v2"]),
    );
    let detail = &described["imageDetails"][0];
    assert_eq!(detail["imageDigest"], own);
    assert_eq!(detail["imageManifestMediaType"], IMAGE);
    assert_eq!(detail["imageStatus"], "ACTIVE");
    assert!(detail["imageSizeInBytes"].as_u64() > Some(0));
    let unknown = ["describe-images"]
        .into_iter()
        .chain(named)
        .chain(["--image-ids", "imageTag=none"]);
    assert_eq!(account.refusal(unknown), "ImageNotFoundException");

    let deleted = account.ask(
        ["batch-delete-image"]
            .into_iter()
            .chain(named)
            .chain(["--image-ids", "imageTag=v2"]),
    );
    assert_eq!(deleted["imageIds"][0]["imageTag"], "v2");
    let status = |tag: &str| {
        send_as(
            &client,
            &alice,
            "GET",
            &format!("/v2/team/app/manifests/{tag}"),
            b"",
        )
        .status
    };
    assert_eq!((status("v1"), status("v2")), (200, 404));
    let force = ["delete-repository"].into_iter().chain(named);
    assert_eq!(
        account.refusal(force.clone()),
        "RepositoryNotEmptyException"
    );
    account.ask(force.chain(["--force"]));
    assert_eq!(status("v1"), 404);
}

#[test]
fn parts_and_images_that_make_no_sense_are_refused_in_the_models_words() {
    let account = Account::new();
    account.ask(["create-repository", "--repository-name", "team/app"]);
    let named = ["--repository-name", "team/app"];
    let begun = account.ask(["initiate-layer-upload"].into_iter().chain(named));
    let id = begun["uploadId"].as_str().expect("an upload");
    let part = |id: &str, first: &str, last: &str| {
        let words = [
            "--upload-id",
            id,
            "--part-first-byte",
            first,
            "--part-last-byte",
            last,
        ];
        let words = words.into_iter().chain(["--layer-part-blob", "xyz"]);
        account.refusal(["upload-layer-part"].into_iter().chain(named).chain(words))
    };
    assert_eq!(part(id, "5", "7"), "InvalidLayerPartException");
    assert_eq!(part(id, "0", "9"), "InvalidLayerPartException");
    assert_eq!(
        part("01a209ad-7875-7713-95d0-d53b08b76f21", "0", "2"),
        "UploadNotFoundException"
    );
    assert_eq!(part("x", "0", "2"), "InvalidParameterException");
    let empty = ["--upload-id", id, "--layer-digests", &digest(b"x")];
    let complete = ["complete-layer-upload"].into_iter().chain(named);
    assert_eq!(
        account.refusal(complete.clone().chain(empty)),
        "EmptyUploadException"
    );

    push_layer(&account, "team/app", b"a layer");
    let again = account.ask(["initiate-layer-upload"].into_iter().chain(named));
    let id = again["uploadId"].as_str().expect("an upload");
    let words = [
        "--upload-id",
        id,
        "--part-first-byte",
        "0",
        "--part-last-byte",
        "2",
        "--layer-part-blob",
        "xyz",
    ];
    account.ask(["upload-layer-part"].into_iter().chain(named).chain(words));
    let wrong = ["--upload-id", id, "--layer-digests", &digest(b"another")];
    assert_eq!(
        account.refusal(complete.clone().chain(wrong)),
        "InvalidLayerException"
    );

    let missing = image(b"never pushed").to_string();
    assert!(
        put(&account, "team/app", &missing, "v1")
            .fails()
            .contains("LayersNotFoundException")
    );
    assert!(
        put(&account, "team/app", "{}", "v1")
            .fails()
            .contains("InvalidParameterException")
    );
    let manifest = image(b"a layer").to_string();
    assert!(
        put(&account, "no/where", &manifest, "v1")
            .fails()
            .contains("RepositoryNotFoundException")
    );
    let mismatch = put(&account, "team/app", &manifest, "v1")
        .arg("--image-digest")
        .arg(digest(b"x"));
    assert!(
        mismatch
            .fails()
            .contains("ImageDigestDoesNotMatchException")
    );
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": IMAGE, "digest": digest(b"none"), "size": 1}]});
    let put_index = account.command([
        "put-image",
        "--repository-name",
        "team/app",
        "--image-manifest",
        &index.to_string(),
        "--image-tag",
        "index",
    ]);
    assert!(
        put_index
            .fails()
            .contains("ReferencedImagesNotFoundException")
    );
}

#[test]
fn an_immutable_tag_stays_on_both_doors() {
    let account = Account::new();
    let client = Client::new(account.registry.base());
    let alice = access::user(&account.registry, "alice", "write", "*");
    account.ask(["create-repository", "--repository-name", "team/app"]);
    let filters = r#"[{"filterType": "WILDCARD", "filter": "latest*"}]"#;
    let put_mutability = [
        "put-image-tag-mutability",
        "--repository-name",
        "team/app",
        "--image-tag-mutability",
    ];
    let changed = account.ask(put_mutability.into_iter().chain([
        "IMMUTABLE_WITH_EXCLUSION",
        "--image-tag-mutability-exclusion-filters",
        filters,
    ]));
    assert_eq!(changed["imageTagMutability"], "IMMUTABLE_WITH_EXCLUSION");
    let lacking = put_mutability
        .into_iter()
        .chain(["IMMUTABLE_WITH_EXCLUSION"]);
    assert_eq!(account.refusal(lacking), "InvalidParameterException");

    for bytes in [&b"one"[..], b"two"] {
        push_layer(&account, "team/app", bytes);
    }
    let (one, two) = (image(b"one").to_string(), image(b"two").to_string());
    let basic = alice.basic();
    let headers = [("Authorization", basic.as_str()), ("Content-Type", IMAGE)];
    let push = |tag: &str, manifest: &str| {
        let path = format!("/v2/team/app/manifests/{tag}");
        client.send("PUT", &path, &headers, manifest.as_bytes())
    };
    assert_eq!(push("v1", &one).status, 201);
    assert_eq!(push("v1", &one).status, 201, "the same again is no error");
    let refused = push("v1", &two);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "TAG_INVALID")
    );
    assert!(
        put(&account, "team/app", &one, "v1")
            .fails()
            .contains("ImageAlreadyExistsException")
    );
    assert!(
        put(&account, "team/app", &two, "v1")
            .fails()
            .contains("ImageTagAlreadyExistsException")
    );
    assert_eq!(push("latest-dev", &one).status, 201);
    assert_eq!(push("latest-dev", &two).status, 201, "it is excluded");
    account.ask(put_mutability.into_iter().chain(["MUTABLE"]));
    assert_eq!(push("v1", &two).status, 201);
}

#[test]
fn of_many_pushes_to_one_immutable_tag_exactly_one_wins() {
    let account = Account::new();
    let alice = access::user(&account.registry, "alice", "write", "*");
    account.ask([
        "create-repository",
        "--repository-name",
        "team/app",
        "--image-tag-mutability",
        "IMMUTABLE",
    ]);
    let base = account.registry.base();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let pushes: Vec<_> = (0..64)
            .map(|number: u32| {
                let alice = &alice;
                scope.spawn(move || {
                    let client = Client::new(base);
                    let bytes = number.to_be_bytes();
                    let path = format!("/v2/team/app/blobs/uploads/?digest={}", digest(&bytes));
                    assert_eq!(send_as(&client, alice, "POST", &path, &bytes).status, 201);
                    let basic = alice.basic();
                    let headers = [("Authorization", basic.as_str()), ("Content-Type", IMAGE)];
                    let manifest = image(&bytes).to_string();
                    client
                        .send(
                            "PUT",
                            "/v2/team/app/manifests/v1",
                            &headers,
                            manifest.as_bytes(),
                        )
                        .status
                })
            })
            .collect();
        pushes
            .into_iter()
            .map(|push| push.join().expect("it ended"))
            .collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 400).count(),
        63,
        "{statuses:?}"
    );
}

#[test]
fn an_archived_image_is_listed_and_not_pulled() {
    let account = Account::new();
    let client = Client::new(account.registry.base());
    let alice = access::user(&account.registry, "alice", "write", "*");
    access::push_image(&client, &alice, "team/app");
    let update = |class: &str| {
        account.ask([
            "update-image-storage-class",
            "--repository-name",
            "team/app",
            "--image-id",
            "imageTag=v1",
            "--target-storage-class",
            class,
        ])["imageStatus"]
            .clone()
    };
    let pull = || send_as(&client, &alice, "GET", "/v2/team/app/manifests/v1", b"").status;
    assert_eq!(update("ARCHIVE"), "ARCHIVED");
    assert_eq!(pull(), 404);
    let named = ["--repository-name", "team/app"];
    let described = account.ask(["describe-images"].into_iter().chain(named));
    let detail = &described["imageDetails"][0];
    assert_eq!(detail["imageStatus"], "ARCHIVED");
    assert!(detail["lastArchivedAt"].is_number());
    let got = account.ask(
        ["batch-get-image"]
            .into_iter()
            .chain(named)
            .chain(["--image-ids", "imageTag=v1"]),
    );
    assert_eq!(got["failures"][0]["failureCode"], "ImageInaccessible");
    assert_eq!(update("STANDARD"), "ACTIVE");
    assert_eq!(pull(), 200);
    update("ARCHIVE");
    access::push_image(&client, &alice, "team/app");
    assert_eq!(pull(), 200, "a push brings it back");
}

#[test]
fn an_index_goes_before_its_images_and_referrers_are_listed() {
    let account = Account::new();
    let client = Client::new(account.registry.base());
    let alice = access::user(&account.registry, "alice", "write", "*");
    access::push_image(&client, &alice, "team/app");
    let child = image(b"team/app").to_string();
    let child_digest = digest(child.as_bytes());
    let basic = alice.basic();
    let push = |kind: &str, reference: &str, manifest: &Value| {
        let text = manifest.to_string();
        let headers = [("Authorization", basic.as_str()), ("Content-Type", kind)];
        let path = format!("/v2/team/app/manifests/{reference}");
        assert_eq!(
            client.send("PUT", &path, &headers, text.as_bytes()).status,
            201
        );
        digest(text.as_bytes())
    };
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind,
        "manifests": [{"mediaType": IMAGE, "digest": child_digest, "size": child.len()}]});
    let index = push(kind, "all", &index);
    let mut signature = image(b"team/app");
    signature["subject"] = json!({"mediaType": IMAGE, "digest": child_digest, "size": child.len()});
    signature["artifactType"] = "application/vnd.example.signature".into();
    let signature = push(IMAGE, "signature", &signature);

    let named = ["--repository-name", "team/app"];
    let subject = format!("imageDigest={child_digest}");
    let list = ["list-image-referrers"]
        .into_iter()
        .chain(named)
        .chain(["--subject-id", &subject]);
    let listed = account.ask(list);
    assert_eq!(listed["referrers"][0]["digest"], signature);
    assert_eq!(
        listed["referrers"][0]["artifactType"],
        "application/vnd.example.signature"
    );

    let id = format!("imageDigest={child_digest}");
    let delete = ["batch-delete-image"]
        .into_iter()
        .chain(named)
        .chain(["--image-ids", &id]);
    let refused = account.ask(delete.clone());
    assert_eq!(
        refused["failures"][0]["failureCode"],
        "ImageReferencedByManifestList"
    );
    let both = format!("imageDigest={index}");
    let deleted = account.ask(delete.chain([both.as_str()]));
    assert_eq!(
        deleted["failures"],
        json!([]),
        "together they go, in the order that works"
    );
}

#[test]
fn docker_logs_in_with_the_password_of_aws() {
    let (account, docker, folder) = (Account::new(), docker(), folder());
    let password = account.command(["get-login-password"]).succeeds();
    let token = account.ask(["get-authorization-token"]);
    let data = &token["authorizationData"][0];
    assert_eq!(data["proxyEndpoint"], account.registry.base());
    assert!(data["expiresAt"].is_number());
    let with = |words: &[&str]| {
        docker
            .command([])
            .env("DOCKER_CONFIG", folder.path())
            .args(words)
    };
    let host = account.registry.host();
    with(&["login", "-u", "AWS", "--password-stdin", host])
        .stdin(&password)
        .succeeds();
    let name = account.registry.image("team/aws:1");
    build(docker, &name);
    with(&["push", &name]).succeeds();
    forget(docker, &name);
    with(&["pull", &name]).succeeds();
    greets(docker, &name);
}

#[test]
fn a_pull_is_recorded_unless_its_principal_is_excluded() {
    let account = Account::new();
    let client = Client::new(account.registry.base());
    let alice = access::user(&account.registry, "alice", "write", "*");
    for name in ["team/pulled", "team/excluded"] {
        access::push_image(&client, &alice, name);
    }
    let pull = |name: &str| {
        send_as(
            &client,
            &alice,
            "GET",
            &format!("/v2/{name}/manifests/v1"),
            b"",
        )
        .status
    };
    assert_eq!(pull("team/pulled"), 200);
    let arn = "arn:aws:iam::000000000000:user/alice";
    let register = [
        "register-pull-time-update-exclusion",
        "--principal-arn",
        arn,
    ];
    assert_eq!(account.ask(register)["principalArn"], arn);
    assert_eq!(account.refusal(register), "ExclusionAlreadyExistsException");
    let all = account.ask(["list-pull-time-update-exclusions"]);
    assert_eq!(all["pullTimeUpdateExclusions"], json!([arn]));
    assert_eq!(pull("team/excluded"), 200);
    let pulled_at = |name: &str| {
        let described = account.ask(["describe-images", "--repository-name", name]);
        described["imageDetails"][0]["lastRecordedPullTime"].clone()
    };
    crate::support::wait::until(
        "the time of the pull",
        std::time::Duration::from_secs(30),
        || pulled_at("team/pulled").is_number().then_some(()),
    );
    assert_eq!(pulled_at("team/excluded"), Value::Null);
    let deregister = [
        "deregister-pull-time-update-exclusion",
        "--principal-arn",
        arn,
    ];
    account.ask(deregister);
    assert_eq!(account.refusal(deregister), "ExclusionNotFoundException");
}
