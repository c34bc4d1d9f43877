"""The schedule of a worker: in a window of each day, what redactions deleted goes from the stores' files."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import Event, Thread

import psycopg
import structlog

from strandline.consumer.erasure.expunge import Expunged, expunge
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.settings import Settings
from strandline.journal.errors import StrandlineError

# In the window it is tried again so often: what was in use may be free, and new redactions may have been hidden.
AGAIN_SECONDS = 600.0
TICK_SECONDS = 30.0
DAY = 24 * 3600

log = structlog.get_logger()


def seconds_left(window: str, now: datetime) -> float | None:
    """Until the window (`HH:MM-HH:MM`, UTC, over midnight too) ends, where it is open; None where it is not."""
    begins, ends = (_second(text) for text in window.split("-"))
    since = (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    length = (ends - begins) % DAY or DAY
    passed = (since - begins) % DAY
    return length - passed if passed < length else None


class ExpungeSchedule:
    """Runs on a thread of its own, and may be cut off anywhere; only one worker at a time gets to do anything."""

    def __init__(
        self,
        settings: Settings,
        url: str,
        projections: Mapping[str, Projection],
        stores: Stores,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._url = url
        self._projections = projections
        self._stores = stores
        self._clock = clock
        self._stop = Event()
        self._thread = Thread(target=self._run, name="expunging", daemon=True)

    def start(self) -> None:
        """Begin, where the settings name a window."""
        if self._settings.expunge_window is not None:
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        due = 0.0
        while not self._stop.is_set():
            left = seconds_left(self._settings.expunge_window or "", self._clock())
            if left is not None and time.monotonic() >= due:
                self._expunge(left)
                due = time.monotonic() + AGAIN_SECONDS
            self._stop.wait(TICK_SECONDS)

    def _expunge(self, seconds: float) -> None:
        try:
            done = expunge(
                self._url,
                self._projections,
                stores=self._stores,
                physical=self._settings.expunge_physical,
                rejected_days=self._settings.rejected_days,
                seconds=seconds,
            )
        except psycopg.Error as error:
            log.warning("not expunged", error=type(error).__name__, sqlstate=error.sqlstate)
        except StrandlineError as error:
            log.warning("not expunged", error=str(error))
        else:
            _tell(done)


def _tell(done: Expunged) -> None:
    if done.cleaned or done.rejected_purged or done.skipped:
        log.info("expunged", receipts=done.receipts, cleaned=len(done.cleaned), rejected_purged=done.rejected_purged)
    for one in done.skipped:
        log.warning("not expunged", table=one.table, reason=one.reason)
    for where, document, version in done.residue:
        log.error("redacted data found", where=where, document=document, version=version)


def _second(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60
