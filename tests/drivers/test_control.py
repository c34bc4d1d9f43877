"""The control API by boto3's own client, whose model checks every shape: the cycle of infrastructure code."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.drivers.conftest import ROOT
from tests.drivers.serving import KEYS, serving
from tests.emulated_aws import emulated_aws


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kinesis of moto, for the server and its client."""
    with emulated_aws("eu-west-2", key="AKIDEXAMPLE") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield


def test_cycle_of_infrastructure_code(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_CREATE_LEDGERS", "true")
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName="target", ShardCount=1)
    arn = kinesis.describe_stream(StreamName="target")["StreamDescription"]["StreamARN"]
    keys = tmp_path / "keys"
    keys.write_text(KEYS)
    keys.chmod(0o600)
    with serving(database, tmp_path, "--keys", str(keys), name=None) as (url, _):
        done = subprocess.run(
            [str(ROOT / ".venv-drivers/bin/python"), str(ROOT / "tests/drivers/control_client.py"), url, arn],
            env=os.environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Whether it was still being created.
    assert found["errors"].pop(0) in (["ResourceInUseException", 409], ["ResourceAlreadyExistsException", 409])
    assert found == {
        "made": ["CREATING", "infrastructure", True],
        "active": ["ALLOW_ALL", True, "ACTIVE"],
        "tags": [{"stage": "test"}, {"owner": "a/b c"}, {"of": "stream"}],
        "described": ["STANDARD", False],
        "stream": ["to-kinesis", 2021, 1],
        "errors": [
            ["ResourcePreconditionNotMetException", 412],
            ["ResourcePreconditionNotMetException", 412],
            ["ResourceNotFoundException", 404],
        ],
        "exports": [],
        "ledgers": [],
    }
