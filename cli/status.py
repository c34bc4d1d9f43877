"""The commands that face the read models: `status`, `parked` and `retry`."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.output import AsJson, count, say, show_json, show_table, span
from strandline.cli.progress import meter
from strandline.cli.replay import gaps_text, mark_text, waits_text
from strandline.cli.session import discover_projections, open_store

if TYPE_CHECKING:
    from strandline.consumer.generations.state import ParkedDocument, ProjectionStatus
    from strandline.consumer.monitoring.presence import WorkerState
    from strandline.consumer.monitoring.status import Status
    from strandline.consumer.store.streams import StreamState

_WORKER = {
    "running": "runs, since",
    "ended": "was stopped and ended in order, at",
    "lost": "gone (killed, failed, or cut off from the store); its last sign of life came at",
}
OPENSEARCH_OFF = "OpenSearch is off: STRANDLINE_OPENSEARCH_URL is not set."


def status(as_json: AsJson = False) -> int:
    """How far the journal is in, what is missing or was refused, and how the read models stand."""
    from strandline.consumer.database.connection import connect
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
    opensearch = settings.opensearch_url is not None
    if as_json:
        shown = {**_status_json(found), "streams": [_stream_json(one) for one in streams]}
        shown["workers"] = [_worker_json(one) for one in workers]
        show_json({**shown, "opensearch": "on" if opensearch else "off", "kernel": KERNEL})
    else:
        _say_status(found)
        for one in streams:
            say(
                f"Stream {one.name}: {one.state} since {_utc(one.since)}; its last record came at {_utc(one.heard_at)}."
            )
        for worker in workers:
            say(f"Worker {worker.id}: {_WORKER[worker.state]} {_utc(worker.since)}.")
        if not opensearch:
            say(OPENSEARCH_OFF)
    return 0


def project(as_json: AsJson = False) -> int:
    """Bring every read model to the mark, as a worker does all the time: after writing to the ledger without one."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.purge import hide
    from strandline.consumer.generations.state import statuses
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url):
        stores = open_stores(settings, url)
        with meter() as shown:
            hide(url, projections, stores, shown.report)
        with connect(url) as connection:
            found = [one for one in statuses(connection, projections.values(), stores) if one.generation is not None]
    if as_json:
        show_json({"projections": [_projection_json(one) for one in found]})
    else:
        _say_projections(found)
    return 1 if any(one.state == "failing" for one in found) else 0


def parked(as_json: AsJson = False) -> int:
    """The documents that a read model could not take, since when and why."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.generations.state import parked

    with open_store() as (_, url), connect(url) as connection:
        found = parked(connection)
    if as_json:
        show_json({"parked": [_parked_json(one) for one in found]})
    elif not found:
        say("Nothing is parked.")
    else:
        show_table(
            ("read model", "generation", "document", "version", "since block", "reason"),
            [(one.projection, one.generation, one.key, one.version, one.sequence_no, one.reason) for one in found],
        )
        say("`strandline retry NAME` runs a read model's parked documents again.")
    return 1 if found else 0


def retry(
    name: Annotated[str, typer.Argument(help="The read model's name.")],
    as_json: AsJson = False,
) -> int:
    """Run a read model's parked documents again, from the journal."""
    from strandline.consumer.generations.lifecycle import retry
    from strandline.consumer.generations.stores import open_stores

    projections = discover_projections()
    with open_store() as (settings, url):
        result = retry(url, projections, name, open_stores(settings, url))
    if as_json:
        show_json(asdict(result))
    elif not result.retried:
        say(f"Nothing of {name} is parked.")
    else:
        say(f"{name}: ran {count(result.retried, 'parked document')} again; {result.parked:,} parked still.")
    return 0 if not result.parked else 1


def _status_json(found: "Status") -> dict[str, object]:
    return {
        "mark": found.mark,
        "head": found.head,
        "origin": found.origin,
        "gaps": found.gaps,
        "accepted_gaps": [[gap.first_no, gap.last_no] for gap in found.accepted_gaps],
        "rejected": found.rejected,
        "projections": [_projection_json(one) for one in found.projections],
        "other_generations": [asdict(one) for one in found.other_generations],
        "redactions": asdict(found.redactions),
        "strand_id": found.strand_id,
        "graft": found.graft,
    }


def _stream_json(one: "StreamState") -> dict[str, object]:
    return {
        "name": one.name,
        "state": one.state,
        "since": one.since.isoformat(),
        "heard_at": one.heard_at.isoformat(),
    }


def _worker_json(one: "WorkerState") -> dict[str, object]:
    return {"id": one.id, "state": one.state, "since": one.since.isoformat(), "seen_at": one.seen_at.isoformat()}


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _projection_json(one: "ProjectionStatus") -> dict[str, object]:
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


def _parked_json(one: "ParkedDocument") -> dict[str, object]:
    return {
        "projection": one.projection,
        "generation": one.generation,
        "document": one.key,
        "version": one.version,
        "block": one.sequence_no,
        "reason": one.reason,
        "parked_at": one.parked_at.isoformat(),
    }


def _say_status(found: "Status") -> None:
    say(f"Strand {found.strand_id}." if found.strand_id else "The store is empty: take an export in with `replay`.")
    say(mark_text(found))
    if found.graft is not None:
        say(f"Blocks from {found.graft:,} on were appended since QLDB.")
    if found.head is not None and found.head != found.mark:
        say(f"The highest block seen is {found.head:,}.")
    if found.gaps:
        say(f"Missing: {gaps_text(found)}.")
    if found.waits:
        say(f"Open: {waits_text(found)}.")
    for gap in found.accepted_gaps:
        say(f"Accepted gap: {span(gap.first_no, gap.last_no)} were passed over ({gap.reason}).")
    if found.rejected:
        say(f"Refused so far: {found.rejected:,}.")
    redactions = found.redactions
    say(f"Redactions: {redactions.done:,} done, {redactions.open:,} open, {redactions.pending:,} pending.")
    _say_projections(found.projections)
    for other in found.other_generations:
        say(f"Also generation {other.generation} of {other.name}: {other.state}, at block {other.position:,}.")


def _say_projections(found: "Sequence[ProjectionStatus]") -> None:
    show_table(
        ("read model", "store", "generation", "position", "state", "blocks behind", "parked"),
        [(one.name, one.store, one.generation, one.position, one.state, one.lag_blocks, one.parked) for one in found],
    )
    for failing in found:
        if failing.failure:
            since = f" since {_utc(failing.failed_at)}" if failing.failed_at else ""
            say(f"{failing.name} cannot go on{since}: {failing.failure.rstrip('.')}.")
