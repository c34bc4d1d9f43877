"""Applications that moved: several ledgers on one server, keys with rights, read models filled from a stream."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.ledgers import ledger_url
from strandline.consumer.database.migrate import migrate
from strandline.consumer.verification.verify import verify_store
from tests.consumer.worker.live import Cloud, in_read_models, mark, scalar, wait_for, worker
from tests.drivers.conftest import PYTHON, ROOT
from tests.drivers.examples import play
from tests.drivers.serving import serving
from tests.emulators import emulators

SECRET = "made-up-secret-of-a-test"
LEDGERS = ("licences", "audit", "wallet")
READ_MODELS = ("licence_history", "contact_directory", "ledger_activity")
KEYS = f"""
[app]
aws_access_key_id = APP
aws_secret_access_key = {SECRET}

[reader]
aws_access_key_id = READER
aws_secret_access_key = {SECRET}
allow =
    SendCommand on *
    PartiQLSelect on audit/*
"""
DENIED = {
    "code": "AccessDeniedException",
    "message": "Access denied. Unable to run the statement due to insufficient permissions or an improper variable "
    "reference",
}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Kinesis and KCL's lease table on this machine, for the server and the worker."""
    with emulators() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield Cloud(running, shards=1)


def program(*arguments: str, key: str) -> str:
    """The output of a program with QLDB's client."""
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": SECRET}
    done = subprocess.run(
        [str(PYTHON), *arguments], cwd=ROOT / "tests/drivers",
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_applications_move_as_they_are(
    cloud: Cloud, database: str, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker reads what the API's stream sends, from another database; each ledger verifies, and the copy too."""
    monkeypatch.setenv("STRANDLINE_CREATE_LEDGERS", "true")
    keys = tmp_path / "keys"
    keys.write_text(KEYS)
    keys.chmod(0o600)
    migrate(empty_database)
    stream = cloud.kinesis.describe_stream(StreamName=cloud.environment["STRANDLINE_STREAM"])["StreamDescription"]
    with (
        serving(database, tmp_path, "--keys", str(keys), name=None) as (url, _),
        worker(cloud, empty_database, tmp_path) as consumer,
    ):
        program("streams_client.py", url, stream["StreamARN"], *LEDGERS, key="APP")
        play(url, "bicycle_licence.js", "licences", "APP", SECRET)
        play(url, "ai_audit.py", "audit", "APP", SECRET)
        assert play(url, "wallet.py", "wallet", "APP", SECRET)["balances"]["ACC-1"] == "99.50"
        seen = json.loads(program("python_client.py", url, "audit", "cleared", key="READER"))
        assert seen == {"actors": ["clerk-7", "clerk-9"], "history": DENIED, "committed": DENIED, "other": DENIED}

        served = {name: ledger_url(database, name) for name in LEDGERS}
        tip = mark(served["licences"])
        wait_for(lambda: in_read_models(empty_database, READ_MODELS) == tip, [consumer])
        assert consumer.stop() == 0
    assert scalar(empty_database, "SELECT count(*) FROM journal.rejected") == 0
    mobiles = rows(empty_database, "SELECT mobile FROM read.contact_directory ORDER BY 1")
    assert mobiles == [("07700 900002",), ("07700 900003",)]
    states = dict(rows(empty_database, "SELECT state, count(*) FROM read.licence_history GROUP BY state"))
    assert states == {"normal": 2, "redacted": 2, "deleted": 1}  # the revisions that the application printed
    for one in (*served.values(), empty_database):
        assert verify_store(one, workers=1).ok
    blocks = "SELECT sequence_no, block_hash FROM journal.block ORDER BY 1"
    assert rows(empty_database, blocks) == rows(served["licences"], blocks)
