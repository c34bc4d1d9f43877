"""The recorder: statements are permanent, and relations need recorded things."""

from datetime import UTC, datetime
from typing import Any

import pytest

from strandline.consumer.database.connection import connect
from strandline.ledger import Ledger
from strandline.ledger.provenance.recorder import (
    Activity,
    Agent,
    Contradiction,
    Entity,
    Provenance,
    UnknownThing,
    Used,
    WasAttributedTo,
    WasDerivedFrom,
    WasGeneratedBy,
    WrongStatement,
)

RUN = (
    Agent("agent/a", "Organization", "Team A"),
    Entity("data/1", "DataSet", "Orders", digest="sha256:" + "0" * 64),
    Activity("run/1", "Training", started_at=datetime(2026, 1, 1, tzinfo=UTC)),
    Entity("model/1", "Model"),
    Used("run/1", "data/1"),
    WasGeneratedBy("model/1", "run/1"),
    WasDerivedFrom("model/1", "data/1"),
    WasAttributedTo("model/1", "agent/a"),
)


@pytest.fixture
def provenance(ledger: Ledger) -> Provenance:
    provenance = Provenance(ledger)
    provenance.create()
    provenance.create()  # is there
    return provenance


def stored(database: str) -> list[tuple[Any, ...]]:
    with connect(database) as connection:
        return connection.execute(
            "SELECT table_name, version, data FROM journal.revision WHERE table_name <> 'StrandlineGraft'"
            " ORDER BY sequence_no, table_name, document_id"
        ).fetchall()


def test_repeated_statements_write_nothing(provenance: Provenance, database: str) -> None:
    provenance.record(*RUN)
    recorded = stored(database)
    assert len(recorded) == 8
    assert ("WasDerivedFrom", 0, {"generatedEntityId": "model/1", "usedEntityId": "data/1"}) in recorded
    assert (
        "Activity",
        0,
        {"activityId": "run/1", "type": "Training", "startedAt": "2026-01-01T00:00:00.000Z"},
    ) in recorded
    provenance.record(*RUN)
    assert stored(database) == recorded


def test_missing_members_may_be_added_and_nothing_changed(provenance: Provenance, database: str) -> None:
    provenance.record(*RUN)
    ended = Activity("run/1", "Training", ended_at=datetime(2026, 1, 2, tzinfo=UTC))
    provenance.record(ended)
    table, version, data = stored(database)[-1]
    assert (table, version, data["endedAt"]) == ("Activity", 1, "2026-01-02T00:00:00.000Z")
    recorded = stored(database)
    for other in (Entity("data/1", "Model"), Activity("run/1", ended_at=datetime(2027, 1, 2, tzinfo=UTC))):
        with pytest.raises(Contradiction) as caught:
            provenance.record(Entity("data/9"), other)
        assert "/1" not in str(caught.value)
    assert stored(database) == recorded


@pytest.mark.parametrize("relation", RUN[4:], ids=lambda one: one.table)
def test_relation_needs_both_things(provenance: Provenance, relation: Any, database: str) -> None:
    with pytest.raises(UnknownThing):
        provenance.record(relation)
    with pytest.raises(UnknownThing):
        provenance.record(Agent("agent/a"), Activity("run/1"), relation)
    assert stored(database) == []


@pytest.mark.parametrize(
    "odd",
    [Entity(""), Entity("a", label="\n"), Used("a", None), Activity("a", started_at=datetime(2026, 1, 1))],  # type: ignore[arg-type]
)
def test_malformed_statement_is_refused(provenance: Provenance, odd: Any) -> None:
    with pytest.raises((WrongStatement, UnknownThing)):
        provenance.record(odd)
