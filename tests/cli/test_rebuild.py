"""The commands `rebuild` and `rollback`."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from strandline.cli.app import run
from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.projection.discovery import discover
from tests.definitions import redefine
from tests.strand_rows import StrandRows


@pytest.fixture
def strand(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StrandRows]:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    monkeypatch.delenv("STRANDLINE_OPENSEARCH_URL", raising=False)
    with connect(database, autocommit=True) as connection:
        strand = StrandRows(connection)
        strand.block(("a", 0, "Licence", {"licenceId": "L-1"}), ("b", 0, "Licence", {"licenceId": "L-2"}))
        project(database, discover(["strandline.projections"]))
        yield strand


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    status = run([*arguments, "--json"])
    said = capsys.readouterr()
    return status, json.loads(said.out) if said.out else None, said.err


def test_rebuild_and_rollback_name_what_is_served(capsys: pytest.CaptureFixture[str], strand: StrandRows) -> None:
    status, found, _ = called(capsys, "rebuild", "licence_register", "licence_history")
    assert status == 0
    assert [(one["name"], one["rows"], one["swapped"]) for one in found["projections"]] == [
        ("licence_register", 2, True),
        ("licence_history", 2, True),
    ]
    built = found["projections"][0]["generation"]
    status, found, _ = called(capsys, "rollback", "licence_register")
    assert (status, found["projections"][0]["swapped"]) == (0, True)
    assert found["projections"][0]["generation"] < built
    _, found, _ = called(capsys, "status")
    others = [(one["name"], one["generation"], one["state"]) for one in found["other_generations"]]
    assert ("licence_register", built, "kept") in others
    assert run(["rebuild", "licence_register"]) == 0
    assert "licence_register: serving generation" in capsys.readouterr().out


def test_difference_exits_with_1(capsys: pytest.CaptureFixture[str], strand: StrandRows) -> None:
    rows = strand.connection.execute("SELECT relation FROM projection.generation WHERE projection = 'licence_register'")
    (relation,) = rows.fetchone() or ("",)
    strand.connection.execute(f"DELETE FROM generation.{relation} WHERE source_document = 'a'".encode())
    status, found, errors = called(capsys, "rebuild", "licence_register")
    assert (status, found["projections"][0]["swapped"]) == (1, False)
    assert "1 rows served, 2 rebuilt" in errors


def test_worse_generation_is_refused_unless_accepted(
    capsys: pytest.CaptureFixture[str], strand: StrandRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    projections = discover(["strandline.projections"])
    register = projections["licence_register"]
    mistaken = replace(register, rows=lambda revision: [{"licence_id": revision.data["nope"]}])
    redefine(monkeypatch, lambda one: one.name + " mistaken")
    monkeypatch.setattr("strandline.cli.rebuild.discover_projections", lambda: {"licence_register": mistaken})
    assert run(["rebuild", "licence_register"]) == 1
    said = capsys.readouterr()
    assert "2 rows served, 0 rebuilt; 2 documents newly parked; the old one stays in service." in said.err
    assert "2 parked: KeyError" in said.err
    assert "`strandline rebuild licence_register --accept`" in said.err
    assert "serving" not in said.out
    status, found, _ = called(capsys, "rebuild", "licence_register", "--accept")
    (one,) = found["projections"]
    assert (status, one["swapped"], one["worse"], one["newly_parked"]) == (0, True, True, 2)


def test_unknown_name_exits_with_2(capsys: pytest.CaptureFixture[str], strand: StrandRows) -> None:
    for command in (["rebuild", "licence_register", "nope"], ["rollback", "nope"]):
        status, found, errors = called(capsys, *command)
        assert (status, found["error"]["status"]) == (2, 2)
        assert "no projection 'nope'" in errors
    status, _, errors = called(capsys, "rollback", "licence_register")
    assert status == 1
    assert "only a rebuild leaves one" in errors
