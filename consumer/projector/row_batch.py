"""The rows that a batch of revisions, or blocks, means to a projection, and the documents that it parks. Pure."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any

from strandline.consumer.database.bisection import attempt_all
from strandline.consumer.projection.definition import (
    Block,
    BlockProjection,
    Projection,
    Revision,
    RowProjection,
    Unprojectable,
    function,
)
from strandline.consumer.projector.parking import Parked
from strandline.consumer.sinks.contract import MadeRows, PreparedRows, Replacement, Sink

PrepareAll = Callable[[Sequence[MadeRows]], Iterable[PreparedRows]]

# Items whose rows are checked together: few enough that they are gone before Python looks for garbage.
AT_ONCE = 100


class RowBatch:
    """A batch's `replacements`, at most one a source, and `parked` documents, at most one a key.

    The function runs for every item, including one that a later item replaces: what parks must not depend on the end
    of a batch.
    """

    def __init__(self, projection: RowProjection | BlockProjection, sink: Sink) -> None:
        self._projection = projection
        self._function: Callable[[Any], Iterable[Mapping[str, object]]] = projection.rows
        self._prepare = sink.prepare_all
        self._of_blocks = isinstance(projection, BlockProjection)
        self._key_of: Callable[[Any], str] = key_of if self._of_blocks else attrgetter("document_id")
        self._current = isinstance(projection, RowProjection) and projection.keeps == "current"
        self._replacements: dict[Any, Replacement] = {}
        self._parked: dict[str, Parked] = {}

    @property
    def replacements(self) -> list[Replacement]:
        return list(self._replacements.values())

    @property
    def parked(self) -> list[Parked]:
        return list(self._parked.values())

    def take(self, items: Iterable[Revision | Block], waiting: Collection[str] = ()) -> None:
        """Run the projection over the items, in order; skip keys that are parked."""
        left = iter(items)
        while some := list(islice(left, AT_ONCE)):
            self._take(some, waiting)

    def _take(self, items: Sequence[Revision | Block], waiting: Collection[str]) -> None:
        taken: list[tuple[str, Revision | Block]] = []
        made: list[MadeRows] = []
        for item in items:
            key = self._key_of(item)
            if key in waiting or key in self._parked:
                continue
            rows: MadeRows = ()
            if not self._current or item.state == "normal":  # type: ignore[union-attr]
                try:
                    rows = list(self._function(item))
                except Exception as exc:
                    self._park(key, item, reason(exc, self._projection))
                    continue
            taken.append((key, item))
            made.append(rows)
        refused: set[str] = set()
        for (key, item), prepared in zip(taken, prepare_each(self._projection, made, self._prepare), strict=True):
            if key in refused:
                continue
            if isinstance(prepared, str):
                refused.add(key)
                self._park(key, item, prepared)  # it is before the one that the function refused, if any
            else:
                document, version = (item.document_id, item.version) if isinstance(item, Revision) else (None, None)
                source = key if self._current else (key, version)
                self._replacements[source] = Replacement(document, version, item.sequence_no, prepared)

    def _park(self, key: str, item: Revision | Block, fault: str) -> None:
        version = item.version if isinstance(item, Revision) else None
        self._parked[key] = Parked(key, version, item.sequence_no, fault)


def key_of(item: Revision | Block) -> str:
    """The key that parks if the item cannot be taken: its document, or the block's number."""
    return item.document_id if isinstance(item, Revision) else str(item.sequence_no)


def prepare_each(projection: Projection, many: Sequence[MadeRows], prepare: PrepareAll) -> list[PreparedRows | str]:
    """Check and convert the rows of each item; returns the reason instead if the sink refuses them."""
    return attempt_all(many, prepare, lambda _, exc: reason(exc, projection), Exception)


def reason(exc: Exception, projection: Projection) -> str:
    """The reason why a projection refused a revision: its own constant text, else the error's type and line.

    Never the text of another error: that may hold values.
    """
    if isinstance(exc, Unprojectable):
        return str(exc)
    file = inspect.getfile(function(projection))
    line, traceback = None, exc.__traceback__
    while traceback:
        if traceback.tb_frame.f_code.co_filename == file:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return type(exc).__name__ + (f" in line {line} of the projection" if line else "")
