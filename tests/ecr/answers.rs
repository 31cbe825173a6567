//! What operations answer to requests that no client makes: foreign ARNs and accounts, tokens of
//! other lists, ids that are none, pages of one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::api::http::Client;
use crate::api::{IMAGE, digest, image};
use crate::support::Registry;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The ECR door of an open server.
struct Door {
    _registry: Registry,
    client: Client,
}

impl Door {
    fn new() -> Self {
        let registry = Registry::wharf();
        let client = Client::new(registry.base());
        Self {
            _registry: registry,
            client,
        }
    }

    fn send(&self, operation: &str, input: &Value) -> (u16, Value) {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        let headers = [("X-Amz-Target", target.as_str())];
        let answer = self
            .client
            .send("POST", "/", &headers, input.to_string().as_bytes());
        (answer.status, answer.json())
    }

    fn ask(&self, operation: &str, input: &Value) -> Value {
        let (status, answer) = self.send(operation, input);
        assert_eq!(status, 200, "{operation} {input}: {answer}");
        answer
    }

    /// The name of the error.
    fn refusal(&self, operation: &str, input: &Value) -> String {
        let (status, answer) = self.send(operation, input);
        assert_eq!(status, 400, "{operation} {input}: {answer}");
        let name = answer["__type"].as_str().unwrap_or_default();
        name.to_owned()
    }

    fn create(&self, repository: &str) {
        self.ask("CreateRepository", &json!({"repositoryName": repository}));
    }

    /// Pushes a manifest through `/v2`, and gives its digest.
    fn push(&self, repository: &str, kind: &str, reference: &str, manifest: &Value) -> String {
        let text = manifest.to_string();
        let own = digest(text.as_bytes());
        let reference = if reference.is_empty() {
            own.as_str()
        } else {
            reference
        };
        let path = format!("/v2/{repository}/manifests/{reference}");
        let headers = [("Content-Type", kind)];
        let answer = self.client.send("PUT", &path, &headers, text.as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
        own
    }

    /// Pushes an image with this content, and its content.
    fn push_image(&self, repository: &str, content: &[u8], reference: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(content));
        assert_eq!(self.client.send("POST", &path, &[], content).status, 201);
        self.push(repository, IMAGE, reference, &image(content))
    }

    fn pulls(&self, repository: &str, reference: &str) -> u16 {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.client.get(&path).status
    }
}

fn layer_part(repository: &str, upload: &str, first: u64, last: u64, bytes: &[u8]) -> Value {
    json!({"repositoryName": repository, "uploadId": upload, "partFirstByte": first,
        "partLastByte": last, "layerPartBlob": BASE64_STANDARD.encode(bytes)})
}

#[test]
fn a_repository_appears_at_a_push_where_a_template_is_for_it() {
    let door = Door::new();
    let initiate = |name: &str| json!({"repositoryName": name});
    assert_eq!(
        door.refusal("InitiateLayerUpload", &initiate("team/app")),
        "RepositoryNotFoundException",
        "as on AWS, without a template"
    );
    let template = json!({"prefix": "team", "appliedFor": ["CREATE_ON_PUSH"],
        "imageTagMutability": "IMMUTABLE"});
    door.ask("CreateRepositoryCreationTemplate", &template);
    let other = json!({"prefix": "mirror", "appliedFor": ["PULL_THROUGH_CACHE"]});
    door.ask("CreateRepositoryCreationTemplate", &other);

    let begun = door.ask("InitiateLayerUpload", &initiate("team/app"));
    let upload = begun["uploadId"].as_str().expect("an upload");
    let content = b"a layer";
    let part = layer_part("team/app", upload, 0, 6, content);
    door.ask("UploadLayerPart", &part);
    let ended = json!({"repositoryName": "team/app", "uploadId": upload,
        "layerDigests": [digest(content)]});
    door.ask("CompleteLayerUpload", &ended);
    let manifest = image(content).to_string();
    let put = json!({"repositoryName": "team/app", "imageManifest": manifest, "imageTag": "v1"});
    door.ask("PutImage", &put);
    let described = door.ask(
        "DescribeRepositories",
        &json!({"repositoryNames": ["team/app"]}),
    );
    assert_eq!(
        described["repositories"][0]["imageTagMutability"],
        "IMMUTABLE"
    );

    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    let put = |name: &str| json!({"repositoryName": name, "imageManifest": index});
    door.ask("PutImage", &put("team/index"));
    for name in ["mirror/app", "teammate/app"] {
        for (operation, input) in [
            ("InitiateLayerUpload", initiate(name)),
            ("PutImage", put(name)),
        ] {
            let refused = door.refusal(operation, &input);
            assert_eq!(refused, "RepositoryNotFoundException", "{operation} {name}");
        }
    }
}

#[test]
fn putting_an_archived_image_restores_it_with_its_group_and_tells() {
    let door = Door::new();
    let child = door.push_image("team/app", b"content", "");
    let descriptor = json!({"mediaType": IMAGE, "digest": child, "size": 1});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]});
    let own = door.push("team/app", INDEX, "v1", &index);
    let archive = json!({"repositoryName": "team/app", "imageId": {"imageTag": "v1"},
        "targetStorageClass": "ARCHIVE"});
    let both = || (door.pulls("team/app", "v1"), door.pulls("team/app", &child));
    let move_child = json!({"repositoryName": "team/app", "imageId": {"imageDigest": child},
        "targetStorageClass": "ARCHIVE"});
    assert_eq!(
        door.refusal("UpdateImageStorageClass", &move_child),
        "ImageStorageClassUpdateNotSupportedException",
        "an index that can be pulled names it"
    );
    door.ask("UpdateImageStorageClass", &archive);
    assert_eq!(both(), (404, 404), "an index is archived with its images");
    door.ask("UpdateImageStorageClass", &move_child);

    let put = json!({"repositoryName": "team/app", "imageManifest": index.to_string(),
        "imageTag": "v1"});
    assert_eq!(
        door.ask("PutImage", &put)["image"]["imageId"]["imageDigest"],
        own
    );
    assert_eq!(both(), (200, 200));
    assert_eq!(
        door.refusal("PutImage", &put),
        "ImageAlreadyExistsException"
    );
    let events = door.client.get("/events?after=0&limit=1000").json();
    let restored: Vec<&Value> = events["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| event["type"] == "wharf.image.restored")
        .collect();
    assert_eq!(restored.len(), 2, "{events}");

    door.ask("UpdateImageStorageClass", &archive);
    let restore = json!({"repositoryName": "team/app", "imageId": {"imageTag": "v1"},
        "targetStorageClass": "STANDARD"});
    door.ask("UpdateImageStorageClass", &restore);
    assert_eq!(both(), (200, 200), "and comes back with them");
}

#[test]
fn an_arn_of_another_place_is_refused() {
    let door = Door::new();
    door.create("team/app");
    let made = door.ask("DescribeRepositories", &json!({}));
    let arn = made["repositories"][0]["repositoryArn"]
        .as_str()
        .expect("an arn");
    door.ask("ListTagsForResource", &json!({"resourceArn": arn}));
    for (from, to) in [
        ("arn:aws:", "arn:aws-cn:"),
        (":ecr:", ":s3:"),
        (":ecr:", ":ecr:mars-"),
        ("000000000000", "123456789012"),
        ("repository/", "bucket/"),
        ("arn:", "urn:"),
    ] {
        let foreign = arn.replacen(from, to, 1);
        assert_ne!(foreign, arn);
        for (operation, more) in [
            ("ListTagsForResource", json!({})),
            ("TagResource", json!({"tags": [{"Key": "a", "Value": "b"}]})),
            ("UntagResource", json!({"tagKeys": ["a"]})),
        ] {
            let mut input = more;
            input["resourceArn"] = foreign.as_str().into();
            let refused = door.refusal(operation, &input);
            assert_eq!(
                refused, "InvalidParameterException",
                "{operation} {foreign}"
            );
        }
    }
}

#[test]
fn another_registry_is_refused_in_words_that_the_operation_has() {
    let door = Door::new();
    let foreign = "123456789012";
    for (operation, input, want) in [
        (
            "CreateRepository",
            json!({"repositoryName": "team/app"}),
            "InvalidParameterException",
        ),
        (
            "DescribePullThroughCacheRules",
            json!({}),
            "InvalidParameterException",
        ),
        (
            "ListReplicationBackfills",
            json!({}),
            "InvalidParameterException",
        ),
        (
            "DescribeRepositories",
            json!({}),
            "RepositoryNotFoundException",
        ),
        (
            "ListImages",
            json!({"repositoryName": "team/app"}),
            "RepositoryNotFoundException",
        ),
    ] {
        let mut input = input;
        input["registryId"] = foreign.into();
        assert_eq!(door.refusal(operation, &input), want, "{operation}");
    }
    let tokens = |ids: &[&str]| json!({"registryIds": ids});
    let refused = door.refusal("GetAuthorizationToken", &tokens(&["000000000000", foreign]));
    assert_eq!(refused, "InvalidParameterException");
}

#[test]
fn a_preview_ends_with_its_repository() {
    let door = Door::new();
    let named = json!({"repositoryName": "team/app"});
    let policy = json!({"rules": [{"rulePriority": 1, "description": "for a test of previews",
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
        "action": {"type": "expire"}}]});
    door.create("team/app");
    let start = json!({"repositoryName": "team/app", "lifecyclePolicyText": policy.to_string()});
    door.ask("StartLifecyclePolicyPreview", &start);
    assert_eq!(
        door.ask("GetLifecyclePolicyPreview", &named)["status"],
        "COMPLETE"
    );
    door.ask("DeleteRepository", &named);
    door.create("team/app");
    assert_eq!(
        door.refusal("GetLifecyclePolicyPreview", &named),
        "LifecyclePolicyPreviewNotFoundException"
    );
}

/// The entries of all pages of a list.
fn all_pages(door: &Door, operation: &str, input: &Value, member: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut input) = (Vec::new(), input.clone());
    loop {
        let answer = door.ask(operation, &input);
        pages.push(answer[member].as_array().cloned().unwrap_or_default());
        match answer["nextToken"].as_str() {
            None => return pages,
            Some(token) => input["nextToken"] = token.into(),
        }
        assert!(pages.len() < 100, "{operation} goes on for ever");
    }
}

#[test]
fn a_page_of_images_has_as_many_ids_as_were_asked_for() {
    let door = Door::new();
    for tag in ["v1", "v2", "v3", "v4"] {
        door.push_image("team/app", b"one", tag);
    }
    let untagged = door.push_image("team/app", b"two", "");
    let input = json!({"repositoryName": "team/app", "maxResults": 1});
    let pages = all_pages(&door, "ListImages", &input, "imageIds");
    assert!(pages.iter().all(|page| page.len() == 1), "{pages:?}");
    let mut told: Vec<String> = pages.concat().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 5);
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 5);
    let filtered = |filter: Value| {
        let input = json!({"repositoryName": "team/app", "maxResults": 1, "filter": filter});
        all_pages(&door, "ListImages", &input, "imageIds").concat()
    };
    let only = json!({"imageDigest": untagged});
    assert_eq!(filtered(json!({"tagStatus": "UNTAGGED"})), [only]);
    assert_eq!(filtered(json!({"tagStatus": "TAGGED"})).len(), 4);
}

#[test]
fn archived_images_are_listed_and_none_is_on_its_way_back() {
    let door = Door::new();
    door.push_image("team/app", b"one", "v1");
    door.push_image("team/app", b"two", "v2");
    let archive = json!({"repositoryName": "team/app", "imageId": {"imageTag": "v1"},
        "targetStorageClass": "ARCHIVE"});
    door.ask("UpdateImageStorageClass", &archive);
    for (operation, member) in [
        ("ListImages", "imageIds"),
        ("DescribeImages", "imageDetails"),
    ] {
        let count = |filter: Value| {
            let input = json!({"repositoryName": "team/app", "filter": filter});
            all_pages(&door, operation, &input, member).concat().len()
        };
        let status = |status: &str| count(json!({"imageStatus": status}));
        assert_eq!(count(json!({})), 2, "{operation}");
        assert_eq!(status("ANY"), 2, "{operation}");
        assert_eq!(status("ACTIVE"), 1, "{operation}");
        assert_eq!(status("ARCHIVED"), 1, "{operation}");
        assert_eq!(status("ACTIVATING"), 0, "{operation}");
    }
}

#[test]
fn a_token_leads_on_in_its_own_list_only() {
    let door = Door::new();
    for name in ["team/app", "team/other"] {
        door.push_image(name, b"one", "v1");
        door.push_image(name, b"two", "v2");
    }
    let images = |name: &str| json!({"repositoryName": name, "maxResults": 1});
    let begun = door.ask("ListImages", &images("team/app"));
    let token = begun["nextToken"].as_str().expect("there is more");
    let with = |mut input: Value, token: &str| {
        input["nextToken"] = token.into();
        input
    };
    door.ask("ListImages", &with(images("team/app"), token));
    let mut forged = token.to_owned();
    let last = forged.pop().expect("a token has letters");
    forged.push(if last == 'A' { 'B' } else { 'A' });
    let plain = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode("team/app");
    for (operation, input) in [
        ("ListImages", with(images("team/other"), token)),
        ("DescribeImages", with(images("team/app"), token)),
        ("DescribeRepositories", with(json!({}), token)),
        ("DescribeRepositories", with(json!({}), &plain)),
        ("ListImages", with(images("team/app"), &forged)),
        ("ListReplicationBackfills", with(json!({}), "garbage")),
        ("ListReplicationBackfills", with(json!({}), token)),
    ] {
        let refused = door.refusal(operation, &input);
        assert_eq!(refused, "InvalidParameterException", "{operation} {input}");
    }
}

#[test]
fn an_id_that_is_none_is_an_invalid_parameter() {
    let door = Door::new();
    door.push_image("team/app", b"one", "v1");
    let none = digest(b"none");
    for (id, want) in [
        (json!({}), "InvalidParameterException"),
        (
            json!({"imageDigest": "nonsense"}),
            "InvalidParameterException",
        ),
        (json!({"imageTag": "-"}), "InvalidParameterException"),
        (json!({"imageTag": "none"}), "ImageNotFoundException"),
        (json!({"imageDigest": none}), "ImageNotFoundException"),
        (
            json!({"imageDigest": none, "imageTag": "v1"}),
            "ImageNotFoundException",
        ),
    ] {
        for operation in [
            "StartImageScan",
            "DescribeImageScanFindings",
            "DescribeImageReplicationStatus",
            "DescribeImageSigningStatus",
            "UpdateImageStorageClass",
        ] {
            let input = json!({"repositoryName": "team/app", "imageId": id,
                "targetStorageClass": "STANDARD"});
            assert_eq!(door.refusal(operation, &input), want, "{operation} {id}");
        }
        let input = json!({"repositoryName": "team/app", "imageIds": [id]});
        assert_eq!(door.refusal("DescribeImages", &input), want, "{id}");
    }
}

#[test]
fn an_upload_tells_of_its_repository_first_and_of_bytes_that_came_only() {
    let door = Door::new();
    door.create("team/app");
    let unknown = "01a209ad-7875-7713-95d0-d53b08b76f21";
    let part = layer_part("no/where", unknown, 0, 2, b"xyz");
    assert_eq!(
        door.refusal("UploadLayerPart", &part),
        "RepositoryNotFoundException"
    );
    let complete = json!({"repositoryName": "no/where", "uploadId": unknown,
        "layerDigests": [digest(b"xyz")]});
    assert_eq!(
        door.refusal("CompleteLayerUpload", &complete),
        "RepositoryNotFoundException"
    );

    let begun = door.ask(
        "InitiateLayerUpload",
        &json!({"repositoryName": "team/app"}),
    );
    let upload = begun["uploadId"].as_str().expect("an upload");
    let gap = layer_part("team/app", upload, 9, 11, b"xyz");
    let (status, nothing) = door.send("UploadLayerPart", &gap);
    assert_eq!(
        (status, &nothing["__type"]),
        (400, &json!("InvalidLayerPartException"))
    );
    assert_eq!(
        nothing["lastValidByteReceived"],
        Value::Null,
        "no byte has come"
    );
    door.ask(
        "UploadLayerPart",
        &layer_part("team/app", upload, 0, 0, b"x"),
    );
    let (_, one) = door.send("UploadLayerPart", &gap);
    assert_eq!(one["lastValidByteReceived"], 0);
}

#[test]
fn an_upstream_has_to_be_the_address_of_a_registry() {
    let door = Door::new();
    let rule = |prefix: &str, url: &str| json!({"ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": url});
    for url in [
        "ftp://nonsense",
        "",
        "https://",
        "a b",
        "registry/with/a/path",
        "user@registry",
        "registry:port",
        "registry:99999",
        "-",
    ] {
        let refused = door.refusal("CreatePullThroughCacheRule", &rule("mirror", url));
        assert_eq!(refused, "InvalidParameterException", "{url}");
    }
    for (number, url) in [
        "registry-1.docker.io",
        "public.ecr.aws",
        "https://ghcr.io",
        "http://127.0.0.1:5000",
        "[::1]:5000",
        "registry:5000",
    ]
    .iter()
    .enumerate()
    {
        let prefix = format!("mirror-{number}");
        let made = door.ask("CreatePullThroughCacheRule", &rule(&prefix, url));
        assert_eq!(made["upstreamRegistryUrl"], *url);
    }
}

#[test]
fn referrers_of_both_kinds_are_listed_page_by_page() {
    let door = Door::new();
    let subject = door.push_image("team/app", b"subject", "v1");
    let descriptor = json!({"mediaType": IMAGE, "digest": subject, "size": 1});
    let mut own = Vec::new();
    for number in 0..7 {
        let mut referrer = image(b"subject");
        referrer["subject"] = descriptor.clone();
        referrer["artifactType"] = format!("application/vnd.example.{}", number % 2).into();
        referrer["annotations"] = json!({"number": number.to_string()});
        own.push(door.push("team/app", IMAGE, "", &referrer));
    }
    // One more that only the index under the fallback tag tells of, and one that is not there.
    let listed = door.push_image("team/app", b"listed", "listed");
    let entry = |digest: &str| {
        json!({"mediaType": IMAGE, "digest": digest, "size": 1,
            "artifactType": "application/vnd.example.0"})
    };
    let index = json!({"schemaVersion": 2, "mediaType": INDEX,
        "manifests": [entry(&listed), entry(&digest(b"gone")), entry(&own[0])]});
    door.push("team/app", INDEX, &subject.replacen(':', "-", 1), &index);
    let archive = json!({"repositoryName": "team/app", "imageId": {"imageDigest": own[1]},
        "targetStorageClass": "ARCHIVE"});
    door.ask("UpdateImageStorageClass", &archive);

    let found = |filter: Value, size: u64| {
        let input = json!({"repositoryName": "team/app", "subjectId": {"imageDigest": subject},
            "filter": filter, "maxResults": size});
        let pages = all_pages(&door, "ListImageReferrers", &input, "referrers");
        let size = usize::try_from(size).expect("a small number");
        let (_, full) = pages.split_last().expect("a page");
        assert!(full.iter().all(|page| page.len() == size), "{pages:?}");
        let digests: Vec<String> = pages
            .concat()
            .iter()
            .map(|one| one["digest"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert!(digests.is_sorted(), "{digests:?}");
        digests.len()
    };
    for size in [1, 3, 50] {
        assert_eq!(found(json!({"artifactStatus": "ANY"}), size), 8);
        assert_eq!(found(json!({}), size), 7, "active ones, where nobody says");
        assert_eq!(found(json!({"artifactStatus": "ARCHIVED"}), size), 1);
        assert_eq!(found(json!({"artifactStatus": "ACTIVATING"}), size), 0);
        let types = json!({"artifactTypes": ["application/vnd.example.0"]});
        assert_eq!(found(types, size), 5);
    }
}
