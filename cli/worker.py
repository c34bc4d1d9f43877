"""The command `worker`: the long-running consumer."""

from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import show_json
from strandline.cli.session import discover_projections, open_store


def worker(
    trust_deletions: Annotated[
        bool, typer.Option("--trust-deletions", help="Let through deletions whose hash no known form explains.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Take in QLDB's stream from Kinesis and keep the read models up to date, until SIGTERM or Ctrl-C.

    It needs Java 17 and the extra `worker`. Its log is JSON on standard error, a line an event.
    """
    from strandline.consumer.database.connection import connect
    from strandline.consumer.logging import log_json
    from strandline.consumer.monitoring.status import read_status
    from strandline.consumer.worker.service import run_worker

    projections = discover_projections()
    log_json()
    with open_store() as (settings, url):
        in_order = run_worker(settings, url, projections, trust_deletions=trust_deletions)
        if as_json:
            with connect(url) as connection:
                status = read_status(connection, projections.values())
            show_json({"in_order": in_order, "mark": status.mark, "head": status.head, "rejected": status.rejected})
    return 0 if in_order else 1
