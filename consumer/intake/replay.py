"""`replay`: verify exports and archived records, store them, and advance the mark."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import psycopg

from strandline.consumer.database.bisection import attempt_all
from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.database.errors import ROW_ERRORS
from strandline.consumer.intake.coverage import Coverage, Extent
from strandline.consumer.intake.decoding import DecodedItem, decode_items, executor, workers_for
from strandline.consumer.intake.fast_path import run_of
from strandline.consumer.intake.prefetch import prefetch
from strandline.consumer.intake.row_split import split_by_block
from strandline.consumer.intake.shard import Shard
from strandline.consumer.intake.writer import ForeignStrand, IntakeResult, JournalWriter, Refusal, StoredObject
from strandline.consumer.mark.gaps import gaps
from strandline.consumer.mark.lock import strand_lock
from strandline.consumer.mark.mark import advance
from strandline.consumer.mark.orphans import reject_orphans
from strandline.consumer.settings import Settings
from strandline.consumer.store.graft import read_graft
from strandline.consumer.store.object_places import ObjectPlace, add_places, full_objects, stored_places
from strandline.consumer.store.restored import any_json, record_restored, samples, sum_up_json
from strandline.journal.decode.archives import DecodedRecords
from strandline.journal.decode.copy_format import Rows
from strandline.journal.decode.kernel import decode
from strandline.journal.decode.objects import Decoded
from strandline.journal.restore.decoding import RestoredDecoded, RestoringDecoder
from strandline.journal.sources.source import Item, Source, all_items

# One transaction of intake: large enough that its fixed costs vanish, small enough for flat memory.
_BATCH_BLOCKS = 4_000
_BATCH_BYTES = 24 * 1024 * 1024
_BATCHES_AHEAD = 1

REFUSALS_SHOWN = 5

Progress = Callable[[int], None]


@dataclass(slots=True)
class Replay:
    """The result of a replay: what it read and changed.

    `objects_skipped` were stored completely before. What several sources hold, or a stream delivered twice, may be
    counted as often. `records` counts a stream's records by kind. `refusals` are the first few of the `rejected`.
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


def replay_sources(
    url: str,
    sources: Sequence[Source],
    settings: Settings,
    *,
    trust_deletions: bool = False,
    restoring: RestoringDecoder | None = None,
    shard: Shard | None = None,
    progress: Progress = lambda _: None,
) -> Replay:
    """Verify sources, store what is new, and advance the mark. What is stored already stays as it is.

    Resumes: a file with the address, size and version of an object that is stored completely is not read again; one
    with the SHA-256 of such an object is not decoded again. `restoring` finds the types of JSON blocks on the way in; a
    stored object of which a block is still JSON is then searched again, with what the store teaches. With `shard`, only
    that share of the objects is stored and the mark stays: a call without sources advances it once all shards are
    stored. Raises `ForeignStrand` if the sources hold blocks of another ledger, or of several.
    """
    started = time.monotonic()
    with connect(url) as reading, connect(url) as writing, connect(url) as advancing, ExitStack() as stack:
        pipeline = Pipeline(
            reading, writing, advancing, settings.origin, progress,
            advances=shard is None, restores=restoring is not None,
        )  # fmt: skip
        items = list(all_items(sources))
        if shard is not None:
            items = shard.share(items)
        items = pipeline.unread(items)
        workers = workers_for(items, settings.workers)
        pool = stack.enter_context(executor(workers, items))
        decoder: Callable[..., Decoded] = decode
        if restoring is not None and items:
            decoder = restoring.taught(documents=samples(reading))
        decoded = decode_items(
            items, pool, workers=workers, trust_deletions=trust_deletions, decoder=decoder, skip=pipeline.is_stored
        )
        unsolved: list[Item] = []
        if restoring is not None:
            decoded = _recorded(decoded, reading, unsolved)
        pipeline.run(decoded)
        if restoring is not None and unsolved and (taught := list(samples(reading))):
            # What came later may have taught the types.
            decoder = restoring.taught(documents=taught)
            decoded = decode_items(unsolved, pool, workers=workers, trust_deletions=trust_deletions, decoder=decoder)
            pipeline.run(_recorded(decoded, reading, []), again=True)
        result = pipeline.finish()
    result.sources = pipeline.coverage.extents(sources)
    result.seconds = time.monotonic() - started
    return result


def _recorded(decoded: Iterator[DecodedItem], connection: Connection, unsolved: list[Item]) -> Iterator[DecodedItem]:
    """Record what was searched before it is stored: after a kill, the next run records and stores it again.

    Appends to `unsolved` the items of which types were not found.
    """
    for item in decoded:
        if isinstance(item.decoded, RestoredDecoded):
            held_out = [(one.sequence_no, one.table, one.fields) for one in item.decoded.held_out]
            record_restored(connection, item.decoded.searched, held_out)
            if any(fields for *_, fields in held_out):
                unsolved.append(item.item)
        yield item


class _Written(NamedTuple):
    """A batch in the store; `passed` by the mark already, or a candidate."""

    items: Sequence[DecodedItem]
    result: IntakeResult
    passed: bool


class Pipeline:
    """Three stages, each on a thread and a connection of its own: decode, write, advance the mark.

    Unless it `advances`, the mark stays where it is, and other processes can write at the same time.
    """

    def __init__(
        self,
        reading: Connection,
        writing: Connection,
        advancing: Connection,
        origin: int,
        progress: Progress,
        *,
        advances: bool = True,
        restores: bool = False,
    ) -> None:
        self.coverage = Coverage()
        self._result = Replay()
        self._reading = reading
        self._reader = JournalWriter(reading)
        self._writer = JournalWriter(writing)
        self._advancing = advancing
        self._origin = origin
        self._progress = progress
        self._advances = advances
        self._restores = restores
        self._counts = True
        self._strand: str | None = None
        self._refused: dict[bytes, Refusal] = {}  # by the mark, which refuses what holds it up each time
        self._copies: list[tuple[ObjectPlace, bytes]] = []  # files with the bytes of an object that is stored

    def run(self, decoded: Iterator[DecodedItem], *, again: bool = False) -> None:
        """Run the stages, with a bounded queue between each, until all is stored.

        Items that come `again` are not counted.
        """
        self._counts = not again
        with (
            prefetch(self._decode(decoded), _BATCHES_AHEAD, "decode") as batches,
            prefetch(self._write(batches), 1, "write") as written,
        ):
            self._advance(written)

    def finish(self) -> Replay:
        """Advance the mark once more, when nothing else is written here, and sum up."""
        with self._advancing.transaction():
            add_places(self._advancing, self._copies)
        if not self._advances:
            return self._result
        # The commit of this step is waited for, and with it all that was not (fast_path.py).
        step = advance(self._advancing)
        self._refuse_by_mark(step.refused)
        with self._advancing.transaction():
            graft = read_graft(self._advancing)
        if graft is not None:  # QLDB's blocks beyond it can never pass
            self._refuse_by_mark(reject_orphans(self._advancing))
        _refuse(self._result, list(self._refused.values()))
        self._result.mark = step.mark.sequence_no if step.mark.sequence_no >= step.mark.origin else None
        self._result.gaps = gaps(self._advancing)
        if any_json(self._advancing):
            with strand_lock(self._advancing, alone=True):
                sum_up_json(self._advancing, step.mark.sequence_no)
        return self._result

    def unread(self, items: Sequence[Item]) -> list[Item]:
        """Return the items whose files are not all where a stored object was found; count the others as skipped.

        If types are restored, an object counts as stored only if all its blocks are there as Ion.
        """
        addresses = [file.address for item in items for file in item.files]
        stored = set(stored_places(self._reading, addresses, full=self._restores))
        unread = []
        for item in items:
            if item.files and stored.issuperset(_places(item)):
                self._result.objects_skipped += 1
                self.coverage.add(item, ())
            else:
                unread.append(item)
        return unread

    def is_stored(self, item: Item, digest: bytes) -> bool:
        """Tell whether an object is stored completely, and count it as skipped if so."""
        find = partial(full_objects, self._reading) if self._restores else self._reader.taken
        stored = bool(find([digest]))
        if stored:
            self._result.objects_skipped += 1
            self.coverage.add(item, ())
            self._copies += [(place, digest) for place in _places(item)]
        return stored

    def _decode(self, decoded: Iterator[DecodedItem]) -> Iterator[list[DecodedItem]]:
        return _batches(decoded)

    def _write(self, batches: Iterator[Sequence[DecodedItem]]) -> Iterator[_Written]:
        for batch in batches:
            self._bind_strand(set().union(*(_strands(item.decoded) for item in batch)))
            result = None
            if self._advances and (run := run_of([item.decoded for item in batch])) is not None:
                objects = [_stored_object(item, rows) for item, rows in zip(batch, run.rows, strict=True)]
                result = self._writer.intake_run(run, objects)
            written = _Written(batch, result or _intake(self._writer, batch), passed=result is not None)
            for item in batch:  # they are large, and stored
                item.decoded.rows = None
            yield written

    def _advance(self, written: Iterator[_Written]) -> None:
        for batch, result, passed in written:
            if self._advances and not passed:
                self._refuse_by_mark(advance(self._advancing, many=True).refused)
            if not self._counts:
                continue
            for item in batch:
                self.coverage.add(item.item, [link.sequence_no for link in item.decoded.links])
                _count(self._result, item.decoded)
            self._result.new_blocks += result.new_blocks
            _refuse(self._result, result.refusals)
            self._progress(sum(len(item.decoded.links) for item in batch))

    def _bind_strand(self, strands: Set[str]) -> None:
        several = strands | ({self._strand} if self._strand is not None else set())
        if len(several) > 1:
            named = " and ".join(sorted(several))
            raise ForeignStrand(f"The sources hold blocks of several ledgers, strands {named}: replay one at a time.")
        if self._strand is None:
            for strand_id in strands:
                self._writer.begin_strand(strand_id, self._origin)
                self._strand = strand_id

    def _refuse_by_mark(self, refusals: Sequence[Refusal]) -> None:
        self._refused.update((refusal.digest, refusal) for refusal in refusals)


def _batches(items: Iterator[DecodedItem]) -> Iterator[list[DecodedItem]]:
    batch: list[DecodedItem] = []
    blocks = size = 0
    for item in items:
        batch.append(item)
        blocks += len(item.decoded.links)
        if item.decoded.rows is not None:
            size += len(item.decoded.rows.blocks) + len(item.decoded.rows.revisions)
        if blocks >= _BATCH_BLOCKS or size >= _BATCH_BYTES:
            yield batch
            batch, blocks, size = [], 0, 0
    if batch:
        yield batch


def _intake(writer: JournalWriter, batch: Sequence[DecodedItem]) -> IntakeResult:
    """Store a batch. If PostgreSQL refuses a statement, its block is found by halves and rejected."""

    def store(items: Sequence[DecodedItem]) -> list[IntakeResult]:
        objects, refusals = list[StoredObject](), list[Refusal]()
        for item in items:
            if item.decoded.faults:
                refusals += _refusals(item)
            elif item.decoded.rows is not None:
                objects.append(_stored_object(item, item.decoded.rows))
        rows = [item.decoded.rows for item in items if item.decoded.rows is not None]
        omissions = [omission for item in items for omission in item.decoded.omissions]
        return [writer.intake(rows, source=items[0].item.name, refusals=refusals, objects=objects, omissions=omissions)]

    def store_blocks(item: DecodedItem, _: psycopg.Error) -> IntakeResult:
        return _intake_blocks(writer, item)

    return _sum(attempt_all(batch, store, store_blocks, ROW_ERRORS))


def _intake_blocks(writer: JournalWriter, item: DecodedItem) -> IntakeResult:
    """Store what PostgreSQL accepts of an item, and reject the rest by block."""
    source, decoded = item.item.name, item.decoded
    refusals = list(_refusals(item))
    hashes = {link.sequence_no: link.block_hash for link in decoded.links}

    def store(parts: Sequence[Rows]) -> list[IntakeResult]:
        numbers = {part.first_no for part in parts}
        omissions = [omission for omission in decoded.omissions if omission.sequence_no in numbers]
        return [writer.intake(parts, source=source, omissions=omissions)]

    def reject(part: Rows, error: psycopg.Error) -> IntakeResult:
        detail = f"PostgreSQL refuses its rows (SQLSTATE {error.sqlstate})"
        refusals.append(Refusal(part.first_no, hashes.get(part.first_no), source, None, "refused", detail))
        return IntakeResult(0, 0, 0)

    parts = split_by_block(decoded.rows) if decoded.rows is not None else []
    results = attempt_all(parts, store, reject, ROW_ERRORS)
    return _sum([*results, writer.intake((), source=source, refusals=refusals)])


def _sum(results: Sequence[IntakeResult]) -> IntakeResult:
    return IntakeResult(
        sum(result.new_blocks for result in results),
        sum(result.new_revisions for result in results),
        sum(result.refused for result in results),
        [refusal for result in results for refusal in result.refusals],
    )


def _count(result: Replay, decoded: Decoded) -> None:
    result.blocks += len(decoded.links)
    result.revisions += decoded.revision_count
    result.redactions += decoded.redactions
    if isinstance(decoded, DecodedRecords):
        result.records.update(decoded.records)


def _refuse(result: Replay, refusals: Sequence[Refusal]) -> None:
    result.rejected += len(refusals)
    result.refusals += refusals[: REFUSALS_SHOWN - len(result.refusals)]


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


def _stored_object(item: DecodedItem, rows: Rows) -> StoredObject:
    numbers = {link.sequence_no for link in item.decoded.links}
    return StoredObject(
        digest=item.digest,
        name=item.item.name,
        first_no=rows.first_no,
        last_no=rows.last_no,
        blocks=len(item.decoded.links),
        revisions=item.decoded.revision_count,
        gapless=len(numbers) == rows.last_no - rows.first_no + 1,
        places=_places(item.item),
    )


def _places(item: Item) -> list[ObjectPlace]:
    return [ObjectPlace(file.address, file.size, file.version) for file in item.files]
