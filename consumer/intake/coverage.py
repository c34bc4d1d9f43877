"""The block range of each source, and gaps and overlaps between sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from strandline.journal.sources.place import File
from strandline.journal.sources.source import Item, Source

Relation = Literal["first", "follows", "overlaps", "gap"]


@dataclass(frozen=True, slots=True)
class Extent:
    """A source's first and last block; None if it had none.

    `between` is the range that it shares with the sources before it, or the gap between them and it.
    """

    source: str
    kind: str
    objects: int
    first_no: int | None
    last_no: int | None
    relation: Relation | None
    between: tuple[int, int] | None = None


class Coverage:
    """Collects the first and last block of each item while they are read."""

    def __init__(self) -> None:
        self._spans: dict[Sequence[File], tuple[int, int]] = {}  # several sources may name the same files

    def add(self, item: Item, numbers: Sequence[int]) -> None:
        """Add an item: the block numbers that it had, or if it was not decoded, those that its name gives."""
        if not item.files:
            return
        if numbers:
            self._spans[item.files] = min(numbers), max(numbers)
        elif item.first_no is not None and item.last_no is not None:
            self._spans[item.files] = item.first_no, item.last_no

    def extents(self, sources: Sequence[Source]) -> list[Extent]:
        """Return the extent of each source, in the order of their first blocks; those without blocks come last."""
        reached = [(source, self._reach(source)) for source in sources]
        reached.sort(key=lambda pair: (pair[1] is None, pair[1] or (0, 0)))
        extents = []
        last: int | None = None
        for source, reach in reached:
            extents.append(_extent(source, reach, last))
            if reach is not None:
                last = max(reach[1], -1 if last is None else last)
        return extents

    def _reach(self, source: Source) -> tuple[int, int] | None:
        spans = [self._spans[item.files] for item in source.items if item.files in self._spans]
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None


def _extent(source: Source, reach: tuple[int, int] | None, last: int | None) -> Extent:
    if reach is None:
        return Extent(source.address, source.kind, len(source.items), None, None, None)
    relation: Relation = "first"
    between = None
    if last is not None:
        relation = "follows"
        if reach[0] <= last:
            relation, between = "overlaps", (reach[0], min(reach[1], last))
        elif reach[0] > last + 1:
            relation, between = "gap", (last + 1, reach[0] - 1)
    return Extent(source.address, source.kind, len(source.items), *reach, relation, between)
