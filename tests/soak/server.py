"""A temporary PostgreSQL for one long test."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests import databases


class Server(NamedTuple):
    """URL of the maintenance database, as a superuser, and the name of a migrated database to copy."""

    url: str
    template: str


@contextmanager
def server() -> Iterator[Server]:
    home = Path(tempfile.mkdtemp(prefix="strandline-soak-"))
    try:
        with databases.postgres(home) as url, databases.migrated_template(url) as template:
            yield Server(url, template)
    finally:
        shutil.rmtree(home, ignore_errors=True)
