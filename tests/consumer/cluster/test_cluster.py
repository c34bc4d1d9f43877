"""`replay --cluster` and `verify --cluster` on a local Dask cluster: two workers, objects in S3, one database."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strandline.cli import main
from strandline.consumer.cluster.client import connect_cluster
from strandline.consumer.cluster.replay import replay_on
from strandline.consumer.cluster.verify import verify_store_on
from strandline.consumer.database.connection import connect
from strandline.consumer.intake import s3
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.intake.sources import open_sources
from strandline.consumer.settings import Settings, load_settings
from strandline.consumer.verification.verify import verify_sources, verify_store
from strandline.journal.decode.kernel import KERNEL
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests import databases
from tests.commands import Outcome, Run
from tests.consumer.cluster.local import LocalCluster, local_cluster
from tests.consumer.intake.replays import contents, query, rejected
from tests.emulated_aws import SECRET, emulated_aws

BUCKET = "clustered-journal"
CHANGE = """
    UPDATE journal.block SET tables = '{}'
    WHERE sequence_no = (SELECT max(sequence_no) FROM journal.block WHERE tables <> '{}') RETURNING sequence_no"""


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """The environment with which S3 is reached."""
    with emulated_aws() as environment:
        yield environment


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journal")
    simulate(folder, 400, seed=5, format=Format.ION_BINARY)
    return folder / "full"


@pytest.fixture(scope="module")
def cluster(store: str, aws: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    environment = {**aws, "STRANDLINE_DATABASE_URL": store, "STRANDLINE_KERNEL": KERNEL}
    with local_cluster(tmp_path_factory.mktemp("cluster"), environment) as cluster:
        yield cluster


@pytest.fixture
def client(aws: dict[str, str], store: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in {**aws, "STRANDLINE_DATABASE_URL": store}.items():
        monkeypatch.setenv(name, value)
    return s3.client()


@pytest.fixture
def bucket(client: Any, journal: Path) -> Any:
    client.create_bucket(Bucket=BUCKET)
    for path in sorted(path for path in journal.rglob("*") if path.is_file()):
        client.put_object(Bucket=BUCKET, Key=f"full/{path.relative_to(journal).as_posix()}", Body=path.read_bytes())
    return client


@pytest.fixture
def command(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STRANDLINE_PROJECTIONS", "")

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        return Outcome(main(arguments), *capsys.readouterr())

    return run


@pytest.fixture
def plain(postgres_url: str, migrated_template: str) -> Iterator[str]:
    with databases.migrated_database(postgres_url, migrated_template) as url:
        yield url


def test_a_cluster_stores_and_verifies_what_one_process_does(
    bucket: Any, cluster: LocalCluster, store: str, plain: str, command: Run
) -> None:
    """A worker is killed in between; an object is tampered with, and replaced after it was rejected."""
    address = f"s3://{BUCKET}/full/"
    replay_sources(plain, open_sources([address]), Settings())
    good, key = _tamper(bucket)
    stored: list[int] = []

    def kill(blocks: int) -> None:
        stored.append(blocks)
        if len(stored) == 2:  # the first task runs alone
            cluster.kill(0)

    with connect_cluster(cluster.address) as connected:
        done = replay_on(connected, open_sources([address]), load_settings(), progress=kill)
    assert len(stored) > 4
    assert query(store, "SELECT sequence_no FROM journal.mark") == [(-1,)]
    assert done.rejected == len(rejected(store)) > 0
    bucket.put_object(Bucket=BUCKET, Key=key, Body=good)
    found = command("replay", address, "--cluster", cluster.address, "--json")
    assert (found.status, found.json["mark"], found.json["gaps"]) == (0, 399, [])
    assert contents(store) == contents(plain)

    expected = verify_sources(open_sources([address]), workers=1)
    told = command("verify", address, "--cluster", cluster.address, "--json")
    assert (told.status, told.json["ok"], told.json["blocks"]) == (0, True, 400)
    assert told.json["revisions"] == expected.revisions
    with connect_cluster(cluster.address) as connected:
        here, there = verify_store(store, workers=1), verify_store_on(connected, load_settings())
    assert replace(there, scope=here.scope) == here
    assert here.ok
    with connect(store) as connection:
        (changed,) = connection.execute(CHANGE).fetchone() or (None,)
    told = command("verify", "--cluster", cluster.address, "--json")
    assert [(one["sequenceNo"], one["fault"]) for one in told.json["faults"]] == [(changed, "tables")]
    for secret in (SECRET, store):
        assert secret not in cluster.logged()


def test_what_is_not_of_this_store_is_refused(
    bucket: Any, cluster: LocalCluster, plain: str, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("replay", f"s3://{BUCKET}/full/", "--cluster", cluster.address)
    simulate(tmp_path / "other", 60, seed=6, format=Format.ION_BINARY)
    before = contents(os.environ["STRANDLINE_DATABASE_URL"])
    other = command("replay", str(tmp_path / "other" / "full"), "--cluster", cluster.address)
    assert other.status == 1
    assert "but the store holds strand" in other.err
    assert contents(os.environ["STRANDLINE_DATABASE_URL"]) == before
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", plain)
    elsewhere = command("replay", f"s3://{BUCKET}/full/", "--cluster", cluster.address)
    assert elsewhere.status == 1
    assert "a worker has another database" in elsewhere.err
    assert query(plain, "SELECT count(*) FROM journal.block") == [(0,)]


def test_arguments_are_checked(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strandline.consumer.cluster.client.CONNECT_SECONDS", 1)
    for arguments, said in (
        (["verify", "--cluster", "127.0.0.1:8786"], "the address of a Dask scheduler"),
        (["verify", "--cluster", "tcp://127.0.0.1:9"], "cannot be reached"),
        (["verify", "--cluster", "tcp://127.0.0.1"], "the address of a Dask scheduler"),
        (["verify", "--cluster", "tls://127.0.0.1:9"], "tls:// needs a certificate"),
        (["replay", "--finish", "--cluster", "tcp://127.0.0.1:9"], "goes with neither"),
    ):
        found = command(*arguments)
        assert found.status in (1, 2)
        assert said in found.err


def _tamper(client: Any) -> tuple[bytes, str]:
    """Change a byte of the last object but one. Returns what it was, and its key."""
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET)["Contents"] if item["Key"].endswith(".ion")]
    good = client.get_object(Bucket=BUCKET, Key=keys[-2])["Body"].read()
    changed = bytearray(good)
    at = good.index(b"Licence")
    changed[at : at + 7] = b"License"
    client.put_object(Bucket=BUCKET, Key=keys[-2], Body=bytes(changed))
    return good, keys[-2]
