"""A process that does nothing but rebuild read models, in small parts, so that there are many points to kill it at:
`python -m tests.faults.rebuilding NAME…`. Fails where one differs from what is served."""

import os
import sys
from functools import partial

import consumer.projector
from consumer import first_fill, lease
from consumer.feed import Limits
from consumer.projection import discover
from consumer.rebuild import rebuild
from consumer.settings import load_settings
from consumer.sinks import search_bulk
from consumer.stores import open_stores


def main(names: list[str]) -> None:
    consumer.projector.Limits = partial(Limits, blocks=40, revisions=60)  # type: ignore[misc,assignment]
    first_fill.AT_ONCE, first_fill.KEYS, first_fill.FETCH = 60, 40, 60
    first_fill.TAKEN_AT_ONCE, first_fill.KEYS_KNOWN, first_fill.TURN_SECONDS = 60, 40, 0.1
    search_bulk.MOST_ACTIONS = 30
    # What a killed one held is free again soon.
    lease.SECONDS, lease.OUTSIDE_SECONDS, lease.MARGIN_SECONDS = 1, 5, 1
    url = os.environ["STRANDLINE_DATABASE_URL"]
    stores = open_stores(load_settings(), url)
    for name in names:
        done = rebuild(url, discover(("projections",)), name, stores=stores)
        if not done.swapped or done.difference:
            sys.exit(f"{name}: {done.difference}")


if __name__ == "__main__":
    main(sys.argv[1:])
