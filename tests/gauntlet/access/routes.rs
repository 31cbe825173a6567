//! What row 24 expects of each route, from the documentation alone: the table of the OCI distribution
//! specification, `docs/access.md`, the document that the server gives out of its administration, and
//! the operations of Amazon ECR.

use serde_json::{Value, json};

use super::people::{House, Image, manifest};
use crate::api::IMAGE;
use crate::api::http::Answer;
use crate::support::image::digest;

/// A request, and the actions that it takes, all of them.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) content_type: &'static str,
    pub(crate) actions: Vec<&'static str>,
}

impl Route {
    fn new(method: &str, path: &str, actions: &[&'static str]) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            body: String::new(),
            content_type: "application/octet-stream",
            actions: actions.to_vec(),
        }
    }

    fn with(mut self, content_type: &'static str, body: String) -> Self {
        self.content_type = content_type;
        self.body = body;
        self
    }

    /// Asks, with headers beside those that the route has itself.
    pub(crate) fn ask(&self, house: &House, more: &[(&str, &str)]) -> Answer {
        let mut headers = vec![("Content-Type", self.content_type)];
        headers.extend(more);
        let body = self.body.as_bytes();
        house.client.send(&self.method, &self.path, &headers, body)
    }
}

/// The routes of the distribution specification, on the image `1` of a repository, and those beside
/// them that `docs/access.md` names.
pub(crate) fn distribution(repository: &str, image: &Image) -> Vec<Route> {
    const INITIATE: &str = "ecr:InitiateLayerUpload";
    const PART: &str = "ecr:UploadLayerPart";
    const COMPLETE: &str = "ecr:CompleteLayerUpload";
    const MANIFEST: &str = "ecr:BatchGetImage";
    const LAYER: &str = "ecr:GetDownloadUrlForLayer";
    const DELETE: &str = "ecr:BatchDeleteImage";
    let Image {
        layer,
        manifest: named,
    } = image;
    let absent = digest(b"never pushed");
    let upload = format!("/v2/{repository}/blobs/uploads/01a21573-0000-7000-8000-000000000000");
    let at = |path: &str| format!("/v2/{repository}/{path}");
    let small = digest(b"small");
    let lease = json!({"holder": "somebody", "term_seconds": 60}).to_string();
    let route = Route::new;
    vec![
        route("GET", &at(&format!("blobs/{layer}")), &[LAYER]),
        route(
            "HEAD",
            &at(&format!("blobs/{layer}")),
            &["ecr:BatchCheckLayerAvailability"],
        ),
        route("GET", &at("manifests/1"), &[MANIFEST]),
        route("HEAD", &at("manifests/1"), &[MANIFEST]),
        route("GET", &at(&format!("manifests/{named}")), &[MANIFEST]),
        route("HEAD", &at(&format!("manifests/{named}")), &[MANIFEST]),
        route("POST", &at("blobs/uploads/"), &[INITIATE]),
        route(
            "POST",
            &at(&format!("blobs/uploads/?digest={small}")),
            &[INITIATE, PART, COMPLETE],
        )
        .with("application/octet-stream", "small".to_owned()),
        route("PATCH", &upload, &[PART]),
        // It may bring the last bytes along.
        route(
            "PUT",
            &format!("{upload}?digest={small}"),
            &[PART, COMPLETE],
        ),
        route("PUT", &at("manifests/again"), &["ecr:PutImage"])
            .with(IMAGE, manifest(&digest(b"{}"), layer, 15)),
        route("GET", &at("tags/list"), &["ecr:ListImages"]),
        route("GET", &at("tags/list?n=1&last=0"), &["ecr:ListImages"]),
        route("DELETE", &at("manifests/absent"), &[DELETE]),
        route("DELETE", &at(&format!("manifests/{absent}")), &[DELETE]),
        route("DELETE", &at(&format!("blobs/{absent}")), &[DELETE]),
        route(
            "GET",
            &at(&format!("referrers/{named}")),
            &["ecr:ListImageReferrers"],
        ),
        route(
            "POST",
            "/v2/first/push/blobs/uploads/",
            &[INITIATE, "ecr:CreateRepository"],
        ),
        route(
            "GET",
            &format!("/events?after=oldest&limit=1&repository={repository}"),
            &["wharf:ReadEvents"],
        ),
        route("GET", "/events?after=oldest&limit=1", &["wharf:ReadEvents"]),
        route("PUT", &format!("/leases/{named}"), &["wharf:Lease"])
            .with("application/json", lease.clone()),
        route("DELETE", &format!("/leases/{named}"), &["wharf:Lease"])
            .with("application/json", lease),
    ]
}

/// The administration's routes, as the server's own document lists them, but for those that it says
/// need nothing.
pub(crate) fn administration(house: &House) -> Vec<Route> {
    let document = house.client.get("/admin/v1/openapi.json").json();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        if !path.starts_with("/admin/") {
            continue;
        }
        for (method, operation) in methods.as_object().expect("methods") {
            if operation["security"] == json!([]) {
                continue;
            }
            let path = path
                .replace("{target}", "user%2Fnobody")
                .replace("{principal}", "nobody")
                .replace("{key}", "NOKEY")
                .replace("{trust}", "nobody")
                .replace("{endpoint}", "nobody");
            assert!(!path.contains('{'), "{path}");
            let action = match path.as_str() {
                "/admin/v1/audit" => "wharf:ReadAudit",
                _ => "wharf:Administer",
            };
            let route = Route::new(&method.to_uppercase(), &path, &[action]);
            routes.push(match method.as_str() {
                "get" | "delete" => route,
                _ => route.with("application/json", r#"{"no such": "member"}"#.to_owned()),
            });
        }
    }
    routes
}

/// The operations of ECR, each with an input that its model takes, in a repository.
pub(crate) fn operations(repository: &str) -> Vec<(&'static str, Value)> {
    let absent = digest(b"never pushed");
    let id = json!({"imageDigest": absent});
    let named = |more: Value| {
        let mut body = more;
        body["repositoryName"] = json!(repository);
        body
    };
    let arn = format!("arn:aws:ecr:us-east-1:000000000000:repository/{repository}");
    let uuid = "01a21573-0000-7000-8000-000000000000";
    let role = "arn:aws:iam::000000000000:role/somebody";
    let statement =
        json!({"Sid": "x", "Effect": "Deny", "Principal": "*", "Action": "ecr:ReplicateImage"});
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let rule = json!({"rulePriority": 1, "action": {"type": "expire"}, "selection": {
        "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1000}});
    let lifecycle = json!({"rules": [rule]}).to_string();
    let prefix = |more: Value| {
        let mut body = more;
        body["ecrRepositoryPrefix"] = json!("upstream");
        body
    };
    let template = |more: Value| {
        let mut body = more;
        body["prefix"] = json!("template");
        body
    };
    vec![
        ("GetAuthorizationToken", json!({})),
        ("DescribeRegistry", json!({})),
        ("CreateRepository", named(json!({}))),
        (
            "DescribeRepositories",
            json!({"repositoryNames": [repository]}),
        ),
        ("DeleteRepository", named(json!({}))),
        (
            "PutImageTagMutability",
            named(json!({"imageTagMutability": "MUTABLE"})),
        ),
        (
            "TagResource",
            json!({"resourceArn": arn, "tags": [{"Key": "a", "Value": "b"}]}),
        ),
        (
            "UntagResource",
            json!({"resourceArn": arn, "tagKeys": ["a"]}),
        ),
        ("ListTagsForResource", json!({"resourceArn": arn})),
        ("InitiateLayerUpload", named(json!({}))),
        (
            "UploadLayerPart",
            named(
                json!({"uploadId": uuid, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": "eA=="}),
            ),
        ),
        (
            "CompleteLayerUpload",
            named(json!({"uploadId": uuid, "layerDigests": [absent]})),
        ),
        (
            "BatchCheckLayerAvailability",
            named(json!({"layerDigests": [absent]})),
        ),
        (
            "PutImage",
            named(json!({"imageManifest": manifest(&absent, &absent, 1)})),
        ),
        ("BatchGetImage", named(json!({"imageIds": [id]}))),
        (
            "GetDownloadUrlForLayer",
            named(json!({"layerDigest": absent})),
        ),
        ("ListImages", named(json!({}))),
        ("DescribeImages", named(json!({}))),
        ("BatchDeleteImage", named(json!({"imageIds": [id]}))),
        (
            "PutLifecyclePolicy",
            named(json!({"lifecyclePolicyText": lifecycle})),
        ),
        ("GetLifecyclePolicy", named(json!({}))),
        ("DeleteLifecyclePolicy", named(json!({}))),
        (
            "StartLifecyclePolicyPreview",
            named(json!({"lifecyclePolicyText": lifecycle})),
        ),
        ("GetLifecyclePolicyPreview", named(json!({}))),
        ("StartImageScan", named(json!({"imageId": id}))),
        ("DescribeImageScanFindings", named(json!({"imageId": id}))),
        (
            "PutImageScanningConfiguration",
            named(json!({"imageScanningConfiguration": {"scanOnPush": false}})),
        ),
        (
            "BatchGetRepositoryScanningConfiguration",
            json!({"repositoryNames": [repository]}),
        ),
        ("GetRegistryScanningConfiguration", json!({})),
        (
            "PutRegistryScanningConfiguration",
            json!({"scanType": "BASIC"}),
        ),
        (
            "PutReplicationConfiguration",
            json!({"replicationConfiguration": {"rules": []}}),
        ),
        (
            "DescribeImageReplicationStatus",
            named(json!({"imageId": id})),
        ),
        (
            "StartReplicationBackfill",
            json!({"destination": {"region": "eu-west-1", "registryId": "000000000000"}}),
        ),
        (
            "StopReplicationBackfill",
            json!({"replicationBackfillId": uuid}),
        ),
        ("ListReplicationBackfills", json!({})),
        (
            "DescribeReplicationBackfillResults",
            json!({"replicationBackfillId": uuid}),
        ),
        (
            "CreatePullThroughCacheRule",
            prefix(json!({"upstreamRegistryUrl": "public.ecr.aws"})),
        ),
        ("DescribePullThroughCacheRules", json!({})),
        ("UpdatePullThroughCacheRule", prefix(json!({}))),
        ("DeletePullThroughCacheRule", prefix(json!({}))),
        ("ValidatePullThroughCacheRule", prefix(json!({}))),
        (
            "CreateRepositoryCreationTemplate",
            template(json!({"appliedFor": ["CREATE_ON_PUSH"]})),
        ),
        ("DescribeRepositoryCreationTemplates", json!({})),
        ("UpdateRepositoryCreationTemplate", template(json!({}))),
        ("DeleteRepositoryCreationTemplate", template(json!({}))),
        ("SetRepositoryPolicy", named(json!({"policyText": policy}))),
        ("GetRepositoryPolicy", named(json!({}))),
        ("DeleteRepositoryPolicy", named(json!({}))),
        ("PutRegistryPolicy", json!({"policyText": policy})),
        ("GetRegistryPolicy", json!({})),
        ("DeleteRegistryPolicy", json!({})),
        (
            "GetAccountSetting",
            json!({"name": "BASIC_SCAN_TYPE_VERSION"}),
        ),
        (
            "PutAccountSetting",
            json!({"name": "BASIC_SCAN_TYPE_VERSION", "value": "AWS_NATIVE"}),
        ),
        (
            "PutSigningConfiguration",
            json!({"signingConfiguration": {"rules": []}}),
        ),
        ("GetSigningConfiguration", json!({})),
        ("DeleteSigningConfiguration", json!({})),
        ("DescribeImageSigningStatus", named(json!({"imageId": id}))),
        ("ListImageReferrers", named(json!({"subjectId": id}))),
        (
            "UpdateImageStorageClass",
            named(json!({"imageId": id, "targetStorageClass": "ARCHIVE"})),
        ),
        (
            "RegisterPullTimeUpdateExclusion",
            json!({"principalArn": role}),
        ),
        (
            "DeregisterPullTimeUpdateExclusion",
            json!({"principalArn": role}),
        ),
        ("ListPullTimeUpdateExclusions", json!({})),
    ]
}
