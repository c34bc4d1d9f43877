"""Projections of one table, which the tests of projectors and rebuilds share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from strandline.consumer.database.connection import Connection
from strandline.consumer.projection.definition import (
    Column,
    Revision,
    RowProjection,
    Unprojectable,
)
from tests.strand_rows import StrandRows


def rows(revision: Revision) -> Iterator[Mapping[str, object]]:
    data = revision.data or {}
    if data.get("raise") == "unprojectable":
        raise Unprojectable("it says so")
    if data.get("raise"):
        raise RuntimeError(f"the payload: {data}")
    yield {"label": data.get("label", revision.state), "amount": data.get("amount")}


CURRENT = RowProjection(
    name="now",
    purpose="Test.",
    tables=("T",),
    keeps="current",
    readers="analysts",
    columns=(Column("label", "text", ""), Column("amount", "integer", "")),
    rows=rows,
)
HISTORY = replace(CURRENT, name="past", keeps="history")


def good(label: str) -> dict[str, Any]:
    return {"label": label, "amount": 1}


BAD = {"raise": "unprojectable"}


class Written:
    """A history as it is written: the versions of each document, and those that may be redacted."""

    def __init__(self, strand: StrandRows) -> None:
        self.strand = strand
        self.versions: dict[str, int] = {}
        self.inactive: dict[str, list[int]] = {}
        self.deleted: set[str] = set()

    def step(self, document: str, kind: str) -> None:
        if kind == "redact":
            if self.inactive.get(document):
                self.strand.block(redact=(document, self.inactive[document].pop()))
        elif document not in self.deleted:
            version = self.versions.get(document, -1) + 1
            self.versions[document] = version
            if version:
                self.inactive.setdefault(document, []).append(version - 1)
            if kind == "delete":
                self.deleted.add(document)
            self.block(document, version, kind)

    def block(self, document: str, version: int, kind: str) -> None:
        """Write the document's next revision."""
        data = {"good": good(f"{document}{version}"), "bad": BAD, "raise": {"raise": "x"}, "big": {"amount": 2**40}}
        self.strand.block((document, version, "T", data.get(kind)))


@contextmanager
def undone(connection: Connection) -> Iterator[None]:
    """All that happens within, also what is committed there, is a savepoint of one transaction that is undone."""
    with connection.transaction(force_rollback=True):
        yield
