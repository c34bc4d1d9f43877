"""A temporary database on disk for checks over all blocks of a strand, which may come in any order.

It keeps links, redactions, and the blocks and revisions that a stream delivers as separate records. Memory stays flat.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from strandline.journal.check.block import Fault, Table
from strandline.journal.check.pairing import ExpectedRevision, StreamedRevision, differences, out_of_time
from strandline.journal.decode.archives import DecodedRecords
from strandline.journal.decode.objects import Decoded, Link

_SCHEMA = """
    CREATE TABLE link (strand_id TEXT, sequence_no INTEGER PRIMARY KEY, block_hash BLOB, previous_hash BLOB,
                       is_full INT, revisions INT, system_revisions INT, unexplained INT, whole INT,
                       complete INT);
    CREATE TABLE omission (sequence_no INTEGER PRIMARY KEY, detail TEXT);
    CREATE TABLE redacted (document_id TEXT, version INT, PRIMARY KEY (document_id, version)) WITHOUT ROWID;
    CREATE TABLE named (document_id TEXT, version INT, PRIMARY KEY (document_id, version)) WITHOUT ROWID;
    CREATE TABLE erased (sequence_no INT, document_id TEXT, version INT,
                         PRIMARY KEY (sequence_no, document_id, version)) WITHOUT ROWID;
    CREATE TABLE summary (sequence_no INT, block_hash BLOB, hash BLOB, document_id TEXT, table_id TEXT, table_name TEXT,
                          transaction_id TEXT, block_time REAL,
                          PRIMARY KEY (sequence_no, block_hash, hash, document_id)) WITHOUT ROWID;
    CREATE TABLE arrived (sequence_no INT, hash BLOB, strand_id TEXT, document_id TEXT, version INT, table_id TEXT,
                          table_name TEXT, tx_id TEXT, tx_time REAL,
                          PRIMARY KEY (sequence_no, hash, document_id, table_id, table_name, tx_id)) WITHOUT ROWID;
"""
# Blocks from an export were checked together with their revisions.
_STREAMED = """
    FROM link JOIN summary USING (sequence_no, block_hash) {} JOIN arrived USING (sequence_no, hash)
    WHERE NOT link.whole
"""
_MISSING = f"""
    SELECT sequence_no, summary.document_id {_STREAMED.format("LEFT")} AND arrived.hash IS NULL ORDER BY sequence_no
"""
_PAIRS = f"SELECT summary.*, arrived.* {_STREAMED.format('')} ORDER BY sequence_no"
_STRAY = """
    SELECT sequence_no, hash, document_id, version FROM arrived JOIN link USING (sequence_no)
    WHERE NOT whole AND NOT EXISTS (
        SELECT 1 FROM summary s
        WHERE s.sequence_no = link.sequence_no AND s.block_hash = link.block_hash AND s.hash = arrived.hash)
    ORDER BY sequence_no
"""
# The chain itself shows a block missing between the first and the last one.
_WITHOUT_BLOCK = """
    SELECT DISTINCT sequence_no FROM arrived
    WHERE sequence_no < (SELECT coalesce(min(sequence_no), 0) FROM link)
       OR sequence_no > (SELECT coalesce(max(sequence_no), -1) FROM link)
    ORDER BY sequence_no
"""
# A block with erased statements is explained if a redaction names one of its revisions.
_UNEXPLAINED = """
    SELECT (SELECT count(*) FROM (SELECT * FROM redacted EXCEPT SELECT * FROM named))
         + (SELECT count(*) FROM (
               SELECT sequence_no FROM erased
               EXCEPT SELECT sequence_no FROM erased JOIN named USING (document_id, version)))
"""


_OMISSIONS = """
    SELECT sequence_no, detail FROM omission JOIN link USING (sequence_no) WHERE NOT complete ORDER BY sequence_no
"""


class Totals(NamedTuple):
    """Counts over all blocks, each counted once.

    `full` is False if a block came only as JSON. `unexplained_redactions` counts the redacted revisions, and the blocks
    with erased statements, that no redaction names. `erased_statements` counts all blocks with erased statements.
    `incomplete` counts the blocks that are not shown to be complete.
    """

    blocks: int
    revisions: int
    system_revisions: int
    full: bool
    unexplained_redactions: int
    erased_statements: int
    incomplete: int


class Spool:
    """Collects decoded items, then answers what only all of them together show."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # private; on disk when it outgrows the cache; deleted when closed
        self._db.executescript(_SCHEMA)
        self.strand_id: str | None = None

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, decoded: Decoded) -> Iterator[Fault]:
        """Add an item. Yields a fault for each block of another strand, and each number that has another hash."""
        self._db.executemany("INSERT OR IGNORE INTO redacted VALUES (?, ?)", decoded.redacted)
        self._db.executemany("INSERT OR IGNORE INTO named VALUES (?, ?)", decoded.named)
        self._db.executemany("INSERT OR IGNORE INTO erased VALUES (?, ?, ?)", decoded.erased)
        if isinstance(decoded, DecodedRecords):
            yield from self._add_streamed(decoded)
        self._db.executemany(
            "INSERT OR IGNORE INTO omission VALUES (?, ?)", [(one.sequence_no, one.detail) for one in decoded.omissions]
        )
        incomplete = {one.sequence_no for one in decoded.omissions}
        yield from self._add_links(decoded.links, incomplete, whole=not isinstance(decoded, DecodedRecords))

    def links(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield number, block hash and previous block's hash of each block, by number."""
        return self._rows("SELECT sequence_no, block_hash, previous_hash FROM link ORDER BY sequence_no")

    def streamed_faults(self) -> Iterator[Fault]:
        """Yield the contradictions between a stream's blocks and revisions."""
        for sequence_no, document_id in self._rows(_MISSING):
            yield Fault(sequence_no, "revisions", f"the revision of document {document_id} is missing")
        for summary, revision in self._pairs():
            yield from differences(summary, revision)
        for sequence_no, revision_hash, document_id, version in self._rows(_STRAY):
            detail = f"no block names revision {revision_hash.hex()} ({document_id}, {version})"
            yield Fault(sequence_no, "stray", detail)
        for (sequence_no,) in self._rows(_WITHOUT_BLOCK):
            yield Fault(sequence_no, "missing", f"block {sequence_no} is missing, but one of its revisions is there")

    def streamed_warnings(self) -> Iterator[Fault]:
        """Yield the warnings that `journal.check.block` gives for a block that comes with its revisions."""
        for summary, revision in self._pairs():
            yield from out_of_time(summary, revision)

    def omissions(self) -> Iterator[Fault]:
        """Yield the blocks that are not shown to be complete, and why. Another copy may show that a block is."""
        for sequence_no, detail in self._rows(_OMISSIONS):
            yield Fault(sequence_no, "incomplete", detail)

    def totals(self) -> Totals:
        """Return the counts over all items."""
        blocks, revisions, system_revisions, full = self._db.execute(
            "SELECT count(*), coalesce(sum(revisions), 0), coalesce(sum(system_revisions), 0), min(is_full) FROM link"
        ).fetchone()
        (unexplained,) = self._db.execute(_UNEXPLAINED).fetchone()
        (erased,) = self._db.execute("SELECT count(DISTINCT sequence_no) FROM erased").fetchone()
        (incomplete,) = self._db.execute("SELECT count(*) FROM link WHERE NOT complete").fetchone()
        return Totals(blocks, revisions, system_revisions, full in (1, None), unexplained, erased, incomplete)

    def _add_links(self, links: Sequence[Link], incomplete: AbstractSet[int], *, whole: bool) -> Iterator[Fault]:
        if self.strand_id is None and links:
            self.strand_id = links[0].strand_id
        own = [link for link in links if link.strand_id == self.strand_id]
        before = self._db.total_changes
        self._db.executemany(
            "INSERT OR IGNORE INTO link VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*link, whole, link.sequence_no not in incomplete) for link in own],
        )
        if self._db.total_changes - before < len(own):
            yield from self._repeated(own, incomplete, whole)
        yield from self._foreign((link.sequence_no, link.strand_id) for link in links)

    def _repeated(self, links: Sequence[Link], incomplete: AbstractSet[int], whole: bool) -> Iterator[Fault]:
        for link in links:
            (block_hash,) = self._db.execute(
                "SELECT block_hash FROM link WHERE sequence_no = ?", (link.sequence_no,)
            ).fetchone()
            if block_hash != link.block_hash:
                yield Fault(
                    link.sequence_no, "conflict", f"is there twice, as {block_hash.hex()} and {link.block_hash.hex()}"
                )
            else:
                self._db.execute(
                    "UPDATE link SET is_full = max(is_full, ?), whole = max(whole, ?), complete = max(complete, ?) "
                    "WHERE sequence_no = ?",
                    (link.full, whole, link.sequence_no not in incomplete, link.sequence_no),
                )

    def _add_streamed(self, decoded: DecodedRecords) -> Iterator[Fault]:
        if self.strand_id is None and decoded.arrived:
            self.strand_id = decoded.arrived[0].strand_id
        self._db.executemany(
            "INSERT OR IGNORE INTO summary VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (s.sequence_no, s.block_hash, s.hash, s.document_id, *s.table, s.transaction_id, s.block_time)
                for s in decoded.summaries
            ],
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO arrived VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (a.sequence_no, a.hash, a.strand_id, a.document_id, a.version, *a.table, a.tx_id, a.tx_time)
                for a in decoded.arrived
                if a.strand_id == self.strand_id
            ],
        )
        yield from self._foreign((revision.sequence_no, revision.strand_id) for revision in decoded.arrived)

    def _foreign(self, strands: Iterator[tuple[int, str]]) -> Iterator[Fault]:
        for sequence_no, strand_id in strands:
            if strand_id != self.strand_id:
                yield Fault(sequence_no, "strand", f"is of strand {strand_id}, not {self.strand_id}")

    def _pairs(self) -> Iterator[tuple[ExpectedRevision, StreamedRevision]]:
        for row in self._rows(_PAIRS):
            number, block_hash, revision_hash, document_id, table_id, table_name, transaction_id, block_time = row[:8]
            summary = ExpectedRevision(
                number, block_hash, revision_hash, document_id, Table(table_id, table_name), transaction_id, block_time
            )
            number, revision_hash, strand_id, document_id, version, table_id, table_name, tx_id, tx_time = row[8:]
            table = Table(table_id, table_name)
            yield (
                summary,
                StreamedRevision(number, revision_hash, strand_id, document_id, version, table, tx_id, tx_time),
            )

    def _rows(self, statement: str) -> Iterator[Any]:
        return iter(self._db.execute(statement))
