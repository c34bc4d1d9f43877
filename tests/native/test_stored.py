"""The native check of stored blocks: takes what the plain Python would, and nothing that was changed."""

import struct
from pathlib import Path
from typing import Any

import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.settings import Settings
from strandline.consumer.store import blocks as store
from strandline.journal.decode.copy_format import BLOCK_COLUMNS, COPY_HEADER, REVISION_COLUMNS
from strandline.journal.decode.kernel import check_stored
from strandline.journal.ion import values as ion
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp
from strandline.journal.sources.source import local_sources
from tests.journals import STRAND, TABLE, Block, ion_binary, small_journal
from tests.native.odd_journals import SCALARS, STRUCTURES

pytest.importorskip("strandline_native", reason="not built: make native")

ESCAPED = ("\\0", "\\uFDD0")  # as names they are left to plain Python
HUGE = ("1d131071", "1d131072", "1d-16383", "1d-16384", "1d200000", "-1d-200000")  # likewise, read in binary
PLAIN = [text for text in STRUCTURES if not any(escape in text for escape in ESCAPED)]


def odd_blocks() -> list[Block]:
    """One document a block: every structure of every scalar."""
    maker = BlockMaker(STRAND)
    values = [text.replace("#", scalar) for text in PLAIN for scalar in SCALARS if scalar not in HUGE]
    return [
        maker.make(
            transaction_id=f"Transaction{number:011d}",
            tx_time=timestamp(number),
            block_time=timestamp(number + 1),
            statements=[Statement("INSERT INTO Licence ?", timestamp(number))],
            revisions=[NewRevision(f"Document{number:014d}", TABLE, "Licence", 0, ion.read_one(value.encode()))],
        )
        for number, value in enumerate(values)
        # A null is no data.
        if not value.startswith("null")
    ]


def stored(url: str, folder: Path, blocks: list[Block]) -> tuple[bytes, bytes]:
    """Store the blocks; return them and their revisions as they are copied for the check."""
    (folder / "journal.ion").write_bytes(ion_binary(blocks))
    replay_sources(url, local_sources(str(folder / "journal.ion")), Settings(origin=0, workers=1))
    with connect(url) as connection:
        return (
            store._copy(connection, "block", BLOCK_COLUMNS, 0, len(blocks)),
            store._copy(connection, "revision", REVISION_COLUMNS, 0, len(blocks)),
        )


def left(blocks: bytes, revisions: bytes) -> list[int] | None:
    found = check_stored(STRAND, blocks, revisions, trust_deletions=False)
    return None if found is None else found[1]


def rows(copied: bytes, columns: int) -> list[list[tuple[int, int]]]:
    """Return the start and the end of each field's bytes, by row."""
    at, found = len(COPY_HEADER), []
    while struct.unpack_from(">h", copied, at)[0] == columns:
        at, row = at + 2, []
        for _ in range(columns):
            (length,) = struct.unpack_from(">i", copied, at)
            row.append((at + 4, at + 4 + max(0, length)))
            at = row[-1][1]
        found.append(row)
    return found


def test_every_value_is_compared_with_its_jsonb(database: str, tmp_path: Path) -> None:
    blocks = odd_blocks()
    block_rows, revision_rows = stored(database, tmp_path, blocks)
    with connect(database) as connection:
        (held,) = connection.execute("SELECT sequence_no + 1 FROM journal.mark").fetchone() or (0,)
    assert held == len(blocks)
    assert left(block_rows, revision_rows) == []


def test_counts_are_those_of_plain_python(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = small_journal()
    assert left(*stored(database, tmp_path, blocks)) == []
    with connect(database) as connection:
        natively = store.count_stored(connection, 0, len(blocks) - 1)
        monkeypatch.setattr("strandline.journal.decode.kernel.KERNEL", "python")
        assert store.count_stored(connection, 0, len(blocks) - 1) == natively
    assert len(natively.links) == len(blocks)


# Columns that no hash and no other column covers, in every block: one without revisions has a free transaction id and
# number, which the chain holds.
FREE = {"complete", "block_time", "shape"}
FREE_OF_BLOCKS = FREE | {"transaction_id", "sequence_no"}
ARRAY_HEADER = 20  # element type and lower bound, which PostgreSQL's own output never varies


@pytest.mark.parametrize(("of", "columns"), [("block", BLOCK_COLUMNS), ("revision", REVISION_COLUMNS)])
def test_no_changed_bit_is_accepted(database: str, tmp_path: Path, of: str, columns: Any) -> None:
    copied = dict(zip(("block", "revision"), stored(database, tmp_path, small_journal()), strict=True))
    names = [name for name, _ in columns]
    tried = 0
    for number, row in enumerate(rows(copied[of], len(columns))):
        for name, (start, end) in zip(names, row, strict=True):
            if name in (FREE_OF_BLOCKS if of == "block" else FREE):
                continue
            skipped = ARRAY_HEADER if dict(columns)[name].endswith("[]") else 0
            for at in range(start + skipped, end):
                changed = bytearray(copied[of])
                changed[at] ^= 1 << (at + number) % 8
                assert left(**{f"{one}s": bytes(changed) if one == of else copied[one] for one in copied}) != [], name
                tried += 1
    assert tried > 1_000


@pytest.mark.parametrize("of", ["block", "revision"])
def test_a_cut_copy_is_not_accepted(database: str, tmp_path: Path, of: str) -> None:
    copied = dict(zip(("block", "revision"), stored(database, tmp_path, small_journal()), strict=True))
    for end in range(0, len(copied[of]), 7):
        assert left(**{f"{one}s": copied[one][:end] if one == of else copied[one] for one in copied}) != []
