"""Blocks that an operator rejects, and what descends from them."""

import pytest

from strandline.consumer.database.connection import Connection
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.gaps import head
from strandline.consumer.mark.mark import advance
from strandline.consumer.mark.orphans import reject_block
from strandline.journal.errors import UsageError
from tests.copy_rows import STRAND, Block, Revision, chain, pack, strand

FAR = chain({"revisions": (Revision("F"),)}, {"revisions": (Revision("G"),)}, first=50_000_000, previous=b"unknown")


@pytest.fixture
def store(connection: Connection) -> JournalWriter:
    store = JournalWriter(connection)
    store.begin_strand(STRAND, 0)
    take(store, *strand(3), *FAR)
    assert advance(connection).mark.sequence_no == 2
    return store


def take(store: JournalWriter, *blocks: Block) -> int:
    return store.intake([pack([block]) for block in blocks], source="test").refused


def test_block_far_ahead_is_no_longer_the_head(store: JournalWriter, connection: Connection) -> None:
    assert head(connection) == 50_000_001
    refused = reject_block(connection, FAR[0].sequence_no, FAR[0].block_hash, "of no journal of ours")
    assert [(one.sequence_no, one.fault) for one in refused] == [(50_000_000, "operator"), (50_000_001, "fork")]
    assert head(connection) == 2
    with connection.transaction():
        assert connection.execute("SELECT count(*) FROM journal.revision").fetchone() == (3,)


def test_rejected_block_is_refused_again(store: JournalWriter, connection: Connection) -> None:
    reject_block(connection, FAR[0].sequence_no, FAR[0].block_hash, "of no journal of ours")
    assert take(store, FAR[0]) == 1
    assert take(store, *strand(4), FAR[0]) == 1
    assert (head(connection), advance(connection).mark.sequence_no) == (3, 3)


@pytest.mark.parametrize(
    ("number", "block_hash", "reason"),
    [
        (FAR[0].sequence_no, b"another hash", "x"),
        (FAR[0].sequence_no, FAR[0].block_hash, " "),
        (2, strand(3)[2].block_hash, "x"),
    ],
    ids=["another hash", "no reason", "below the mark"],
)
def test_only_a_named_candidate_is_rejected_for_a_reason(
    store: JournalWriter, connection: Connection, number: int, block_hash: bytes, reason: str
) -> None:
    with pytest.raises(UsageError):
        reject_block(connection, number, block_hash, reason)
    assert head(connection) == 50_000_001
