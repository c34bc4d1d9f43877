"""The process that KCL's daemon starts for each shard: it stores batches of records, then checkpoints.

KCL delivers the next batch whether or not one was checkpointed, and `amazon_kclpy` swallows what a processor raises. So
this module catches everything. It waits for a store that is down; if that does not help, the process ends, and the
daemon with it. It asks for a checkpoint only when all records before it are durable.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from typing import Any, NoReturn

import psycopg
import stamina
import structlog
from amazon_kclpy.checkpoint_error import CheckpointError
from amazon_kclpy.kcl import KCLProcess

from strandline.consumer import tracing
from strandline.consumer.database.connection import connect, open_database
from strandline.consumer.intake.stream import StreamIntake, StreamResult
from strandline.consumer.intake.stream_records import Received
from strandline.consumer.logging import start_logging
from strandline.consumer.monitoring import metrics
from strandline.consumer.settings import Settings, load_settings
from strandline.journal.errors import StrandlineError

TRUST_DELETIONS = "--trust-deletions"
LONGEST_PAUSE = 5.0
CHECKPOINT_TRIES = 6
IDLE_SECONDS = 60  # a process that is cut off must not block the others

log = structlog.get_logger()


class ShardProcessor:
    """KCL's record processor, version 3 of its interface."""

    version = 3

    def __init__(self, settings: Settings, *, trust_deletions: bool) -> None:
        assert settings.database_url is not None
        assert settings.stream is not None
        self._url = settings.database_url
        self._stream = settings.stream
        self._origin = settings.origin
        self._patience = settings.patience_seconds
        self._hang_seconds = settings.hang_seconds
        self._trust_deletions = trust_deletions
        self._shard = ""
        self._connection: psycopg.Connection[Any] | None = None
        self._intake: StreamIntake | None = None

    def initialize(self, given: Any) -> None:
        self._shard = given.shard_id
        structlog.contextvars.bind_contextvars(shard=self._shard)
        log.info("shard begun", at=given.sequence_number)

    def process_records(self, given: Any) -> None:
        metrics.BEHIND.labels(self._shard).set((given.millis_behind_latest or 0) / 1000)
        records = given.records
        if not records:
            return
        started = time.monotonic()
        with self._ends_process_on_failure(), self._ends_process_if_it_hangs():
            batch = [Received(one.binary_data, f"{one.sequence_number}.{one.sub_sequence_number}") for one in records]
            with tracing.span("batch") as facts:
                facts |= {"shard": self._shard, "records": len(records)}
                result = self._store(batch)
                facts |= {"blocks": result.blocks, "revisions": result.revisions, "refused": result.refused}
                last = records[-1]
                self._checkpoint(given.checkpointer, last.sequence_number, last.sub_sequence_number)
        metrics.BATCH_SECONDS.observe(time.monotonic() - started)

    def lease_lost(self, _: Any) -> None:
        log.info("lease lost")
        self._close()

    def shard_ended(self, given: Any) -> None:
        log.info("shard ended")
        self._close()
        with self._ends_process_on_failure():
            self._checkpoint(given.checkpointer)

    def shutdown_requested(self, given: Any) -> None:
        log.info("shutdown requested")
        self._close()
        with self._ends_process_on_failure():
            self._checkpoint(given.checkpointer)

    def _store(self, batch: list[Received]) -> StreamResult:
        """Store a batch; retries until the patience is over if the store fails."""
        for attempt in stamina.retry_context(
            on=(psycopg.Error, StrandlineError), attempts=None, timeout=self._patience, wait_max=LONGEST_PAUSE
        ):
            with attempt:
                result = self._try_to_store(batch)
        metrics.count(result)
        if result.fault is not None:
            log.error("batch rejected", fault=result.fault, records=result.records, refused=result.refused)
        log.info(
            "batch", records=result.records, blocks=result.blocks, revisions=result.revisions, refused=result.refused,
            mark=result.mark,
        )  # fmt: skip
        return result

    def _try_to_store(self, batch: list[Received]) -> StreamResult:
        try:
            return self._open().take(batch)
        except (psycopg.Error, StrandlineError) as error:
            self._close()
            metrics.RETRIES.inc()
            sqlstate = getattr(error, "sqlstate", None)
            log.warning("store failed", error=type(error).__name__, sqlstate=sqlstate, records=len(batch))
            raise

    def _open(self) -> StreamIntake:
        if self._intake is None:
            name = f"strandline {self._shard}"
            self._connection = connect(self._url, application_name=name, idle_seconds=IDLE_SECONDS)
            self._intake = StreamIntake(
                self._connection,
                stream=self._stream,
                shard=self._shard,
                origin=self._origin,
                trust_deletions=self._trust_deletions,
            )
        return self._intake

    def _close(self) -> None:
        self._intake = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _checkpoint(self, checkpointer: Any, sequence_number: str | None = None, sub: int | None = None) -> None:
        """Checkpoint what is stored, by default to the end of the last batch.

        A checkpoint that fails is not an error: the next one covers it.
        """
        with suppress(CheckpointError):
            for attempt in stamina.retry_context(
                on=CheckpointError, attempts=CHECKPOINT_TRIES, timeout=None, wait_max=LONGEST_PAUSE
            ):
                with attempt:
                    self._try_to_checkpoint(checkpointer, sequence_number, sub)

    @staticmethod
    def _try_to_checkpoint(checkpointer: Any, sequence_number: str | None, sub: int | None) -> None:
        try:
            checkpointer.checkpoint(sequence_number, sub)
        except CheckpointError as error:
            if error.value == "ShutdownException":
                log.info("lease lost before a checkpoint")
                return
            log.warning("checkpoint failed", error=error.value)
            raise

    @contextmanager
    def _ends_process_on_failure(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._close()
            # By its kind only: a driver's text may hold the record's data.
            text = str(error) if isinstance(error, StrandlineError) else type(error).__name__
            log.error("processor ends", error=text, sqlstate=getattr(error, "sqlstate", None))
            sys.exit(1)

    @contextmanager
    def _ends_process_if_it_hangs(self) -> Iterator[None]:
        timer = Timer(self._hang_seconds, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> NoReturn:
        log.error("processor hangs and ends")
        os._exit(1)


def main() -> None:
    """Speak KCL's protocol on standard input and output; anything else that is printed goes to standard error."""
    # The signals may reach this process before the daemon asks for the shutdown. It obeys the daemon alone.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    protocol, sys.stdout = sys.stdout, sys.stderr
    settings = load_settings()
    start_logging(settings.log_level)  # as JSON: the worker logs it again in the style that is set
    if settings.tracing:
        tracing.start_tracing()
    stamina.instrumentation.set_on_retry_hooks(())  # they log errors with their text, which may hold payload
    with open_database(settings):
        processor = ShardProcessor(settings, trust_deletions=TRUST_DELETIONS in sys.argv[1:])
        KCLProcess(processor, input_file=sys.stdin, output_file=protocol, error_file=sys.stderr).run()


if __name__ == "__main__":
    main()
