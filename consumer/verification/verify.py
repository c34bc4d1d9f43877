"""Checks every hash and link of exports and records, or of the store, and computes their digest."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from strandline.consumer.database.connection import AUDITOR, connect
from strandline.consumer.intake.coverage import Coverage, Extent
from strandline.consumer.intake.decoding import DecodedItem, decode_items, executor, workers_for
from strandline.consumer.store.graft import read_graft
from strandline.consumer.store.restored import RestoredCounts, read_restored
from strandline.consumer.verification.scope import RANGE, Scope, check_link, read_scope
from strandline.consumer.verification.spool import Spool
from strandline.consumer.verification.stored import BlockChecks, check_blocks, check_derived
from strandline.consumer.verification.tree import check_roots
from strandline.journal.check.block import Fault, Level
from strandline.journal.check.strand import Chain, missing
from strandline.journal.decode.archives import DecodedRecords
from strandline.journal.decode.graft import GRAFT_TABLE
from strandline.journal.decode.kernel import KERNEL
from strandline.journal.decode.objects import Decoded
from strandline.journal.errors import StrandlineError, UnreadableError
from strandline.journal.proofs.check import Answer
from strandline.journal.restore.note import notes_of
from strandline.journal.sources.source import NOTE, Source, all_items

MOST_FAULTS_KEPT = 1_000
_REGISTER = "SELECT document_id, version FROM journal.redaction"
_FROM_JSON = "SELECT FROM journal.block WHERE level = 'chain' LIMIT 1"
_ACCEPTED = "SELECT first_no, last_no FROM journal.accepted_gap ORDER BY first_no"

Progress = Callable[[int], None]


@dataclass(slots=True)
class Verification:
    """The result of a verification.

    `tied_hash` is the blockHash of block `tied_at`. `deletions` counts by the form of the hash
    (`CheckedRevision.deletion`), `records` a stream's records by kind, repeated ones included. `erased_statements`
    counts the blocks whose statement texts a redaction has erased. `fault_count` counts all faults; the first
    `MOST_FAULTS_KEPT` of them are kept.

    `incomplete` counts the blocks that are not shown to be complete, `omissions` says why
    (journal.check.block.Omission). `graft` is the first block that Strandline wrote, None if QLDB wrote all.
    `unchecked` says what could be neither confirmed nor refuted. `restored` says what came as JSON and has its
    types again: of the store, or of sources as the note of `restore` says. `scope` says which blocks of the store
    were to be checked; None for sources.
    """

    blocks: int = 0
    revisions: int = 0
    system_revisions: int = 0
    level: Level = "full"
    strand_id: str | None = None
    first_no: int | None = None
    last_no: int | None = None
    digest: bytes | None = None
    tied_hash: bytes | None = None
    unexplained_redactions: int = 0
    erased_statements: int = 0
    incomplete: int = 0
    omissions: list[Fault] = field(default_factory=list)
    graft: int | None = None
    unchecked: list[Fault] = field(default_factory=list)
    deletions: Counter[str] = field(default_factory=Counter)
    fault_count: int = 0
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    accepted_gaps: list[tuple[int, int]] = field(default_factory=list)
    records: Counter[str] = field(default_factory=Counter)
    sources: list[Extent] = field(default_factory=list)
    restored: RestoredCounts | None = None
    scope: Scope | None = None

    @property
    def answer(self) -> Answer:
        """Return one of three: faults refute the journal; without one, open questions leave it unchecked."""
        if self.fault_count or not self.blocks:
            return "does not hold"
        return "cannot be checked" if self.unchecked else "holds"

    @property
    def ok(self) -> bool:
        return self.answer == "holds"

    @property
    def data_verified(self) -> bool:
        """Return whether the data have the hashes that were checked: not at level chain."""
        return self.ok and self.level == "full"

    def fault(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.fault_count += 1
            if len(self.faults) < MOST_FAULTS_KEPT:
                self.faults.append(fault)

    def warn(self, warnings: Iterable[Fault]) -> None:
        self.warnings.extend(islice(warnings, MOST_FAULTS_KEPT - len(self.warnings)))


def verify_sources(
    sources: Sequence[Source],
    *,
    workers: int,
    tip: int | None = None,
    tied_at: int | None = None,
    trust_deletions: bool = False,
    decoded: Iterator[DecodedItem] | None = None,
    progress: Progress = lambda _: None,
) -> Verification:
    """Check sources of one ledger as one strand; they may overlap and come in any order.

    Unless it is given, what is `decoded` of their items is decoded here.
    """
    result = Verification()
    workers = workers_for(all_items(sources), workers)
    spans = Coverage()
    with Spool() as spool, executor(workers, all_items(sources)) as pool:
        for item in decoded or decode_items(
            all_items(sources), pool, workers=workers, trust_deletions=trust_deletions, with_rows=False
        ):
            found = item.decoded
            result.fault(found.faults)
            result.warn(found.warnings)
            result.deletions.update(found.deletions)
            result.fault(spool.add(found))
            if isinstance(found, DecodedRecords):
                result.records.update(found.records)
            result.graft = _earliest(result.graft, _graft_in(found))
            spans.add(item.item, [link.sequence_no for link in found.links])
            progress(len(found.links))
        _conclude(result, spool, tip, tied_at)
    if result.incomplete:
        blocks = "1 block is" if result.incomplete == 1 else f"{result.incomplete:,} blocks are"
        detail = f"{blocks} not shown to be complete: hashes cover parts that are not there"
        result.unchecked.append(Fault(None, "incomplete", detail))
    result.sources = spans.extents(sources)
    result.restored = _noted(sources, result)
    if not result.blocks and not result.fault_count:
        raise StrandlineError("the sources hold no blocks: name an export or a folder of records")
    return result


def verify_store(
    url: str,
    *,
    workers: int,
    tip: int | None = None,
    tied_at: int | None = None,
    since: int | None = None,
    trust_deletions: bool = False,
    checked: Callable[[Iterator[range]], Iterator[Decoded]] | None = None,
    progress: Progress = lambda _: None,
) -> Verification:
    """Check the journal store from its origin, or from block `since`, to the mark: data, links, the columns that
    analysts see, documents, by which texts and values they are found, and the stored roots over blocks.

    A block that is not shown to be complete was accepted when the mark passed it: it is counted, no more. Unless it is
    given, what gives the `checked` ranges checks them here. Raises `UsageError` if `since` is above the mark.
    """
    result = Verification()
    with connect(url, role=AUDITOR) as connection:
        scope = read_scope(connection, since)
        result.scope = scope
        result.accepted_gaps = connection.execute(_ACCEPTED).fetchall()
        register = connection.execute(_REGISTER).fetchall()
        result.graft = read_graft(connection)
        result.restored = read_restored(connection)
        natively = KERNEL == "native" and connection.execute(_FROM_JSON).fetchone() is None
    if scope.blocks <= RANGE:
        workers = 1
    # The native kernel works on threads; it leaves what came as JSON to plain Python, which needs processes.
    with (
        Spool() as spool,
        BlockChecks(url, trust_deletions=trust_deletions) as checks,
        executor(workers, [] if natively else None) as pool,
    ):
        result.fault(spool.add(Decoded(named=register)))
        derived = pool.submit(check_derived, url, scope)
        check = checks.check if natively else partial(check_blocks, url, trust_deletions)
        for decoded in checked(scope.ranges()) if checked else pool.map(check, scope.ranges()):
            result.fault(decoded.faults)
            result.fault(spool.add(decoded))
            result.deletions.update(decoded.deletions)
            progress(len(decoded.links))
        _conclude(result, spool, tip, tied_at)
        result.fault(derived.result())
        with connect(url, role=AUDITOR) as connection:
            result.fault(check_link(connection, scope, next(spool.links(), None)))
            hashes = ((number, block_hash) for number, block_hash, _ in spool.links())
            result.fault(check_roots(connection, hashes, scope.first_no))
    first_no = scope.last_no + 1 if result.first_no is None else result.first_no
    last_no = scope.last_no if result.last_no is None else result.last_no
    for first, last in ((scope.first_no, first_no - 1), (last_no + 1, scope.last_no)):
        if first <= last and not _accepted(result.accepted_gaps, first, last):
            result.fault([missing(first, last)])
    return result


def _noted(sources: Sequence[Source], result: Verification) -> RestoredCounts | None:
    """Return what the notes of restored copies say. No hash covers them, so a damaged one is a warning only."""
    try:
        note = notes_of(sources)
    except UnreadableError as error:
        result.warn([Fault(None, NOTE, str(error))])
        return None
    return None if note is None else RestoredCounts.of(note.lifted, note.held_out)


def _accepted(gaps: Iterable[tuple[int, int]], first: int, last: int) -> bool:
    """Return whether accepted gaps, given in order, cover all these blocks."""
    for gap_first, gap_last in gaps:
        if gap_first <= first <= gap_last:
            first = gap_last + 1
    return first > last


def _graft_in(decoded: Decoded) -> int | None:
    if isinstance(decoded, DecodedRecords):
        return min((one.sequence_no for one in decoded.summaries if one.table.name == GRAFT_TABLE), default=None)
    return decoded.graft


def _earliest(first: int | None, second: int | None) -> int | None:
    return second if first is None else first if second is None else min(first, second)


def _conclude(result: Verification, spool: Spool, tip: int | None, tied_at: int | None) -> None:
    """Check the links in order, and the blocks against the revisions that a stream delivered apart; add the totals."""
    chain = Chain(tip)
    for sequence_no, block_hash, previous_hash in spool.links():
        if sequence_no == tied_at:
            result.tied_hash = block_hash
        for fault in chain.add(sequence_no, block_hash, previous_hash):
            first = fault.sequence_no or 0
            if fault.fault != "missing" or not _accepted(result.accepted_gaps, first, sequence_no - 1):
                result.fault([fault])
    result.fault(spool.streamed_faults())
    result.warn(spool.streamed_warnings())
    totals = spool.totals()
    result.blocks, result.revisions, result.system_revisions = totals.blocks, totals.revisions, totals.system_revisions
    result.level = "full" if totals.full else "chain"
    result.unexplained_redactions = totals.unexplained_redactions
    result.erased_statements = totals.erased_statements
    result.incomplete = totals.incomplete
    result.omissions = list(islice(spool.omissions(), MOST_FAULTS_KEPT))
    result.strand_id = spool.strand_id
    result.first_no, result.last_no, result.digest = chain.first_no, chain.last_no, chain.digest
