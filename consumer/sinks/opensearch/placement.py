"""Ids of rows in an index, and what happens to the rows that a source had before."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from strandline.consumer.database.connection import Connection
from strandline.consumer.projection.definition import BlockProjection, ComposedProjection, Projection
from strandline.consumer.sinks import row_records
from strandline.consumer.sinks.contract import Replacement
from strandline.consumer.sinks.row_records import Source

Former = Mapping[Any, list[Source]]  # rows that are recorded of earlier writes, by the scope of a source


class Write(NamedTuple):
    """A replacement, its source, and its rows by their ids."""

    replacement: Replacement
    document: str
    version: int
    rows: dict[str, bytes]

    @property
    def sources(self) -> list[Source]:
        """The record of these rows."""
        return [Source(self.document, self.version, row_id) for row_id in self.rows]


class Placement(ABC):
    """The way in which new rows of a source replace its earlier ones."""

    @abstractmethod
    def id_prefix(self, document: str, version: int) -> str:
        """Return the beginning of the ids of a source's rows."""

    @abstractmethod
    def scope(self, document: str, version: int) -> Any:
        """Return what a source shares with the earlier rows that it replaces."""

    @abstractmethod
    def find(self, recording: Connection, generation: int, writes: Iterable[Write]) -> list[Source]:
        """Return the recorded rows that the writes replace."""

    @abstractmethod
    def withdraw(self, write: Write, former: list[Source], faults: Mapping[str, str]) -> tuple[list[Source], list[str]]:
        """Return, of a refused write, the rows to forget and the ids to delete; `faults` has the ids that were
        refused."""


class InPlace(Placement):
    """New rows overwrite the earlier ones, so a refusal leaves these in place: a row that is one with its document,
    and composed keys, of which the caller withdraws the rest."""

    def id_prefix(self, document: str, version: int) -> str:
        return document

    def scope(self, document: str, version: int) -> Any:
        return document

    def find(self, recording: Connection, generation: int, writes: Iterable[Write]) -> list[Source]:
        return row_records.of_documents(recording, generation, [one.document for one in writes])

    def withdraw(self, write: Write, former: list[Source], faults: Mapping[str, str]) -> tuple[list[Source], list[str]]:
        return [source for source in write.sources if source.row_id in faults and source not in former], []


@dataclass(frozen=True)
class SideBySide(Placement):
    """New rows are written next to the earlier ones, which go when all are in, so a refusal takes nothing away.

    `all_versions`: a source replaces the rows of every version of its document, not only those of its own.
    """

    all_versions: bool

    def id_prefix(self, document: str, version: int) -> str:
        return f"{document}/{version}" if document else str(version)  # of a block its number

    def scope(self, document: str, version: int) -> Any:
        return document if self.all_versions else (document, version)

    def find(self, recording: Connection, generation: int, writes: Iterable[Write]) -> list[Source]:
        if self.all_versions:
            return row_records.of_documents(recording, generation, [one.document for one in writes])
        return row_records.of_versions(recording, generation, [(one.document, one.version) for one in writes])

    def withdraw(self, write: Write, former: list[Source], faults: Mapping[str, str]) -> tuple[list[Source], list[str]]:
        return write.sources, list(write.rows)


def placement(projection: Projection) -> Placement:
    """Return the placement of a projection's rows."""
    if isinstance(projection, ComposedProjection):
        return InPlace()
    current = not isinstance(projection, BlockProjection) and projection.keeps == "current"
    return InPlace() if current and not projection.key else SideBySide(all_versions=current)
