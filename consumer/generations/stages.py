"""The stages of a rebuild, and the runner of any list of them.

A rebuild runs all of `REBUILD`. After a crash the next one resumes after the backfill (`RESUME`). A rollback, and a
cut-over that was interrupted, need the generation that is chosen to catch up and to be shown (`SHOW`).

The served generation continues to be filled; only the stages that are `held` keep both at one position.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import ClassVar, TypeGuard

import psycopg

from strandline.consumer.database.connection import Connection
from strandline.consumer.generations import exclusion, generation
from strandline.consumer.generations.comparison import Comparison, difference, newly_parked
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.hold import Hold, hold
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import ComposedProjection, Projection, RowProjection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.projector import backfill as projector_backfill
from strandline.consumer.projector import lease
from strandline.consumer.projector.backfill import ComposedBackfill, RowBackfill
from strandline.consumer.projector.projector import Progress, Projector
from strandline.consumer.sinks.contract import Sink, StoreFailed, StoreLacks, Summary
from strandline.consumer.sinks.patience import ReadersInTheWay

# How long a rebuild waits for readers of a generation that it drops; the next rebuild tries again.
RETIRED_SECONDS = 2.0


class JournalChanged(Exception):
    """The journal changed below the position of the generation that is being built."""


@dataclass
class Run:
    """One rebuild or rollback of a read model: `chosen` is to be shown in place of `live`. Its stages share it."""

    url: str
    connection: Connection
    projection: Projection
    stores: Stores
    live: Generation
    chosen: Generation | None = None
    progress: Progress | None = None
    accept: bool = False
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
    def held(self) -> Hold:
        """The hold on both generations, during a stage that is held."""
        assert self.hold is not None
        return self.hold

    @property
    def same_definition(self) -> bool:
        """Return True if the current definition filled the generation that is served."""
        return self.live.fingerprint == fingerprint(self.projection)

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
    """Insert the generation, and create its table or index, unless the backfill creates it."""

    def run(self, run: Run) -> None:
        bare = _has_backfill(run.projection)
        with run.connection.transaction():
            run.chosen = generation.insert(
                run.connection, run.projection, prefix=run.stores.prefix_of(run.projection), bare=bare
            )
            sink = run.sink()
            if not sink.outside:
                sink.create(bare=bare)
        if sink.outside and not bare:
            # Under its lease: a late request of an interrupted rebuild must not create the index after it was dropped.
            with lease.acquire(run.connection, run.target.generation) as held:
                lease.renew(run.connection, held)
                sink.create()


@dataclass(frozen=True)
class Backfill(Stage):
    """Write what is current, if the projection keeps only that; its position moves when all is written."""

    def run(self, run: Run) -> None:
        if not _has_backfill(run.projection):
            return
        backfill: projector_backfill.Backfill
        if isinstance(run.projection, ComposedProjection):
            backfill = ComposedBackfill(run.url, run.projection)
        else:
            same_definition = run.live.generation if run.same_definition else None
            counted = run.progress is not None
            backfill = RowBackfill(run.url, run.projection, same_definition, counted=counted)
        run.projector().backfill(backfill, run.progress)


@dataclass(frozen=True)
class CatchUp(Stage):
    """Bring the chosen generation to the mark, if the current definition can fill it."""

    def run(self, run: Run) -> None:
        if run.target.fingerprint == fingerprint(run.projection):
            run.projector().run_to_mark(run.progress)


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
            compared.append(run.live)
        rebuilt, *served = run.held.summaries(compared)
        run.comparison = self._compare(run, rebuilt, served[0] if served else None)
        explained = run.comparison.difference is None or _reread(run, run.live).passed_change
        run.accepted = run.accept or (explained and not run.comparison.worse)

    def _compare(self, run: Run, rebuilt: Summary, served: Summary | None) -> Comparison:
        live, target = run.live.generation, run.target.generation
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
            run.held.fill(run.live)
            run.held.check(run.live)  # with nothing to write, nobody has asked for its index
        except (StoreFailed, psycopg.Error) as exc:
            if not run.live.failure and not isinstance(exc, StoreLacks):
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
        keep = {run.live.generation} if run.live_goes_on else set()
        if run.live.forced or not keep:
            keep.update(
                [one.generation for one in retired if not one.forced and one.generation != run.live.generation][:1]
            )
        for one in retired:
            if one.generation not in keep:
                with suppress(ReadersInTheWay, StoreFailed):
                    exclusion.drop(run.connection, one, run.stores, RETIRED_SECONDS)


REBUILD = (Prepare(), Backfill(), CatchUp(), Compare(), CutOver(), Retire())
RESUME = REBUILD[2:]
SHOW = (CatchUp(), CutOver())


def run_stages(stages: Sequence[Stage], run: Run) -> None:
    """Run the stages in order; those that are held, within one hold on both generations."""
    for held, group in groupby(stages, attrgetter("held")):
        with (
            hold(run.connection, run.projection, run.stores, [run.live, run.target])
            if held
            else nullcontext() as run.hold
        ):
            for stage in group:
                stage.run(run)


def _reread(run: Run, one: Generation) -> Generation:
    with run.connection.transaction():
        return generation.read(run.connection, one.generation) or one


def _has_backfill(projection: Projection) -> TypeGuard[RowProjection | ComposedProjection]:
    """Return whether a backfill reads only what is current: histories and blocks need every revision or block."""
    return isinstance(projection, ComposedProjection) or (
        isinstance(projection, RowProjection) and projection.keeps == "current"
    )
