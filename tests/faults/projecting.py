"""A process that does nothing but project, in small batches, so that there are many points to kill it at.

Into OpenSearch, too, if the settings name it.
"""

import os
from functools import partial

import strandline.consumer.projector.projector
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.stores import open_stores
from strandline.consumer.projection.discovery import discover
from strandline.consumer.projector import backfill, lease
from strandline.consumer.projector.feed import Limits
from strandline.consumer.settings import load_settings
from strandline.consumer.sinks.opensearch import bulk


def main() -> None:
    strandline.consumer.projector.projector.Limits = partial(Limits, blocks=40, revisions=60)  # type: ignore[misc,assignment]
    backfill.DOCUMENTS, backfill.DECODED, backfill.FETCH = 60, 60, 60
    backfill.KEYS, backfill.KEYS_AT_ONCE = 40, 40
    bulk.MOST_ACTIONS = 30
    # What a killed one held is free again soon.
    lease.SECONDS, lease.OUTSIDE_SECONDS, lease.MARGIN_SECONDS = 1, 5, 1
    url = os.environ["STRANDLINE_DATABASE_URL"]
    project(url, discover(("strandline.projections",)), stores=open_stores(load_settings(), url))


if __name__ == "__main__":
    main()
