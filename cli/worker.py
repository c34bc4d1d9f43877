"""The command `worker`."""

from strandline.cli.options import AsJson, TrustDeletions
from strandline.cli.output import show_json
from strandline.cli.session import discover_projections, open_store
from strandline.consumer.extras import needs_extra


def worker(
    trust_deletions: TrustDeletions = False,
    as_json: AsJson = False,
) -> int:
    """Consume QLDB's stream and update the read models.

    Runs until Ctrl-C or SIGTERM. It needs Java 17 and the extra `worker`. The log on standard error has one JSON object
    an event.
    """
    from strandline.consumer.database.connection import connect
    from strandline.consumer.logging import log_json
    from strandline.consumer.monitoring.status import read_status

    with needs_extra("worker", "amazon_kclpy", "prometheus_client"):
        import amazon_kclpy  # noqa: F401  # the shards' processes import it

        from strandline.consumer.worker.service import run_worker

    projections = discover_projections()
    log_json()
    with open_store() as (settings, url):
        stopped_cleanly = run_worker(settings, url, projections, trust_deletions=trust_deletions)
        if as_json:
            with connect(url) as connection:
                status = read_status(connection, projections.values())
            show_json(
                {"in_order": stopped_cleanly, "mark": status.mark, "head": status.head, "rejected": status.rejected}
            )
    return 0 if stopped_cleanly else 1
