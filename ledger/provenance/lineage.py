"""The lineage of a thing, from the read model `provenance_lineage`, and as a tree for people."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg

from strandline.consumer.database.connection import connect
from strandline.journal.errors import StrandlineError

Direction = Literal["sources", "results"]

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
    """A relation by which `thing` comes from `source`."""

    thing: str
    relation: str
    source: str


@dataclass(frozen=True)
class Lineage:
    """All sources, or all results, of a thing. A thing that no document describes is in `relations` only."""

    start: str
    direction: Direction
    things: dict[str, Thing]
    relations: tuple[Relation, ...]


def read_lineage(url: str, start: str, direction: Direction) -> Lineage:
    """Return the lineage of `start`. Raises StrandlineError if the ledger does not know it."""
    with connect(url) as connection:
        if connection.execute(HAS_MODEL).fetchone() != (True,):
            raise StrandlineError("There is no read model provenance_lineage: the ledger has no provenance yet.")
        relations = tuple(Relation(*row) for row in connection.execute(RELATIONS[direction], [start]))
        named = {start, *(one.thing for one in relations), *(one.source for one in relations)}
        things = _things(connection, named)
    if start not in things and not relations:
        raise StrandlineError(
            "The ledger knows no thing with this id; the known ones: "
            "`strandline sql 'SELECT thing FROM read.provenance_lineage'`."
        )
    return Lineage(start, direction, things, relations)


def tree(lineage: Lineage) -> Iterator[str]:
    """Yield a line for each relation, indented by distance. A thing is followed once, so a cycle ends."""
    further: dict[str, list[tuple[str, str]]] = {}
    for one in lineage.relations:
        here, there = (one.thing, one.source) if lineage.direction == "sources" else (one.source, one.thing)
        further.setdefault(here, []).append((one.relation, there))
    yield _named(lineage, lineage.start)
    shown = {lineage.start}
    # An explicit stack: a lineage may be deeper than Python's.
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


def _ends(edges: Iterable[tuple[str, str]]) -> list[tuple[str, str, bool]]:
    found = list(edges)
    return [(relation, there, index == len(found) - 1) for index, (relation, there) in enumerate(found)]


def _named(lineage: Lineage, name: str) -> str:
    thing = lineage.things.get(name)
    if thing is None:
        return f"{name} (not described)"
    description = ", ".join(part for part in (thing.type or thing.kind, thing.label) if part)
    return f"{name} ({description})"


def _things(connection: psycopg.Connection[Any], named: set[str]) -> dict[str, Thing]:
    """Return the things by id. If two documents claim an id, the first one counts."""
    found: dict[str, Thing] = {}
    for row in connection.execute(THINGS, [sorted(named)]):
        found.setdefault(row[0], Thing(*row))
    return found
