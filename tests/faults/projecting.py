"""A process that does nothing but project, in small batches, so that there are many points to kill it at."""

import os
from functools import partial

import strandline.consumer.projector.projector
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.projection.discovery import discover
from strandline.consumer.projector import backfill, lease
from strandline.consumer.projector.feed import Limits


def main() -> None:
    strandline.consumer.projector.projector.Limits = partial(Limits, blocks=40, revisions=60)  # type: ignore[misc,assignment]
    backfill.DOCUMENTS, backfill.DECODED, backfill.FETCH = 60, 60, 60
    backfill.KEYS, backfill.KEYS_AT_ONCE = 40, 40
    lease.SECONDS = 1  # what a killed one held is free again soon
    project(os.environ["STRANDLINE_DATABASE_URL"], discover(("strandline.projections",)))


if __name__ == "__main__":
    main()
