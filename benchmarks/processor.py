"""A shard process that logs when it received each batch: `python -m benchmarks.processor idle|worker`.

`idle` checkpoints each batch and does nothing else; `worker` does what the worker does.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amazon_kclpy.kcl import KCLProcess

from strandline.consumer.logging import start_logging
from strandline.consumer.settings import load_settings
from strandline.consumer.worker.shard import ShardProcessor

NOTES = "STRANDLINE_BENCH_NOTES"  # the folder for the notes
MODULE = "benchmarks.processor"


@dataclass(frozen=True)
class Note:
    """A batch: when it was received and processed (POSIX seconds), its worker, shard and keys."""

    worker: str
    shard: str
    begun: float
    done: float
    keys: list[str]


class BatchLog:
    """Wraps a processor and logs each of its batches, for `read_notes`."""

    version = 3

    def __init__(self, processor: Any, folder: Path, worker: str) -> None:
        self._processor, self._worker = processor, worker
        self._file = (folder / f"{os.getpid()}.notes").open("w", encoding="utf-8")
        self._shard = ""

    def initialize(self, given: Any) -> None:
        self._shard = given.shard_id
        self._processor.initialize(given)

    def process_records(self, given: Any) -> None:
        begun = time.time()
        self._processor.process_records(given)
        if given.records:
            keys = [record.partition_key for record in given.records]
            self._file.write(json.dumps([self._worker, self._shard, begun, time.time(), keys]) + "\n")
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)


class Idle:
    """A processor that only checkpoints."""

    def initialize(self, given: Any) -> None:
        """Do nothing."""

    def process_records(self, given: Any) -> None:
        if given.records:
            last = given.records[-1]
            given.checkpointer.checkpoint(last.sequence_number, last.sub_sequence_number)

    def lease_lost(self, given: Any) -> None:
        """Do nothing."""

    def shard_ended(self, given: Any) -> None:
        given.checkpointer.checkpoint()

    def shutdown_requested(self, given: Any) -> None:
        given.checkpointer.checkpoint()


def read_notes(folder: Path) -> Iterator[Note]:
    for file in folder.glob("*.notes"):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):  # otherwise it is being written
                    yield Note(*json.loads(line))


def main() -> None:
    for one in (signal.SIGTERM, signal.SIGINT):  # as in strandline.consumer.worker.shard
        signal.signal(one, signal.SIG_IGN)
    protocol, sys.stdout = sys.stdout, sys.stderr
    start_logging()
    settings = load_settings()
    processor = Idle() if sys.argv[1] == "idle" else ShardProcessor(settings, trust_deletions=False)
    logged = BatchLog(processor, Path(os.environ[NOTES]), settings.worker_id)
    KCLProcess(logged, input_file=sys.stdin, output_file=protocol, error_file=sys.stderr).run()


if __name__ == "__main__":
    main()
