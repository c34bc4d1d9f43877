"""Schema ledger: QLDB's own way of looking, as of the mark."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.consumer.store.catalog import Table, Tables, view_names
from tests.copy_rows import STRAND, Block, Revision, chain, pack, strand


@pytest.fixture
def cleared(database: str) -> Iterator[Connection]:
    with connect(database, role="strandline_cleared", autocommit=True) as connection:
        yield connection


@pytest.fixture
def analyst(database: str) -> Iterator[Connection]:
    with connect(database, role="strandline_analyst", autocommit=True) as connection:
        yield connection


def pass_mark(store: JournalWriter, connection: Connection, *blocks: Block) -> None:
    store.intake([pack(list(blocks))], source="test")
    assert advance(connection).mark.sequence_no == blocks[-1].sequence_no


def rows(connection: Connection, view: str) -> list[tuple[Any, ...]]:
    return connection.execute(SQL("SELECT * FROM ledger.{} ORDER BY document_id").format(Identifier(view))).fetchall()


def tables(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT table_id, name, status, indexes, view_name FROM ledger.user_tables ORDER BY table_id"
    ).fetchall()


def history(connection: Connection, *arguments: str) -> list[tuple[str, int, str]]:
    call = "SELECT document_id, version, state FROM ledger.history({}) ORDER BY 1, 2"
    return connection.execute(call.format(", ".join(["%s"] * len(arguments))), arguments).fetchall()


class TestViews:
    @pytest.fixture(autouse=True)
    def journal(self, store: JournalWriter, connection: Connection) -> list[Block]:
        blocks = chain(
            {"revisions": (Revision("A", data={"n": 1}), Revision("B", data={"n": 2}))},
            {"revisions": (Revision("A", 1, {"n": 3}), Revision("C", table_id="T2", table="Contact"))},
            {"revisions": (Revision("B", 1, None, state="deleted"),)},
            {"redactions": ((0, "A", 0),)},
            {"revisions": (Revision("A", 2, {"n": 4}),)},
        )
        pass_mark(store, connection, *blocks[:4])
        store.intake([pack(blocks[4:])], source="test")  # above the mark, which has not been raised
        return blocks

    def test_current_documents(self, cleared: Connection) -> None:
        assert rows(cleared, "Licence") == [("A", 1, {"n": 3})]
        assert rows(cleared, "Contact") == [("C", 0, {"secret": "payload"})]

    def test_committed_view(self, cleared: Connection, journal: list[Block]) -> None:
        [row] = rows(cleared, "_ql_committed_Licence")
        revision = journal[1].revisions[0]
        assert row == (
            {"strandId": STRAND, "sequenceNo": 1},
            revision.hash(1),
            "normal",
            {"n": 3},
            revision.data_hash,
            {"id": "A", "version": 1, "txTime": "2024-01-01T00:01:00.000Z", "txId": "tx1"},
            "A",
            1,
        )

    def test_it_follows_the_mark(self, cleared: Connection, connection: Connection) -> None:
        advance(connection)
        assert rows(cleared, "Licence") == [("A", 2, {"n": 4})]

    def test_history(self, cleared: Connection) -> None:
        whole = [("A", 0, "redacted"), ("A", 1, "normal"), ("B", 0, "normal"), ("B", 1, "deleted")]
        assert history(cleared, "Licence") == whole
        assert history(cleared, "Contact") == [("C", 0, "normal")]
        assert history(cleared, "Unheard of") == []

    @pytest.mark.parametrize(
        ("period", "active"),
        [
            (["2024-01-01T00:00:30Z"], ["A0", "A1", "B0", "B1"]),
            (["2024-01-01T00:01:00Z"], ["A1", "B0", "B1"]),
            (["2024-01-01T00:03:00Z"], ["A1", "B1"]),
            (["2024-01-01T00:00:00Z", "2024-01-01T00:00:59Z"], ["A0", "B0"]),
            (["2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z"], ["A0", "A1", "B0"]),
            (["2023-01-01T00:00:00Z", "2023-12-31T00:00:00Z"], []),
        ],
    )
    def test_history_of_a_period(self, cleared: Connection, period: list[str], active: list[str]) -> None:
        assert [f"{document}{version}" for document, version, _ in history(cleared, "Licence", *period)] == active

    def test_analysts_see_nothing_of_it(self, analyst: Connection) -> None:
        for query in ('SELECT * FROM ledger."Licence"', "SELECT * FROM ledger.user_tables"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                analyst.execute(query)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            history(analyst, "Licence")

    @pytest.mark.parametrize("relation", ["revision", "block", "revision_period", "current_revision", "mark"])
    def test_the_cleared_see_nothing_of_the_store_itself(self, cleared: Connection, relation: str) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            cleared.execute(f"SELECT * FROM journal.{relation}")

    def test_the_cleared_change_nothing(self, cleared: Connection) -> None:
        # A view that joins takes no changes from anybody.
        refused = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)
        for statement in (
            'DELETE FROM ledger."Licence"',
            "DELETE FROM ledger.user_tables",
            'CREATE VIEW ledger."X" AS SELECT 1',
        ):
            with pytest.raises(refused):
                cleared.execute(statement)


class TestLookUps:
    @pytest.mark.parametrize(
        "query",
        [
            """SELECT data FROM ledger."Licence" WHERE document_id = 'D7-0'""",
            """SELECT hash FROM ledger."_ql_committed_Licence" WHERE document_id = 'D7-0'""",
            """SELECT data FROM ledger.history('Licence') WHERE document_id = 'D7-0'""",
            """SELECT data FROM ledger.history('Licence', '2024-01-01', '2025-01-01') WHERE document_id = 'D7-0'""",
        ],
    )
    def test_of_one_document_go_by_the_index(
        self, store: JournalWriter, connection: Connection, cleared: Connection, query: str
    ) -> None:
        pass_mark(store, connection, *strand(4000))
        with connection.transaction():
            connection.execute("ANALYZE journal.document, journal.document_version")
        plan = "\n".join(line for (line,) in cleared.execute(f"EXPLAIN {query}"))
        assert "document_pkey" in plan
        assert "Seq Scan on document" not in plan
        assert "revision_0" not in plan
        assert cleared.execute(query).fetchall()


class TestTables:
    def test_indexes_and_dropped_and_recreated_tables(
        self, store: JournalWriter, connection: Connection, cleared: Connection
    ) -> None:
        first, second = (Revision("A", table_id="T1", table="X"), Revision("B", table_id="T2", table="X"))
        blocks = chain(
            {"definitions": ("CREATE TABLE X", 'create index on "X" (licenceId)'), "system_revisions": 1},
            {"revisions": (first,)},
            {"definitions": ("CREATE INDEX ON X (userId)",)},
            {"definitions": ("DROP TABLE X",)},
            {"definitions": ("CREATE TABLE X",)},
            {"revisions": (second,)},
            {"definitions": ("DROP TABLE X", 'UNDROP TABLE "T1"')},
        )
        pass_mark(store, connection, *blocks[:3])
        assert tables(cleared) == [("T1", "X", "ACTIVE", ["licenceId", "userId"], "X")]
        pass_mark(store, connection, *blocks[3:5])
        assert tables(cleared) == [("T1", "X", "INACTIVE", ["licenceId", "userId"], "X")]
        pass_mark(store, connection, blocks[5])
        [(*_, old_name), new] = tables(cleared)
        assert old_name.startswith("X_")
        assert new == ("T2", "X", "ACTIVE", [], "X")
        assert [row[0] for row in rows(cleared, "X")] == ["B"]
        assert [row[0] for row in rows(cleared, old_name)] == ["A"]
        assert [row[0] for row in history(cleared, "X")] == ["A", "B"]
        pass_mark(store, connection, blocks[6])
        assert [(row[0], row[2]) for row in tables(cleared)] == [("T1", "ACTIVE"), ("T2", "INACTIVE")]
        assert [row[0] for row in rows(cleared, "X")] == ["A"]
        assert [row[6] for row in rows(cleared, "_ql_committed_X")] == ["A"]

    @pytest.mark.parametrize(
        "name", ["say \"x\" 'y'; --", "user_tables", "_ql_committed_Other", "é" * 40, "n" * 63, "n" * 49, "%s {} \\"]
    )
    def test_any_name(self, store: JournalWriter, connection: Connection, cleared: Connection, name: str) -> None:
        blocks = chain(
            {"revisions": (Revision("O", table_id="T0", table="Other"),)},
            {"revisions": (Revision("A", table_id="T9'\"", table=name),)},
        )
        pass_mark(store, connection, *blocks)
        [_, (_, shown, _, _, view)] = tables(cleared)
        assert shown == name
        assert (view == name) == (name not in ("user_tables", "_ql_committed_Other", "é" * 40, "n" * 63))
        assert rows(cleared, view) == [("A", 0, {"secret": "payload"})]
        assert [row[6] for row in rows(cleared, f"_ql_committed_{view}")] == ["A"]
        assert [row[0] for row in rows(cleared, "Other")] == ["O"]

    def test_what_others_built_on_a_view_does_not_hold_the_mark(
        self, store: JournalWriter, connection: Connection, cleared: Connection, database: str
    ) -> None:
        blocks = chain(
            {"revisions": (Revision("A", table_id="T1", table="X"),)},
            {"definitions": ("DROP TABLE X",)},
            {"revisions": (Revision("B", table_id="T2", table="X"),)},
        )
        pass_mark(store, connection, *blocks[:2])
        with connect(database, role=None, autocommit=True) as owner:
            owner.execute('CREATE VIEW public.theirs AS SELECT * FROM ledger."X"')
        pass_mark(store, connection, blocks[2])
        with connect(database, role=None, autocommit=True) as owner:
            assert owner.execute("SELECT document_id FROM public.theirs").fetchall() == [("A",)]

    def test_a_newcomer_takes_no_name_from_an_active_table(self) -> None:
        names = view_names({"T1": Table("Foo", 1), "T2": Table("_ql_committed_Foo", 2)})
        assert names["T1"] == "Foo"
        assert names["T2"].startswith("_ql_committed_Foo_")

    def test_statements_that_are_no_use_are_passed_over(self) -> None:
        known = Tables()
        for statement in (
            "CREATE",
            'DROP INDEX "abc" ON X WITH (purge = true)',
            "UNDROP TABLE nothing",
            "DROP TABLE no",
        ):
            known.define(0, statement)
        assert known.known() == {}
