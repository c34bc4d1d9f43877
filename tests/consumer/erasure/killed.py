"""Replays, projects, issues receipts and expunges in a process that kills itself (SIGKILL) at its n-th step.

A step is a statement to PostgreSQL, or the first request of its kind to OpenSearch. Prints the number of steps.
"""

import argparse
import os
import signal
from collections.abc import Callable
from itertools import count
from typing import Any

import psycopg
from opensearchpy import Transport

from strandline.consumer.erasure.expunge import expunge
from strandline.consumer.erasure.purge import hide
from strandline.consumer.generations.stores import Stores, open_stores
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.projector import lease
from strandline.consumer.settings import Settings
from strandline.journal.sources.source import local_sources
from tests.consumer.erasure.searched import HERE, PROJECTIONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("export")
    parser.add_argument("--last", type=int, default=0, help="the step at which it ends itself; 0 for never")
    parser.add_argument("--opensearch", help="its URL; without, the read models in it are left out")
    parser.add_argument("--merge", action="store_true", help="expunge in OpenSearch, too")
    given = parser.parse_args()
    made = count(1)
    _count_steps(made, given.last)
    lease.SECONDS = lease.OUTSIDE_SECONDS = 1  # the next process need not wait long for those of this one
    lease.MARGIN_SECONDS = 0
    stores = open_stores(Settings(opensearch_url=given.opensearch), given.url)
    projections = PROJECTIONS if given.opensearch else HERE
    replay_sources(given.url, local_sources(given.export), Settings(workers=1))
    found = hide(given.url, projections, stores)
    done = expunge(given.url, projections, stores=stores if given.merge else Stores(given.url), physical=True)
    assert not found
    assert not done.residue
    print(next(made))


def _count_steps(made: "count[int]", last: int) -> None:
    asked = set[Any]()
    execute, perform = psycopg.Cursor.execute, Transport.perform_request

    def step(act: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if next(made) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return act(*args, **options)

    def request(self: Any, method: str, url: str, **options: Any) -> Any:
        act = perform if (method, url) in asked else lambda *args, **more: step(perform, *args, **more)
        asked.add((method, url))
        return act(self, method, url, **options)

    psycopg.Cursor.execute = lambda *args, **options: step(execute, *args, **options)  # type: ignore[method-assign,assignment]
    Transport.perform_request = request


if __name__ == "__main__":
    main()
