"""The command `replay`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson, OnCluster, TrustDeletions
from strandline.cli.output import note, say, show_json, show_table
from strandline.cli.progress import Counter, meter, total_blocks
from strandline.cli.restore import Budget, Hints
from strandline.cli.session import discover_projections, open_cluster, open_store
from strandline.cli.status import HIDDEN
from strandline.cli.texts import (
    count,
    gaps_text,
    mark_text,
    note_residue,
    pending_text,
    position_text,
    restored_text,
    sources_text,
)
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.restore.budget import BUDGET

if TYPE_CHECKING:
    from strandline.consumer.erasure.probe import Residue
    from strandline.consumer.intake.replay import Replay
    from strandline.consumer.intake.shard import Shard
    from strandline.consumer.monitoring.status import Status
    from strandline.consumer.projection.definition import Projection
    from strandline.consumer.settings import Settings
    from strandline.journal.restore.decoding import RestoringDecoder
    from strandline.journal.sources.source import Source

Sources = Annotated[
    list[str] | None,
    typer.Argument(help="Exports (folders, manifests, s3://…) or raw Kinesis records.", metavar="SOURCE"),
]


@dataclass(frozen=True)
class ReplayResult:
    """A replay: what it read, the status after it, and redacted data that a probe found again."""

    replay: "Replay"
    status: "Status"
    projecting_seconds: float
    residue: Sequence["Residue"] = ()

    @property
    def complete(self) -> bool:
        failing = any(one.state == "failing" for one in self.status.projections)
        pending = self.status.gaps or self.status.waits or self.status.redactions.open
        return not (pending or self.replay.rejected or failing)


def replay(
    sources: Sources = None,
    shard: Annotated[
        str | None,
        typer.Option(help="Only store this share of the objects: 0/4, or auto in a batch job.", metavar="I/N"),
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Advance the mark over all shards, and project.")] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Find the types that JSON lost, as `strandline restore` does.")
    ] = False,
    hints: Hints = None,
    budget: Budget = BUDGET,
    trust_deletions: TrustDeletions = False,
    cluster: OnCluster = None,
    as_json: AsJson = False,
) -> int:
    """Ingest and verify a journal, and project it. Resumes.

    Ingesting the same source again changes nothing.
    """
    from strandline.consumer.intake.sources import open_sources

    if finish and (sources or shard):
        raise UsageError("--finish takes neither a source nor --shard: it goes on with what the shards have stored.")
    if cluster is not None and (finish or shard or restore):
        raise UsageError("--cluster goes with neither --shard, --finish nor --restore.")
    if not (finish or sources):
        raise UsageError("Name a source: an export's folder, manifest or object, s3://…, or raw Kinesis records.")
    if hints and not restore:
        raise UsageError("--hints goes with --restore.")
    share = _read_share(shard) if shard is not None else None
    projections = discover_projections()
    opened = open_sources(sources or [])
    restoring = _restoring(hints, budget) if restore else None
    if share is not None:
        return _store_shard(share, opened, trust_deletions, restoring, as_json=as_json)
    with open_store() as (settings, url):
        if cluster is not None:
            stored = _store_on(cluster, opened, settings, trust_deletions)
            result = _joined(stored, replay_and_project(url, [], settings, projections))
        else:
            result = replay_and_project(
                url, opened, settings, projections, trust_deletions=trust_deletions, restoring=restoring
            )
    if finish and result.status.head is None:
        raise StrandlineError(
            "--finish: the store is empty, no shard has stored anything: check STRANDLINE_DATABASE_URL."
        )
    if as_json:
        show_json(_replay_json(result))
    else:
        if not finish:
            _say_read(result.replay)
        _say_replay(result)
    return 0 if result.complete else 1


def _read_share(text: str) -> "Shard":
    """Read the shard. What a batch system numbers needs a database that is not the job's own, which ends with it."""
    from strandline.consumer.intake.shard import read_shard
    from strandline.consumer.settings import load_settings

    share = read_shard(text)
    if not text[0].isdecimal() and load_settings().database_url is None:
        raise UsageError(
            f"--shard {text}: set STRANDLINE_DATABASE_URL to the database that all jobs share: the embedded one ends "
            "with the job."
        )
    return share


def _store_shard(
    shard: "Shard",
    sources: Sequence["Source"],
    trust_deletions: bool,
    restoring: "RestoringDecoder | None",
    *,
    as_json: bool,
) -> int:
    from strandline.consumer.intake.replay import replay_sources

    with open_store() as (settings, url), meter() as shown:
        result = replay_sources(
            url,
            sources,
            settings,
            trust_deletions=trust_deletions,
            restoring=restoring,
            shard=shard,
            progress=Counter(shown, "ingesting", None),
        )
    if as_json:
        show_json({"shard": shard.index, "shards": shard.of, **_read_json(result)})
    else:
        _say_read(result)
        say(f"Shard {shard.index} of {shard.of} is stored. Once all are: `strandline replay --finish`.")
        _note_rejected(result)
    return 1 if result.rejected else 0


def _store_on(cluster: str, sources: Sequence["Source"], settings: "Settings", trust_deletions: bool) -> "Replay":
    """Store the sources by the workers of a cluster, with progress."""
    with open_cluster(cluster) as connected, meter() as shown:
        from strandline.consumer.cluster.replay import replay_on

        progress = Counter(shown, "ingesting", total_blocks(sources))
        return replay_on(connected, sources, settings, trust_deletions=trust_deletions, progress=progress)


def _joined(stored: "Replay", finished: ReplayResult) -> ReplayResult:
    """Return the result of a replay by a cluster, and of the step of the mark after it."""
    from strandline.consumer.cluster.replay import add

    add(stored, finished.replay)
    stored.mark, stored.gaps = finished.replay.mark, finished.replay.gaps
    return replace(finished, replay=stored)


def _restoring(hints: Sequence[str] | None, budget: int) -> "RestoringDecoder":
    from strandline.consumer.restoration.hint_files import open_hints
    from strandline.journal.check.members import ShapeError
    from strandline.journal.errors import UnreadableError
    from strandline.journal.restore.decoding import RestoringDecoder

    found = open_hints(hints or [])
    decoder = RestoringDecoder(found.hints, budget)
    for copy in found.copies:
        try:
            decoder = decoder.taught(blocks=[copy.read()])
        except (UnreadableError, ShapeError) as error:
            raise UsageError(f"{copy.name}: no Ion blocks to learn types from ({error}).") from None
    return decoder


def replay_and_project(
    url: str,
    sources: Sequence["Source"],
    settings: "Settings",
    projections: Mapping[str, "Projection"],
    *,
    trust_deletions: bool = False,
    restoring: "RestoringDecoder | None" = None,
) -> ReplayResult:
    """Ingest the sources, project up to the mark, and apply every redaction, with progress."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.erasure.purge import hide
    from strandline.consumer.erasure.subjects import index_subjects
    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.intake.replay import replay_sources
    from strandline.consumer.monitoring.status import read_status

    stores = open_stores(settings, url)
    with meter() as shown:
        progress = Counter(shown, "ingesting", total_blocks(sources))
        result = replay_sources(
            url, sources, settings, trust_deletions=trust_deletions, restoring=restoring, progress=progress
        )
    started = time.monotonic()
    with connect(url) as connection:
        index_subjects(connection, settings.subject_fields)
    with meter("items") as shown:
        residue = hide(url, projections, stores, shown.report)
    seconds = time.monotonic() - started
    with connect(url) as connection:
        status = read_status(connection, projections.values(), stores)
    return ReplayResult(result, status, seconds, residue)


def _replay_json(done: ReplayResult) -> dict[str, object]:
    result = done.replay
    return {
        **_read_json(result),
        "mark": done.status.mark,
        "head": done.status.head,
        "gaps": done.status.gaps,
        "sources": [asdict(one) for one in result.sources],
        "restored": done.status.restored.as_dict(),
        "projecting_seconds": round(done.projecting_seconds, 3),
        "projections": [asdict(one) for one in done.status.projections],
    }


def _read_json(result: "Replay") -> dict[str, object]:
    return {
        "blocks": result.blocks,
        "new_blocks": result.new_blocks,
        "revisions": result.revisions,
        "redactions": result.redactions,
        "rejected": result.rejected,
        "faults": [
            {"sequenceNo": one.sequence_no, "source": one.source, "fault": one.fault, "detail": one.detail}
            for one in result.refusals
        ],
        "seconds": round(result.seconds, 3),
        "objects_skipped": result.objects_skipped,
        "records": dict(result.records),
    }


def _say_replay(done: ReplayResult) -> None:
    status = done.status
    say(mark_text(status))
    for text in restored_text(status.restored):
        say(text)
    if not done.complete or any(one.parked for one in status.projections):
        _note_problems(done)
    show_table(
        ("read model", "position", "state", "parked"),
        [
            (one.name, position_text(one.position), one.state, one.parked)
            for one in status.projections
            if one.state not in HIDDEN
        ],
    )


def _say_read(result: "Replay") -> None:
    rate = f", {result.blocks / result.seconds:,.0f} a second" if result.seconds > 0 and result.blocks else ""
    say(
        f"Read {count(result.blocks, 'block')} ({result.new_blocks:,} new), {count(result.revisions, 'revision')}, "
        f"{count(result.redactions, 'redaction')} in {result.seconds:.1f} s{rate}."
    )
    for text in sources_text(result.sources, result.records):
        say(text)
    if result.objects_skipped:
        say(f"Skipped {count(result.objects_skipped, 'object')}: already ingested.")


def _note_problems(done: ReplayResult) -> None:
    status = done.status
    _note_rejected(done.replay)
    if status.gaps:
        note(f"Missing: {gaps_text(status)}. Replay an export that has them.")
    if status.waits:
        note(f"Pending: {pending_text(status)}.")
    if status.redactions.open:
        note(f"Pending: {count(status.redactions.open, 'redaction')} in a read model; see `strandline status`.")
    note_residue(done.residue)
    for model in status.projections:
        if model.state == "failing":
            note(f"{model.name} has failed: {model.failure}.")
        if model.parked:
            note(f"{model.name} has {count(model.parked, 'parked document')}: see `strandline parked`.")


def _note_rejected(result: "Replay") -> None:
    if result.rejected:
        note(f"Rejected: {count(result.rejected, 'item')}, such as")
    for one in result.refusals:
        where = "" if one.sequence_no is None else f"block {one.sequence_no}: "
        note(f"  {where}{one.fault}: {one.detail} [{one.source}]")
