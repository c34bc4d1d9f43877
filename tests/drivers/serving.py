"""`strandline serve qldb` as a process, and the keys of its clients."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.drivers.conftest import LEDGER

KEYS = "[app]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = made-up-secret-of-a-test\n"


@contextmanager
def serving(
    database: str, home: Path, *more: str, port: int = 0, kill: bool = False, name: str | None = LEDGER
) -> Iterator[tuple[str, Any]]:
    """Run the command; yields its URL and the process, which ends in order unless it is to be killed."""
    named = () if name is None else ("--ledger", name)
    command = [sys.executable, "-m", "strandline.cli", "serve", "qldb", "--json", *named, *more]
    environment = {**os.environ, "STRANDLINE_DATABASE_URL": database, "STRANDLINE_HOME": str(home)}
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{port}"], env=environment, stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert process.stdout is not None
        said = b"".join(iter(process.stdout.readline, b"}\n")) + b"}"
        yield json.loads(said)["url"], process
    finally:
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        assert process.wait(60) == (-signal.SIGKILL if kill else 0)
        process.stdout.close()
