"""The command `status`."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json, show_table
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import count, gaps_text, mark_text, pending_text, span

if TYPE_CHECKING:
    from strandline.consumer.generations.state import ProjectionStatus
    from strandline.consumer.monitoring.presence import WorkerState
    from strandline.consumer.monitoring.status import Status
    from strandline.consumer.store.streams import StreamState

_WORKER = {
    "running": "running since",
    "ended": "stopped at",
    "lost": "lost (killed, failed, or disconnected from the store); last heartbeat at",
}
OPENSEARCH_OFF = "OpenSearch is off: STRANDLINE_OPENSEARCH_URL is not set."


def status(as_json: AsJson = False) -> int:
    """Show the journal, gaps, redactions, read models, workers."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.generations.hints import find_hints
    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.monitoring.presence import read_workers
    from strandline.consumer.monitoring.status import read_status
    from strandline.consumer.store.streams import read_streams
    from strandline.journal.decode.kernel import KERNEL

    projections = discover_projections()
    with open_store() as (settings, url), connect(url) as connection:
        streams = read_streams(connection, timedelta(seconds=settings.silent_seconds))
        workers = read_workers(connection)
        found = read_status(connection, projections.values(), open_stores(settings, url))
        hints = find_hints(connection, projections.values())
    opensearch = settings.opensearch_url is not None
    if as_json:
        shown = {**_status_json(found), "streams": [_stream_json(one) for one in streams]}
        shown["workers"] = [_worker_json(one) for one in workers]
        shown["hints"] = hints
        show_json({**shown, "opensearch": "on" if opensearch else "off", "kernel": KERNEL})
    else:
        _say_status(found)
        for hint in hints:
            say(hint)
        for one in streams:
            say(f"Stream {one.name}: {one.state} since {_utc(one.since)}; last record at {_utc(one.heard_at)}.")
            if one.fault is not None:
                say(f"Stream {one.name}: {one.fault}.")
        for worker in workers:
            say(f"Worker {worker.id}: {_WORKER[worker.state]} {_utc(worker.since)}.")
        if not opensearch:
            say(OPENSEARCH_OFF)
    return 0


def _status_json(found: "Status") -> dict[str, object]:
    return {
        "mark": found.mark,
        "head": found.head,
        "origin": found.origin,
        "gaps": found.gaps,
        "accepted_gaps": [[gap.first_no, gap.last_no] for gap in found.accepted_gaps],
        "rejected": found.rejected,
        "projections": [projection_json(one) for one in found.projections],
        "other_generations": [asdict(one) for one in found.other_generations],
        "redactions": asdict(found.redactions),
        "strand_id": found.strand_id,
        **found.claims.as_dict(),
    }


def _stream_json(one: "StreamState") -> dict[str, object]:
    return {
        "name": one.name,
        "state": one.state,
        "since": one.since.isoformat(),
        "heard_at": one.heard_at.isoformat(),
        "fault": one.fault,
    }


def _worker_json(one: "WorkerState") -> dict[str, object]:
    return {"id": one.id, "state": one.state, "since": one.since.isoformat(), "seen_at": one.seen_at.isoformat()}


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def projection_json(one: "ProjectionStatus") -> dict[str, object]:
    return {
        "name": one.name,
        "store": one.store,
        "generation": one.generation,
        "position": one.position,
        "state": one.state,
        "lag_blocks": one.lag_blocks,
        "lag_seconds": one.lag_seconds,
        "parked": one.parked,
        "failure": one.failure,
        "failed_at": one.failed_at.isoformat() if one.failed_at else None,
    }


def _say_status(found: "Status") -> None:
    say(
        f"Strand {found.strand_id}."
        if found.strand_id
        else "The store is empty: ingest an export with `strandline replay SOURCE`."
    )
    say(mark_text(found))
    if not found.claims.data_verified:
        blocks = count(found.claims.unverified_blocks, "block")
        say(f"Data not verified: {blocks} known only from JSON (level chain); replay the export in Ion.")
    if found.claims.graft is not None:
        say(f"Blocks {found.claims.graft:,} and later were written by Strandline, not QLDB.")
    if found.head is not None and found.head != found.mark:
        say(f"The highest block present is {found.head:,}.")
    if found.gaps:
        say(f"Missing: {gaps_text(found)}.")
    if found.waits:
        say(f"Pending: {pending_text(found)}.")
    for gap in found.accepted_gaps:
        say(f"Accepted gap: {span(gap.first_no, gap.last_no)} ({gap.reason}).")
    if found.rejected:
        say(f"Rejected: {found.rejected:,}; see `strandline rejected`.")
    redactions = found.redactions
    say(f"Redactions: {redactions.done:,} done, {redactions.open:,} open, {redactions.pending:,} pending.")
    say_projections(found.projections)
    for other in found.other_generations:
        say(f"Other generation: {other.name} {other.generation}, {other.state}, at block {other.position:,}.")


def say_projections(found: "Sequence[ProjectionStatus]") -> None:
    if not found:
        say("No read models: name your projections in STRANDLINE_PROJECTIONS (`strandline init-projection TABLE`).")
        return
    show_table(
        ("read model", "store", "generation", "position", "state", "blocks behind", "parked"),
        [(one.name, one.store, one.generation, one.position, one.state, one.lag_blocks, one.parked) for one in found],
    )
    for failing in found:
        if failing.failure:
            since = f" since {_utc(failing.failed_at)}" if failing.failed_at else ""
            say(f"{failing.name} has failed{since}: {failing.failure.rstrip('.')}.")
