"""Progress of a long command, on stderr: bars on a terminal, otherwise a line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from strandline.cli.interrupts import between_steps, end_step

if TYPE_CHECKING:
    from strandline.journal.sources.source import Source

SECONDS_BETWEEN_LINES = 5.0


class Meter(Protocol):
    """Accepts reports from any thread; `total` is None if it is not known."""

    def report(self, label: str, done: int, total: int | None) -> None: ...


@contextmanager
def meter(unit: str = "blocks") -> Iterator[Meter]:
    """Give a meter that shows the number of `unit` done, for each label that is reported.

    Until the block ends, a report is the end of a step: it raises `KeyboardInterrupt` if Ctrl-C was pressed.
    """
    with between_steps(), _bars(unit) if sys.stderr.isatty() else nullcontext(_Lines(unit)) as shown:
        yield shown


class Counter:
    """A progress callback that takes increments and reports their sum under one label."""

    def __init__(self, meter: Meter, label: str, total: int | None) -> None:
        self._meter, self._label, self._total = meter, label, total
        self._done = 0
        meter.report(label, 0, total)

    def __call__(self, done: int) -> None:
        self._done += done
        self._meter.report(self._label, self._done, self._total)


def labelled(shown: Meter, label: str) -> Callable[[int, int], None]:
    """Return a progress callback that reports under one label."""
    return lambda done, total: shown.report(label, done, total)


def total_blocks(sources: Sequence["Source"]) -> int | None:
    """Count the blocks of sources by the names of their objects. Returns None if a name does not say."""
    from strandline.journal.sources.source import all_items

    total = 0
    for item in all_items(sources):
        if item.first_no is None or item.last_no is None:
            return None
        total += item.last_no - item.first_no + 1
    return total


def line(label: str, done: int, total: int | None, rate: float, unit: str) -> str:
    """Format one report: the number done, the rate, and the time left."""
    of = f" of {total:,}" if total is not None else ""
    text = f"{label}: {done:,}{of} {unit}, {rate:,.0f} a second"
    if total is None or rate <= 0 or done >= total:
        return text
    minutes, seconds = divmod(round((total - done) / rate), 60)
    return f"{text}, {minutes} min {seconds} s left" if minutes else f"{text}, {seconds} s left"


@dataclass
class _Start:
    time: float
    done: int
    reported: float


class _Lines:
    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._lock = Lock()
        self._starts: dict[str, _Start] = {}

    def report(self, label: str, done: int, total: int | None) -> None:
        end_step()
        now = time.monotonic()
        with self._lock:
            start = self._starts.setdefault(label, _Start(now, done, now))
            if now - start.reported < SECONDS_BETWEEN_LINES:
                return
            start.reported = now
            rate = (done - start.done) / (now - start.time)
            sys.stderr.write(line(label, done, total, rate, self._unit) + "\n")
            sys.stderr.flush()


@contextmanager
def _bars(unit: str) -> Iterator[Meter]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        lock = Lock()
        tasks: dict[str, TaskID] = {}

        class Bars:
            def report(self, label: str, done: int, total: int | None) -> None:
                end_step()
                with lock:
                    if label not in tasks:
                        tasks[label] = shown.add_task(label, total=total, completed=done, rate="")
                    speed = shown.tasks[shown.task_ids.index(tasks[label])].speed
                    rate = f"{speed:,.0f} {unit}/s" if speed else ""
                    shown.update(tasks[label], completed=done, total=total, rate=rate)

        yield Bars()
