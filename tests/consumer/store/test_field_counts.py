"""`ledger.user_table_fields`: fields, types and how often, whatever the order of what came, and what was erased."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.gaps import accept_gap
from strandline.consumer.mark.mark import advance
from strandline.consumer.store import field_counts
from strandline.journal.decode.objects import decode
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, redact, timestamp
from tests.journals import ADA, BOB, OTHER_TABLE, STRAND, TABLE, Block, ion_binary, json_lines

ALL = """
    SELECT name, field, type, revisions, share::float, first_no, last_no FROM ledger.user_table_fields
    ORDER BY name, path, type"""
REDACTING = 5

Take = Callable[[list[Block]], None]


def written() -> list[Block]:
    """0 CREATE TABLE, 1 Ada's version 0 and a contact, 2 Ada's version 1, 3 Bob, 4 Bob's deletion, 5 redacts Ada's
    version 0, 6 a SELECT. As streamed when written."""
    maker = BlockMaker(STRAND)

    def make(text: str, *revisions: NewRevision, redactions: tuple[NewRedaction, ...] = ()) -> Block:
        number = maker.next_sequence_no
        at = 1_600_000_000_000 + number * 1_000
        return maker.make(
            transaction_id=f"Transaction{number:011d}",
            tx_time=timestamp(at),
            block_time=timestamp(at + 7),
            statements=[Statement(text, timestamp(at - 30))],
            revisions=revisions,
            redactions=redactions,
        )

    def licence(document: str, version: int, data: Any) -> NewRevision:
        return NewRevision(document, TABLE, "Licence", version, data)

    contact = NewRevision("DocumentContact0000000", OTHER_TABLE, "Contact", 0, {"email": "a@example.org"})
    return [
        make("CREATE TABLE Licence"),
        make("INSERT", licence(ADA, 0, {"points": 1, "canary": {"name": "Ada"}}), contact),
        make("UPDATE", licence(ADA, 1, {"points": Decimal("1.5"), "events": [{"name": "x"}]})),
        make("INSERT", licence(BOB, 0, {"points": 2, "since": timestamp(0)})),
        make("DELETE", licence(BOB, 1, None)),
        make("EXEC redact_revision ?", redactions=(NewRedaction(1, TABLE, ADA, 0),)),
        make("SELECT"),
    ]


EMAIL = ("Contact", "email", "string", 1, 1.0, 1, 1)
BEFORE = [
    EMAIL,
    ("Licence", "canary", "struct", 1, 0.3333, 1, 1),
    ("Licence", "canary.name", "string", 1, 0.3333, 1, 1),
    ("Licence", "events", "list", 1, 0.3333, 2, 2),
    ("Licence", "events.[]", "struct", 1, 0.3333, 2, 2),
    ("Licence", "events.[].name", "string", 1, 0.3333, 2, 2),
    ("Licence", "points", "decimal", 1, 0.3333, 2, 2),
    ("Licence", "points", "int", 2, 0.6667, 1, 3),
    ("Licence", "since", "timestamp", 1, 0.3333, 3, 3),
]
AFTER = [
    EMAIL,
    ("Licence", "events", "list", 1, 0.5, 2, 2),
    ("Licence", "events.[]", "struct", 1, 0.5, 2, 2),
    ("Licence", "events.[].name", "string", 1, 0.5, 2, 2),
    ("Licence", "points", "decimal", 1, 0.5, 2, 2),
    ("Licence", "points", "int", 1, 0.5, 3, 3),
    ("Licence", "since", "timestamp", 1, 0.5, 3, 3),
]


@pytest.fixture(params=[1, 1_000], ids=["counted", "not-yet-counted"], autouse=True)
def least_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts are updated at once, or computed on demand."""
    monkeypatch.setattr(field_counts, "LEAST_BLOCKS", request.param)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def take(connection: psycopg.Connection[Any]) -> Take:
    store = JournalWriter(connection)
    store.begin_strand(STRAND, 0)

    def take(blocks: list[Block], form: Callable[[list[Block]], bytes] = ion_binary) -> None:
        rows = decode(form(blocks)).rows
        assert rows is not None
        store.intake([rows], source="test")
        advance(connection)

    return take


def told(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(ALL).fetchall()


def test_each_field_is_counted_once(connection: psycopg.Connection[Any], take: Take) -> None:
    blocks = written()
    take(blocks[2:REDACTING])
    assert told(connection) == []  # nothing above the mark is told
    take(blocks[:3])
    take(blocks[:REDACTING])
    assert told(connection) == BEFORE
    query = "SELECT fields FROM ledger.user_tables ORDER BY name"
    (contact,), (licence,) = connection.execute(query).fetchall()
    assert contact == [{"field": "email", "type": "string", "revisions": 1, "share": 1}]
    assert [(one["field"], one["type"], one["revisions"]) for one in licence] == [one[1:4] for one in BEFORE[1:]]


@pytest.mark.parametrize("first", [2, REDACTING])
def test_what_is_erased_is_not_counted_nor_are_names_kept_that_only_it_had(
    connection: psycopg.Connection[Any], take: Take, first: int
) -> None:
    blocks = written()
    take(blocks[:first])
    take(blocks[first:])
    assert told(connection) == AFTER
    assert "canary" not in str(connection.execute("SELECT * FROM journal.shape").fetchall())
    take(blocks[:REDACTING])  # an older copy brings nothing back
    take([redact(blocks[1], ADA, 0), *blocks[2:]])
    assert told(connection) == AFTER


@pytest.mark.parametrize("passed", [True, False])
def test_ion_says_the_types_that_json_has_lost(connection: psycopg.Connection[Any], take: Any, passed: bool) -> None:
    blocks = written()
    take(blocks[0 if passed else 1 : REDACTING], json_lines)
    if passed:
        assert [one[1:4] for one in told(connection) if one[1] == "since"] == [("since", "string", 1)]
    take(blocks[:REDACTING])
    assert told(connection) == BEFORE
    take(blocks)
    assert told(connection) == AFTER


def test_blocks_found_for_an_accepted_gap_are_counted(connection: psycopg.Connection[Any], take: Take) -> None:
    blocks = written()
    take(blocks[:1])
    take(blocks[2:REDACTING])
    accept_gap(connection, 1, 1, "lost")
    assert [one for one in told(connection) if one[1] == "canary"] == []
    take(blocks[:2])
    assert told(connection) == BEFORE


def test_a_shape_in_two_partitions_is_counted_once(connection: psycopg.Connection[Any]) -> None:
    counted = "SELECT table_id, shape, revisions, first_no, last_no FROM journal."
    with connection.transaction():
        connection.execute("SELECT journal.ensure_partitions(99999, 100001)")
        connection.execute(
            """INSERT INTO journal.revision (sequence_no, hash, document_id, version, table_id, state, level, tx_id,
                tx_time, shape)
            SELECT n, '', n::text, 0, 'T1', 'normal', 'full', 't', now(), 7 FROM generate_series(99998, 100001) AS n"""
        )
        connection.execute("INSERT INTO journal.shape (shape, fields) VALUES (7, '[]')")
        connection.execute("UPDATE journal.mark SET strand_id = 's', origin = 99998, sequence_no = 100000")
    expected = [("T1", 7, 3, 99_998, 100_000)]  # the last one is above the mark
    with connection.transaction():
        assert connection.execute(f"{counted}table_shape".encode()).fetchall() == expected
        connection.execute("SELECT journal.count_shapes(1)")
        assert connection.execute(f"{counted}shape_count".encode()).fetchall() == expected
        assert connection.execute(f"{counted}table_shape".encode()).fetchall() == expected
