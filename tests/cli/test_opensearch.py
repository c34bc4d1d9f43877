"""The demo with an OpenSearch node, then a rebuild and a rollback."""

import json
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from strandline.cli import demo
from strandline.cli.app import run
from strandline.consumer.database.connection import connect
from strandline.journal.simulation.names import LedgerName


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    status = run([*arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_demo_fills_licence_search_which_is_rebuilt_and_rolled_back(
    capsys: pytest.CaptureFixture[str], database: str, opensearch: OpenSearch, opensearch_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    monkeypatch.setenv("STRANDLINE_OPENSEARCH_URL", opensearch_url)
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path))
    monkeypatch.setitem(demo.BLOCKS, LedgerName.LICENSING, 300)
    status, found = called(capsys, "demo")
    rows = {model["name"]: (model["rows"], model["store"]) for model in found["read_models"]}
    assert status == 0, found
    with connect(database) as connection:
        licences = connection.execute("SELECT count(DISTINCT licence_id) FROM read.licence_register").fetchone()
    assert licences
    assert rows["licence_search"] == (licences[0], "opensearch")
    one = opensearch.search(index="licence_search", body={"query": {"match": {"status": "ACTIVE"}}})["hits"]["hits"][0]
    query = {"nested": {"path": "endorsements", "query": {"range": {"endorsements.points": {"gte": 1}}}}}
    endorsed = opensearch.search(index="licence_search", body={"query": query})["hits"]["hits"]
    assert endorsed
    assert all(hit["_source"]["endorsements"] for hit in endorsed)
    for command in ("rebuild", "rollback"):
        status, result = called(capsys, command, "licence_search")
        assert status == 0, result
        assert [(each["swapped"], each["rows"]) for each in result["projections"]] == [(True, licences[0])]
        assert opensearch.get(index="licence_search", id=one["_id"])["_source"] == one["_source"]
    run(["demo"])
    assert "/licence_search/_search?q=" in capsys.readouterr().out


def test_project_with_a_dead_opensearch_fails_and_says_so(
    capsys: pytest.CaptureFixture[str], database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path))
    assert run(["simulate", str(tmp_path / "sample"), "--blocks", "60"]) == 0
    assert run(["replay", str(tmp_path / "sample" / "full")]) == 0
    assert run(["project"]) == 0
    monkeypatch.setenv("STRANDLINE_OPENSEARCH_URL", "http://somebody:secret@127.0.0.1:1")
    capsys.readouterr()
    for _ in range(2):  # also when everything in the database is at the mark
        assert run(["project"]) == 1
        said = capsys.readouterr()
        assert "licence_register" in said.out
        assert "OpenSearch at http://127.0.0.1:1 does not answer" in said.err
        assert "secret" not in said.err
