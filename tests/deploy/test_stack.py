"""The Pulumi program against Pulumi's mocks."""

import json
from typing import Any

import pytest

from tests.deploy.mocks import Mocks

DATA = {
    "aws:kinesis/stream:Stream",
    "aws:s3/bucket:Bucket",
    "aws:rds/cluster:Cluster",
    "aws:opensearch/domain:Domain",
    "aws:kms/key:Key",
}


def container(stack: Mocks) -> dict[str, Any]:
    [found] = json.loads(stack.one("aws:ecs/taskDefinition:TaskDefinition")["containerDefinitions"])
    return dict(found)


def test_data_resources_cannot_be_deleted(stack: Mocks) -> None:
    assert stack.protected >= DATA
    cluster = stack.one("aws:rds/cluster:Cluster")
    assert cluster["deletionProtection"] is True
    assert cluster["skipFinalSnapshot"] is False
    assert cluster["storageEncrypted"] is True


def test_task_stops_in_order_and_is_checked(stack: Mocks) -> None:
    worker = container(stack)
    environment = {one["name"]: one["value"] for one in worker["environment"]}
    assert int(environment["STRANDLINE_DRAIN_SECONDS"]) < worker["stopTimeout"] <= 120
    assert worker["healthCheck"]["command"] == ["CMD", "strandline", "worker", "--check"]
    assert worker["readonlyRootFilesystem"] is True
    assert {mount["containerPath"] for mount in worker["mountPoints"]} == {"/tmp", "/var/lib/strandline"}


def test_definition_has_no_password(stack: Mocks) -> None:
    worker = container(stack)
    assert "secrets" not in worker
    environment = {one["name"]: one["value"] for one in worker["environment"]}
    assert "PGPASSWORD" not in environment
    assert environment["STRANDLINE_DATABASE_PASSWORD_FROM"] == "secret:arn:secret"
    assert "@" not in environment["STRANDLINE_DATABASE_URL"]
    # Read again when RDS has rotated it, so the task itself may read it.
    task = json.loads(stack.one("aws:iam/rolePolicy:RolePolicy", "task")["policy"])["Statement"]
    assert {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": ["arn:secret"]} in task
    execution = stack.one("aws:iam/rolePolicy:RolePolicy", "execution")["policy"]
    assert "secretsmanager" not in execution


def test_task_has_the_rights_it_needs_only(stack: Mocks) -> None:
    policy = json.loads(stack.one("aws:iam/rolePolicy:RolePolicy", "task")["policy"])
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert not any("*" in action for action in actions)
    assert {action.partition(":")[0] for action in actions} == {"kinesis", "dynamodb", "s3", "kms", "secretsmanager"}
    assert not actions & {"s3:PutObject", "s3:DeleteObject", "kinesis:PutRecords", "dynamodb:DeleteTable"}
    for statement in policy["Statement"]:
        assert "*" not in statement["Resource"], statement["Action"]


def test_search_accepts_signed_requests_of_the_task_only(stack: Mocks) -> None:
    environment = {one["name"]: one["value"] for one in container(stack)["environment"]}
    assert environment["STRANDLINE_OPENSEARCH_REGION"] == environment["AWS_REGION"] == "eu-west-2"
    [statement] = json.loads(stack.one("aws:opensearch/domainPolicy:DomainPolicy")["accessPolicies"])["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam/role:Role:strandline-task"}
    assert statement["Action"] == "es:ESHttp*"


def test_nothing_is_public(stack: Mocks) -> None:
    for key, inputs in stack.made.items():
        if key.startswith("aws:ec2/securityGroup:SecurityGroup"):
            for rule in inputs.get("ingress", []):
                assert not rule.get("cidrBlocks"), key
    buckets = stack.all("aws:s3/bucket:Bucket")
    private = stack.all("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert len(private) == len(buckets) == 2
    for one in private:
        assert all(value is True for name, value in one.items() if name.startswith(("block", "ignore", "restrict")))


def test_old_versions_of_exports_are_forgotten(stack: Mocks) -> None:
    """`scrub` and a deletion do not reach them."""
    lifecycle = stack.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    assert "exports" in lifecycle["bucket"]
    [rule] = lifecycle["rules"]
    assert (rule["status"], rule["filter"]) == ("Enabled", {"prefix": ""})
    assert rule["noncurrentVersionExpiration"]["noncurrentDays"] == 30
    assert rule["expiration"] == {"expiredObjectDeleteMarker": True}


def test_digests_alone_are_locked(stack: Mocks) -> None:
    locked = [one for one in stack.all("aws:s3/bucket:Bucket") if one.get("objectLockEnabled")]
    assert len(locked) == 1
    lock = stack.one("aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration")
    assert "digests" in lock["bucket"]
    assert lock["rule"]["defaultRetention"]["mode"] == "GOVERNANCE"
    task = json.loads(stack.one("aws:iam/rolePolicy:RolePolicy", "task")["policy"])["Statement"]
    assert not any("digests" in resource for statement in task for resource in statement["Resource"])


@pytest.mark.parametrize("stack", [{}, {"fan_out": True}], indirect=True, ids=["polling", "fan-out"])
def test_fan_out_has_its_rights(stack: Mocks, request: pytest.FixtureRequest) -> None:
    pushed = request.node.callspec.id == "fan-out"
    environment = {one["name"]: one["value"] for one in container(stack)["environment"]}
    assert environment["STRANDLINE_FAN_OUT"] == str(pushed).lower()
    policy = json.loads(stack.one("aws:iam/rolePolicy:RolePolicy", "task")["policy"])
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    own = {"kinesis:RegisterStreamConsumer", "kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"}
    assert actions & own == (own if pushed else set())
