"""Work that the control API begins, and that survives the process: databases of ledgers, exports, streams.

Each piece is a row in a database that says what is wanted and how far it is. Every server looks for rows that wait, and
takes them by a lock of PostgreSQL, which a killed process loses. So another server goes on at once, or the next one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import psycopg
import structlog

from strandline.consumer.background import Background, stop_all
from strandline.consumer.database.connection import connect
from strandline.consumer.database.errors import DatabaseError
from strandline.consumer.database.ledgers import CataloguedLedger, finish
from strandline.consumer.intake.aws_errors import AwsError
from strandline.journal.errors import StrandlineError
from strandline.ledger.endpoint.served import ServedLedgers
from strandline.ledger.endpoint.sessions import Sessions
from strandline.ledger.publish.journal_stream import RUNNING, JournalStream, end_stream, read_streams, run_stream
from strandline.ledger.publish.period import EmptyJournal
from strandline.ledger.publish.period_export import Export, cancel_export, read_exports, run_export
from strandline.ledger.publish.stream import StreamInUse

POLL_SECONDS = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
SECONDS_TO_END = 15.0

log = structlog.get_logger()


class Jobs(Background):
    """Looks for work that waits, and runs each piece on a thread of its own."""

    def __init__(self, ledgers: ServedLedgers, sessions: Sessions) -> None:
        super().__init__("jobs")
        self._ledgers = ledgers
        self._sessions = sessions
        self._waker = Event()
        self._running: dict[str, _Job] = {}

    def wake(self) -> None:
        """Look for work now."""
        self._waker.set()

    def stop(self) -> None:
        super().stop()
        self._waker.set()

    def run(self) -> None:
        while not self.stopping.is_set():
            self._waker.clear()
            with _waiting("jobs"):
                self._look()
            self._waker.wait(POLL_SECONDS)
        stop_all(list(self._running.values()), SECONDS_TO_END)

    def _look(self) -> None:
        self._running = {name: job for name, job in self._running.items() if not job.has_ended}
        ledgers = self._ledgers.listed()
        for ledger in ledgers:
            if ledger.state == "ACTIVE":
                with _waiting(f"ledger {ledger.name}"):  # one whose database is away holds up no other
                    self._look_in(ledger)
            else:
                self._start(f"ledger {ledger.name}", self._finishing(ledger))
        for database in self._ledgers.open_ledgers().keys() - {ledger.database for ledger in ledgers}:
            self._close(database)  # it was deleted through another process
        served = {ledger.name for ledger in ledgers if ledger.state == "ACTIVE"}
        for name, job in self._running.items():
            if job.ledger is not None and job.ledger not in served:
                log.info("job stops: its ledger is gone", job=name)
                job.stop()

    def _close(self, database: str) -> None:
        """End what uses a ledger here."""
        if (ledger := self._ledgers.open_ledgers().get(database)) is not None:
            self._sessions.end_all(ledger)
            self._ledgers.forget(database)

    def _look_in(self, ledger: CataloguedLedger) -> None:
        url = ledger.url(self._ledgers.home)
        with connect(url) as connection:
            exports, streams = read_exports(connection), read_streams(connection)
        for export in exports:
            if export.status == "IN_PROGRESS":
                self._start(f"export {export.id}", _exporting(url, export), ledger.name)
        for stream in streams:
            name = f"stream {stream.id}"
            if stream.status in RUNNING:
                self._start(name, _streaming(url, stream), ledger.name)
            elif name in self._running:
                self._running[name].stop()  # it was cancelled, perhaps through another server

    def _start(self, name: str, work: "Work", ledger: str | None = None) -> None:
        if name not in self._running:
            self._running[name] = job = _Job(name, work, ledger)
            job.start()

    def _finishing(self, ledger: CataloguedLedger) -> "Work":
        """Return the work that makes a ledger's database, or drops it after what uses it has ended."""

        def work(_: Event) -> bool:
            if ledger.state == "DELETING" and ledger.database is not None:
                for job in list(self._running.values()):
                    if job.ledger == ledger.name:
                        job.stop()
                        job.join(SECONDS_TO_END)
                self._close(ledger.database)
            finish(self._ledgers.home, ledger)
            return True

        return work


# Does a piece of work; returns whether it has ended, or is to be tried again. It stops soon after the event is set.
Work = Callable[[Event], bool]


class _Job(Background):
    def __init__(self, name: str, work: Work, ledger: str | None) -> None:
        super().__init__(name)
        self.ledger = ledger
        self.has_ended = False
        self._work = work

    def run(self) -> None:
        pause = FIRST_PAUSE
        try:
            while not self.stopping.is_set():
                with _waiting(self.name):
                    if self._work(self.stopping):
                        return
                self.stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            self.has_ended = True


@contextmanager
def _waiting(job: str) -> Iterator[None]:
    """Log an error that may pass: the work is tried again."""
    try:
        yield
    except (StrandlineError, psycopg.Error) as error:
        # The texts of Strandline's errors hold no payload; PostgreSQL's may.
        text = str(error) if isinstance(error, StrandlineError) else None
        log.warning("job waits", job=job, error=type(error).__name__, reason=text)


def _exporting(url: str, export: Export) -> Work:
    def work(stopping: Event) -> bool:
        try:
            return run_export(url, export, stopping.is_set)
        except (AwsError, DatabaseError):
            raise
        except StrandlineError as error:
            log.error("export cancelled", export=export.id, reason=str(error))
            cancel_export(url, export)
            return True

    return work


def _streaming(url: str, stream: JournalStream) -> Work:
    def work(stopping: Event) -> bool:
        try:
            return run_stream(url, stream, stopping.is_set)
        except (EmptyJournal, StreamInUse):
            return False
        except (AwsError, DatabaseError):
            raise
        except StrandlineError as error:
            log.error("stream failed", stream=stream.id, reason=str(error))
            with connect(url) as connection:
                end_stream(connection, stream.id, "FAILED")
            return True

    return work
