"""The lineage of a thing, from the read model `provenance_lineage`: as a tree for people, and as PROV-JSON."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from prov.model import ProvDocument, QualifiedName

from strandline.consumer.database.connection import connect
from strandline.journal.errors import StrandlineError

Direction = Literal["sources", "results"]
NAMESPACE = "urn:strandline:provenance:"

HAS_MODEL = "SELECT to_regclass('read.provenance_lineage') IS NOT NULL"
RELATIONS = {
    "sources": "SELECT thing, relation, source FROM read.provenance_sources(%s)",
    "results": "SELECT thing, relation, source FROM read.provenance_results(%s)",
}
THINGS = """
    SELECT thing, kind, type, label, digest, location, started_at, ended_at FROM read.provenance_lineage
    WHERE thing = ANY (%s) AND kind IS NOT NULL ORDER BY source_block, source_document"""


@dataclass(frozen=True, slots=True)
class Thing:
    id: str
    kind: str
    type: str | None
    label: str | None
    digest: str | None
    location: str | None
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Relation:
    """`thing` comes from `source`."""

    thing: str
    relation: str
    source: str


@dataclass(frozen=True)
class Lineage:
    """What a thing comes from, or what comes from it; things that nothing is told of are in relations only."""

    start: str
    direction: Direction
    things: dict[str, Thing]
    relations: tuple[Relation, ...]


def read_lineage(url: str, start: str, direction: Direction) -> Lineage:
    """Raises StrandlineError where nothing is told of the thing."""
    with connect(url) as connection:
        if connection.execute(HAS_MODEL).fetchone() != (True,):
            raise StrandlineError("There is no read model provenance_lineage: the ledger has no provenance yet.")
        relations = tuple(Relation(*row) for row in connection.execute(RELATIONS[direction], [start]))
        named = {start, *(one.thing for one in relations), *(one.source for one in relations)}
        things = _things(connection, named)
    if start not in things and not relations:
        raise StrandlineError(
            "Nothing is told of a thing with this id: `strandline sql 'SELECT thing FROM read.provenance_lineage'`."
        )
    return Lineage(start, direction, things, relations)


def tree(lineage: Lineage) -> Iterator[str]:
    """A line a relation, indented by distance; what was shown before is not followed again, so a cycle ends."""
    further: dict[str, list[tuple[str, str]]] = {}
    for one in lineage.relations:
        here, there = (one.thing, one.source) if lineage.direction == "sources" else (one.source, one.thing)
        further.setdefault(here, []).append((one.relation, there))
    yield _named(lineage, lineage.start)
    shown = {lineage.start}
    # A stack of our own: a lineage may be deeper than Python's.
    waiting = [("", edge) for edge in reversed(_ends(further.get(lineage.start, ())))]
    while waiting:
        indent, (relation, there, last) = waiting.pop()
        again = there in shown and there in further
        arrow = relation if lineage.direction == "sources" else f"{relation} of"
        yield f"{indent}{'└─' if last else '├─'} {arrow} {_named(lineage, there)}{' (shown above)' if again else ''}"
        if there not in shown:
            shown.add(there)
            deeper = indent + ("   " if last else "│  ")
            waiting += [(deeper, edge) for edge in reversed(_ends(further.get(there, ())))]


def prov_json(lineage: Lineage) -> str:
    """W3C's PROV-JSON (member submission, 2013)."""
    document = ProvDocument()
    space = document.add_namespace("ledger", NAMESPACE)
    ids = {name: space[name] for name in _ids(lineage)}
    for name in sorted(lineage.things):
        _add_thing(document, ids[name], lineage.things[name])
    add: dict[str, Any] = {
        "used": document.used,
        "wasGeneratedBy": document.wasGeneratedBy,
        "wasDerivedFrom": document.wasDerivedFrom,
        "wasAttributedTo": document.wasAttributedTo,
    }
    for one in sorted(lineage.relations, key=lambda one: (one.relation, one.thing, one.source)):
        add[one.relation](ids[one.thing], ids[one.source])
    return str(document.serialize(format="json", indent=2))


def _ends(edges: Iterable[tuple[str, str]]) -> list[tuple[str, str, bool]]:
    found = list(edges)
    return [(relation, there, index == len(found) - 1) for index, (relation, there) in enumerate(found)]


def _named(lineage: Lineage, name: str) -> str:
    thing = lineage.things.get(name)
    if thing is None:
        return f"{name} (nothing told)"
    told = ", ".join(part for part in (thing.type or thing.kind, thing.label) if part)
    return f"{name} ({told})"


def _things(connection: psycopg.Connection[Any], named: set[str]) -> dict[str, Thing]:
    """Where two documents claim one id, the first that did."""
    found: dict[str, Thing] = {}
    for row in connection.execute(THINGS, [sorted(named)]):
        found.setdefault(row[0], Thing(*row))
    return found


def _ids(lineage: Lineage) -> set[str]:
    return {lineage.start, *(name for one in lineage.relations for name in (one.thing, one.source))}


def _add_thing(document: ProvDocument, name: QualifiedName, thing: Thing) -> None:
    told = {"prov:type": thing.type, "prov:label": thing.label, "prov:location": thing.location}
    told |= {"ledger:digest": thing.digest}
    attributes = {key: value for key, value in told.items() if value is not None}
    if thing.kind == "activity":
        document.activity(name, thing.started_at, thing.ended_at, attributes)
    elif thing.kind == "agent":
        document.agent(name, attributes)
    else:
        document.entity(name, attributes)
