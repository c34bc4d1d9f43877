"""An imported register is confirmed by the blocks that it names."""

from typing import Any

import pytest

from strandline.consumer.database.connection import Connection
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance
from tests.copy_rows import STRAND, Revision, chain, pack

BLOCKS = chain({"revisions": (Revision("D"),)}, {"revisions": (Revision("D", 1),)}, {"redactions": ((0, "D", 0),)}, {})


def imported(connection: Connection, document_id: str, redacted_by: int) -> JournalWriter:
    store = JournalWriter(connection)
    store.begin_strand(STRAND, 0)
    connection.execute(
        "INSERT INTO journal.redaction (document_id, version, table_id, sequence_no, redacted_by, imported)"
        " VALUES (%s, 0, 'T1', 0, %s, true)",
        [document_id, redacted_by],
    )
    connection.commit()
    return store


def unconfirmed(connection: Connection) -> tuple[Any, ...] | None:
    with connection.transaction():
        return connection.execute("SELECT count(*) FROM journal.redaction WHERE imported AND found IS NULL").fetchone()


def test_entry_is_confirmed_by_its_block(connection: Connection) -> None:
    store = imported(connection, "D", 2)
    store.intake([pack(BLOCKS[:2])], source="test")
    assert advance(connection).mark.sequence_no == 1
    assert unconfirmed(connection) == (1,)
    store.intake([pack(BLOCKS[2:])], source="test")
    assert advance(connection).mark.sequence_no == 3
    assert unconfirmed(connection) == (0,)


@pytest.mark.parametrize(("document_id", "redacted_by"), [("D", 3), ("D", 1), ("E", 2)])
def test_entry_that_its_block_does_not_name_stops_the_mark(
    connection: Connection, document_id: str, redacted_by: int
) -> None:
    store = imported(connection, document_id, redacted_by)
    store.intake([pack(BLOCKS)], source="test")
    done = advance(connection)
    assert done.mark.sequence_no == redacted_by - 1
    assert [(one.sequence_no, one.fault) for one in done.refused] == [(redacted_by, "register")]
