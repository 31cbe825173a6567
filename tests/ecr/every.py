"""Asks for every operation once with the AWS command line, all of them in one process.

The command line brings a model that is older than boto3's; it takes that one instead.
"""

import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile

import botocore

os.environ["AWS_DATA_PATH"] = os.path.join(os.path.dirname(botocore.__file__), "data")

from awscli.clidriver import create_clidriver  # noqa: E402

IMAGE = "application/vnd.oci.image.manifest.v1+json"
UNKNOWN = "01a209ad-7875-7713-95d0-d53b08b76f21"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Door:
    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.driver = create_clidriver()

    def run(self, words):
        options = ["--endpoint-url", self.endpoint, "--output", "json"]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = self.driver.main([*options, "ecr", *words])
        return code, out.getvalue(), err.getvalue()

    def ask(self, *words):
        code, out, err = self.run(words)
        assert code == 0, (words, err)
        return json.loads(out) if out.strip() else None

    def refused(self, error, *words):
        code, _, err = self.run(words)
        assert code != 0 and f"({error})" in err, (words, err)


def repositories(door):
    door.ask("get-authorization-token")
    door.ask("describe-registry")
    made = door.ask("create-repository", "--repository-name", "team/app")
    arn = made["repository"]["repositoryArn"]
    door.ask("describe-repositories")
    named = ["--repository-name", "team/app"]
    door.ask("put-image-tag-mutability", *named, "--image-tag-mutability", "MUTABLE")
    scan = ["--image-scanning-configuration", "scanOnPush=false"]
    door.ask("put-image-scanning-configuration", *named, *scan)
    door.ask("tag-resource", "--resource-arn", arn, "--tags", "Key=owner,Value=team")
    assert door.ask("list-tags-for-resource", "--resource-arn", arn)["tags"]
    door.ask("untag-resource", "--resource-arn", arn, "--tag-keys", "owner")


def images(door):
    named = ["--repository-name", "team/app"]
    data = b"a layer"
    upload = ["--upload-id", door.ask("initiate-layer-upload", *named)["uploadId"]]
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        bounds = ["--part-first-byte", "0", "--part-last-byte", str(len(data) - 1)]
        part = ["--layer-part-blob", f"fileb://{file.name}"]
        door.ask("upload-layer-part", *named, *upload, *bounds, *part)
    layer = digest(data)
    door.ask("complete-layer-upload", *named, *upload, "--layer-digests", layer)
    found = door.ask("batch-check-layer-availability", *named, "--layer-digests", layer)
    assert found["layers"][0]["layerAvailability"] == "AVAILABLE", found
    door.ask("get-download-url-for-layer", *named, "--layer-digest", layer)
    descriptor = {"digest": layer, "size": len(data)}
    manifest = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **descriptor},
        "layers": [],
    }
    put = ["put-image", *named, "--image-manifest", json.dumps(manifest), "--image-tag", "v1"]
    own = door.ask(*put)["image"]["imageId"]["imageDigest"]
    ids = ["--image-ids", "imageTag=v1"]
    assert door.ask("batch-get-image", *named, *ids)["images"]
    assert door.ask("list-images", *named)["imageIds"]
    assert door.ask("describe-images", *named)["imageDetails"]
    door.ask("list-image-referrers", *named, "--subject-id", f"imageDigest={own}")
    one = ["--image-id", "imageTag=v1"]
    for storage in ["ARCHIVE", "STANDARD"]:
        moved = ["--target-storage-class", storage]
        door.ask("update-image-storage-class", *named, *one, *moved)
    door.ask("describe-image-signing-status", *named, *one)
    door.ask("describe-image-replication-status", *named, *one)
    door.refused("UnsupportedImageTypeException", "start-image-scan", *named, *one)
    door.refused("ScanNotFoundException", "describe-image-scan-findings", *named, *one)
    # It fails at once, as no scan will ever end.
    code, _, err = door.run(["wait", "image-scan-complete", *named, *one])
    assert code == 255 and "ScanNotFoundException" in err, err


def policies(door):
    named = ["--repository-name", "team/app"]
    rule = {
        "rulePriority": 1,
        "description": "keep the newest",
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
        "action": {"type": "expire"},
    }
    text = ["--lifecycle-policy-text", json.dumps({"rules": [rule]})]
    door.ask("put-lifecycle-policy", *named, *text)
    door.ask("get-lifecycle-policy", *named)
    door.ask("start-lifecycle-policy-preview", *named)
    assert door.ask("get-lifecycle-policy-preview", *named)["status"] == "COMPLETE"
    door.ask("delete-lifecycle-policy", *named)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "ecr:ListImages"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    door.ask("set-repository-policy", *named, "--policy-text", json.dumps(policy))
    door.ask("get-repository-policy", *named)
    door.ask("delete-repository-policy", *named)
    statement["Resource"] = "*"
    door.ask("put-registry-policy", "--policy-text", json.dumps(policy))
    door.ask("get-registry-policy")
    door.ask("delete-registry-policy")


def settings(door):
    name = ["--name", "BLOB_MOUNTING"]
    door.ask("put-account-setting", *name, "--value", "ENABLED")
    door.ask("get-account-setting", *name)
    profile = "arn:aws:signer:eu-central-1:000000000000:/signing-profiles/mine"
    signing = json.dumps({"rules": [{"signingProfileArn": profile}]})
    door.ask("put-signing-configuration", "--signing-configuration", signing)
    door.ask("get-signing-configuration")
    door.ask("delete-signing-configuration")
    prefix = ["--prefix", "team"]
    applied = ["--applied-for", "CREATE_ON_PUSH"]
    door.ask("create-repository-creation-template", *prefix, *applied)
    door.ask("describe-repository-creation-templates")
    door.ask("update-repository-creation-template", *prefix, "--description", "of the team")
    door.ask("delete-repository-creation-template", *prefix)
    prefix = ["--ecr-repository-prefix", "hub"]
    url = ["--upstream-registry-url", "registry-1.docker.io"]
    door.ask("create-pull-through-cache-rule", *prefix, *url)
    door.ask("describe-pull-through-cache-rules")
    secret = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:ecr-pullthroughcache/hub-AbCdEf"
    door.ask("update-pull-through-cache-rule", *prefix, "--credential-arn", secret)
    assert door.ask("validate-pull-through-cache-rule", *prefix)["isValid"] is False
    door.ask("delete-pull-through-cache-rule", *prefix)
    principal = ["--principal-arn", "arn:aws:iam::000000000000:user/alice"]
    door.ask("register-pull-time-update-exclusion", *principal)
    door.ask("list-pull-time-update-exclusions")
    door.ask("deregister-pull-time-update-exclusion", *principal)
    names = ["--repository-names", "team/app"]
    door.ask("batch-get-repository-scanning-configuration", *names)
    door.ask("put-registry-scanning-configuration", "--scan-type", "BASIC")
    door.ask("get-registry-scanning-configuration")


def replication(door):
    door.ask("put-replication-configuration", "--replication-configuration", '{"rules": []}')
    assert door.ask("list-replication-backfills")["backfills"] == []
    there = ["--destination", "region=eu-west-1,registryId=000000000000"]
    door.refused("ValidationException", "start-replication-backfill", *there)
    unknown = ["--replication-backfill-id", UNKNOWN]
    error = "ReplicationBackfillNotFoundException"
    door.refused(error, "stop-replication-backfill", *unknown)
    door.refused(error, "describe-replication-backfill-results", *unknown)


def main(endpoint):
    door = Door(endpoint)
    for part in [repositories, images, policies, settings, replication]:
        part(door)
    named = ["--repository-name", "team/app"]
    assert door.ask("batch-delete-image", *named, "--image-ids", "imageTag=v1")["imageIds"]
    door.ask("delete-repository", *named)
    print("every operation was asked for")


main(sys.argv[1])
