"""The folder of a running worker, which no second worker of the same id shares."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strandline.consumer.settings import Settings
from strandline.journal.errors import UsageError


@contextmanager
def worker_folder(settings: Settings) -> Iterator[Path]:
    """An empty folder below `home`, locked and removed at the end.

    Raises `UsageError` if a worker of this id runs: two daemons with one id take each other's leases for their own.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(settings.home / f"worker-{settings.worker_id}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise UsageError(
            f"A worker with the id {settings.worker_id} runs here already: give this one STRANDLINE_WORKER_ID."
        ) from None
    folder = settings.home / f"worker-{settings.worker_id}"
    try:
        shutil.rmtree(folder, ignore_errors=True)  # left by a worker that was killed
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(file)
