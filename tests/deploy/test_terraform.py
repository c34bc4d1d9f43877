"""The Terraform module against the Pulumi program: the same resources, settings, rights and protection.

Its provider is not needed: `make check-terraform` validates the module with it.
"""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from typing import Any

import hcl2
import pytest
import yaml

from tests.deploy.mocks import DEPLOY, Mocks

FOLDER = DEPLOY / "terraform"
TYPES = {
    "aws:cloudwatch/logGroup:LogGroup": "aws_cloudwatch_log_group",
    "aws:ec2/securityGroup:SecurityGroup": "aws_security_group",
    "aws:ecs/cluster:Cluster": "aws_ecs_cluster",
    "aws:ecs/service:Service": "aws_ecs_service",
    "aws:ecs/taskDefinition:TaskDefinition": "aws_ecs_task_definition",
    "aws:iam/role:Role": "aws_iam_role",
    "aws:iam/rolePolicy:RolePolicy": "aws_iam_role_policy",
    "aws:kinesis/stream:Stream": "aws_kinesis_stream",
    "aws:kms/key:Key": "aws_kms_key",
    "aws:opensearch/domain:Domain": "aws_opensearch_domain",
    "aws:opensearch/domainPolicy:DomainPolicy": "aws_opensearch_domain_policy",
    "aws:rds/cluster:Cluster": "aws_rds_cluster",
    "aws:rds/clusterInstance:ClusterInstance": "aws_rds_cluster_instance",
    "aws:rds/subnetGroup:SubnetGroup": "aws_db_subnet_group",
    "aws:s3/bucket:Bucket": "aws_s3_bucket",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "aws_s3_bucket_lifecycle_configuration",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": "aws_s3_bucket_object_lock_configuration",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "aws_s3_bucket_public_access_block",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "aws_s3_bucket_server_side_encryption_configuration"
    ),
    "aws:s3/bucketVersioning:BucketVersioning": "aws_s3_bucket_versioning",
}
# What each names in its own way, or what is compared by itself below.
APART = {
    "name", "name_prefix", "bucket_prefix", "domain_name", "cluster_identifier_prefix", "family", "policy",
    "assume_role_policy", "access_policies", "lifecycle", "count", "for_each", "final_snapshot_identifier",
}  # fmt: skip
REFERENCE = "a reference"
OF_THE_MOCKS = re.compile(r"arn:|-id$|^strandline-|^subnet-|^vpc-|^registry/|\.internal|eu-west-2|^x$")
Facts = set[tuple[str, str, Any]]


def load(file: str) -> dict[str, Any]:
    return dict(hcl2.loads((FOLDER / file).read_text()))


MODULE = load("main.tf")


def unquoted(text: str) -> str:
    return text[1:-1] if text.startswith('"') else text


def blocks(kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    """All blocks of a kind with two labels."""
    found = {}
    for one in MODULE[kind]:
        for label, named in one.items():
            for name, body in named.items():
                if name != "__is_block__":
                    found[unquoted(label), unquoted(name)] = body
    return found


def variables() -> dict[str, dict[str, Any]]:
    return {unquoted(name): body for one in load("variables.tf")["variable"] for name, body in one.items()}


RESOURCES = blocks("resource")
# Literals that others refer to, as text: "local.port", "var.workers".
KNOWN = {f"local.{name}": value for one in MODULE["locals"] for name, value in one.items()}
KNOWN |= {f"var.{name}": body["default"] for name, body in variables().items() if "default" in body}


def resolved(value: Any) -> Any:
    """Return a literal, or REFERENCE if the value depends on a resource or on what the operator gives."""
    if not isinstance(value, str):
        return value
    if value.startswith('"'):
        text = re.sub(r"\$\{([\w.]+)\}", lambda found: str(resolved(f"${{{found[1]}}}")), value[1:-1])
        return REFERENCE if "${" in text or REFERENCE in text else text
    name = value.removeprefix("${").removesuffix("}")
    as_text = name.startswith("tostring(")
    known = KNOWN.get(name.removeprefix("tostring(").removesuffix(")"), REFERENCE)
    literal = REFERENCE if known is None or isinstance(known, list) else known
    if literal is REFERENCE or (isinstance(literal, str) and literal.startswith("${")):
        return REFERENCE
    literal = resolved(literal) if isinstance(literal, str) else literal
    return json.dumps(literal).strip('"') if as_text else literal


def of_pulumi(value: Any) -> Any:
    return REFERENCE if isinstance(value, str) and OF_THE_MOCKS.search(value) else value


def decoded(value: Any) -> Any:
    """Return what `jsonencode` is given, in HCL's form."""
    if isinstance(value, str) and value.startswith("${jsonencode("):
        inner = value.removeprefix("${jsonencode(").removesuffix(")}")
        return hcl2.loads(f"given = {inner}\n")["given"]
    return value


def facts(kind: str, path: str, value: Any, literal: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield the value of each scalar with the names on the way to it: in snake case and without a plural."""
    value = decoded(value)
    if isinstance(value, str) and path.endswith("container_definition"):
        value = json.loads(value)
    if isinstance(value, list):
        for one in value:
            yield from facts(kind, path, one, literal)
    elif isinstance(value, dict):
        named = {unquoted(name): inner for name, inner in value.items() if name != "__is_block__"}
        if path.endswith("environment"):
            yield kind, f"{path}.{literal(named['name'])}", literal(named["value"])
            return
        for name, inner in named.items():
            snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
            if path or snake not in APART:
                yield from facts(kind, f"{path}.{snake.removesuffix('s')}", inner, literal)
    else:
        yield kind, path, literal(value)


def facts_of_module() -> Facts:
    return {fact for (kind, _), body in RESOURCES.items() for fact in facts(kind, "", body, resolved)}


def facts_of_program(made: Mocks) -> Facts:
    return {
        fact
        for key, inputs in made.made.items()
        if key.partition(" ")[0] in TYPES
        for fact in facts(TYPES[key.partition(" ")[0]], "", inputs, of_pulumi)
    }


def times(body: dict[str, Any]) -> int:
    return len(body["for_each"]) - ("__is_block__" in body["for_each"]) if "for_each" in body else 1


def test_resources_are_the_same(stack: Mocks) -> None:
    program = Counter(TYPES[key.partition(" ")[0]] for key in stack.made if not key.startswith("strandline:"))
    module = Counter({kind: 0 for kind, _ in RESOURCES})
    for (kind, _), body in RESOURCES.items():
        module[kind] += times(body)
    assert module == program


def test_settings_are_the_same(stack: Mocks) -> None:
    module, program = facts_of_module(), facts_of_program(stack)
    assert len(module) > 120
    assert module == program
    # The controls: what must be among them.
    assert ("aws_rds_cluster", ".deletion_protection", True) in module
    assert ("aws_ecs_task_definition", ".container_definition.environment.STRANDLINE_FAN_OUT", "false") in module
    assert ("aws_ecs_task_definition", ".container_definition.image", REFERENCE) in module


def test_what_is_protected_is_the_same(stack: Mocks) -> None:
    kept = {kind for (kind, _), body in RESOURCES.items() if body.get("lifecycle", [{}])[0].get("prevent_destroy")}
    assert kept == {TYPES[kind] for kind in stack.protected}


def statements(name: str, *, fan_out: bool) -> list[tuple[set[str], int, bool]]:
    """The actions of each statement, how many resources it names, and whether those are all."""
    document = blocks("data")["aws_iam_policy_document", name]
    given = [*document.get("statement", [])]
    for one in document.get("dynamic", []) if fan_out else []:
        [body] = [inner for label, inner in one.items() if label != "__is_block__"]
        assert body["for_each"] == "${var.fan_out ? [1] : []}"
        given += body["content"]
    made = []
    for one in given:
        resources = one["resources"] if isinstance(one["resources"], list) else KNOWN["local.tables"]
        made.append(({unquoted(action) for action in one["actions"]}, len(resources), '"*"' in resources))
    return sorted(made, key=lambda one: sorted(one[0]))


@pytest.mark.parametrize("stack", [{}, {"fan_out": True}], indirect=True, ids=["polling", "fan-out"])
@pytest.mark.parametrize("role", ["task", "execution"])
def test_rights_are_the_same(stack: Mocks, role: str, request: pytest.FixtureRequest) -> None:
    policy = json.loads(stack.one("aws:iam/rolePolicy:RolePolicy", role)["policy"])
    program = [(set(one["Action"]), len(one["Resource"]), "*" in one["Resource"]) for one in policy["Statement"]]
    fan_out = "fan-out" in request.node.callspec.id
    assert statements(role, fan_out=fan_out) == sorted(program, key=lambda one: sorted(one[0]))


def test_search_is_open_to_the_same(stack: Mocks) -> None:
    policy = json.loads(stack.one("aws:opensearch/domainPolicy:DomainPolicy")["accessPolicies"])
    [program] = policy["Statement"]
    given = decoded(RESOURCES["aws_opensearch_domain_policy", "search"]["access_policies"])
    [module] = given["Statement"]
    for name in ("Effect", "Action"):
        assert unquoted(module[name]) == program[name]
    assert module["Principal"] == {"AWS": "${aws_iam_role.task.arn}"}
    assert program["Principal"] == {"AWS": "arn:aws:iam/role:Role:strandline-task"}


def test_choices_and_outputs_are_the_same() -> None:
    config = yaml.safe_load((DEPLOY / "Pulumi.yaml").read_text())["config"]
    choices = {re.sub(r"([A-Z])", r"_\1", name.partition(":")[2]).lower() for name in config}
    assert variables().keys() - {"name"} == choices
    exported = re.search(r"outputs = \((.*?)\)", (DEPLOY / "__main__.py").read_text(), re.DOTALL)
    assert exported is not None
    outputs = {unquoted(name) for one in load("outputs.tf")["output"] for name in one}
    assert outputs == set(re.findall(r'"(\w+)"', exported[1]))


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
def test_module_is_formatted() -> None:
    subprocess.run(["terraform", "fmt", "-check", "-diff", str(FOLDER)], check=True)
