"""The command `worker`."""

from typing import Annotated

import typer

from strandline.cli.options import AsJson, TrustDeletions
from strandline.cli.output import complain, say, show_json
from strandline.cli.session import discover_projections, open_store, start_log
from strandline.consumer.extras import needs_extra

CHECK_SECONDS = 4.0  # less than the timeouts of the containers' health checks


def worker(
    check: Annotated[
        bool, typer.Option("--check", help="Ask the worker that runs here whether it lives, and exit with 0 or 1.")
    ] = False,
    trust_deletions: TrustDeletions = False,
    as_json: AsJson = False,
) -> int:
    """Consume QLDB's stream and update the read models.

    Runs until Ctrl-C or SIGTERM. It needs Java 17 and the extra `worker`. The log on standard error has one JSON object
    an event.
    """
    if check:
        return _check(as_json=as_json)
    return _run(trust_deletions=trust_deletions, as_json=as_json)


def _run(*, trust_deletions: bool, as_json: bool) -> int:
    from strandline.consumer.database.connection import connect
    from strandline.consumer.monitoring.status import read_status
    from strandline.consumer.settings import load_settings

    with needs_extra("worker"):
        import amazon_kclpy  # noqa: F401  # the shards' processes import it

        from strandline.consumer.worker.service import run_worker

    if load_settings().tracing:
        with needs_extra("tracing"):
            import opentelemetry.exporter.otlp.proto.http.trace_exporter
            import opentelemetry.sdk.trace  # noqa: F401

    projections = discover_projections()
    start_log()
    with open_store() as (settings, url):
        stopped_cleanly = run_worker(settings, url, projections, trust_deletions=trust_deletions)
        if as_json:
            with connect(url) as connection:
                status = read_status(connection, projections.values())
            show_json(
                {"in_order": stopped_cleanly, "mark": status.mark, "head": status.head, "rejected": status.rejected}
            )
    return 0 if stopped_cleanly else 1


def _check(*, as_json: bool) -> int:
    """Ask `/livez`. It asks no store, so a store that is down does not restart every worker."""
    from strandline.consumer.monitoring.health_client import ask
    from strandline.consumer.settings import load_settings

    answer = ask(load_settings().listen, "/livez", CHECK_SECONDS)
    if not answer.ok:
        return complain(answer.text, 1, as_json=as_json)
    if as_json:
        show_json({"ok": True})
    else:
        say(answer.text)
    return 0
