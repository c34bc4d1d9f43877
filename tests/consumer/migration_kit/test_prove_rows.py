"""A table that the migration kit made is told apart row by row: altered, brought back, redacted, missing, too many."""

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from strandline.journal.ion.values import write, write_stream
from strandline.journal.make.export import encode
from strandline.journal.make.format import Format
from strandline.journal.proofs.check import check_proof
from tests.commands import Run
from tests.consumer.migration_kit import kit
from tests.consumer.migration_kit.ledger import ADA, BOB, CARL, DORA, as_exported, journal, licence, store
from tests.databases import temporary_database

OWNER = ("--map", "owner=owner.personId")


@pytest.fixture
def aurora(postgres_url: str) -> Iterator[str]:
    with temporary_database(postgres_url) as (_, url):
        yield url


@pytest.fixture
def migrated(aurora: str, database: str) -> str:
    """The kit loaded an export of blocks 0 to 4, then streamed the rest: Bob's deletion overtook his update."""
    blocks = journal()
    store(database, write_stream(as_exported(blocks)))
    with psycopg.connect(aurora) as connection:
        kit.full_load(connection, blocks[:5])
        kit.stream(connection, [blocks[5], blocks[7], blocks[6], blocks[8], blocks[9]])
    return aurora


def execute(url: str, statement: str, *parameters: object) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement, parameters)


def report(run: Run, *arguments: str) -> tuple[int, Any]:
    outcome = run("prove-rows", *arguments, *OWNER, "--json")
    return outcome.status, json.loads(outcome.out)


def verdicts(found: Any) -> list[tuple[str, int, str, list[str]]]:
    return [(one["document"], one["version"], one["verdict"], one["differing"]) for one in found["others"]]


def test_altered_brought_back_and_missing_rows_are_told_apart(run: Run, migrated: str) -> None:
    execute(migrated, "UPDATE kit.licence SET fee = 1 WHERE doc_id = %s", DORA)
    execute(migrated, "DELETE FROM kit.licence WHERE doc_id = %s", CARL)

    status, found = report(run, migrated, "--table", "kit.licence")

    assert status == 1
    assert found["verdicts"] == {"current": 1, "differs": 1, "brought back": 1}
    assert sorted(verdicts(found)) == [(BOB, 1, "brought back", []), (DORA, 0, "differs", ["fee"])]
    assert found["missing"] == [{"document": CARL, "version": 1}]
    assert (found["rows"], found["proven"], found["uncompared"], found["tables"]) == (3, 1, {}, ["Licence"])


def test_redacted_revision_is_found_in_the_audit_log(run: Run, migrated: str) -> None:
    status, found = report(run, migrated, "--table", "kit.licence_audit_log")

    assert status == 1
    assert found["verdicts"] == {"history": 4, "current": 3, "redacted, still there": 1}
    assert [one[:3] for one in verdicts(found)] == [(CARL, 0, "redacted, still there")]
    assert found["audit_log"]
    assert found["missing"] == []


def test_row_that_was_migrated_after_its_redaction_is_history(run: Run, aurora: str, database: str) -> None:
    blocks = as_exported(journal())
    store(database, write_stream(blocks))
    with psycopg.connect(aurora) as connection:
        kit.full_load(connection, blocks)

    status, found = report(run, aurora, "--table", "kit.licence_audit_log")

    assert (status, found["verdicts"], found["proven"]) == (0, {"history": 5, "current": 3}, 8)
    execute(
        aurora,
        """UPDATE kit.licence_audit_log SET ql_audit = jsonb_set(ql_audit, '{ql_data_hash}', '"AAAA"')
           WHERE ql_audit->>'ql_redacted' = 'true'""",
    )
    _, found = report(run, aurora, "--table", "kit.licence_audit_log")
    assert [one for one in verdicts(found) if one[0] == CARL] == [(CARL, 0, "differs", ["ql_data_hash"])]


def test_table_of_the_kit_that_is_right_is_proven_whole(run: Run, migrated: str) -> None:
    execute(migrated, "DELETE FROM kit.licence WHERE doc_id = %s", BOB)

    status, found = report(run, migrated, "--table", "kit.licence")

    assert (status, found["ok"], found["verdicts"], found["proven"]) == (0, True, {"current": 3}, 3)


@pytest.mark.parametrize(
    ("column", "value"),
    [("licence_id", "L-Other"), ("first_name", None), ("date_of_birth", "1980-02-04"), ("owner", "P-Other"),
     ("tags", "a"), ("version", 1), ("doc_id", ADA)],
)  # fmt: skip
def test_every_altered_column_is_named(run: Run, migrated: str, column: str, value: Any) -> None:
    execute(migrated, f"UPDATE kit.licence SET {column} = %s WHERE doc_id = %s", value, DORA)

    _, found = report(run, migrated, "--table", "kit.licence")

    assert (DORA, 0, "differs", [column]) in verdicts(found)


@pytest.mark.parametrize(
    ("member", "value"),
    [("ql_txid", "x"), ("ql_blockseq", 9), ("ql_rev_hash", "AAAA"), ("ql_txtime", "2020-01-01 00:00:00.000000"),
     ("ql_deletion", True), ("ql_tableid", "x"), ("ql_tablename", "Other")],
)  # fmt: skip
def test_every_altered_member_of_ql_audit_is_named(run: Run, migrated: str, member: str, value: Any) -> None:
    statement = "UPDATE kit.licence SET ql_audit = jsonb_set(ql_audit, %s, %s) WHERE doc_id = %s"
    execute(migrated, statement, [member], json.dumps(value), DORA)

    _, found = report(run, migrated, "--table", "kit.licence")

    assert (DORA, 0, "differs", [member]) in verdicts(found)


def test_unknown_outdated_and_double_rows_are_told_apart(run: Run, migrated: str) -> None:
    execute(
        migrated,
        """INSERT INTO kit.licence
           SELECT doc_id, version, licence_id, first_name, date_of_birth, fee, owner, tags, ql_audit
           FROM kit.licence_audit_log WHERE doc_id = %s""",
        ADA,
    )
    statement = "UPDATE kit.licence SET ql_audit = jsonb_set(ql_audit, '{ql_v}', '7'), version = 7 WHERE doc_id = %s"
    execute(migrated, statement, DORA)

    _, found = report(run, migrated, "--table", "kit.licence")

    assert {one[:3] for one in verdicts(found)} == {
        (ADA, 0, "outdated"), (ADA, 1, "duplicate"), (BOB, 1, "brought back"), (DORA, 7, "not in the journal"),
    }  # fmt: skip


def test_column_without_a_field_is_not_claimed_to_be_compared(run: Run, migrated: str) -> None:
    execute(migrated, "ALTER TABLE kit.licence ADD person varchar(25), ADD remark text DEFAULT 'none'")
    execute(migrated, "UPDATE kit.licence SET person = doc_id")

    _, without = report(run, migrated, "--table", "kit.licence")
    _, mapped = report(run, migrated, "--table", "kit.licence", "--map", "person=@id", "--map", "remark=nothing")

    assert (without["uncompared"], without["proven"]) == ({"person": 4, "remark": 4}, 0)
    assert mapped["uncompared"] == {}
    assert [one[3] for one in verdicts(mapped) if one[0] != BOB] == [["remark"], ["remark"], ["remark"]]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_files_of_rows_say_the_same(run: Run, migrated: str, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"licence{suffix}"
    with psycopg.connect(migrated, row_factory=dict_row) as connection:
        rows = connection.execute("SELECT * FROM kit.licence").fetchall()
    with file.open("w", newline="") as written:
        if suffix == ".csv":
            writer = csv.DictWriter(written, rows[0])
            writer.writeheader()
            writer.writerows([{**row, "ql_audit": json.dumps(row["ql_audit"])} for row in rows])
        else:
            written.writelines(json.dumps(row, default=str) + "\n" for row in rows)

    assert report(run, str(file)) == report(run, migrated, "--table", "kit.licence")


def test_rows_from_json_alone_are_not_called_proven(run: Run, aurora: str, database: str) -> None:
    blocks = journal()
    store(database, encode(blocks, Format.JSON))
    with psycopg.connect(aurora) as connection:
        kit.full_load(connection, blocks)

    _, found = report(run, aurora, "--table", "kit.licence")

    assert found["verdicts"]["current"] == 3
    assert (found["proven"], found["unverified"]) == (0, 3)


def test_store_that_was_altered_with_the_table_proves_nothing(run: Run, migrated: str, database: str) -> None:
    execute(migrated, "UPDATE kit.licence SET fee = 1 WHERE doc_id = %s", DORA)
    forged = write({**licence("Dora"), "fee": Decimal(1)})
    execute(database, "UPDATE journal.revision SET data_ion = %s WHERE document_id = %s", forged, DORA)

    outcome = run("prove-rows", migrated, "--table", "kit.licence", *OWNER)

    assert outcome.status == 1
    assert "run `strandline verify`" in outcome.err


def test_proof_of_a_row_is_written_and_holds(run: Run, migrated: str, tmp_path: Path) -> None:
    with psycopg.connect(migrated) as connection:
        ids = [one for (one,) in connection.execute("SELECT doc_id FROM kit.licence")]
    file = tmp_path / "proof.json"
    arguments = (migrated, "--table", "kit.licence", *OWNER, "--output", str(file), "--proof")

    outcome = run("prove-rows", *arguments, str(ids.index(ADA) + 1))

    assert outcome.status == 0, outcome.err
    result = check_proof(file.read_bytes(), None)
    assert (result.ok, result.document, result.version) == (True, ADA, 1)
    refused = run("prove-rows", *arguments, str(ids.index(BOB) + 1))
    assert refused.status == 1
    assert "deleted in the ledger" in refused.err
    assert run("prove-rows", *arguments, "99").status == 2


def test_report_for_people_names_no_value(run: Run, migrated: str) -> None:
    execute(migrated, "UPDATE kit.licence SET first_name = 'Canary' WHERE doc_id = %s", DORA)

    outcome = run("prove-rows", migrated, "--table", "kit.licence", *OWNER)

    assert outcome.status == 1
    assert "brought back" in outcome.out
    assert "first_name" in outcome.out
    assert "Canary" not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("content", "problem"),
    [("", "does not name a column ql_audit"), ("a,b\n1,2\n", "does not name a column ql_audit"),
     ("a,ql_audit\n1,{\n", "row 1: has no column ql_audit"), ('ql_audit\n"{""ql_id"": ""x""}"\n', "row 1: ql_v"),
     ("ql_audit\n5\n", "row 1")],
)  # fmt: skip
def test_csv_that_is_not_the_kits_gets_one_line(run: Run, tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(content)

    outcome = run("prove-rows", str(file))

    assert outcome.status in (1, 2)
    assert problem in outcome.err


def test_sources_that_cannot_be_opened_get_one_line(run: Run, aurora: str, tmp_path: Path) -> None:
    for arguments, problem in (
        ((str(tmp_path / "none.csv"),), "cannot be read"),
        ((aurora,), "--table"),
        ((aurora, "--table", "kit.none"), "has no table"),
        (("postgresql://nobody@127.0.0.1:1/none", "--table", "a"), "cannot be reached"),
        ((aurora, "--table", "a", "--map", "x"), "COLUMN=FIELD"),
        ((aurora, "--table", "a", "--proof", "1"), "go together"),
    ):
        outcome = run("prove-rows", *arguments)
        assert outcome.status == 2
        assert problem in outcome.err
    (tmp_path / "odd.jsonl").write_text("[1]\n")
    assert "not a JSON object" in run("prove-rows", str(tmp_path / "odd.jsonl")).err
