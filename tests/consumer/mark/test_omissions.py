"""A block that is not shown to be complete is not passed by the mark unless it is accepted."""

from dataclasses import replace
from typing import Any

import pytest

from strandline.consumer.database.connection import Connection
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.consumer.mark.omissions import accept_omission, count_omissions, read_omissions
from strandline.journal.check.block import Omission
from strandline.journal.errors import UsageError
from tests.copy_rows import Block, Revision, as_json, chain, pack

BLOCKS = chain({}, {"revisions": (Revision("D"),)}, {})
DETAIL = "3 members of entriesHashList are unexplained"


def omission(block: Block) -> Omission:
    return Omission(1, block.block_hash, DETAIL)


def stored(connection: Connection) -> list[tuple[Any, ...]]:
    with connection.transaction():
        return connection.execute("SELECT sequence_no, document_id FROM journal.revision ORDER BY 1, 2").fetchall()


def take(store: JournalWriter, *blocks: Block, omits: Block | None = None) -> None:
    omissions = [] if omits is None else [omission(omits)]
    store.intake([pack([block]) for block in blocks], source="test", omissions=omissions)


def test_mark_stops_below_an_omission(store: JournalWriter, connection: Connection) -> None:
    take(store, *BLOCKS, omits=BLOCKS[1])
    done = advance(connection)
    assert done.mark.sequence_no == 0
    assert [(one.sequence_no, one.fault, one.detail) for one in done.refused] == [
        (1, "omission", f"not shown to be complete: {DETAIL}")
    ]
    assert count_omissions(connection) == (1, 0)


def test_accepted_omission_is_passed_and_told(store: JournalWriter, connection: Connection) -> None:
    take(store, *BLOCKS, omits=BLOCKS[1])
    assert accept_omission(connection, 1, "QLDB exported it so").sequence_no == 2
    assert count_omissions(connection) == (0, 1)
    (one,) = read_omissions(connection)
    assert (one.sequence_no, one.detail, one.reason) == (1, DETAIL, "QLDB exported it so")
    assert one.accepted_at is not None


@pytest.mark.parametrize(("number", "reason"), [(0, "x"), (1, " ")])
def test_acceptance_names_an_open_omission_and_a_reason(
    store: JournalWriter, connection: Connection, number: int, reason: str
) -> None:
    take(store, *BLOCKS, omits=BLOCKS[1])
    with pytest.raises(UsageError):
        accept_omission(connection, number, reason)
    assert count_omissions(connection) == (1, 0)


@pytest.mark.parametrize("level", ["full", "chain"])
def test_complete_copy_replaces_one_that_omits(store: JournalWriter, connection: Connection, level: str) -> None:
    """The cut copy has the block's hash: what was taken away is covered by no other member."""
    complete = BLOCKS[1] if level == "full" else as_json(BLOCKS[1])
    cut = pack([replace(complete, revisions=())])
    # Its hash is that of the complete block, as in a real copy.
    cut = cut._replace(blocks=cut.blocks.replace(replace(complete, revisions=()).block_hash, complete.block_hash))
    store.intake([pack([BLOCKS[0]]), cut, pack([BLOCKS[2]])], source="test", omissions=[omission(complete)])
    assert advance(connection).mark.sequence_no == 0
    take(store, complete)
    assert advance(connection).mark.sequence_no == 2
    assert count_omissions(connection) == (0, 0)
    assert stored(connection) == [(1, "D")]


def test_copy_that_omits_does_not_spoil_a_complete_one(store: JournalWriter, connection: Connection) -> None:
    take(store, *BLOCKS)
    take(store, BLOCKS[1], omits=BLOCKS[1])
    assert count_omissions(connection) == (0, 0)
    assert advance(connection).mark.sequence_no == 2
