"""`replay`: take exports in, verified, move the mark over them, and project up to it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from consumer.database import connect
from consumer.decoding import DecodedObject, decode_objects, executor, workers_for
from consumer.mark import advance, gaps
from consumer.settings import Settings
from consumer.store import Refusal, Store, TakenObject
from journal.export import Export, all_objects

# What one transaction of intake takes: enough that its fixed costs vanish, little enough for flat memory.
_BATCH_BLOCKS = 5_000
_BATCH_BYTES = 16 * 1024 * 1024

Progress = Callable[[int], None]


@dataclass(slots=True)
class Replay:
    """What a replay read and changed; `objects_skipped` were wholly in already."""

    blocks: int = 0
    new_blocks: int = 0
    revisions: int = 0
    redactions: int = 0
    rejected: int = 0
    objects_skipped: int = 0
    unexplained: int = 0
    mark: int | None = None
    gaps: list[tuple[int, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def take_in(
    url: str,
    exports: Sequence[Export],
    settings: Settings,
    *,
    trust_deletions: bool = False,
    progress: Progress = lambda _: None,
) -> Replay:
    """Take exports into the store and advance the mark; whatever was there already is left as it is.

    Resumes: an object that is wholly in, by the SHA-256 of its bytes, is not decoded again.
    """
    result = Replay()
    started = time.monotonic()
    workers = workers_for(all_objects(exports), settings.workers)
    with connect(url) as connection, executor(workers) as pool:
        store = Store(connection)

        def skip(digest: bytes) -> bool:
            taken = bool(store.taken([digest]))
            result.objects_skipped += taken
            return taken

        objects = decode_objects(
            all_objects(exports), pool, workers=workers, trust_deletions=trust_deletions, skip=skip
        )
        for batch in _batches(objects):
            _take_batch(store, batch, settings.origin, result)
            advance(connection)
            progress(sum(len(item.decoded.links) for item in batch))
        mark = advance(connection)
        result.mark = mark.sequence_no if mark.sequence_no >= mark.origin else None
        result.gaps = gaps(connection)
        connection.commit()
    result.seconds = time.monotonic() - started
    return result


def _batches(objects: Iterator[DecodedObject]) -> Iterator[list[DecodedObject]]:
    batch: list[DecodedObject] = []
    blocks = size = 0
    for item in objects:
        batch.append(item)
        blocks += len(item.decoded.links)
        if item.decoded.rows is not None:
            size += len(item.decoded.rows.blocks) + len(item.decoded.rows.revisions)
        if blocks >= _BATCH_BLOCKS or size >= _BATCH_BYTES:
            yield batch
            batch, blocks, size = [], 0, 0
    if batch:
        yield batch


def _take_batch(store: Store, batch: Sequence[DecodedObject], origin: int, result: Replay) -> None:
    refusals: list[Refusal] = []
    taken: list[TakenObject] = []
    for item in batch:
        decoded = item.decoded
        for strand_id in {link.strand_id for link in decoded.links}:
            store.begin_strand(strand_id, origin)
        hashes = {link.sequence_no: link.block_hash for link in decoded.links}
        refusals += [
            Refusal(
                sequence_no=fault.sequence_no,
                block_hash=hashes.get(fault.sequence_no) if fault.sequence_no is not None else None,
                source=item.item.name,
                position=None,
                fault=fault.fault,
                detail=fault.detail,
            )
            for fault in decoded.faults
        ]
        if decoded.links and not decoded.faults:
            taken.append(_taken(item))
        result.blocks += len(decoded.links)
        result.revisions += sum(link.revisions for link in decoded.links)
        result.redactions += decoded.redactions
    rows = [item.decoded.rows for item in batch if item.decoded.rows is not None]
    intake = store.intake(rows, source=batch[0].item.name, refusals=refusals, taken=taken)
    result.new_blocks += intake.new_blocks
    result.rejected += intake.refused


def _taken(item: DecodedObject) -> TakenObject:
    numbers = [link.sequence_no for link in item.decoded.links]
    return TakenObject(
        digest=item.digest,
        name=item.item.name,
        first_no=min(numbers),
        last_no=max(numbers),
        blocks=len(numbers),
        revisions=sum(link.revisions for link in item.decoded.links),
    )
