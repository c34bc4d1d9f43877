"""Each driver plays the same scenarios against `strandline serve qldb`; the journal verifies afterwards."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from strandline.cli import main
from strandline.consumer.database.connection import connect
from strandline.consumer.verification.verify import verify_store
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.values import read_one
from strandline.ledger import Ledger
from strandline.ledger.endpoint.application import Application
from strandline.ledger.endpoint.sessions import Sessions
from tests.drivers.conftest import LEDGER, ROOT, Driver
from tests.drivers.serving import KEYS, serving
from tests.ledger.endpoint.client import served
from tests.ledger.execution.statements import run

VALUES = Path(__file__).with_name("values.ion")
SHELL = ROOT / ".venv-qldbshell/bin/qldbshell"


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = tmp_path / "keys"
    path.write_text(KEYS)
    path.chmod(0o600)
    return str(path)


def test_driver_works_unchanged(driver: Driver, database: str, tmp_path: Path, keys: str) -> None:
    """With signed requests: tables, values of every type, pages, errors; then the export verifies."""
    with serving(database, tmp_path, "--keys", keys) as (url, _):
        assert driver.play(url, "tables")["tables"] == ["Vehicle"]

        given, values = read_one(VALUES.read_bytes()), driver.play(url, "values")
        with connect(database) as connection:
            row = connection.execute(
                "SELECT data_hash FROM journal.revision WHERE document_id = %s", [values["id"]]
            ).fetchone()
        assert row == (ion_hash(given),)
        assert ion_hash(read_one(values["found"].encode())) == ion_hash(given)

        assert driver.play(url, "pages") == {"rows": 450, "distinct": 450, "streamed": 450}

        errors = driver.play(url, "errors")
        assert errors["conflict"]["code"] == "OccConflictException"
        assert errors["runs"] == 3
        assert {errors[name]["code"] for name in ("syntax", "missing", "exists", "ledger")} == {"BadRequestException"}
        assert "No such variable named 'Nope'" in errors["missing"]["message"]
    assert verify_store(database, workers=1).ok
    export = str(tmp_path / "export")
    environment = pytest.MonkeyPatch()
    with environment.context() as patch:
        patch.setenv("STRANDLINE_DATABASE_URL", database)
        patch.setenv("STRANDLINE_HOME", str(tmp_path))
        assert main(["ledger", "export", export]) == 0
        assert main(["verify", export]) == 0


def test_wrong_key_is_refused(driver: Driver, database: str, tmp_path: Path, keys: str) -> None:
    other = replace(driver, environment=(("AWS_SECRET_ACCESS_KEY", "another-secret-of-a-test"),))
    with serving(database, tmp_path, "--keys", keys) as (url, _), other.start(url, "tables") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "signature" in errors.lower()
    assert "another-secret" not in errors


@contextmanager
def sessions_of(database: str, most_transactions: int, *, transaction_seconds: float) -> Iterator[str]:
    """Serve a ledger with a table Vehicle from this process. Yields the URL."""
    with Ledger(database) as ledger:
        run(ledger, "CREATE TABLE Vehicle")
        sessions = Sessions(ledger, most_transactions, idle_seconds=2)
        sessions.transaction_seconds = transaction_seconds
        sessions.start()
        try:
            with served(Application(sessions, keys=None, ledger_name=LEDGER)) as url:
                yield url
        finally:
            sessions.stop()
            assert sessions.join(10)


def test_time_is_over(driver: Driver, database: str) -> None:
    """An expired transaction ends, and is not tried again; a lost session is begun again."""
    with sessions_of(database, 10, transaction_seconds=1) as url:
        answer = driver.play(url, "expiry")
    assert answer["expired"]["code"] == "InvalidSessionException"
    assert answer["expired"]["message"].endswith("has expired")
    assert answer["after"] == 1


def test_capacity_is_exceeded(driver: Driver, database: str) -> None:
    """A transaction without room is refused, and another has room later."""
    with sessions_of(database, 1, transaction_seconds=30) as url:
        answer = driver.play(url, "capacity")
    assert answer["refused"]["code"] == "CapacityExceededException"
    assert answer["after"] == 1


def test_money_is_moved_while_the_endpoint_is_killed(driver: Driver, database: str, tmp_path: Path) -> None:
    """16 clients at once, over conflicts and two kills: the sum does not change, and no move is lost.

    A commit whose answer was lost may have happened, and the client moves again: more moves then, never fewer.
    """
    with ExitStack() as stack:
        with serving(database, tmp_path, kill=True) as (url, _):
            driver.play(url, "accounts")
            client = stack.enter_context(driver.start(url, "money"))
            assert client.stderr is not None
            assert client.stderr.readline() == "moving\n"
            time.sleep(0.5)
        port = int(url.rpartition(":")[2])
        with serving(database, tmp_path, port=port, kill=True):
            time.sleep(0.5)
        with serving(database, tmp_path, port=port):
            printed, errors = client.communicate(timeout=120)
        assert client.returncode == 0, errors
    answer = json.loads(printed)
    assert answer["done"] == 32
    assert answer["sum"] == 600
    assert "InternalFailure" not in answer["failed"]
    with Ledger(database) as ledger:
        versions = run(ledger, "SELECT VALUE metadata.version FROM _ql_committed_Account")
        assert sum(run(ledger, "SELECT VALUE balance FROM Account")) == 600
    assert sum(versions) >= 2 * 32  # a move writes two documents
    assert verify_store(database, workers=1).ok


@pytest.mark.skipif(not SHELL.exists(), reason="qldbshell is not installed: run `make test-drivers`")
def test_qldbshell(database: str, tmp_path: Path) -> None:
    """AWS's shell in Python: a statement by itself, a transaction of several, an error."""
    typed = [
        "CREATE TABLE Shelf",
        "start; INSERT INTO Shelf {'name': 'first'}; SELECT s.name AS shelf FROM Shelf AS s; commit",
        "SELECT FROM",
        "quit",
    ]
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    with serving(database, tmp_path) as (url, _):
        shell = subprocess.run(
            [SHELL, "-s", url, "-l", LEDGER, "-r", "eu-west-2"], env={**os.environ, **keys}, text=True,
            input="\r".join([*typed, ""]), capture_output=True, timeout=60, check=True,
        )  # fmt: skip
    assert 'shelf: "first"' in shell.stderr
    assert "committed" in shell.stderr
    assert "Parser Error: at line 1, column 8" in shell.stderr
    with Ledger(database) as ledger:
        assert run(ledger, "SELECT VALUE name FROM Shelf") == ["first"]
