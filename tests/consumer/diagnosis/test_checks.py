"""The checks of the doctor whose causes are made here: a pooler, a full OpenSearch, an old Java."""

from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from opensearchpy import OpenSearch
from opensearchpy.exceptions import AuthorizationException

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.diagnosis import opensearch as checks
from strandline.consumer.diagnosis import stream
from strandline.consumer.diagnosis.finding import Findings, breaks
from strandline.consumer.diagnosis.opensearch import check_opensearch
from strandline.consumer.diagnosis.postgresql import check_pooling
from strandline.consumer.generations.stores import Stores
from strandline.consumer.settings import Settings


def levels(findings: Findings) -> dict[str, str]:
    return {one.check: one.level for one in findings.found}


def test_pooler_in_transaction_mode_is_a_fault(database: str) -> None:
    """Such a pooler serves two idle clients by one session of the server."""
    findings = Findings("database", [])
    with connect(database, role=None, autocommit=True) as one, connect(database, role=None, autocommit=True) as other:
        check_pooling(findings, one, other)
        assert levels(findings) == {"pooling": "ok"}
        findings.found.clear()
        check_pooling(findings, one, one)
        assert levels(findings) == {"pooling": "fault"}
        assert breaks(findings.found)
        # While others use the pooler too, it may serve each statement by another session.
        findings.found.clear()
        with connect(database, role=None, autocommit=True) as third:
            check_pooling(findings, cast(Connection, Lent([one, third])), other)
    assert levels(findings) == {"pooling": "fault"}


class Lent:
    """A connection through such a pooler."""

    def __init__(self, sessions: list[Connection]) -> None:
        self._sessions = cycle(sessions)

    def execute(self, statement: bytes) -> Any:
        return next(self._sessions).execute(statement)


class Cluster:
    """The answers of a cluster that is nearly full."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {
            "number": "2.19.0",
            "status": "green",
            "used": 40,
            "active": 10,
            "length": 104_857_600,
            **answers,
        }
        self.cluster = SimpleNamespace(health=self._health, get_settings=self._settings)
        self.cat = SimpleNamespace(allocation=lambda **_: [{"disk.percent": str(self.answers["used"])}, {}])
        self.nodes = SimpleNamespace(info=self._nodes)

    def info(self) -> dict[str, Any]:
        version = {"number": self.answers["number"], "distribution": self.answers.get("distribution", "opensearch")}
        return {"version": version}

    def _health(self) -> dict[str, Any]:
        return {
            "status": self.answers["status"], "number_of_data_nodes": 1, "active_shards": self.answers["active"],
        }  # fmt: skip

    def _settings(self, **_: Any) -> dict[str, Any]:
        if self.answers.get("hidden"):
            raise AuthorizationException(403, "security_exception", {})
        name = "cluster.max_shards_per_node"
        return {"defaults": {name: "1000"}, "persistent": {name: "100"}, "transient": {}}

    def _nodes(self, **_: Any) -> dict[str, Any]:
        return {"nodes": {"a": {"http": {"max_content_length_in_bytes": self.answers["length"]}}}}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, {}),
        ({"status": "red"}, {"health": "fault"}),
        ({"used": 91}, {"disk": "fault"}),
        ({"active": 60}, {"shards": "fault"}),
        ({"length": 1_000_000}, {"limits": "warning"}),
        ({"number": "7.10.2", "distribution": "elasticsearch"}, {"version": "fault"}),
        ({"number": "1.3.0"}, {"version": "fault"}),
        ({"hidden": True}, {"shards": "note"}),
    ],
)
def test_limits_of_opensearch(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], expected: dict[str, str]
) -> None:
    monkeypatch.setattr(checks, "open_stores", lambda *_: Stores("", Cluster(**answers)))  # type: ignore[arg-type]
    findings = Findings("opensearch", [])
    check_opensearch(findings, Settings(opensearch_url="http://user:pw@search:9200"))
    sound = dict.fromkeys(("connection", "version", "health", "disk", "shards", "limits"), "ok")
    assert levels(findings) == {**sound, **expected}


def test_real_node_answers_every_check(opensearch: OpenSearch, opensearch_url: str) -> None:
    findings = Findings("opensearch", [])
    check_opensearch(findings, Settings(opensearch_url=opensearch_url))
    found = levels(findings)
    assert found.keys() == {"connection", "version", "health", "disk", "shards", "limits"}
    assert found["version"] == found["limits"] == "ok"


@pytest.mark.parametrize(
    ("printed", "expected"), [('openjdk version "17.0.13"', "ok"), ('java version "1.8.0"', "fault"), ("", "fault")]
)
def test_java_is_checked(tmp_path: Path, printed: str, expected: str) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho '{printed}' >&2\n")
    java.chmod(0o755)
    findings = Findings("stream", [])
    stream._check_java(findings, str(java))
    assert levels(findings) == {"java": expected}
