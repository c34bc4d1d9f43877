"""A login that is only an operator: it sees how things stand and no payload, and changes nothing."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from strandline.cli import main
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate


@pytest.fixture
def operator(database: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("journal") / "made"
    simulate(folder, 60, 7, Format.ION_BINARY)
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    assert main(["replay", str(folder / "full"), "--json"]) == 0
    login = f"operator_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {login} LOGIN IN ROLE strandline_operator".encode())
        try:
            yield make_conninfo(database, user=login)
        finally:
            connection.execute(f"DROP ROLE {login}".encode())


@pytest.mark.parametrize(
    "command", [["status"], ["status", "--all"], ["status", "--json"], ["receipts"], ["receipts", "--head"]]
)
def test_operator_runs_status_and_receipts(
    operator: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", operator)
    assert main(command) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", [["project"], ["receipts", "--verify"], ["rebuild", "licence_register"]])
def test_operator_may_not_act_as_the_worker(
    operator: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", operator)
    capsys.readouterr()
    assert main(command) == 1
    assert "may not act as strandline_worker" in capsys.readouterr().err


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT data FROM journal.revision",
        "SELECT transaction_info FROM journal.block",
        "SELECT record FROM journal.rejected",
        "SELECT key FROM projection.parked",
        "SELECT * FROM read.licence_register",
        "DELETE FROM projection.receipt",
        "UPDATE journal.mark SET sequence_no = 0",
    ],
)
def test_operator_reads_no_payload_and_writes_nothing(operator: str, statement: str) -> None:
    with (
        psycopg.connect(operator) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())
