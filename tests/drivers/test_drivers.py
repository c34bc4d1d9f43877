"""Each driver plays the same scenarios against `strandline serve qldb`; the journal verifies afterwards."""

import json
import time
from contextlib import ExitStack
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
from tests.drivers.conftest import LEDGER, Driver
from tests.drivers.server import KEYS, serving
from tests.ledger.endpoint.client import served
from tests.ledger.execution.statements import run

VALUES = Path(__file__).with_name("values.ion")


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
    other = Driver(driver.name, driver.command, (("AWS_SECRET_ACCESS_KEY", "another-secret-of-a-test"),))
    with serving(database, tmp_path, "--keys", keys) as (url, _), other.start(url, "tables") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "InvalidSignature" in errors
    assert "another-secret" not in errors


def test_time_is_over(driver: Driver, database: str) -> None:
    """An expired transaction ends, and is not tried again; a lost session is begun again."""
    with Ledger(database) as ledger:
        run(ledger, "CREATE TABLE Vehicle")
        sessions = Sessions(ledger, 10, idle_seconds=2)
        sessions.transaction_seconds = 1
        sessions.start()
        try:
            with served(Application(sessions, keys=None, ledger_name=LEDGER)) as url:
                answer = driver.play(url, "expiry")
        finally:
            sessions.stop()
            assert sessions.join(10)
    assert answer["expired"]["code"] == "InvalidSessionException"
    assert answer["expired"]["message"].endswith("has expired")
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
