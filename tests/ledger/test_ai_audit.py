"""Audit events: recorded once, never changed by the recorder; changes by others are shown."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.projection.discovery import discover
from strandline.ledger import Ledger
from strandline.ledger.ai_audit import TABLE, AuditEvent, AuditLog, EventRecorded, WrongEvent
from strandline.ledger.redaction import redact_revision

SHA = "sha256:" + "ab" * 32
EVENT = AuditEvent(
    "e1", "scoring", "scorecard", "1.2", "user-01", "score", SHA, SHA, "accepted",
    datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC),
)  # fmt: skip


@pytest.fixture
def log(ledger: Ledger) -> AuditLog:
    log = AuditLog(ledger)
    log.create()
    log.create()  # is there
    return log


def rows(database: str, query: str) -> list[Any]:
    project(database, discover(["strandline.projections.ai_audit"]))
    with connect(database) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def test_event_is_recorded_once(log: AuditLog, database: str) -> None:
    first = log.record(EVENT)
    again = log.record(replace(EVENT, at=EVENT.at.astimezone(timezone(timedelta(hours=2)))))
    assert (first.new, again.new, again.document_id) == (True, False, first.document_id)
    query = "SELECT event_id, at, actor, outcome, entry, source_version FROM read.ai_audit_timeline"
    at = EVENT.at.replace(microsecond=678_000)
    assert rows(database, query) == [("e1", at, "user-01", "accepted", "recorded", 0)]
    assert rows(database, "SELECT * FROM read.ai_audit_alterations()") == []


def test_concurrent_and_forgotten_requests_record_once(log: AuditLog, database: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        recorded = list(pool.map(lambda _: log.record(EVENT), range(8)))
    assert sum(one.new for one in recorded) == 1
    with connect(database) as connection:
        connection.execute("DELETE FROM journal.request")  # as in a store that was filled by a replay
    assert not log.record(EVENT).new
    assert rows(database, "SELECT count(*) FROM read.ai_audit_timeline") == [(1,)]


@pytest.mark.parametrize("forgotten", [False, True])
def test_other_event_under_a_used_id_is_refused(log: AuditLog, database: str, forgotten: bool) -> None:
    log.record(EVENT)
    if forgotten:
        with connect(database) as connection:
            connection.execute("DELETE FROM journal.request")
    with pytest.raises(EventRecorded, match="not changed") as caught:
        log.record(replace(EVENT, outcome="refused"))
    assert "e1" not in str(caught.value)
    assert rows(database, "SELECT outcome FROM read.ai_audit_timeline") == [("accepted",)]


def test_altered_events_are_shown(log: AuditLog, ledger: Ledger, database: str) -> None:
    changed, deleted, kept = (log.record(replace(EVENT, event_id=one)) for one in ("changed", "deleted", "kept"))
    ledger.execute(lambda txn: txn.update(TABLE, changed.document_id, {"outcome": "refused"}))
    ledger.execute(lambda txn: txn.delete(TABLE, deleted.document_id))
    ledger.execute(lambda txn: txn.insert(TABLE, replace(EVENT, event_id="kept", actor="user-02").document()))
    query = "SELECT event_id, alteration, version FROM read.ai_audit_alterations()"
    assert rows(database, query) == [
        ("changed", "changed", 1),
        ("deleted", "deleted", 1),
        ("kept", "recorded again", 0),
    ]
    changes = "SELECT outcome FROM read.ai_audit_timeline WHERE event_id = 'changed' ORDER BY source_version"
    assert rows(database, changes) == [("accepted",), ("refused",)]
    redact_revision(ledger, changed.document_id, 0)
    redact_revision(ledger, deleted.document_id, 0)
    found = rows(database, query)
    assert ("changed", "changed", 1) in found
    assert sorted(alteration for _, alteration, _ in found) == [
        "changed", "deleted", "recorded again", "redacted", "redacted"
    ]  # fmt: skip
    assert kept.new


def test_analysts_may_not_read_events(log: AuditLog, database: str) -> None:
    log.record(EVENT)
    rows(database, "SELECT 1")
    for query in ("SELECT * FROM read.ai_audit_timeline", "SELECT * FROM read.ai_audit_alterations()"):
        refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
        with connect(database, role="strandline_analyst") as connection, refused:
            connection.execute(query)  # type: ignore[arg-type]
        with connect(database, role="strandline_cleared") as connection:
            connection.execute(query)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "odd",
    [{"system": ""}, {"actor": None}, {"at": datetime(2026, 1, 1)}, {"model": "a\n"}, {"input_digest": "The question"},
     {"output_digest": "sha256:xyz"}, {"outcome": "x" * 300}],
)  # fmt: skip
def test_malformed_event_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(WrongEvent) as caught:
        replace(EVENT, **odd)
    assert "question" not in str(caught.value)
