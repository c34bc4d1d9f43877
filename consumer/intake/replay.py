"""`replay`: take exports and archived records in, verified, and move the mark over them."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Semaphore

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.coverage import Coverage, Extent
from strandline.consumer.intake.decoding import DecodedItem, decode_items, executor, taken_natively, workers_for
from strandline.consumer.intake.fast_path import way_of
from strandline.consumer.intake.writer import ForeignStrand, IntakeResult, JournalWriter, Refusal, StoredObject
from strandline.consumer.mark.gaps import gaps
from strandline.consumer.mark.mark import advance
from strandline.consumer.mark.orphans import settle
from strandline.consumer.settings import Settings
from strandline.consumer.store.graft import read_graft
from strandline.journal.decode.archives import DecodedRecords
from strandline.journal.decode.copy_format import Rows
from strandline.journal.decode.objects import Decoded
from strandline.journal.sources.source import Item, Source, all_items

# What one transaction of intake takes: enough that its fixed costs vanish, little enough for flat memory.
_LEAST_BLOCKS = 2_000
_BATCH_BLOCKS = 8_000
_BATCH_BYTES = 24 * 1024 * 1024
_BATCHES_AHEAD = 2  # one that is being taken in, and the next: decoding goes on meanwhile

_REFUSALS_SHOWN = 5

Progress = Callable[[int], None]


@dataclass(slots=True)
class Replay:
    """What a replay read and changed; `objects_skipped` were wholly in already.

    What several sources hold, or a stream delivered twice, may be counted as often. `records` counts a stream's records
    by kind. `refusals` are the first few of what was `rejected`.
    """

    blocks: int = 0
    new_blocks: int = 0
    revisions: int = 0
    redactions: int = 0
    rejected: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    objects_skipped: int = 0
    mark: int | None = None
    gaps: list[tuple[int, int]] = field(default_factory=list)
    records: Counter[str] = field(default_factory=Counter)
    sources: list[Extent] = field(default_factory=list)
    seconds: float = 0.0


def take_in(
    url: str,
    sources: Sequence[Source],
    settings: Settings,
    *,
    trust_deletions: bool = False,
    progress: Progress = lambda _: None,
) -> Replay:
    """Take sources into the store and advance the mark; whatever was there already is left as it is.

    Resumes: an object that is wholly in, by the SHA-256 of its bytes, is not decoded again.
    """
    result = Replay()
    started = time.monotonic()
    spans = Coverage()
    workers = workers_for(all_items(sources), settings.workers)
    if taken_natively(all_items(sources)):  # so fast that PostgreSQL, with two connections, needs a processor more
        workers = max(workers - 1, 1)
    with (
        connect(url) as connection,
        connect(url) as beside,
        connect(url) as asking,
        executor(workers, all_items(sources)) as pool,
        ThreadPoolExecutor(1, thread_name_prefix="first") as first,
        ThreadPoolExecutor(1, thread_name_prefix="second") as second,
    ):
        taker = _Taker([JournalWriter(connection), JournalWriter(beside)], second, settings.origin)
        taken_before = JournalWriter(asking)
        refused: dict[bytes, Refusal] = {}  # by the mark, which refuses what holds it up each time

        def skip(item: Item, digest: bytes) -> bool:
            taken = bool(taken_before.taken([digest]))
            if taken:
                result.objects_skipped += 1
                spans.add(item, ())
            return taken

        def refuse(refusals: Sequence[Refusal]) -> None:
            refused.update((refusal.digest, refusal) for refusal in refusals)

        def take(batch: Sequence[DecodedItem], before: Future[None] | None) -> None:
            with _once(room.release) as copied:
                if before is not None:  # done by now: one thread does all, in turns
                    before.result()
                intakes = taker.take(batch, copied)
            _add(result, intakes)
            if not all(intake.by_mark for intake in intakes):
                refuse(advance(connection, many=True).refused)

        steps: deque[Future[None]] = deque()
        room = Semaphore(_BATCHES_AHEAD)

        def idle() -> bool:
            return not steps or steps[-1].done()

        items = decode_items(all_items(sources), pool, workers=workers, trust_deletions=trust_deletions, skip=skip)
        # Rows that are in PostgreSQL make room for others: while the mark passes them, decoding goes on.
        for batch in _batches(items, idle):
            room.acquire()
            while steps and steps[0].done():
                steps.popleft().result()
            steps.append(first.submit(take, batch, steps[-1] if steps else None))
            for item in batch:
                spans.add(item.item, [link.sequence_no for link in item.decoded.links])
                _count(result, item.decoded)
            progress(sum(len(item.decoded.links) for item in batch))
        for step in steps:
            step.result()
        # The disk is waited for once more, and with this step for all that was not (consumer/onward.py).
        advanced = advance(connection)
        mark = advanced.mark
        refuse(advanced.refused)
        with connection.transaction():
            graft = read_graft(connection)
        if graft is not None:  # QLDB's blocks beyond it can never come in
            refuse(settle(connection))
        _refuse(result, list(refused.values()))
        result.mark = mark.sequence_no if mark.sequence_no >= mark.origin else None
        result.gaps = gaps(connection)
        connection.commit()
    result.sources = spans.extents(sources)
    result.seconds = time.monotonic() - started
    return result


def _batches(items: Iterator[DecodedItem], awaited: Callable[[], bool]) -> Iterator[list[DecodedItem]]:
    """Full ones, and smaller ones where the store has nothing else to do."""
    batch: list[DecodedItem] = []
    blocks = size = 0
    for item in items:
        batch.append(item)
        blocks += len(item.decoded.links)
        if item.decoded.rows is not None:
            size += len(item.decoded.rows.blocks) + len(item.decoded.rows.revisions)
        if blocks >= _BATCH_BLOCKS or size >= _BATCH_BYTES or (blocks >= _LEAST_BLOCKS and awaited()):
            yield batch
            batch, blocks, size = [], 0, 0
    if batch:
        yield batch


class _Taker:
    """Takes a batch in over two connections side by side: PostgreSQL has a process for either."""

    def __init__(self, stores: Sequence[JournalWriter], threads: Executor, origin: int) -> None:
        self._stores = stores
        self._threads = threads
        self._origin = origin
        self._begun: set[str] = set()

    def take(self, batch: Sequence[DecodedItem], copied: Callable[[], None]) -> list[IntakeResult]:
        """Take a batch in; its rows are not needed any more from when `copied` is called."""
        self._begin(set().union(*(_strands(item.decoded) for item in batch)))
        if (way := way_of([item.decoded for item in batch])) is not None:
            taken = [_taken(item, rows) for item, rows in zip(batch, way.rows, strict=True)]
            store, beside = self._stores
            if (intake := store.intake_onward(way, taken, beside, self._threads, copied)) is not None:
                return [intake]
        middle = (len(batch) + 1) // 2
        later = [self._threads.submit(_take_batch, self._stores[1], half) for half in [batch[middle:]] if half]
        return [_take_batch(self._stores[0], batch[:middle]), *(future.result() for future in later)]

    def _begin(self, strands: Set[str]) -> None:
        if len(strands | self._begun) > 1:
            several = " and ".join(sorted(strands | self._begun))
            raise ForeignStrand(f"The sources hold blocks of several ledgers, strands {several}: replay one at a time.")
        for strand_id in strands - self._begun:
            self._stores[0].begin_strand(strand_id, self._origin)
            self._begun.add(strand_id)


@contextmanager
def _once(call: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """What is given calls `call` the first time, at the latest at the end."""
    left = [call]

    def first() -> None:
        while left:
            left.pop()()

    try:
        yield first
    finally:
        first()


def _take_batch(store: JournalWriter, batch: Sequence[DecodedItem]) -> IntakeResult:
    refusals: list[Refusal] = []
    taken: list[StoredObject] = []
    for item in batch:
        decoded = item.decoded
        if decoded.faults:
            refusals += _refusals(item)
        elif decoded.rows is not None:
            taken.append(_taken(item, decoded.rows))
    rows = [item.decoded.rows for item in batch if item.decoded.rows is not None]
    return store.intake(rows, source=batch[0].item.name, refusals=refusals, taken=taken)


def _count(result: Replay, decoded: Decoded) -> None:
    result.blocks += len(decoded.links)
    result.revisions += decoded.revision_count
    result.redactions += decoded.redactions
    if isinstance(decoded, DecodedRecords):
        result.records.update(decoded.records)


def _add(result: Replay, intakes: Sequence[IntakeResult]) -> None:
    result.new_blocks += sum(intake.new_blocks for intake in intakes)
    for intake in intakes:
        _refuse(result, intake.refusals)


def _refuse(result: Replay, refusals: Sequence[Refusal]) -> None:
    result.rejected += len(refusals)
    result.refusals += refusals[: _REFUSALS_SHOWN - len(result.refusals)]


def _strands(decoded: Decoded) -> set[str]:
    """The strands of what verified; what did not may name any."""
    faulty = {fault.sequence_no for fault in decoded.faults}
    strands = {link.strand_id for link in decoded.links if link.sequence_no not in faulty}
    if isinstance(decoded, DecodedRecords):
        strands |= {revision.strand_id for revision in decoded.arrived}
    return strands


def _refusals(item: DecodedItem) -> Iterator[Refusal]:
    decoded = item.decoded
    hashes = {link.sequence_no: link.block_hash for link in decoded.links}
    refused = decoded.refused if isinstance(decoded, DecodedRecords) else []
    for fault, name, position, record in refused:
        block_hash = hashes.get(fault.sequence_no) if fault.sequence_no is not None else None
        yield Refusal(fault.sequence_no, block_hash, name, str(position), fault.fault, fault.detail, record)
    for fault in decoded.faults[len(refused) :]:
        block_hash = hashes.get(fault.sequence_no) if fault.sequence_no is not None else None
        yield Refusal(fault.sequence_no, block_hash, item.item.name, None, fault.fault, fault.detail)


def _taken(item: DecodedItem, rows: Rows) -> StoredObject:
    return StoredObject(
        digest=item.digest,
        name=item.item.name,
        first_no=rows.first_no,
        last_no=rows.last_no,
        blocks=len(item.decoded.links),
        revisions=item.decoded.revision_count,
    )
