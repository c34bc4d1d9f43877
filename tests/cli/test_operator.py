"""Logins with one role: an operator sees the state and no payload, an auditor sees all; neither changes anything."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from strandline.cli import main
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.databases import login


@pytest.fixture
def filled(database: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path_factory.mktemp("journal") / "made"
    simulate(folder, 60, 7, Format.ION_BINARY)
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    assert main(["replay", str(folder / "full"), "--json"]) == 0
    return database


@pytest.fixture
def operator(filled: str) -> Iterator[str]:
    with login(filled, "strandline_operator") as url:
        yield url


@pytest.fixture
def auditor(filled: str) -> Iterator[str]:
    with login(filled, "strandline_auditor") as url:
        yield url


@pytest.mark.parametrize(
    "command", [["status"], ["status", "--all"], ["status", "--json"], ["receipts"], ["receipts", "--head"]]
)
def test_operator_runs_status_and_receipts(
    operator: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", operator)
    assert main(command) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("command", "role"),
    [
        (["project"], "worker"),
        (["rebuild", "licence_register"], "worker"),
        (["receipts", "--verify"], "auditor"),
        (["find-subject", "Contact.email", "ada@example.com"], "auditor"),
        (["verify"], "auditor"),
    ],
)
def test_operator_may_not_act_as_another(
    operator: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str], role: str
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", operator)
    capsys.readouterr()
    assert main(command) == 1
    assert f"may not act as strandline_{role}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["verify"],
        ["digest"],
        ["receipts", "--verify"],
        ["rejected"],
        ["parked"],
        ["find-subject", "Contact.email", "ada@example.com"],
        ["preview", "licence_register"],
        ["prove"],
    ],
)
def test_auditor_runs_what_only_reads(
    auditor: str,
    filled: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", auditor)
    monkeypatch.setenv("STRANDLINE_SUBJECT_FIELDS", "Contact.email")
    if command == ["prove"]:
        with psycopg.connect(filled) as connection:
            row = connection.execute("SELECT document_id, version::text FROM journal.revision LIMIT 1").fetchone()
        command = ["prove", *(row or ()), "-o", str(tmp_path / "proof.json")]
