"""The command `preview`."""

import json
from collections.abc import Iterator

import pytest

from strandline.cli.app import run
from strandline.consumer.database.connection import connect
from tests.strand_rows import StrandRows


@pytest.fixture
def strand(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StrandRows]:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    monkeypatch.delenv("STRANDLINE_OPENSEARCH_URL", raising=False)
    with connect(database, autocommit=True) as connection:
        strand = StrandRows(connection)
        strand.block(("a", 0, "Licence", {"licenceId": "L-1\x1b[2J", "firstName": "Ada"}))
        yield strand


def test_rows_are_printed_and_nothing_is_written(capsys: pytest.CaptureFixture[str], strand: StrandRows) -> None:
    assert run(["preview", "licence_register"]) == 0
    said = capsys.readouterr().out
    assert "a version 0:" in said
    assert "  licence_id: L-1\\x1b[2J" in said  # a terminal would obey it
    assert "licence_register: 1 row of 1 documents, keys or blocks; 0 would park." in said
    assert strand.connection.execute("SELECT count(*) FROM projection.generation").fetchone() == (0,)


def test_document_that_would_park_exits_with_1(capsys: pytest.CaptureFixture[str], strand: StrandRows) -> None:
    strand.block(("b", 0, "Licence", {"firstName": "Ed"}))
    status = run(["preview", "licence_register", "--limit", "1", "--json"])
    (entry,) = json.loads(capsys.readouterr().out)["entries"]
    assert (entry["key"], entry["rows"]) == ("b version 0", [])
    assert (status, bool(entry["reason"])) == (1, True)


def test_unknown_name_exits_with_2(capsys: pytest.CaptureFixture[str], strand: StrandRows) -> None:
    assert run(["preview", "nope"]) == 2
    assert "no projection 'nope'" in capsys.readouterr().err
