"""The first page: does it hold, how far, and what waits."""

from datetime import timedelta

from strandline.console.charts import chain, parts_of
from strandline.console.page import Asked, Page
from strandline.consumer.erasure.receipts import open_for
from strandline.consumer.exports.register import Export, read_exports
from strandline.consumer.generations.hints import find_hints
from strandline.consumer.monitoring.as_json import status_json
from strandline.consumer.monitoring.presence import WorkerState, read_workers
from strandline.consumer.monitoring.status import Status, read_status
from strandline.consumer.store.streams import StreamState, read_streams


def health(asked: Asked) -> Page:
    console = asked.console
    with console.status() as connection:
        streams = read_streams(connection, timedelta(seconds=console.settings.silent_seconds))
        workers = read_workers(connection)
        found = read_status(connection, console.projections.values(), console.stores)
        hints = find_hints(connection, console.projections.values())
        with connection.transaction():
            waiting = open_for(connection)
            exports = read_exports(connection)
    on = console.settings.opensearch_url is not None
    late = waiting is not None and waiting > console.settings.redaction_seconds
    return Page(
        "health.html",
        status_json(found, streams, workers, hints, opensearch=on, exports=exports),
        {
            "status": found,
            "streams": streams,
            "workers": workers,
            "open_for": waiting,
            "late": late,
            "picture": chain(found),
            "parts": parts_of(found),
            "covered": _covered(found),
            "failed_check": _failed_check(found),
            "faults": list(_faults(found, streams, workers, exports, late=late)),
        },
    )


def _covered(found: Status) -> object:
    """Return the check of the highest tip that holds, None if no saved digest was checked."""
    holding = [one for one in found.digest_checks if one.answer == "holds" and one.tip is not None]
    return max(holding, key=lambda one: one.tip or 0, default=None)


def _failed_check(found: Status) -> object:
    """Return the latest check of a digest if it does not hold."""
    latest = next(iter(found.digest_checks), None)
    return latest if latest is not None and latest.answer == "does not hold" else None


def _faults(
    found: Status, streams: list[StreamState], workers: list[WorkerState], exports: list[Export], *, late: bool
) -> list[str]:
    """Return what somebody should look at, in a sentence each."""
    faults = [f"{one.name} has failed: {one.failure}" for one in found.projections if one.failure]
    faults += [f"{one.name} needs a rebuild" for one in found.projections if one.state == "needs_rebuild"]
    faults += [f"stream {one.name}: {one.fault}" for one in streams if one.fault]
    faults += [f"stream {one.name} is silent" for one in streams if one.state == "silent"]
    faults += [f"worker {one.id} is lost" for one in workers if one.state == "lost"]
    faults += [f"export {one.number} of {one.read_model}: {one.state}" for one in exports if one.needs_action]
    if late:
        faults.append("a redaction is open for too long")
    if found.waits:
        faults.append("blocks above the mark wait: revisions are missing, or two blocks have one number")
    if found.incomplete_blocks.open:
        faults.append("the mark waits for a block that is not shown to be complete")
    return faults
