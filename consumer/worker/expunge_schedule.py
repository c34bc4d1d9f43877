"""The worker's expunge schedule: in a window of each day, removes deleted bytes from the stores' files."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import psycopg
import structlog

from strandline.consumer.background import Background
from strandline.consumer.erasure.expunge import Expunged, expunge
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.settings import Settings
from strandline.journal.errors import StrandlineError

# How often it runs within the window: a file in use may be free by then, and new redactions may have been applied.
REPEAT_SECONDS = 600.0
TICK_SECONDS = 30.0
DAY = 24 * 3600

log = structlog.get_logger()


def seconds_left(window: str, now: datetime) -> float | None:
    """Return the seconds until the window ends, None if it is closed. `window` is `HH:MM-HH:MM` in UTC, and may span
    midnight."""
    begins, ends = (_second(text) for text in window.split("-"))
    since = (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    length = (ends - begins) % DAY or DAY
    passed = (since - begins) % DAY
    return length - passed if passed < length else None


class ExpungeSchedule(Background):
    """Expunges in the window that the settings name. It may be cut off anywhere; a lock admits one worker at a time."""

    def __init__(
        self,
        settings: Settings,
        url: str,
        projections: Mapping[str, Projection],
        stores: Stores,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__("expunge schedule")
        self._settings = settings
        self._url = url
        self._projections = projections
        self._stores = stores
        self._clock = clock

    def run(self) -> None:
        window = self._settings.expunge_window
        due = 0.0
        while window is not None and not self.stopping.is_set():
            left = seconds_left(window, self._clock())
            if left is not None and time.monotonic() >= due:
                self._expunge(left)
                due = time.monotonic() + REPEAT_SECONDS
            self.stopping.wait(TICK_SECONDS)

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
            _log(done)


def _log(done: Expunged) -> None:
    """Log what was done; a run that found nothing to do logs nothing."""
    if done.cleaned or done.rejected_purged or done.skipped:
        log.info("expunged", receipts=done.receipts, cleaned=len(done.cleaned), rejected_purged=done.rejected_purged)
    for one in done.skipped:
        log.warning("not expunged", table=one.table, reason=one.reason)
    for where, document, version in done.residue:
        log.error("redacted data found", where=where, document=document, version=version)


def _second(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60
