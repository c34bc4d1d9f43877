"""A process that does nothing but project, in small batches, so that there are many points to kill it at."""

import os
from functools import partial

import consumer.projector
from consumer import lease
from consumer.feed import Limits
from consumer.generations import project
from consumer.projection import discover


def main() -> None:
    consumer.projector.Limits = partial(Limits, blocks=40, revisions=60)  # type: ignore[misc,assignment]
    lease.SECONDS = 1  # what a killed one held is free again soon
    project(os.environ["STRANDLINE_DATABASE_URL"], discover(("projections",)))


if __name__ == "__main__":
    main()
