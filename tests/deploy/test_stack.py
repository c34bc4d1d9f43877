"""The Pulumi program against Pulumi's mocks: nothing is made, and no account is needed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
DATA = {
    "aws:kinesis/stream:Stream",
    "aws:s3/bucket:Bucket",
    "aws:rds/cluster:Cluster",
    "aws:opensearch/domain:Domain",
    "aws:kms/key:Key",
}


class Mocks(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        self.protected: set[str] = set()

    def new_resource(self, args: Any) -> tuple[str, dict[str, Any]]:
        self.made[f"{args.typ} {args.name}"] = args.inputs
        extra = {
            "arn": f"arn:{args.typ}:{args.name}",
            "name": args.name,
            "bucket": args.name,
            "endpoint": f"{args.name}.internal",
            "masterUserSecrets": [{"secretArn": "arn:secret"}],
        }
        return f"{args.name}-id", {**extra, **args.inputs}

    def call(self, args: Any) -> dict[str, Any]:
        return {"region": "eu-west-2", "accountId": "123456789012", "id": "x"}

    def one(self, kind: str, name: str = "") -> dict[str, Any]:
        [found] = [inputs for key, inputs in self.made.items() if key.startswith(f"{kind} ") and name in key]
        return found


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Mocks:
    asyncio.set_event_loop(asyncio.new_event_loop())
    mocks = Mocks()
    pulumi.runtime.set_mocks(mocks, project="strandline", stack="test")
    monkeypatch.syspath_prepend(str(DEPLOY))
    from stack import Choices, Strandline

    choices = Choices(image="registry/strandline@sha256:0", vpc_id="vpc-1", subnet_ids=("subnet-1", "subnet-2"))
    begin = pulumi.CustomResource.__init__

    def note(self: Any, kind: str, name: str, props: Any = None, opts: Any = None, *more: Any, **named: Any) -> None:
        if opts is not None and opts.protect:
            mocks.protected.add(kind)
        begin(self, kind, name, props, opts, *more, **named)

    monkeypatch.setattr(pulumi.CustomResource, "__init__", note)

    @pulumi.runtime.test
    def make() -> None:
        Strandline("strandline", choices)

    make()
    return mocks


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
    assert [one["name"] for one in worker["secrets"]] == ["PGPASSWORD"]
    assert not any("password" in one["name"].lower() for one in worker["environment"])


def test_task_has_the_rights_it_needs_only(stack: Mocks) -> None:
    policy = json.loads(stack.one("aws:iam/rolePolicy:RolePolicy", "task")["policy"])
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert not any("*" in action for action in actions)
    assert {action.partition(":")[0] for action in actions} == {"kinesis", "dynamodb", "s3", "kms"}
    assert not actions & {"s3:PutObject", "s3:DeleteObject", "kinesis:PutRecords", "dynamodb:DeleteTable"}
    for statement in policy["Statement"]:
        assert "*" not in statement["Resource"], statement["Action"]


def test_nothing_is_public(stack: Mocks) -> None:
    for key, inputs in stack.made.items():
        if key.startswith("aws:ec2/securityGroup:SecurityGroup"):
            for rule in inputs.get("ingress", []):
                assert not rule.get("cidrBlocks"), key
    private = stack.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert all(value is True for name, value in private.items() if name.startswith(("block", "ignore", "restrict")))
