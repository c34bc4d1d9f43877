"""Queries that can write nothing: the same rows as in a transaction, no block, no statement that changes anything."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from strandline.ledger import Ledger
from strandline.ledger.errors import TransactionExpired
from strandline.ledger.partiql.errors import StatementError
from strandline.ledger.query import Cancel, Cancelled, query
from tests.ledger.execution.statements import run
from tests.ledger.grafting import replay

TABLES = ("journal.block", "journal.revision", "journal.lookup", "journal.lookup_index", "journal.lookup_position")
QUERIES = (
    "SELECT * FROM Licence AS l BY id WHERE l.licenceId = ?",
    "SELECT VALUE r.metadata.id FROM _ql_committed_Licence AS r WHERE r.data.licenceId = ?",
    "SELECT h.metadata.version, h.data FROM history(Licence) AS h WHERE h.data.licenceId = ?",
)


def content(url: str) -> list[list[tuple[Any, ...]]]:
    with connect(url) as connection:
        return [connection.execute(f"TABLE {name}".encode()).fetchall() for name in TABLES]


def ask(url: str, text: str, *parameters: Any, seconds: float = 30) -> tuple[list[Any], list[str], int]:
    with query(url, text, parameters, seconds=seconds) as found:
        rows = list(found.rows)
        return rows, found.plan, found.rows.reads


@pytest.fixture
def replayed(database: str, tmp_path: Path) -> str:
    simulate(tmp_path, 120, 7, Format.ION_BINARY)
    replay(database, tmp_path / "full")
    return database


def test_it_finds_what_a_transaction_finds_and_writes_nothing(replayed: str) -> None:
    (licence_id, *_), plan, reads = ask(replayed, "SELECT VALUE licenceId FROM Licence")
    assert plan == ["Licence: documents of Licence by a scan"]
    assert reads > 1
    before = content(replayed)
    behind = [ask(replayed, text, licence_id) for text in QUERIES]
    tables, _, _ = ask(replayed, "SELECT * FROM information_schema.user_tables")
    assert content(replayed) == before
    assert behind[0][1] == ["l: documents of Licence by a scan in PostgreSQL for equal licenceId"]
    assert "[licenceId]" in {one["expr"] for table in tables if table["name"] == "Licence" for one in table["indexes"]}
    with Ledger(replayed) as ledger:
        expected = [run(ledger, text, licence_id) for text in QUERIES]
    for text, (rows, _, _), same in zip(QUERIES, behind, expected, strict=True):
        assert sorted(map(ion_hash, rows)) == sorted(map(ion_hash, same)), text
        assert rows
    # Now the look-ups are up to date: by index, fewer rows are read.
    rows, plan, reads = ask(replayed, QUERIES[0], licence_id)
    assert plan == ["l: documents of Licence by the index on licenceId"]
    assert (list(map(ion_hash, rows)), reads) == (list(map(ion_hash, expected[0])), 1)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO Owner {'a': 1}",
        "UPDATE Owner SET name = 'Eve'",
        "FROM Owner AS p WHERE p.GovId = 'G1' SET p.name = 'Eve'",
        "DELETE FROM Owner",
        "CREATE TABLE More",
        "DROP TABLE Owner",
        "EXEC redact_revision {strandId: 's', sequenceNo: 1}, 't', 'd'",
    ],
)
def test_a_statement_that_changes_something_is_refused(vehicles: Ledger, text: str) -> None:
    before = content(vehicles.url)
    with pytest.raises(StatementError):
        ask(vehicles.url, text)
    assert content(vehicles.url) == before


def test_its_connection_could_not_write(vehicles: Ledger) -> None:
    """The role and the transaction forbid it, whatever the engine did."""
    with query(vehicles.url, "SELECT * FROM Owner", seconds=30) as found:
        connection = found.rows._queries.documents._reading._connection  # type: ignore[union-attr]
        with pytest.raises(psycopg.Error) as refused:
            connection.execute("DELETE FROM journal.revision")  # type: ignore[union-attr]
        assert refused.value.sqlstate in ("25006", "42501")


def test_it_ends(vehicles: Ledger) -> None:
    with pytest.raises(TransactionExpired, match="narrow it"):
        ask(vehicles.url, "SELECT COUNT(*) FROM Owner AS a, Owner AS b, Owner AS c, Owner AS d", seconds=0)
    cancel = Cancel()
    text = "SELECT COUNT(*) FROM Owner AS a, Owner AS b, Owner AS c, Owner AS d, Owner AS e, Owner AS f, Owner AS g"
    with query(vehicles.url, text, seconds=30, cancel=cancel) as found:
        cancel()
        with pytest.raises(Cancelled):
            list(found.rows)
