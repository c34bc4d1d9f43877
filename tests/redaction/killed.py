"""Replays, projects, writes receipts and expunges in a process that ends itself by SIGKILL at its n-th statement:
`python -m tests.redaction.killed URL EXPORT N`; N 0 for never. Prints how many statements it made."""

import os
import signal
import sys
from itertools import count
from typing import Any

import psycopg

from consumer import lease
from consumer.database import connect
from consumer.expunge import expunge
from consumer.generations import project
from consumer.projection import discover
from consumer.receipts import issue_hidden
from consumer.replay import take_in
from consumer.settings import Settings
from consumer.stores import DATABASE_ONLY
from journal.source import local_sources


def main(url: str, export: str, last: int) -> None:
    made = count(1)
    execute = psycopg.Cursor.execute

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        if next(made) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(self, *args, **options)

    psycopg.Cursor.execute = counted  # type: ignore[method-assign]
    lease.SECONDS = 1  # the next process need not wait long for those of this one
    projections = discover(("projections",))
    take_in(url, local_sources(export), Settings(workers=1))
    project(url, projections)
    with connect(url) as connection:
        issue_hidden(connection, projections, DATABASE_ONLY)
    expunge(url, projections, physical=True)
    print(next(made))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
