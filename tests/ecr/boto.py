"""Asks a registry through boto3: paginators, waiters, shapes of answers, layers in parts."""

import base64
import hashlib
import json
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

UNKNOWN = "01a209ad-7875-7713-95d0-d53b08b76f21"
IMAGE = "application/vnd.oci.image.manifest.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def push_layer(ecr, repository, data, part=5):
    upload = ecr.initiate_layer_upload(repositoryName=repository)
    assert upload["partSize"] > 0
    for first in range(0, len(data), part):
        piece = data[first : first + part]
        sent = ecr.upload_layer_part(
            repositoryName=repository,
            uploadId=upload["uploadId"],
            partFirstByte=first,
            partLastByte=first + len(piece) - 1,
            layerPartBlob=piece,
        )
        assert sent["lastByteReceived"] == first + len(piece) - 1
    ended = ecr.complete_layer_upload(
        repositoryName=repository, uploadId=upload["uploadId"], layerDigests=[digest(data)]
    )
    return ended["layerDigest"]


def push_image(ecr, repository, tag, data):
    layer = push_layer(ecr, repository, data)
    descriptor = {"digest": layer, "size": len(data)}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **descriptor},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **descriptor}],
        }
    )
    ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag=tag)
    return layer


def paginate_settings(ecr):
    prefixes = [f"prefix-{number}" for number in range(5)]
    for prefix in prefixes:
        ecr.create_repository_creation_template(prefix=prefix, appliedFor=["REPLICATION"])
        ecr.create_pull_through_cache_rule(
            ecrRepositoryPrefix=prefix, upstreamRegistryUrl="registry-1.docker.io"
        )
    for operation, member, key in [
        ("describe_repository_creation_templates", "repositoryCreationTemplates", "prefix"),
        ("describe_pull_through_cache_rules", "pullThroughCacheRules", "ecrRepositoryPrefix"),
    ]:
        pages = ecr.get_paginator(operation).paginate(PaginationConfig={"PageSize": 2})
        pages = [[entry[key] for entry in page[member]] for page in pages]
        assert [len(page) for page in pages] == [2, 2, 1], (operation, pages)
        assert sum(pages, []) == prefixes, (operation, pages)


def paginate_what_is_refused(ecr, repository):
    """Nothing is scanned or replicated, so these have one page with nothing on it, or none."""
    pages = ecr.get_paginator("list_replication_backfills").paginate(PaginationConfig={"PageSize": 2})
    assert [page["backfills"] for page in pages] == [[]]
    for operation, arguments, error in [
        (
            "describe_image_scan_findings",
            {"repositoryName": repository, "imageId": {"imageTag": "v0"}},
            "ScanNotFoundException",
        ),
        (
            "describe_replication_backfill_results",
            {"replicationBackfillId": UNKNOWN},
            "ReplicationBackfillNotFoundException",
        ),
    ]:
        try:
            list(ecr.get_paginator(operation).paginate(**arguments))
        except ClientError as raised:
            assert raised.response["Error"]["Code"] == error, raised
        else:
            raise AssertionError(operation)


def wait_for_a_scan(ecr, repository):
    """No scan ever completes, and the waiter is told at once rather than left to wait."""
    try:
        ecr.get_waiter("image_scan_complete").wait(
            repositoryName=repository, imageId={"imageTag": "v0"}
        )
    except WaiterError as raised:
        assert "ScanNotFoundException" in str(raised), raised
        assert raised.last_response["Error"]["Code"] == "ScanNotFoundException"
    else:
        raise AssertionError("a scan completed that nobody made")


def main(endpoint):
    config = Config(region_name="eu-central-1", retries={"max_attempts": 1})
    ecr = boto3.client("ecr", endpoint_url=endpoint, config=config)

    names = [f"team/app-{number}" for number in range(5)]
    for name in names:
        ecr.create_repository(repositoryName=name)
    pages = ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2})
    pages = [page["repositories"] for page in pages]
    assert [len(page) for page in pages] == [2, 2, 1], pages
    found = [repository["repositoryName"] for page in pages for repository in page]
    assert found == names, found
    assert pages[0][0]["createdAt"].year >= 2024

    repository = names[0]
    for number in range(5):
        layer = push_image(ecr, repository, f"v{number}", f"layer {number}".encode())
    for operation, member in [("list_images", "imageIds"), ("describe_images", "imageDetails")]:
        pages = ecr.get_paginator(operation).paginate(
            repositoryName=repository, PaginationConfig={"PageSize": 2}
        )
        found = [entry for page in pages for entry in page[member]]
        assert len(found) == 5, (operation, found)
    assert found[0]["imagePushedAt"].tzinfo is not None

    url = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=layer)
    with urllib.request.urlopen(url["downloadUrl"]) as answer:
        assert digest(answer.read()) == layer

    policy = {
        "rules": [
            {
                "rulePriority": 1,
                "description": "keep two",
                "selection": {
                    "tagStatus": "any",
                    "countType": "imageCountMoreThan",
                    "countNumber": 2,
                },
                "action": {"type": "expire"},
            }
        ]
    }
    ecr.start_lifecycle_policy_preview(
        repositoryName=repository, lifecyclePolicyText=json.dumps(policy)
    )
    ecr.get_waiter("lifecycle_policy_preview_complete").wait(repositoryName=repository)
    pages = ecr.get_paginator("get_lifecycle_policy_preview").paginate(
        repositoryName=repository, PaginationConfig={"PageSize": 1}
    )
    results = [result for page in pages for result in page["previewResults"]]
    assert len(results) == 3, results

    data = ecr.get_authorization_token()["authorizationData"][0]
    user, password = base64.b64decode(data["authorizationToken"]).decode().split(":", 1)
    assert user == "AWS" and password
    assert data["proxyEndpoint"] == endpoint

    for call, error in [
        (lambda: ecr.describe_images(repositoryName="no/where"), ecr.exceptions.RepositoryNotFoundException),
        (
            lambda: ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "none"}]),
            ecr.exceptions.ImageNotFoundException,
        ),
        (lambda: ecr.create_repository(repositoryName=repository), ecr.exceptions.RepositoryAlreadyExistsException),
    ]:
        try:
            call()
        except error as raised:
            assert raised.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        else:
            raise AssertionError(error)
    try:
        ecr.describe_repositories(registryId="123456789012")
    except ClientError as raised:
        assert raised.response["Error"]["Code"] == "RepositoryNotFoundException"
    paginate_settings(ecr)
    paginate_what_is_refused(ecr, repository)
    wait_for_a_scan(ecr, repository)
    # Nothing is replicated, and that is what it says.
    unknown = UNKNOWN
    destination = {"region": "eu-west-1", "registryId": "000000000000"}
    for call, error in [
        (lambda: ecr.start_replication_backfill(destination=destination), "ValidationException"),
        (
            lambda: ecr.stop_replication_backfill(replicationBackfillId=unknown),
            "ReplicationBackfillNotFoundException",
        ),
        (
            lambda: ecr.describe_replication_backfill_results(replicationBackfillId=unknown),
            "ReplicationBackfillNotFoundException",
        ),
    ]:
        try:
            call()
        except ClientError as raised:
            assert raised.response["Error"]["Code"] == error, raised
        else:
            raise AssertionError(error)
    print("boto3 found what it expects")


main(sys.argv[1])
