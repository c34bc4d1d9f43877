"""The stages of a rebuild, and the runner of any list of them.

A rebuild runs all of `REBUILD`. After a crash the next one resumes after the backfill (`RESUME`). The first generation
of a projection is compared with nothing (`FIRST`). A rollback, a cut-over that was interrupted, and a first generation
whose backfill has ended need the generation that is chosen to catch up and to be shown (`SHOW`).

The served generation continues to be filled; only the stages that are `held` keep both at one position.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from threading import Event
from typing import ClassVar

import psycopg

from strandline.consumer.database.connection import Connection
from strandline.consumer.generations import exclusion, generation
from strandline.consumer.generations.comparison import Comparison, difference, newly_parked
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.hold import Hold, hold
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector.backfill import backfill_for
from strandline.consumer.projector.projector import Progress, Projector, Stopped
from strandline.consumer.sinks.contract import Sink, StoreFailed, StoreLacks, Summary
from strandline.consumer.sinks.patience import ReadersInTheWay

# How long a rebuild waits for readers of a generation that it drops; the next rebuild tries again.
RETIRED_SECONDS = 2.0


class JournalChanged(Exception):
    """The journal changed below the position of the generation that is being built."""


@dataclass
class Run:
    """A run for one read model: its first generation, a rebuild or a rollback.

    Its stages share it. `chosen` is to be shown in place of `live`, if there is one. `stop` says that the process is to
    end.
    """

    url: str
    connection: Connection
    projection: Projection
    stores: Stores
    live: Generation | None
    chosen: Generation | None = None
    progress: Progress | None = None
    accept: bool = False
    stop: Event | None = None
    hold: Hold | None = None
    comparison: Comparison | None = None
    accepted: bool = True
    live_goes_on: bool = True

    @property
    def target(self) -> Generation:
        """The chosen generation, which exists after `Prepare`."""
        assert self.chosen is not None
        return self.chosen

    @property
    def served(self) -> Generation:
        """The generation that is served, of a rebuild."""
        assert self.live is not None
        return self.live

    @property
    def held(self) -> Hold:
        """The hold on both generations, during a stage that is held."""
        assert self.hold is not None
        return self.hold

    @property
    def same_definition(self) -> bool:
        """Return True if the current definition filled the generation that is served."""
        return self.live is not None and self.live.fingerprint == fingerprint(self.projection)

    def sink(self) -> Sink:
        """Return the sink of the chosen generation."""
        return self.stores.sink(self.connection, self.projection, self.target.generation, self.target.relation)

    def projector(self) -> Projector:
        """Return the projector of the chosen generation."""
        return Projector(self.connection, self.projection, self.target.generation, self.sink())


class Stage(ABC):
    """One step. After a crash it runs again from its beginning, or the list of stages begins again."""

    held: ClassVar[bool] = False

    @abstractmethod
    def run(self, run: Run) -> None: ...


@dataclass(frozen=True)
class Prepare(Stage):
    """Insert the generation, and create its table, bare. The backfill creates an index, under its lease."""

    def run(self, run: Run) -> None:
        with run.connection.transaction():
            run.chosen = generation.insert(
                run.connection, run.projection, prefix=run.stores.prefix_of(run.projection), bare=True
            )
            sink = run.sink()
            if not sink.outside:
                sink.create(bare=True)


@dataclass(frozen=True)
class Backfill(Stage):
    """Write all rows up to the mark; the position moves when they are written."""

    def run(self, run: Run) -> None:
        same_definition = run.served.generation if run.same_definition else None
        backfill = backfill_for(run.url, run.projection, same_definition, counted=run.progress is not None)
        run.projector().backfill(backfill, run.progress, run.stop)


@dataclass(frozen=True)
class CatchUp(Stage):
    """Bring the chosen generation to the mark, if the current definition can fill it."""

    def run(self, run: Run) -> None:
        if run.target.fingerprint == fingerprint(run.projection):
            run.projector().run_to_mark(run.progress, run.stop)


@dataclass(frozen=True)
class Compare(Stage):
    """Bring both generations to one position, and compare them.

    If one definition filled both, a difference is accepted only if the journal changed below the mark. One that is
    worse, with fewer rows or with documents newly parked, is never accepted. `Run.accept` overrules both. Raises
    `JournalChanged` if the journal changed below the new generation.
    """

    held: ClassVar[bool] = True

    def run(self, run: Run) -> None:
        run.held.fill(run.target)
        if _reread(run, run.target).passed_change:
            raise JournalChanged
        compared = [run.target]
        if run.same_definition and self._live_goes_on(run):
            compared.append(run.served)
        rebuilt, *served = run.held.summaries(compared)
        run.comparison = self._compare(run, rebuilt, served[0] if served else None)
        explained = run.comparison.difference is None or _reread(run, run.served).passed_change
        run.accepted = run.accept or (explained and not run.comparison.worse)

    def _compare(self, run: Run, rebuilt: Summary, served: Summary | None) -> Comparison:
        live, target = run.served.generation, run.target.generation
        with run.connection.transaction():
            parked, reasons = newly_parked(run.connection, live, target)
            differs = difference(run.connection, (live, served), (target, rebuilt)) if served else None
        before = served[0] if served else self._rows_before(run)
        return Comparison(rebuilt[0], before, parked, reasons, differs)

    def _rows_before(self, run: Run) -> int | None:
        """Return the number of rows of a generation that was not summed up; None if it cannot be read."""
        try:
            with run.connection.transaction():
                return run.stores.count(run.connection, run.projection)
        except (StoreFailed, psycopg.Error):
            return None

    def _live_goes_on(self, run: Run) -> bool:
        """Return whether the one served reaches the position; not if it fails, or its index is missing."""
        try:
            run.held.fill(run.served)
            run.held.check(run.served)  # with nothing to write, nobody has asked for its index
        except (StoreFailed, psycopg.Error) as exc:
            if not run.served.failure and not isinstance(exc, StoreLacks):
                raise
            run.live_goes_on = False
        return run.live_goes_on


@dataclass(frozen=True)
class CutOver(Stage):
    """Show the chosen generation, if it was accepted."""

    held: ClassVar[bool] = True

    def run(self, run: Run) -> None:
        if not run.accepted:
            return
        if run.comparison:
            with run.connection.transaction():
                generation.set_forced(run.connection, run.target.generation, run.comparison.worse)
        run.held.show(run.target)


@dataclass(frozen=True)
class Retire(Stage):
    """Drop the new generation if it was not accepted; else the retired ones but the last.

    If that does not go on, or was accepted although it was worse, the last that served well is kept, too. One that is
    being read, or that is out of reach, stays.
    """

    def run(self, run: Run) -> None:
        if not run.accepted:
            exclusion.drop(run.connection, run.target, run.stores)
            return
        with run.connection.transaction():
            retired = generation.retired(run.connection, run.projection)
        keep = {run.served.generation} if run.live_goes_on else set()
        if run.served.forced or not keep:
            keep.update(
                [one.generation for one in retired if not one.forced and one.generation != run.served.generation][:1]
            )
        for one in retired:
            if one.generation not in keep:
                with suppress(ReadersInTheWay, StoreFailed):
                    exclusion.drop(run.connection, one, run.stores, RETIRED_SECONDS)


REBUILD = (Prepare(), Backfill(), CatchUp(), Compare(), CutOver(), Retire())
RESUME = REBUILD[2:]
SHOW = (CatchUp(), CutOver())
FIRST = (Prepare(), Backfill(), *SHOW)


def run_stages(stages: Sequence[Stage], run: Run) -> None:
    """Run the stages in order; those that are held, within one hold on both generations. Raises `Stopped`."""
    for held, group in groupby(stages, attrgetter("held")):
        with _hold(run) if held else nullcontext() as run.hold:
            for stage in group:
                if run.stop and run.stop.is_set():
                    raise Stopped
                stage.run(run)


def _hold(run: Run) -> AbstractContextManager[Hold]:
    held = [run.target] if run.live is None else [run.live, run.target]
    return hold(run.connection, run.projection, run.stores, held)


def _reread(run: Run, one: Generation) -> Generation:
    with run.connection.transaction():
        return generation.read(run.connection, one.generation) or one
