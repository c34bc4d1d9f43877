"""A process that does nothing but rebuild read models, in small parts, so that there are many points to kill it at:
`python -m tests.faults.rebuilding NAME…`. Fails where one differs from what is served."""

import os
import sys
from functools import partial

import strandline.consumer.projector.projector
from strandline.consumer.generations.rebuild import rebuild
from strandline.consumer.generations.stores import open_stores
from strandline.consumer.projection.discovery import discover
from strandline.consumer.projector import backfill, lease
from strandline.consumer.projector.feed import Limits
from strandline.consumer.settings import load_settings
from strandline.consumer.sinks.opensearch import bulk


def main(names: list[str]) -> None:
    strandline.consumer.projector.projector.Limits = partial(Limits, blocks=40, revisions=60)  # type: ignore[misc,assignment]
    backfill.DOCUMENTS, backfill.DECODED, backfill.FETCH = 60, 60, 60
    backfill.KEYS, backfill.KEYS_AT_ONCE = 40, 40
    bulk.MOST_ACTIONS = 30
    # What a killed one held is free again soon.
    lease.SECONDS, lease.OUTSIDE_SECONDS, lease.MARGIN_SECONDS = 1, 5, 1
    url = os.environ["STRANDLINE_DATABASE_URL"]
    stores = open_stores(load_settings(), url)
    for name in names:
        done = rebuild(url, discover(("strandline.projections",)), name, stores=stores)
        if not done.swapped or done.difference:
            sys.exit(f"{name}: {done.difference}")


if __name__ == "__main__":
    main(sys.argv[1:])
