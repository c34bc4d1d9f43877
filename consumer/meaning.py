"""What revisions, or blocks, mean to a projection: the rows to write, and what must wait. Pure."""

import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any

from consumer.parking import Parked
from consumer.projection import (
    Block,
    BlockProjection,
    Projection,
    Revision,
    RowProjection,
    Rows,
    Unprojectable,
    function,
)
from consumer.sinks.contract import PreparedRows, Replacement


class Meaning:
    """What a batch means to a projection, taken in order: `replacements`, at most one a source, and `parked`, at most
    one a key.

    The function runs for every item, also for one that a later item replaces: what parks must not depend on where a
    batch ends.
    """

    def __init__(self, projection: RowProjection | BlockProjection, prepare: Callable[[Rows], PreparedRows]) -> None:
        self._projection = projection
        self._prepare = prepare
        self._current = not isinstance(projection, BlockProjection) and projection.keeps == "current"
        self._replacements: dict[Any, Replacement] = {}
        self._parked: dict[str, Parked] = {}

    @property
    def replacements(self) -> list[Replacement]:
        return list(self._replacements.values())

    @property
    def parked(self) -> list[Parked]:
        return list(self._parked.values())

    def take(self, items: Iterable[Revision | Block], waiting: Collection[str] = ()) -> None:
        """Run the projection over the items, passing over the keys that wait."""
        rows: Any = self._projection.rows
        prepare, parked, replacements, current = self._prepare, self._parked, self._replacements, self._current
        for item in items:
            if isinstance(item, Revision):
                key = document = item.document_id
                version = item.version
                silent = current and item.state != "normal"
            else:
                key, document, version, silent = str(item.sequence_no), None, None, False
            if key in waiting or key in parked:
                continue
            try:
                prepared = () if silent else prepare(rows(item))
            except Exception as exc:
                parked[key] = Parked(key, version, item.sequence_no, reason(exc, self._projection))
            else:
                source = key if current else (key, version)
                replacements[source] = Replacement(document, version, item.sequence_no, prepared)


def reason(exc: Exception, projection: Projection) -> str:
    """Why a projection could not take a revision: its own constant text, else the error's type and place.

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
