"""Queries: what they return, and how their rows are found."""

from decimal import Decimal
from typing import Any

import pytest

from strandline.journal.ion.hash import ion_hash
from strandline.ledger import Ledger
from strandline.ledger.partiql.errors import SemanticError
from tests.ledger.execution.statements import plan, run
from tests.ledger.partiql.evaluation import ion

QUERIES: list[tuple[str, list[Any]]] = [
    ("SELECT VALUE v.VIN FROM Vehicle AS v WHERE v.VIN = 'V1'", ["V1"]),
    ("SELECT make FROM Vehicle WHERE VIN = 'V2'", [{"make": "Bee"}]),
    ("SELECT VALUE make FROM Vehicle WHERE VIN = 'V3'", [None]),  # a symbol equals a string
    ("SELECT VALUE make FROM Vehicle WHERE VIN = `'V1'`", ["Ada"]),
    ("SELECT VALUE make FROM Vehicle WHERE Vehicle.year = 2002", ["Bee"]),
    ("SELECT VALUE make FROM Vehicle WHERE Vehicle.year IN (2001.0, 2002)", ["Ada", "Bee"]),
    ("SELECT VALUE make FROM Vehicle AS v WHERE v.VIN IN ('V1', 'V2', 'V1', 'V9')", ["Ada", "Bee"]),
    ("SELECT VALUE VIN FROM Vehicle WHERE built = `2002-05-01T`", [ion("V3"), "V2"]),  # an instant, not a text
    ("SELECT VALUE VIN FROM Vehicle WHERE make IS NULL AND price IS MISSING", [ion("V3")]),
    ("SELECT VALUE VIN FROM Vehicle WHERE Vehicle.year > 2001 AND price < 100", ["V2"]),
    ("SELECT VALUE VIN FROM Vehicle WHERE make LIKE 'A%' OR make = 'Bee'", ["V1", "V2"]),
    ("SELECT o.id FROM Vehicle AS v, v.owners AS o WHERE v.VIN = 'V1'", [{"id": "G1"}, {"id": "G2"}]),
    ("SELECT i, o.id FROM Vehicle AS v, @v.owners AS o AT i WHERE v.VIN = 'V1' AND i > 0", [{"i": 1, "id": "G2"}]),
    ("SELECT v.VIN, p.name FROM Vehicle AS v, v.owners AS o JOIN Owner AS p ON p.GovId = o.id WHERE v.VIN = 'V2'",
     [{"VIN": "V2", "name": "Bob"}]),
    ("SELECT p.name, v.VIN FROM Owner AS p INNER JOIN Vehicle AS v ON v.owners[0].id = p.GovId",
     [{"name": "Ann", "VIN": "V1"}, {"name": "Bob", "VIN": "V2"}]),
    ("SELECT v.VIN, p.name FROM Vehicle AS v LEFT JOIN Owner AS p ON v.make = p.name WHERE v.VIN = 'V1'",
     [{"VIN": "V1"}]),
    ("SELECT VALUE n FROM Vehicle AS v, UNPIVOT v AS m AT n WHERE v.VIN = 'V1'",
     ["VIN", "make", "owners", "price", "year"]),
    ("SELECT COUNT(*), SUM(price) AS total, MIN(Vehicle.year), MAX(Vehicle.year), AVG(price) FROM Vehicle",
     [{"_1": 3, "total": Decimal("30.50"), "_3": 2001, "_4": 2003.0, "_5": Decimal("15.25")}]),
    ("SELECT COUNT(*) AS n FROM Vehicle WHERE VIN = 'none'", [{"n": 0}]),
    ("SELECT SUM(price) AS n FROM Vehicle WHERE VIN = 'none'", [{"n": None}]),
    ("SELECT o.id, COUNT(*) AS n FROM Vehicle AS v, v.owners AS o GROUP BY o.id HAVING COUNT(*) > 1",
     [{"id": "G2", "n": 2}]),
    ("SELECT VALUE v.VIN FROM Vehicle AS v WHERE EXISTS(SELECT * FROM v.owners AS o WHERE o.id = 'G1')", ["V1"]),
    ("SELECT VALUE name FROM Owner AS p WHERE p.GovId IN (SELECT VALUE o.id FROM Vehicle AS v, v.owners AS o "
     "WHERE v.VIN = 'V2')", ["Bob"]),
    ("SELECT {'k': v.VIN, 'all': (SELECT VALUE o.id FROM v.owners AS o)} AS made FROM Vehicle AS v WHERE VIN = 'V1'",
     [{"made": {"k": "V1", "all": ["G1", "G2"]}}]),
    ("SELECT * FROM << {'a': 1}, {'a': 2}, 3 >> AS t", [{"_1": 3}, {"a": 1}, {"a": 2}]),
    ("SELECT 1 FROM << 0 >>", [{"_1": 1}]),
    ("SELECT v.*, o.GovId AS VIN2 FROM Vehicle AS v, Owner AS o WHERE v.VIN = 'V2' AND o.name = 'Ann'",
     [ion("{VIN: \"V2\", make: \"Bee\", year: 2002.0, price: 20, owners: [{id: \"G2\"}], built: 2002-05-01T, "
          "VIN2: \"G1\"}")]),
    ("SELECT VALUE missing FROM Vehicle", []),
]  # fmt: skip


A = "FROM << {'a': 1}, {'a': 2}, {'a': 3}, {'a': null}, {} >>"
AGGREGATES = [
    # The query and its value as Ion, after the pages of QLDB's developer guide on these functions.
    (f"SELECT AVG(a) {A}", "2."), (f"SELECT COUNT(a) {A}", "3"), (f"SELECT COUNT(*) {A}", "5"),
    (f"SELECT MAX(a) {A}", "3"), (f"SELECT MIN(a) {A}", "1"), (f"SELECT SUM(a) {A}", "6"),
    ("SELECT SUM(a) FROM << {'a': 1.50}, {'a': 2} >>", "3.50"),
    ("SELECT SUM(a) FROM << {'a': `1e0`}, {'a': `0.5e0`} >>", "1.5"),  # a decimal for floats, too
    ("SELECT AVG(a) FROM << {'a': `1e0`}, {'a': 2} >>", "1.5"),
    ("SELECT MAX(a) FROM << {'a': `1e0`}, {'a': 0.5} >>", "1e0"),
]  # fmt: skip


def test_aggregates(vehicles: Ledger) -> None:
    for text, expected in AGGREGATES:
        assert [ion_hash(one) for one in run(vehicles, text)] == [ion_hash({"_1": ion(expected)})], text
    with pytest.raises(SemanticError, match="SUM: out of range"):
        run(vehicles, "SELECT SUM(a) FROM << {'a': `+inf`} >>")


def test_queries(vehicles: Ledger) -> None:
    """Compared as Ion: types and precision count, the order of rows does not."""
    for text, expected in QUERIES:
        found = run(vehicles, text)
        assert sorted(map(ion_hash, found)) == sorted(map(ion_hash, expected)), (text, found)


SUBQUERIES = [
    # the query, its values, the documents that it reads
    ("SELECT VALUE v.VIN FROM Vehicle AS v WHERE 'Bob' IN (SELECT VALUE o.name FROM Owner AS o)",
     ["V1", "V2", ion("V3")], 3 + 2),
    ("SELECT VALUE v.VIN FROM Vehicle AS v WHERE EXISTS(SELECT * FROM Owner AS o WHERE o.name = 'Bob')",
     ["V1", "V2", ion("V3")], 3 + 1),
    ("SELECT VALUE (SELECT COUNT(*) AS n FROM Owner AS o) FROM Vehicle AS v WHERE v.make = 'Ada'", [[{"n": 2}]], 1 + 2),
    # A name of a row outside, by its variable or as a field's bare name: run for each row.
    ("SELECT VALUE v.VIN FROM Vehicle AS v WHERE EXISTS(SELECT * FROM Owner AS o WHERE o.GovId = v.owners[0].id)",
     ["V1", "V2"], 3 + 2),
    ("SELECT VALUE (SELECT VALUE make FROM << {'x': 1} >>) FROM Vehicle", [["Ada"], ["Bee"], [None]], 3 + 3),
    ("SELECT VALUE (SELECT VALUE (SELECT VALUE v.VIN FROM << 1 >>) FROM << 2 >>) FROM Vehicle AS v",
     [[["V1"]], [["V2"]], [[ion("V3")]]], 3 + 3 + 3),
    ("SELECT VALUE SIZE(SELECT o.name FROM Owner AS o GROUP BY o.name HAVING COUNT(v.make) > 0) FROM Vehicle AS v",
     [2, 2, 0], 3 + 3 * 2),
]  # fmt: skip


def test_subquery_runs_once_unless_it_looks_outside(vehicles: Ledger) -> None:
    for text, expected, reads in SUBQUERIES:
        with vehicles.begin() as transaction:
            rows = transaction.execute(text)
            found = list(rows)
            assert rows.new_reads() == reads, text
        assert sorted(map(ion_hash, found)) == sorted(map(ion_hash, expected)), (text, found)


def test_plan_is_of_the_tables_that_are_there(vehicles: Ledger) -> None:
    """The same text is planned anew after an index was created or dropped, also by the transaction itself."""
    text, scan = (
        "SELECT * FROM Owner WHERE name = 'Ann'",
        ["Owner: documents of Owner by a scan in PostgreSQL for equal name"],
    )
    assert plan(vehicles, text) == scan
    run(vehicles, "CREATE INDEX ON Owner (name)")
    assert plan(vehicles, text) == ["Owner: documents of Owner by the index on name"]
    (index,) = (
        one["indexId"] for table in run(vehicles, "SELECT * FROM information_schema.user_tables")
        for one in table["indexes"] if one["expr"] == "[name]"
    )  # fmt: skip
    with vehicles.begin() as transaction:
        assert list(transaction.execute(text)) == [{"GovId": "G1", "name": "Ann"}]
        list(transaction.execute(f'DROP INDEX "{index}" ON Owner WITH (purge = true)'))
        assert transaction.explain(text) == scan
        assert list(transaction.execute(text)) == [{"GovId": "G1", "name": "Ann"}]
    assert run(vehicles, text) == [{"GovId": "G1", "name": "Ann"}]


PLANS = [
    ("SELECT * FROM Vehicle AS v BY id WHERE id = ?", ["v: documents of Vehicle by document id"]),
    ("SELECT * FROM Vehicle BY id WHERE id IN (?, ?)", ["Vehicle: documents of Vehicle by document id, several"]),
    ("SELECT * FROM Vehicle WHERE VIN = ?", ["Vehicle: documents of Vehicle by the index on VIN"]),
    ("SELECT * FROM Vehicle WHERE make = ? AND ? = VIN", ["Vehicle: documents of Vehicle by the index on VIN"]),
    ("SELECT * FROM Vehicle WHERE VIN IN ?", ["Vehicle: documents of Vehicle by the index on VIN, several values"]),
    ("SELECT * FROM Vehicle AS v WHERE make = 'x'", ["v: documents of Vehicle by a scan in PostgreSQL for equal make"]),
    ("SELECT * FROM Vehicle WHERE VIN = make", ["Vehicle: documents of Vehicle by a scan"]),
    ("SELECT * FROM Vehicle WHERE VIN = 'a' OR VIN = 'b'", ["Vehicle: documents of Vehicle by a scan"]),
    ("SELECT * FROM Vehicle AS VIN WHERE VIN = 'a'", ["VIN: documents of Vehicle by a scan"]),
    ("SELECT * FROM _ql_committed_Vehicle AS c WHERE c.metadata.id = ?",
     ["c: committed revisions of Vehicle by document id"]),
    ("SELECT * FROM _ql_committed_Vehicle WHERE data.VIN = ?",
     ["_ql_committed_Vehicle: committed revisions of Vehicle by the index on VIN"]),
    ("SELECT * FROM history(Vehicle) AS h WHERE h.metadata.id = ?", ["h: history of Vehicle by document id"]),
    ("SELECT * FROM history(Vehicle, `2020T`) AS h BY i WHERE i = ?", ["h: history of Vehicle by document id"]),
    ("SELECT * FROM Owner AS o JOIN Vehicle AS v ON v.VIN = o.GovId WHERE o.name = 'x'",
     ["o: documents of Owner by a scan in PostgreSQL for equal name", "v: documents of Vehicle by the index on VIN"]),
    ("SELECT * FROM Owner AS o LEFT JOIN Vehicle AS v ON v.make = o.name WHERE v.VIN = 'x'",
     ["o: documents of Owner by a scan", "v: documents of Vehicle by a scan in PostgreSQL for equal make"]),
    ("SELECT * FROM information_schema.user_tables", ["user_tables: the ledger's tables"]),
    ("SELECT * FROM Vehicle AS v, v.owners AS o", ["v: documents of Vehicle by a scan", "o: the members of a value"]),
    ("UPDATE Vehicle SET make = 'x' WHERE VIN = 'y'", ["Vehicle: documents of Vehicle by the index on VIN"]),
    # Queries within it: after the source that they are, or after all that they may see.
    ("SELECT * FROM Vehicle AS v WHERE EXISTS(SELECT * FROM Owner AS o WHERE o.GovId = v.owners[0].id)",
     ["v: documents of Vehicle by a scan", "  o: documents of Owner by the index on GovId"]),
    ("SELECT * FROM (SELECT VALUE o.name FROM Owner AS o) AS n JOIN Vehicle AS v ON v.VIN = n",
     ["n: the members of a value", "  o: documents of Owner by a scan", "v: documents of Vehicle by the index on VIN"]),
    ("SELECT VALUE (SELECT VALUE (SELECT VALUE v.make FROM Vehicle AS v BY i WHERE i = o.GovId) FROM Owner AS o) "
     "FROM Vehicle AS w WHERE w.VIN = 'V1'",
     ["w: documents of Vehicle by the index on VIN", "  o: documents of Owner by a scan",
      "    v: documents of Vehicle by document id"]),
    ("UPDATE Vehicle SET owners = (SELECT VALUE o FROM Owner AS o) WHERE VIN = 'V1'",
     ["Vehicle: documents of Vehicle by the index on VIN", "  o: documents of Owner by a scan"]),
    ("INSERT INTO Vehicle (SELECT VALUE o FROM Owner AS o)", ["o: documents of Owner by a scan"]),
    ("CREATE TABLE Other", []),
]  # fmt: skip


def test_plans(vehicles: Ledger) -> None:
    for text, expected in PLANS:
        assert plan(vehicles, text) == expected, text


def test_missing_table_is_named_in_qldbs_words(vehicles: Ledger) -> None:
    for name in ("Nope", "_ql_committed_Nope", "history(Nope)"):
        with pytest.raises(SemanticError, match=r"No such variable named '(_ql_committed_)?Nope'"):
            run(vehicles, f"SELECT * FROM {name} AS n")


def test_number_of_parameters_is_checked(vehicles: Ledger) -> None:
    with pytest.raises(SemanticError, match="has 2 parameters, 1 were given"):
        run(vehicles, "SELECT * FROM Vehicle WHERE VIN = ? AND make = ?", "V1")


def test_transaction_sees_its_own_changes(vehicles: Ledger) -> None:
    with vehicles.begin() as transaction:

        def rows(text: str) -> list[Any]:
            return list(transaction.execute(text))

        rows("INSERT INTO Vehicle {'VIN': 'V4', 'make': 'Cee'}")
        rows("UPDATE Vehicle SET make = 'Dee' WHERE VIN = 'V1'")
        rows("DELETE FROM Vehicle WHERE VIN = 'V2'")
        assert rows("SELECT VALUE make FROM Vehicle WHERE VIN = 'V4'") == ["Cee"]
        assert rows("SELECT VALUE VIN FROM Vehicle WHERE make = 'Dee'") == ["V1"]
        assert rows("SELECT VALUE VIN FROM Vehicle WHERE make = 'Ada'") == []
        assert rows("SELECT VALUE 1 FROM Vehicle WHERE VIN = 'V2'") == []
        assert rows("SELECT COUNT(*) AS n FROM Vehicle") == [{"n": 3}]
        # The committed view and the history have committed revisions alone.
        committed = rows("SELECT VALUE data.make FROM _ql_committed_Vehicle WHERE data.VIN IN ('V1', 'V2', 'V4')")
        assert sorted(committed) == ["Ada", "Bee"]
        transaction.commit()
    assert run(vehicles, "SELECT VALUE VIN FROM Vehicle WHERE make = 'Dee'") == ["V1"]


def test_values_stay_what_they_are(vehicles: Ledger) -> None:
    """Byte for byte by Ion Hash: typed nulls, annotations, precision, symbols, s-expressions."""
    stored = ion(
        "{a: null.int, b: cm::1.500, c: 2020-01T, d: sym, e: (x 1), f: {{aGk=}}, g: {{\"hi\"}}, h: 1e0, i: null, "
        "j: k::{l: m::[1]}, n: 2020-01-01T00:00:00.000000000001-00:00, VIN: \"V9\"}"
    )  # fmt: skip
    run(vehicles, "INSERT INTO Vehicle ?", stored)
    for text in (
        "SELECT * FROM Vehicle WHERE VIN = 'V9'",
        "SELECT VALUE v FROM Vehicle AS v WHERE v.a IS NULL AND VIN = 'V9'",
    ):
        (found,) = run(vehicles, text)
        assert ion_hash(found) == ion_hash(stored)
    run(vehicles, "UPDATE Vehicle SET z = 1 WHERE VIN = 'V9'")
    (found,) = run(vehicles, "SELECT * FROM Vehicle WHERE VIN = 'V9'")
    assert ion_hash(found) == ion_hash({**stored, "z": 1})


def test_annotations_of_a_document_are_kept(vehicles: Ledger) -> None:
    """Through insert, changes of a field and of the whole, by the ledger's own operations as by statements."""
    run(vehicles, "INSERT INTO Vehicle ?", ion('form::{VIN: "V9", n: 1, gone: 0}'))
    (found,) = run(vehicles, "SELECT VALUE v FROM Vehicle AS v WHERE v.VIN = 'V9'")
    assert ion_hash(found) == ion_hash(ion('form::{VIN: "V9", n: 1, gone: 0}'))
    run(vehicles, "UPDATE Vehicle SET n = 2 WHERE VIN = 'V9'")
    run(vehicles, "FROM Vehicle AS v WHERE v.VIN = 'V9' REMOVE v.gone")
    (id_,) = run(vehicles, "SELECT VALUE id FROM Vehicle AS v BY id WHERE v.VIN = 'V9'")
    vehicles.execute(lambda txn: txn.update("Vehicle", id_, {"m": 3}))
    vehicles.execute(lambda txn: txn.remove("Vehicle", id_, "n"))
    (found,) = run(vehicles, "SELECT VALUE v FROM Vehicle AS v WHERE v.VIN = 'V9'")
    assert ion_hash(found) == ion_hash(ion('form::{VIN: "V9", m: 3}'))
    run(vehicles, "UPDATE Vehicle AS v SET v = ? WHERE v.VIN = 'V9'", ion('other::{VIN: "V9"}'))
    (found,) = run(vehicles, "SELECT VALUE v FROM Vehicle AS v WHERE v.VIN = 'V9'")
    assert ion_hash(found) == ion_hash(ion('other::{VIN: "V9"}'))


def test_large_scan_is_streamed(vehicles: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read in parts, while other statements run; the transaction may end before all are read."""
    monkeypatch.setattr("strandline.ledger.reading.ROWS_A_TIME", 3)
    for _ in range(3):
        run(vehicles, "INSERT INTO Owner ?", [{"GovId": f"X{n}"} for n in range(7)])
    with vehicles.begin() as transaction:
        rows = transaction.execute("SELECT * FROM Owner")
        first = [next(rows) for _ in range(4)]
        assert list(transaction.execute("SELECT COUNT(*) AS n FROM Owner")) == [{"n": 23}]
        assert len(first + list(rows)) == 23
        rest = transaction.execute("SELECT * FROM Owner")
        next(rest)
        transaction.commit()
    assert run(vehicles, "SELECT COUNT(*) AS n FROM Owner") == [{"n": 23}]
