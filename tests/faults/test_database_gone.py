"""The database goes away in the middle of each command, and comes back: a line that says so, and nothing is lost."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.cli.app import run
from strandline.consumer.intake.decoding import DecodedItem
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.databases import migrated_database
from tests.faults.kills import contents, take_in_whole
from tests.tcp_proxy import proxy

# psycopg leaves a server-side cursor open where the connection is lost while it closes it.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*ServerCursor:pytest.PytestUnraisableExceptionWarning"
)

BLOCKS = 60
CUTS = 6  # of each command, from its first words to its last
DOCUMENT = """
    SELECT document_id, version FROM journal.revision WHERE state = 'normal' ORDER BY sequence_no LIMIT 1"""

REPLACED = """
    SELECT document_id, version FROM journal.revision r
    WHERE state = 'normal' AND EXISTS (
        SELECT FROM journal.revision later WHERE later.document_id = r.document_id AND later.version > r.version)
    ORDER BY sequence_no, document_id, version LIMIT 1"""
HOLDS_REDACTED = """
    SELECT EXISTS (
        SELECT FROM journal.redaction JOIN journal.revision USING (document_id, version)
        WHERE data IS NOT NULL OR data_ion IS NOT NULL)"""
MODELS = ["licence_register", "licence_points"]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gone") / "journal"
    simulate(folder, BLOCKS, 5, Format.ION_TEXT)
    return folder


@pytest.fixture(scope="module")
def filled(postgres_url: str, migrated_template: str, journal: Path) -> Iterator[str]:
    """URL of a database that commands which change nothing share."""
    with migrated_database(postgres_url, migrated_template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRANDLINE_DATABASE_URL", url)
        assert run(["replay", "--json", str(journal / "full")]) == 0
        yield url


@pytest.fixture
def document(filled: str) -> list[str]:
    with psycopg.connect(filled) as connection:
        return [str(part) for part in connection.execute(DOCUMENT).fetchone() or ()]


def served(url: str, name: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(f"SELECT t::text FROM read.{name} t ORDER BY 1".encode()).fetchall()


class Interrupted:
    """Runs a command again and again, cut off at another place each time; its last run goes through."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._captured = captured

    def __call__(self, command: list[str], url: str, *, each: Callable[[], None] = lambda: None) -> None:
        with proxy(url) as between:
            self._patch.setenv("STRANDLINE_DATABASE_URL", between.url)
            each()
            assert run(command) == 0, self._captured.readouterr().err
            whole = between.passed
            assert whole > CUTS
            for cut in range(CUTS):
                each()
                between.passed, between.cut_after, between.mode = 0, whole * (2 * cut + 1) // (2 * CUTS), "pass"
                self._check(command, run(command))
            between.cut_after, between.mode = None, "pass"
            each()
            assert run(command) == 0, self._captured.readouterr().err

    def _check(self, command: list[str], status: int) -> None:
        said = self._captured.readouterr()
        assert status in (0, 1)  # 0 where its last words were only to say goodbye
        if status:
            assert "PostgreSQL" in said.err, said.err
            assert len(said.err.strip().splitlines()) <= 6
        assert "Traceback" not in said.err
        assert "payload" not in said.err


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Interrupted:
    return Interrupted(monkeypatch, capsys)


@pytest.mark.parametrize(
    "command",
    [
        ["status", "--json"],
        ["verify", "--json"],
        ["digest"],
        ["parked"],
        ["rejected"],
        ["retry", "licence_register"],
        ["receipts"],
        ["sql", "--write", "--json", "SELECT * FROM journal.block, generate_series(1, 20)"],
        ["migrate"],
        ["project"],
        ["find-subject", "Contact.email", "nobody@example.org"],
    ],
    ids=lambda command: command[0],
)
def test_a_command_that_asks(interrupted: Interrupted, filled: str, command: list[str]) -> None:
    before = contents(filled)
    interrupted(command, filled)
    assert contents(filled) == before


def test_prove(interrupted: Interrupted, filled: str, document: list[str], tmp_path: Path) -> None:
    interrupted(["prove", *document, "-o", str(tmp_path / "proof.json")], filled)
    assert run(["check-proof", str(tmp_path / "proof.json")]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["redactions", "export", "{}/register.json"],
        ["init-projection", "Licence", "-o", "{}/licence.py"],
        ["scrub", "{journal}/early", "{}/scrubbed"],
        ["ledger", "export", "{}/exported"],
    ],
    ids=lambda command: command[0],
)
def test_a_command_that_writes_files(
    interrupted: Interrupted, filled: str, journal: Path, tmp_path: Path, command: list[str]
) -> None:
    """Begun anew each time, as whoever runs it again after an error would, with what it left out of the way."""
    written = tmp_path / "written"

    def anew() -> None:
        shutil.rmtree(written, ignore_errors=True)
        written.mkdir(exist_ok=True)

    before = contents(filled)
    interrupted([part.format(written, journal=journal) for part in command], filled, each=anew)
    assert contents(filled) == before
    assert any(written.rglob("*"))


def test_rebuild_and_rollback(interrupted: Interrupted, database: str, filled: str, journal: Path) -> None:
    take_in_whole(database, journal / "full")
    for command in (["project"], ["rebuild", *MODELS], ["rollback", MODELS[0]]):
        interrupted(command, database)
        assert [served(database, name) for name in MODELS] == [served(filled, name) for name in MODELS]


def test_redact(interrupted: Interrupted, database: str, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in_whole(database, journal / "full")
    command = ["redact"]

    def another() -> None:
        with psycopg.connect(database) as connection:
            command[1:] = [str(part) for part in connection.execute(REPLACED).fetchone() or ()]

    interrupted(command, database, each=another)
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    assert run(["verify"]) == 0
    assert run(["receipts", "--verify"]) == 0
    with psycopg.connect(database) as connection:
        assert connection.execute(HOLDS_REDACTED).fetchone() == (False,)


def test_replay_of_exports(interrupted: Interrupted, database: str, filled: str, journal: Path) -> None:
    """Each run after a cut takes up where the one before was lost."""

    def forget_some() -> None:
        """So that there is something left to do each time."""
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DELETE FROM journal.object")

    interrupted(["replay", "--json", str(journal / "full")], database, each=forget_some)
    assert contents(database) == contents(filled)


@pytest.mark.parametrize("cut", range(1, 9))
def test_the_first_replay(
    database: str,
    filled: str,
    journal: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cut: int,
) -> None:
    with proxy(database) as between:
        monkeypatch.setenv("STRANDLINE_DATABASE_URL", between.url)
        between.cut_after = 24 * cut
        status = run(["replay", "--json", str(journal / "full")])
        assert status in (0, 1)
        error = capsys.readouterr().err
        assert "Traceback" not in error
        assert status == 0 or "PostgreSQL" in error
        between.cut_after, between.mode = None, "pass"
        assert run(["replay", "--json", str(journal / "full")]) == 0
    assert contents(database) == contents(filled)


def test_the_first_migration(interrupted: Interrupted, empty_database: str) -> None:
    interrupted(["migrate"], empty_database)


def test_the_server_ends_every_connection(
    filled: str, journal: Path, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a server that stops does: with words of its own, not by silence."""
    from strandline.consumer.intake import replay as replaying

    decode = replaying.decode_items

    def end_first(*arguments: Any, **options: Any) -> Iterator[DecodedItem]:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        return decode(*arguments, **options)

    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    with monkeypatch.context() as patch:
        patch.setattr(replaying, "decode_items", end_first)
        assert run(["replay", str(journal / "full")]) == 1
    error = capsys.readouterr().err
    assert "The connection to PostgreSQL was lost; what was committed stays: run the command again" in error
    assert run(["replay", "--json", str(journal / "full")]) == 0
    assert contents(database) == contents(filled)
