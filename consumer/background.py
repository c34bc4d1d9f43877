"""Services on threads of their own, which start, stop and are waited for in one way, and the signals that stop them."""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from types import FrameType
from typing import Protocol

import structlog

log = structlog.get_logger()


class Stoppable(Protocol):
    """Anything that a shutdown stops: a service on a thread, a group of them, or another process."""

    def stop(self) -> None:
        """Ask it to end; returns at once. May be called more than once, and before it was started."""

    def join(self, seconds: float) -> bool:
        """Wait until it has ended, for so many seconds at most; returns whether it has."""


class Background(ABC):
    """A service on one thread. The subclass defines `run`, which returns soon after `stopping` is set.

    `failure` says that an error ended `run`, by its kind only: the text of an error may hold payload. It is logged, and
    whoever started the service must look at it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopping = Event()
        self.failure: str | None = None
        # A daemon: a thread that waits for a database that no longer responds must not keep the process alive.
        self._thread = Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def run(self) -> None:
        """Serve until `stopping` is set."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()

    def join(self, seconds: float) -> bool:
        if self._thread.ident is not None:
            self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self.failure = f"ended ({type(error).__name__})"
            log.error("service ended", service=self.name, error=type(error).__name__)


def stop_all(services: Sequence[Stoppable], seconds: float) -> bool:
    """Ask all of them to end, then wait for all, for so many seconds together; returns whether all have ended."""
    for one in services:
        one.stop()
    deadline = time.monotonic() + seconds
    ended = [one.join(deadline - time.monotonic()) for one in services]
    return all(ended)


@contextmanager
def stop_signals() -> Iterator[Event]:
    """An event that SIGTERM and SIGINT set. To be called on the main thread."""
    asked = Event()

    def ask(_: int, __: FrameType | None) -> None:
        asked.set()

    before = {one: signal.signal(one, ask) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
