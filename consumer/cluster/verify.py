"""`verify --cluster`: objects, or blocks of the store, are verified by tasks; what only all together show, here.

For each block its number, hashes and counts travel to the command, never a row.
"""

from collections.abc import Callable, Iterator, Sequence

from strandline.consumer.cluster.client import Cluster
from strandline.consumer.cluster.tasks import Expected, check_stored_blocks, decode_only, identify
from strandline.consumer.intake.decoding import DecodedItem
from strandline.consumer.settings import Settings
from strandline.consumer.verification.verify import Verification, verify_sources, verify_store
from strandline.journal.decode.kernel import KERNEL
from strandline.journal.decode.objects import Decoded
from strandline.journal.errors import UsageError
from strandline.journal.sources.source import Source, all_items

Progress = Callable[[int], None]


def verify_sources_on(
    cluster: Cluster,
    sources: Sequence[Source],
    *,
    tip: int | None = None,
    tied_at: int | None = None,
    trust_deletions: bool = False,
    progress: Progress = lambda _: None,
) -> Verification:
    """Check sources as `verify_sources` does; the workers read and decode the objects."""

    def decoded() -> Iterator[DecodedItem]:
        calls = [(batch, trust_deletions) for batch in cluster.batches(list(all_items(sources)))]
        for items in cluster.run(Expected(KERNEL), decode_only, calls):
            yield from items

    return verify_sources(sources, workers=1, tip=tip, tied_at=tied_at, decoded=decoded(), progress=progress)


def verify_store_on(
    cluster: Cluster,
    settings: Settings,
    *,
    tip: int | None = None,
    tied_at: int | None = None,
    since: int | None = None,
    trust_deletions: bool = False,
    progress: Progress = lambda _: None,
) -> Verification:
    """Check the store as `verify_store` does; the workers read and check its blocks."""
    if settings.database_url is None:
        raise UsageError("--cluster needs STRANDLINE_DATABASE_URL here and for every worker: all read one database.")
    expected = Expected(KERNEL, settings.origin, identify(settings))

    def checked(ranges: Iterator[range]) -> Iterator[Decoded]:
        return cluster.run(expected, check_stored_blocks, ((blocks, trust_deletions) for blocks in ranges))

    return verify_store(
        settings.database_url,
        workers=1,
        tip=tip,
        tied_at=tied_at,
        since=since,
        checked=checked,
        progress=progress,
    )
