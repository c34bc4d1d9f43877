"""Rows of one revision in the read models of AI audit events and of provenance."""

from datetime import UTC, datetime
from typing import Any

import pytest

from strandline.consumer.projection.definition import Revision, State, Unprojectable
from strandline.projections.ai_audit import ai_audit_search, ai_audit_timeline
from strandline.projections.provenance import provenance_lineage, provenance_search

WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)
EVENT = {"eventId": "e", "actor": "user-01", "at": "2026-01-02T03:04:05.678Z", "outcome": "refused", "version": "2.1"}


def revision(table: str, data: Any, state: State = "normal", version: int = 0) -> Revision:
    return Revision("doc", version, table, 9, "tx9", WRITTEN, state, data, b"")


def test_timeline_has_actor_and_time() -> None:
    (row,) = ai_audit_timeline.rows(revision("AuditEvent", EVENT))
    assert {name: value for name, value in row.items() if value is not None} == {
        "event_id": "e",
        "at": datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
        "model_version": "2.1",
        "actor": "user-01",
        "outcome": "refused",
        "entry": "recorded",
        "recorded_at": WRITTEN,
    }


@pytest.mark.parametrize(
    ("state", "version", "entry"), [("normal", 1, "changed"), ("deleted", 1, "deleted"), ("redacted", 0, "redacted")]
)
def test_timeline_has_the_kind_of_each_entry(state: State, version: int, entry: str) -> None:
    (row,) = ai_audit_timeline.rows(revision("AuditEvent", EVENT if state == "normal" else None, state, version))
    assert row["entry"] == entry


def test_search_has_no_actor() -> None:
    (row,) = ai_audit_search.rows(revision("AuditEvent", EVENT, version=1))
    assert "user-01" not in row.values()
    assert row["altered"] is True


@pytest.mark.parametrize("data", [{}, [], {"at": "soon", "eventId": 7}], ids=repr)
def test_fields_of_other_types_are_empty(data: Any) -> None:
    for module in (ai_audit_timeline, ai_audit_search):
        (row,) = module.rows(revision("AuditEvent", data))
        assert (row["event_id"], row["at"]) == (None, None)


def test_lineage_has_a_row_a_thing_and_a_row_a_relation() -> None:
    entity = {"entityId": "m", "type": "Model", "digest": "sha256:00"}
    (thing,) = provenance_lineage.rows(revision("Entity", entity))
    assert (thing["thing"], thing["kind"], thing["type"], thing.get("relation")) == ("m", "entity", "Model", None)
    (relation,) = provenance_lineage.rows(revision("WasGeneratedBy", {"entityId": "m", "activityId": "r"}))
    assert relation == {"thing": "m", "relation": "wasGeneratedBy", "source": "r"}
    (found,) = provenance_search.rows(revision("Entity", entity))
    assert (found["thing"], found["kind"]) == ("m", "entity")


@pytest.mark.parametrize("table", [*provenance_lineage.THINGS, *provenance_lineage.RELATIONS])
@pytest.mark.parametrize("data", [{}, [], {"entityId": 7, "agentId": None}], ids=repr)
def test_thing_without_id_parks(table: str, data: Any) -> None:
    with pytest.raises(Unprojectable, match="missing or not text"):
        list(provenance_lineage.rows(revision(table, data)))
