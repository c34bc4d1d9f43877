"""The commands that face the journal: `replay`, `digest` and `simulate`. Heavy imports wait until one is called."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.output import AsJson, count, note, note_found, say, show_json, show_table, span
from strandline.cli.progress import Counter, meter
from strandline.cli.session import discover_projections, open_store

if TYPE_CHECKING:
    from strandline.consumer.erasure.probe import Found
    from strandline.consumer.intake.coverage import Extent
    from strandline.consumer.intake.replay import Replay
    from strandline.consumer.monitoring.status import Status
    from strandline.consumer.projection.definition import Projection
    from strandline.consumer.settings import Settings
    from strandline.journal.sources.source import Source

GAPS_SHOWN = 5

Sources = Annotated[
    list[str],
    typer.Argument(help="Exports (folders, manifests, s3://…) or raw Kinesis records.", metavar="SOURCE"),
]
TrustDeletions = Annotated[
    bool,
    typer.Option(
        "--trust-deletions", help="Let deletions pass whose hash does not hold: dropped data could then pass for one."
    ),
]


@dataclass(frozen=True)
class TakenIn:
    """What a replay read, how everything stands after it, and what was found of redacted revisions."""

    replay: "Replay"
    status: "Status"
    projecting_seconds: float
    found: Sequence["Found"] = ()

    @property
    def complete(self) -> bool:
        failing = any(one.state == "failing" for one in self.status.projections)
        open_ = self.status.gaps or self.status.waits or self.status.redactions.open
        return not (open_ or self.replay.rejected or failing)


def replay(sources: Sources, trust_deletions: TrustDeletions = False, as_json: AsJson = False) -> int:
    """Take sources in, verify them, and project up to the mark; may be repeated, and resumes."""
    from strandline.consumer.intake.sources import open_sources

    projections = discover_projections()
    opened = open_sources(sources)
    with open_store() as (settings, url):
        taken = take_in_and_project(url, opened, settings, projections, trust_deletions=trust_deletions)
    if as_json:
        show_json(_replay_json(taken))
    else:
        _say_replay(taken)
    return 0 if taken.complete else 1


def take_in_and_project(
    url: str,
    sources: Sequence["Source"],
    settings: "Settings",
    projections: Mapping[str, "Projection"],
    *,
    trust_deletions: bool = False,
) -> TakenIn:
    """Take the sources in, and bring every projection to the mark until no redaction is open, with progress."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.purge import hide
    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.intake.replay import replay_sources
    from strandline.consumer.monitoring.status import read_status

    stores = open_stores(settings, url)
    with meter() as shown:
        progress = Counter(shown, "taking in", blocks_named(sources))
        result = replay_sources(url, sources, settings, trust_deletions=trust_deletions, progress=progress)
    started = time.monotonic()
    with meter() as shown:
        found = hide(url, projections, stores, shown.report)
    seconds = time.monotonic() - started
    with connect(url) as connection:
        status = read_status(connection, projections.values(), stores)
    return TakenIn(result, status, seconds, found)


def blocks_named(sources: Sequence["Source"]) -> int | None:
    """How many blocks the objects hold by their names; None where a name does not say."""
    from strandline.journal.sources.source import all_items

    total = 0
    for item in all_items(sources):
        if item.first_no is None or item.last_no is None:
            return None
        total += item.last_no - item.first_no + 1
    return total


def _replay_json(taken: TakenIn) -> dict[str, object]:
    result = taken.replay
    return {
        "blocks": result.blocks,
        "new_blocks": result.new_blocks,
        "revisions": result.revisions,
        "redactions": result.redactions,
        "mark": taken.status.mark,
        "head": taken.status.head,
        "gaps": taken.status.gaps,
        "rejected": result.rejected,
        "faults": [
            {"sequenceNo": one.sequence_no, "source": one.source, "fault": one.fault, "detail": one.detail}
            for one in result.refusals
        ],
        "seconds": round(result.seconds, 3),
        "objects_skipped": result.objects_skipped,
        "sources": [asdict(one) for one in result.sources],
        "records": dict(result.records),
        "projecting_seconds": round(taken.projecting_seconds, 3),
        "projections": [asdict(one) for one in taken.status.projections],
    }


def _say_replay(taken: TakenIn) -> None:
    result, status = taken.replay, taken.status
    rate = f", {result.blocks / result.seconds:,.0f} a second" if result.seconds > 0 and result.blocks else ""
    say(
        f"Read {count(result.blocks, 'block')} ({result.new_blocks:,} new), {count(result.revisions, 'revision')}, "
        f"{count(result.redactions, 'redaction')} in {result.seconds:.1f} s{rate}."
    )
    for told in sources_text(result.sources, result.records):
        say(told)
    if result.objects_skipped:
        say(f"Passed over, since taken in before: {count(result.objects_skipped, 'object')}.")
    say(mark_text(status))
    if not taken.complete or any(one.parked for one in status.projections):
        _note_what_is_open(taken)
    show_table(
        ("read model", "position", "state", "parked"),
        [(one.name, one.position, one.state, one.parked) for one in status.projections],
    )


def mark_text(status: "Status") -> str:
    if status.mark is None:
        return "The mark has not passed any block yet."
    return f"The mark is at block {status.mark:,}: from block {status.origin} on all is there, checked and linked."


def sources_text(sources: "Sequence[Extent]", records: Mapping[str, int]) -> Iterator[str]:
    """Where several sources lie to one another, and what records of a stream there were."""
    if len(sources) > 1:
        for one in sources:
            yield f"  {one.source}: {_extent_text(one)}"
    if records:
        yield "Stream records: " + ", ".join(f"{number:,} {kind}" for kind, number in sorted(records.items())) + "."


def _extent_text(extent: "Extent") -> str:
    if extent.first_no is None or extent.last_no is None:
        return "no blocks"
    text = span(extent.first_no, extent.last_no)
    if extent.between is None:
        return text + (", following the one before" if extent.relation == "follows" else "")
    between = span(*extent.between)
    return (
        f"{text}, after a gap: {between}"
        if extent.relation == "gap"
        else f"{text}, of which {between} were there before"
    )


def gaps_text(status: "Status") -> str:
    shown = ", ".join(span(first, last) for first, last in status.gaps[:GAPS_SHOWN])
    return shown + (f" and {len(status.gaps) - GAPS_SHOWN} more gaps" if len(status.gaps) > GAPS_SHOWN else "")


def waits_text(status: "Status") -> str:
    after = status.origin if status.mark is None else status.mark + 1
    return f"block {after:,} waits: it lacks revisions, or two blocks contend for its number"


def _note_what_is_open(taken: TakenIn) -> None:
    status = taken.status
    if taken.replay.rejected:
        note(f"Refused: {count(taken.replay.rejected, 'thing')}, such as")
        for one in taken.replay.refusals:
            where = "" if one.sequence_no is None else f"block {one.sequence_no}: "
            note(f"  {where}{one.fault}: {one.detail} [{one.source}]")
    if status.gaps:
        note(f"Missing: {gaps_text(status)}. Replay an export that holds them.")
    if status.waits:
        note(f"Open: {waits_text(status)}.")
    if status.redactions.open:
        note(
            f"Open: {count(status.redactions.open, 'redaction')} that not every read model has passed; "
            "see `strandline status`."
        )
    note_found(taken.found)
    for model in status.projections:
        if model.state == "failing":
            note(f"{model.name} cannot go on: {model.failure}.")
        if model.parked:
            note(f"{model.name} has {count(model.parked, 'parked document')}: see `strandline parked`.")
