"""`replay --cluster`: the objects are verified and stored by tasks; the mark stays until all are stored."""

import time
from collections.abc import Callable, Sequence
from itertools import islice

from strandline.consumer.cluster.client import Cluster
from strandline.consumer.cluster.tasks import Expected, identify, store_items
from strandline.consumer.intake.coverage import Coverage
from strandline.consumer.intake.replay import REFUSALS_SHOWN, Replay
from strandline.consumer.settings import Settings
from strandline.journal.decode.kernel import KERNEL
from strandline.journal.errors import UsageError
from strandline.journal.sources.source import Source, all_items

Progress = Callable[[int], None]


def replay_on(
    cluster: Cluster,
    sources: Sequence[Source],
    settings: Settings,
    *,
    trust_deletions: bool = False,
    progress: Progress = lambda _: None,
) -> Replay:
    """Verify and store the sources by the cluster's workers, which have the database and S3 from their environment.

    The first task runs alone, so that it binds the store to its strand. Raises `StrandlineError` if sources are of
    another ledger than the store or each other, `UsageError` without a database that the workers can reach.
    """
    if settings.database_url is None:
        raise UsageError(
            "--cluster needs STRANDLINE_DATABASE_URL here and for every worker: all write to one database."
        )
    started = time.monotonic()
    expected = Expected(KERNEL, settings.origin, identify(settings))
    items = list(all_items(sources))
    calls = [(batch, trust_deletions, settings.origin) for batch in cluster.batches(items)]
    total, coverage = Replay(), Coverage()
    for part in (calls[:1], calls[1:]):
        for done in cluster.run(expected, store_items, part):
            add(total, done)
            progress(done.blocks)
    for item in items:
        coverage.add(item, ())
    total.sources = coverage.extents(sources)
    total.seconds = time.monotonic() - started
    return total


def add(total: Replay, done: Replay) -> None:
    """Add what a part of a replay read and changed to the whole."""
    total.blocks += done.blocks
    total.new_blocks += done.new_blocks
    total.revisions += done.revisions
    total.redactions += done.redactions
    total.rejected += done.rejected
    total.objects_skipped += done.objects_skipped
    total.records.update(done.records)
    total.refusals += islice(done.refusals, max(0, REFUSALS_SHOWN - len(total.refusals)))
