"""What revisions, or blocks, mean to a projection: the rows to write, and what must wait. Pure."""

import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, cast

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
from strandline.consumer.sinks.contract import PreparedRows, Replacement, Sink

# An item's key, document, version and block; its rows, or why the projection's function could not take it.
_Made = tuple[str, str | None, int | None, int, list[Mapping[str, object]], str | None]

_REPLACEMENT = partial(tuple.__new__, Replacement)  # of a tuple, without a call of Python code

# Items whose rows are checked at once; so few that what they were made of is gone before Python looks for garbage.
AT_ONCE = 100


class RowBatch:
    """What a batch means to a projection, taken in order: `replacements`, at most one a source, and `parked`, at most
    one a key.

    The function runs for every item, also for one that a later item replaces: what parks must not depend on where a
    batch ends.
    """

    def __init__(self, projection: RowProjection | BlockProjection, sink: Sink) -> None:
        self._projection = projection
        self._sink = sink
        self._of_blocks = isinstance(projection, BlockProjection)
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
        left = iter(items)
        while some := list(islice(left, AT_ONCE)):
            if not self._take_at_once(some, waiting):
                self._take(some, waiting)

    def _take_at_once(self, items: Sequence[Revision | Block], waiting: Collection[str]) -> bool:
        """A short way for what is usual: that nothing waits or parks, and all say something. False where it is not."""
        if waiting or self._parked or self._of_blocks:
            return False
        function: Any = self._projection.rows
        revisions, current = cast(Sequence[Revision], items), self._current
        documents, versions, _, numbers, _, _, states, *_ = zip(*revisions, strict=True)
        if current and states.count("normal") < len(states):
            return False
        try:
            prepared = self._sink.prepare_all([list(function(revision)) for revision in revisions])
        except Exception:
            return False
        if prepared is None:
            return False
        replacements = map(_REPLACEMENT, zip(documents, versions, numbers, prepared, strict=True))
        sources = documents if current else zip(documents, versions, strict=True)
        self._replacements.update(zip(sources, replacements, strict=True))
        return True

    def _take(self, items: Iterable[Revision | Block], waiting: Collection[str]) -> None:
        """One by one."""
        function: Any = self._projection.rows
        of_blocks, current = self._of_blocks, self._current
        made: list[_Made] = []
        failed: set[str] = set()
        for item in items:
            if of_blocks:
                key, document, version, silent = str(item.sequence_no), None, None, False
            else:
                item = cast(Revision, item)
                key = document = item.document_id
                version, silent = item.version, current and item.state != "normal"
            if key in waiting or key in self._parked or key in failed:
                continue
            fault, rows = None, []
            if not silent:
                try:
                    rows = list(function(item))
                except Exception as exc:
                    fault = reason(exc, self._projection)
                    failed.add(key)
            made.append((key, document, version, item.sequence_no, rows, fault))
        self._settle(made)

    def _settle(self, made: Sequence[_Made]) -> None:
        at_once = self._sink.prepare_all([rows for *_, rows, fault in made if fault is None])
        prepared = None if at_once is None else iter(at_once)
        for key, document, version, sequence_no, rows, fault in made:
            done: PreparedRows = ()
            if fault is None:
                try:
                    done = self._sink.prepare(rows) if prepared is None else next(prepared)
                except Exception as exc:
                    fault = reason(exc, self._projection)
            if key in self._parked:
                continue
            if fault is None:
                source = key if self._current else (key, version)
                self._replacements[source] = Replacement(document, version, sequence_no, done)
            else:
                self._parked[key] = Parked(key, version, sequence_no, fault)


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
