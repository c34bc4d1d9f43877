"""`verify`: every hash and link of exports, or of the store, and the digest that they give."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import psycopg

from consumer.database import connect
from consumer.decoding import decode_objects, executor, workers_for
from consumer.mark import read_mark
from consumer.stored import check_stored
from journal.block import Fault, Level
from journal.errors import StrandlineError
from journal.export import Export, all_objects
from journal.rows import Decoded, Link, count_block
from journal.strand import Chain, missing

MOST_FAULTS_KEPT = 1_000
_RANGE = 1_000  # blocks that one process checks at a time
_UNEXPLAINED = """
    SELECT count(*) FROM journal.revision r
    WHERE r.state = 'redacted' AND r.sequence_no <= (SELECT sequence_no FROM journal.mark)
      AND NOT EXISTS (SELECT FROM journal.redaction d WHERE d.document_id = r.document_id AND d.version = r.version)
"""
_ACCEPTED = "SELECT first_no, last_no FROM journal.accepted_gap ORDER BY first_no"

Progress = Callable[[int], None]


@dataclass(slots=True)
class Verification:
    """What was found. `deletions` counts by the form of their hashes (CheckedRevision.deletion); `fault_count` counts
    all faults, of which the first thousand are kept."""

    blocks: int = 0
    revisions: int = 0
    system_revisions: int = 0
    level: Level = "full"
    strand_id: str | None = None
    first_no: int | None = None
    last_no: int | None = None
    digest: bytes | None = None
    unexplained_redactions: int = 0
    deletions: Counter[str] = field(default_factory=Counter)
    fault_count: int = 0
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    accepted_gaps: list[tuple[int, int]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.fault_count and self.blocks > 0

    def fault(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.fault_count += 1
            if len(self.faults) < MOST_FAULTS_KEPT:
                self.faults.append(fault)


def verify_exports(
    exports: Sequence[Export],
    *,
    workers: int,
    tip: int | None = None,
    trust_deletions: bool = False,
    progress: Progress = lambda _: None,
) -> Verification:
    """Check exports of one ledger, in any order, overlapping or following one another, as one strand."""
    result = Verification()
    workers = workers_for(all_objects(exports), workers)
    with Spool() as spool, executor(workers) as pool:
        objects = decode_objects(
            all_objects(exports), pool, workers=workers, trust_deletions=trust_deletions, with_rows=False
        )
        for item in objects:
            result.fault(item.decoded.faults)
            result.deletions.update(item.decoded.deletions)
            result.fault(spool.add(item.decoded))
            progress(len(item.decoded.links))
            result.warnings.extend(item.decoded.warnings[: MOST_FAULTS_KEPT - len(result.warnings)])
        spool.conclude(result, tip)
    if not result.blocks and not result.fault_count:
        raise StrandlineError("the sources hold no blocks")
    return result


def verify_store(
    url: str, *, workers: int, tip: int | None = None, progress: Progress = lambda _: None
) -> Verification:
    """Check the journal store from its origin to the mark, data, links and what analysts see of it."""
    result = Verification()
    with connect(url) as connection:
        mark = read_mark(connection)
        result.accepted_gaps = connection.execute(_ACCEPTED).fetchall()
        unexplained = connection.execute(_UNEXPLAINED).fetchone()
    if mark.strand_id is None or mark.sequence_no < mark.origin:
        raise StrandlineError("the store holds no blocks yet; take an export in with `strandline replay SOURCE`")
    if mark.sequence_no - mark.origin < _RANGE:
        workers = 1
    with Spool() as spool, executor(workers) as pool:
        starts = range(mark.origin, mark.sequence_no + 1, _RANGE)
        for decoded in pool.map(partial(_check_range, url, mark.sequence_no), starts):
            result.fault(decoded.faults)
            result.fault(spool.add(decoded))
            result.deletions.update(decoded.deletions)
            progress(len(decoded.links))
        spool.conclude(result, tip)
    result.unexplained_redactions = unexplained[0] if unexplained else 0
    if result.last_no != mark.sequence_no:
        result.fault([missing((result.last_no or mark.origin - 1) + 1, mark.sequence_no)])
    return result


def _check_range(url: str, last_no: int, start: int) -> Decoded:
    result = Decoded()
    with connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for block in check_stored(connection, start, min(start + _RANGE - 1, last_no)):
            count_block(block, result)
            result.faults.extend(block.faults)
    return result


class Spool:
    """Links and redactions of a strand in a temporary database on disk, so that memory stays flat and order is free."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # private, on disk once it outgrows the cache, gone when closed
        self._db.executescript("""
            CREATE TABLE link (sequence_no INTEGER PRIMARY KEY, strand_id TEXT, block_hash BLOB, previous_hash BLOB,
                               is_full INT, revisions INT, system_revisions INT);
            CREATE TABLE redacted (document_id TEXT, version INT, PRIMARY KEY (document_id, version)) WITHOUT ROWID;
            CREATE TABLE named (document_id TEXT, version INT, PRIMARY KEY (document_id, version)) WITHOUT ROWID;
        """)
        self._strand_id: str | None = None

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, decoded: Decoded) -> Iterator[Fault]:
        """Take what an object held; yields blocks of another strand, and numbers that were there with another hash."""
        self._db.executemany("INSERT OR IGNORE INTO redacted VALUES (?, ?)", decoded.redacted)
        self._db.executemany("INSERT OR IGNORE INTO named VALUES (?, ?)", decoded.named)
        if self._strand_id is None and decoded.links:
            self._strand_id = decoded.links[0].strand_id
        own = [link for link in decoded.links if link.strand_id == self._strand_id]
        before = self._db.total_changes
        self._db.executemany(
            "INSERT OR IGNORE INTO link VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (k.sequence_no, k.strand_id, k.block_hash, k.previous_hash, k.full, k.revisions, k.system_revisions)
                for k in own
            ],
        )
        if self._db.total_changes - before < len(own):
            yield from self._repeated(own)
        for link in decoded.links:
            if link.strand_id != self._strand_id:
                yield Fault(link.sequence_no, "strand", f"is of strand {link.strand_id}, not {self._strand_id}")

    def _repeated(self, links: Sequence[Link]) -> Iterator[Fault]:
        for link in links:
            (block_hash,) = self._db.execute(
                "SELECT block_hash FROM link WHERE sequence_no = ?", (link.sequence_no,)
            ).fetchone()
            if block_hash != link.block_hash:
                yield Fault(
                    link.sequence_no, "conflict", f"is there twice, as {block_hash.hex()} and {link.block_hash.hex()}"
                )
            elif link.full:
                self._db.execute("UPDATE link SET is_full = 1 WHERE sequence_no = ?", (link.sequence_no,))

    def conclude(self, result: Verification, tip: int | None) -> None:
        """Check the links in the order of the numbers, and fill in the totals."""
        chain = Chain(tip)
        accepted = dict(result.accepted_gaps)
        for sequence_no, block_hash, previous_hash in self._db.execute(
            "SELECT sequence_no, block_hash, previous_hash FROM link ORDER BY sequence_no"
        ):
            for fault in chain.add(sequence_no, block_hash, previous_hash):
                if fault.fault != "missing" or accepted.get(fault.sequence_no or 0) != sequence_no - 1:
                    result.fault([fault])
        result.blocks, result.revisions, result.system_revisions, full = self._db.execute(
            "SELECT count(*), coalesce(sum(revisions), 0), coalesce(sum(system_revisions), 0), min(is_full) FROM link"
        ).fetchone()
        result.level = "full" if full in (1, None) else "chain"
        result.strand_id = self._strand_id
        result.first_no, result.last_no, result.digest = chain.first_no, chain.last_no, chain.digest
        (result.unexplained_redactions,) = self._db.execute(
            "SELECT count(*) FROM (SELECT * FROM redacted EXCEPT SELECT * FROM named)"
        ).fetchone()
