"""The command `status`."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import clear_screen, say, show_json, show_table
from strandline.cli.session import discover_projections, open_store
from strandline.cli.texts import (
    KERNEL_NAME,
    count,
    gaps_text,
    mark_text,
    pending_text,
    position_text,
    restored_text,
    span,
)
from strandline.journal.errors import UsageError

if TYPE_CHECKING:
    from strandline.consumer.database.connection import Connection
    from strandline.consumer.exports.register import Export
    from strandline.consumer.generations.state import ProjectionStatus
    from strandline.consumer.monitoring.status import Status
    from strandline.consumer.projection.definition import Projection
    from strandline.consumer.settings import Settings

_WORKER = {
    "running": "running since",
    "ended": "stopped at",
    "lost": "lost (killed, failed, or disconnected from the store); last heartbeat at",
}
HIDDEN = {"idle": "none of their tables is in the ledger", "off": "STRANDLINE_OPENSEARCH_URL is not set"}
WATCH_SECONDS = 2.0


def status(
    show_all: Annotated[bool, typer.Option("--all", help="Also list read models that are idle or off.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every 2 seconds, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show the journal, gaps, redactions, read models, workers."""
    from strandline.consumer.database.connection import OPERATOR, connect

    if watch and as_json:
        raise UsageError("--watch does not go with --json.")
    projections = discover_projections()
    with open_store() as (settings, url), connect(url, role=OPERATOR) as connection:
        if not watch:
            _show(connection, settings, url, projections, show_all=show_all, as_json=as_json)
            return 0
        with suppress(KeyboardInterrupt):
            while True:
                _show(connection, settings, url, projections, show_all=show_all, clear=True)
                time.sleep(WATCH_SECONDS)
    return 0


def _show(
    connection: "Connection",
    settings: "Settings",
    url: str,
    projections: "Mapping[str, Projection]",
    *,
    show_all: bool,
    as_json: bool = False,
    clear: bool = False,
) -> None:
    from strandline.consumer.exports.register import read_exports
    from strandline.consumer.generations.hints import find_hints
    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.monitoring.as_json import status_json
    from strandline.consumer.monitoring.presence import read_workers
    from strandline.consumer.monitoring.status import read_status
    from strandline.consumer.store.streams import read_streams
    from strandline.journal.decode.kernel import KERNEL

    streams = read_streams(connection, timedelta(seconds=settings.silent_seconds))
    workers = read_workers(connection)
    found = read_status(connection, projections.values(), open_stores(settings, url))
    hints = find_hints(connection, projections.values())
    with connection.transaction():
        exports = read_exports(connection)
    if as_json:
        on = settings.opensearch_url is not None
        show_json(status_json(found, streams, workers, hints, opensearch=on, exports=exports))
        return
    if clear:
        clear_screen()
    _say_status(found, exports, show_all=show_all)
    if show_all:
        say(f"Decoded by the {KERNEL_NAME[KERNEL]}.")
    for hint in hints:
        say(hint)
    for one in streams:
        say(f"Stream {one.name}: {one.state} since {_utc(one.since)}; last record at {_utc(one.heard_at)}.")
        if one.fault is not None:
            say(f"Stream {one.name}: {one.fault}.")
    for worker in workers:
        say(f"Worker {worker.id}: {_WORKER[worker.state]} {_utc(worker.since)}.")
    working = any(worker.state == "running" for worker in workers)
    if not working and any(one.lag_blocks for one in found.projections if one.state == "live"):
        say("No worker is running. To bring the read models up to date: `strandline project`.")
    sys.stdout.flush()


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _say_status(found: "Status", exports: "Sequence[Export]", *, show_all: bool) -> None:
    say(
        f"Strand {found.strand_id}."
        if found.strand_id
        else "The store is empty: ingest an export with `strandline replay SOURCE`."
    )
    say(mark_text(found))
    if not found.claims.data_verified:
        blocks = count(found.claims.unverified_blocks, "block")
        say(f"Data not verified: {blocks} known only from JSON (level chain); replay the export in Ion.")
    for text in restored_text(found.restored):
        say(text)
    if (done := found.verification) is not None:
        say(f"`verify` held for {span(done.first_no, done.last_no)} at {_utc(done.began_at)}.")
    if found.claims.graft is not None:
        say(f"Blocks {found.claims.graft:,} and later were written by Strandline, not QLDB.")
    if found.head is not None and found.head != found.mark:
        say(f"The highest block present is {found.head:,}.")
    if found.gaps:
        first, last = found.gaps[0]
        say(f"Missing: {gaps_text(found)}. To fill a gap: `strandline replay SOURCE`.")
        say(f"If they are permanently lost: `strandline accept-gap {first} {last} --reason WHY`.")
    if found.waits:
        say(f"Pending: {pending_text(found)}.")
    for gap in found.accepted_gaps:
        say(f"Accepted gap: {span(gap.first_no, gap.last_no)} ({gap.reason}).")
    incomplete = found.incomplete_blocks
    if incomplete.open:
        say(f"Not shown to be complete: {count(incomplete.open, 'block')}, which the mark does not pass; see")
        say("  `strandline rejected --list`. Replay another copy, or `strandline accept-omission BLOCK --reason TEXT`.")
    if incomplete.accepted:
        say(f"Accepted although not shown to be complete: {count(incomplete.accepted, 'block')}.")
    if found.rejected:
        say(f"Rejected: {count(found.rejected, 'item')}; see `strandline rejected`.")
    redactions = found.redactions
    say(f"Redactions: {redactions.done:,} done, {redactions.open:,} open, {redactions.pending:,} pending.")
    if redactions.open:
        say("To apply the open ones to every read model: `strandline project`.")
    _say_exports(exports)
    say_projections(found.projections, show_all=show_all)
    if show_all:
        for other in found.other_generations:
            place = f"at block {position_text(other.position)}"
            say(f"Other generation: {other.name} {other.generation}, {other.state}, {place}.")
    elif found.other_generations:
        say(f"Not shown: {count(len(found.other_generations), 'other generation')}; --all lists them.")


def _behind(one: "ProjectionStatus") -> int | None:
    """Blocks behind the mark; unknown before the first generation is there."""
    return None if one.position is None else one.lag_blocks


def say_projections(found: "Sequence[ProjectionStatus]", *, show_all: bool = False) -> None:
    """Print a table of read models, then what a state asks for. Idle ones, and those that are off, are only counted."""
    if not found:
        say("No read models: name your projections in STRANDLINE_PROJECTIONS (`strandline init-projection TABLE`).")
    shown = [one for one in found if show_all or one.state not in HIDDEN]
    if shown:
        show_table(
            ("read model", "store", "state", "position", "behind", "parked"),
            [(one.name, one.store, one.state, position_text(one.position), _behind(one), one.parked) for one in shown],
        )
    for state, meaning in HIDDEN.items():
        if number := sum(one.state == state for one in found if one not in shown):
            say(f"Not shown: {count(number, 'read model')} {state}: {meaning}; --all lists them.")
    for one in shown:
        if one.failure:
            since = f" since {_utc(one.failed_at)}" if one.failed_at else ""
            say(f"{one.name} has failed{since}: {one.failure.rstrip('.')}.")
        if one.parked:
            say(f"{one.name} has {count(one.parked, 'parked document')}: see `strandline parked`.")
    if stale := [one.name for one in shown if one.state == "needs_rebuild"]:
        names = " ".join(stale)
        say(f"The definition, or blocks already read, have changed. To rebuild: `strandline rebuild {names}`.")


def _say_exports(found: "Sequence[Export]") -> None:
    """Name the copies that somebody should delete; the others are only counted."""
    for one in found:
        if one.needs_action:
            say(f"Export {one.number} of {one.read_model} in {one.place}: {one.state}.")
            say(f"  Delete it: `strandline exports --delete {one.number}`.")
    if rest := sum(not one.needs_action for one in found):
        say(f"Exports: {rest:,} more; see `strandline exports`." if rest < len(found) else f"Exports: {rest:,}.")
