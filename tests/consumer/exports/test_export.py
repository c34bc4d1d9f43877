"""Exports of read models: complete or not there, with exact types, registered, and named after a redaction."""

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as parquet
import pytest
from psycopg.sql import Identifier

from strandline.consumer.database.connection import connect
from strandline.consumer.exports import export as module
from strandline.consumer.exports.export import export_model
from strandline.consumer.exports.register import find_export
from strandline.journal.errors import StrandlineError, UsageError
from tests.commands import Run
from tests.consumer.erasure.canaries import canaries, found_in, write_export
from tests.databases import login

# A read model with every type that a column may have; generation 900 is in the control tables as a real one is.
READ_MODEL = """
    CREATE TABLE generation.all_types_900 (
        t text, b boolean, i integer, g bigint, n numeric, w numeric, m timestamptz, d date, j jsonb, ts text[],
        gs bigint[], source_document text, source_version bigint, source_block bigint);
    INSERT INTO generation.all_types_900 VALUES
        ('line' || chr(10) || '"two", \\ é', true, -5, 9007199254740993, 12345678901234567890.10,
         repeat('9', 90)::numeric, '2026-01-02 03:04:05.678901+02', '1999-12-31', '{"amount": 1.10, "a": [null, "x"]}',
         ARRAY['a', NULL, 'b,c'], ARRAY[1, 2], 'DocumentOne', 3, 7),
        (NULL, NULL, NULL, NULL, -0.0000000001, NULL, NULL, NULL, NULL, NULL, NULL, 'DocumentTwo', 0, 8);
    CREATE VIEW read.all_types AS SELECT * FROM generation.all_types_900;
    COMMENT ON COLUMN read.all_types.n IS 'An amount.';
    ALTER TABLE generation.all_types_900 OWNER TO strandline_worker;
    ALTER VIEW read.all_types OWNER TO strandline_worker;
    INSERT INTO projection.generation (generation, projection, store, state, fingerprint, relation, readers, position)
    OVERRIDING SYSTEM VALUE VALUES (900, 'all_types', 'postgresql', 'live', 'x', 'all_types_900', 'cleared', 8)"""
MOMENT = datetime(2026, 1, 2, 1, 4, 5, 678901, UTC)


@pytest.fixture
def all_types(database: str) -> str:
    with psycopg.connect(database) as connection:
        connection.execute(READ_MODEL)
        connection.execute("GRANT SELECT ON read.all_types TO strandline_cleared")
    return database


def rows_of(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_parquet_keeps_every_type(all_types: str, tmp_path: Path) -> None:
    done = export_model(all_types, "all_types", str(tmp_path / "all.parquet"))
    assert (done.rows, done.as_of_block) == (2, 8)
    table = parquet.read_table(tmp_path / "all.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "t": "string", "b": "bool", "i": "int32", "g": "int64", "n": "decimal128(30, 10)", "w": "string",
        "m": "timestamp[us, tz=UTC]", "d": "date32[day]", "j": "extension<arrow.json>", "ts": "list<element: string>",
        "gs": "list<element: int64>", "source_document": "string", "source_version": "int64", "source_block": "int64",
    }  # fmt: skip
    first, second = table.to_pylist()
    assert first["n"] == Decimal("12345678901234567890.1000000000")
    assert second["n"] == Decimal("-0.0000000001")
    assert first["w"] == "9" * 90  # more digits than a decimal may have
    assert (first["m"], str(first["d"]), first["g"]) == (MOMENT, "1999-12-31", 9007199254740993)
    assert json.loads(first["j"], parse_float=Decimal) == {"amount": Decimal("1.10"), "a": [None, "x"]}
    assert (first["t"], first["ts"], first["gs"]) == ('line\n"two", \\ é', ["a", None, "b,c"], [1, 2])
    assert {name for name, value in second.items() if value is None} == {*types} - {
        "n", "source_document", "source_version", "source_block",
    }  # fmt: skip
    assert table.schema.field("n").metadata == {b"description": b"An amount."}
    assert table.schema.metadata[b"as_of_block"] == b"8"
    assert (tmp_path / "all.parquet").stat().st_mode & 0o777 == 0o600


def test_csv_and_json_lines_keep_every_digit(all_types: str, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl"):
        assert export_model(all_types, "all_types", str(tmp_path / f"all.{suffix}")).rows == 2
    with (tmp_path / "all.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["t"], first["n"], first["m"]) == (
        'line\n"two", \\ é', "12345678901234567890.10", "2026-01-02 01:04:05.678901+00",
    )  # fmt: skip
    assert (second["t"], second["n"], second["source_document"]) == ("", "-0.0000000001", "DocumentTwo")
    lines = [json.loads(line, parse_float=Decimal) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert lines[0]["n"] == Decimal("12345678901234567890.10")
    assert (lines[0]["t"], lines[0]["j"]["amount"], lines[0]["m"]) == (
        'line\n"two", \\ é', Decimal("1.10"), "2026-01-02T01:04:05.678901+00:00",
    )  # fmt: skip
    assert (lines[1]["t"], lines[1]["ts"]) == (None, None)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_large_ones_are_several_files(all_types: str, tmp_path: Path, suffix: str) -> None:
    with psycopg.connect(all_types) as connection:
        connection.execute(
            "INSERT INTO generation.all_types_900 (t, source_document, source_version) "
            "SELECT 'a' || chr(10) || n, 'Document' || n, 0 FROM generate_series(1, 498) AS n"
        )
    folder = tmp_path / f"all.{suffix}"
    assert export_model(all_types, "all_types", str(folder), rows_per_file=120).rows == 500
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"part-{number:05d}.{suffix}" for number in range(5)]
    assert [rows_in(file) for file in files] == [120, 120, 120, 120, 20]
    # Replaced as a whole, unless something else is in the folder.
    assert export_model(all_types, "all_types", str(folder), rows_per_file=400, overwrite=True).rows == 500
    assert [rows_in(file) for file in sorted(folder.iterdir())] == [400, 100]
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(StrandlineError, match="other files"):
        export_model(all_types, "all_types", str(folder), rows_per_file=400, overwrite=True)
    assert (folder / "notes.txt").exists()


def rows_in(file: Path) -> int:
    if file.suffix == ".parquet":
        return int(parquet.ParquetFile(file).metadata.num_rows)
    with file.open(newline="") as opened:
        return sum(1 for _ in (csv.DictReader(opened) if file.suffix == ".csv" else opened))


def test_redaction_names_the_exports_that_hold_the_data(run: Run, tmp_path: Path) -> None:
    made = canaries(documents=3)
    early = write_export(tmp_path / "early", made.blocks[: made.first_redaction])
    whole = write_export(tmp_path / "whole", made.blocks)
    assert run("replay", str(early)).status == 0
    copies = tmp_path / "copies"
    for name in ("history.parquet", "history.csv", "history.jsonl"):
        assert run("export-model", "licence_history", str(copies / name)).status == 0
    assert run("export-model", "ledger_activity", str(copies / "activity.csv")).status == 0
    assert found_in(copies, made.strings)
    assert run("exports").status == 0
    assert run("replay", str(whole)).status == 0
    after = run("export-model", "licence_history", str(copies / "after.csv"), "--json")

    listed = {one["export"]: one["redacted_revisions"] for one in run("exports", "--json").json["exports"]}
    assert listed == {1: 6, 2: 6, 3: 6, 4: 0, after.json["export"]: 0}
    said = [run("status"), run("exports"), run("status", "--json"), run("receipts", "--json")]
    assert said[1].status == 1
    for number, name in enumerate(("history.parquet", "history.csv", "history.jsonl"), 1):
        assert f"Export {number} of licence_history in file://" in said[0].out
        assert f"{name}: 6 redacted revisions.\n  Delete it: `strandline exports --delete {number}`." in said[0].out
    assert "Export 4 " not in said[0].out
    assert [one["redacted_revisions"] for one in said[2].json["exports"]] == [6, 6, 6, 0, 0]
    for receipt in said[3].json["receipts"]:
        assert receipt["exports"] == [1, 2, 3]
        assert any("copies of read models" in line for line in receipt["outOfScope"])
    assert not [string for string in made.strings for one in said if string in one.out + one.err]

    assert run("exports", "--delete", "1", "--delete", "2").status == 1  # 3 is there
    (copies / "history.jsonl").unlink()
    assert run("exports", "--gone", "3").status == 0
    assert {file.name for file in copies.iterdir()} == {"activity.csv", "after.csv"}
    assert found_in(copies, made.strings) == set()
    assert "redacted revision" not in run("status").out
    assert [one["deleted_at"] is None for one in run("exports", "--all", "--json").json["exports"]] == [False] * 3 + [
        True,
        True,
    ]


def test_reader_exports_only_what_he_may_read(all_types: str, run: Run, tmp_path: Path) -> None:
    with login(all_types, "strandline_analyst") as analyst, login(all_types, "strandline_cleared") as cleared:
        with pytest.raises(StrandlineError, match=r"may not read all_types: it is for cleared readers"):
            export_model(analyst, "all_types", str(tmp_path / "no.csv"))
        with psycopg.connect(analyst) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT read.register_export('all_types', 'x', NULL)")
        assert rows_of(all_types, "SELECT count(*) FROM projection.export") == [(0,)]
        done = export_model(cleared, "all_types", str(tmp_path / "yes.csv"))
        # Nor may another reader say that it is gone, or write the register.
        with psycopg.connect(analyst, autocommit=True) as connection:
            assert connection.execute("SELECT read.forget_export(%s)", [done.number]).fetchone() == (False,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("DELETE FROM projection.export")
        assert rows_of(all_types, "SELECT exported_by, rows FROM projection.export")[0][1] == 2
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".csv"] == ["yes.csv"]


def test_failure_leaves_nothing(all_types: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: object, view: Identifier, parts: Any) -> int:
        parts.next().write_text("half")
        raise StrandlineError("It fails.")

    monkeypatch.setattr(module, "write_csv", fail)
    (tmp_path / "all.csv").write_text("before")
    with pytest.raises(StrandlineError, match="It fails"):
        export_model(all_types, "all_types", str(tmp_path / "all.csv"), overwrite=True)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"all.csv": "before"}
    assert rows_of(all_types, "SELECT count(*) FROM projection.export WHERE deleted_at IS NULL") == [(0,)]
    assert rows_of(all_types, "SELECT count(*) FROM projection.export_source") == [(0,)]


KILLED = """
import os, signal, sys
from strandline.consumer.exports import export
def write(connection, view, parts):
    parts.next().write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
export.write_csv = write
export.export_model(*sys.argv[1:])
"""


def test_killed_export_is_unfinished_and_can_be_deleted(all_types: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "copy" / "all.csv"
    killed = subprocess.run([sys.executable, "-c", KILLED, all_types, "all_types", str(file)], check=False, timeout=60)
    assert killed.returncode == -9
    assert [one.name for one in file.parent.iterdir()] == [".all.csv.1.partial"]
    assert "unfinished" in run("status").out
    assert rows_of(all_types, "SELECT count(*) FROM projection.export_source") == [(2,)]
    assert run("exports", "--delete", "1").status == 0
    assert list(file.parent.iterdir()) == []


def test_existing_file_is_kept_unless_it_is_to_be_overwritten(all_types: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    assert run("export-model", "all_types", str(file)).status == 0
    before = file.read_bytes()
    refused = run("export-model", "all_types", str(file))
    assert (refused.status, file.read_bytes()) == (2, before)
    assert "--overwrite" in refused.err
    assert run("export-model", "all_types", str(file), "--overwrite").status == 0
    assert [one["export"] for one in run("exports", "--json").json["exports"]] == [2]


def test_missing_package_leaves_no_entry_in_the_register(
    all_types: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = run("export-model", "all_types", str(tmp_path / "a.parquet"))
    assert (refused.status, "extra `parquet`" in refused.err) == (2, True)
    assert run("exports", "--all", "--json").json == {"exports": []}


def test_export_past_its_time_is_named_and_deleted(all_types: str, run: Run, tmp_path: Path, database: str) -> None:
    assert run("export-model", "all_types", str(tmp_path / "a.csv"), "--with-ttl", "2w").status == 0
    assert run("export-model", "all_types", str(tmp_path / "b.csv")).status == 0
    listed = run("exports")
    header, first, second = (line.split("\t") for line in listed.out.splitlines())
    assert (listed.status, header[4]) == (0, "keep until")
    in_two_weeks = datetime.now(UTC) + timedelta(weeks=2)
    assert first[4] in {f"{in_two_weeks - timedelta(seconds=gone):%Y-%m-%d %H:%M} UTC" for gone in (0, 60)}
    assert second[4] == ""
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE projection.export SET expires_at = now() - interval '1 day' WHERE export = 1")
    assert "a.csv: past its time" in run("status").out
    assert run("exports", "--delete-expired").status == 0
    assert [file.name for file in tmp_path.glob("*.csv")] == ["b.csv"]


def test_snapshot_keeps_a_cut_over_out(all_types: str) -> None:
    """Another table behind the view would look empty to it."""
    view = Identifier("read", "all_types")
    with module._snapshot(all_types, "all_types", view), psycopg.connect(all_types) as other:
        other.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("CREATE OR REPLACE VIEW read.all_types AS SELECT * FROM generation.all_types_900")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["all_types", "a.xlsx"], "ends in .parquet, .csv, .jsonl"),
        (["nothing", "a.csv"], "There is no read model nothing"),
        (["read_models", "a.csv"], "There is no read model read_models"),
        (["all_types", "a.csv", "--with-ttl", "soon"], "such as 30d"),
        (["all_types", "/proc/none/a.csv"], "cannot be written"),
        (["all_types", "s3://bucket.csv"], "write s3://bucket/key"),
    ],
)
def test_bad_input_is_one_line(
    all_types: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("export-model", *arguments)
    assert outcome.status in (1, 2)
    assert text in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not list(tmp_path.glob("*.csv"))


def test_file_on_another_machine_is_not_deleted_here(all_types: str, run: Run, database: str, tmp_path: Path) -> None:
    assert run("export-model", "all_types", str(tmp_path / "a.csv")).status == 0
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE projection.export SET place = 'file://elsewhere/a.csv'")
    refused = run("exports", "--delete", "1")
    assert (refused.status, "on another machine" in refused.err) == (2, True)
    assert run("exports", "--gone", "1").status == 0
    with pytest.raises(UsageError, match="no export 1"):
        find(database, 1)


def find(database: str, number: int) -> None:
    with connect(database) as connection:
        find_export(connection, number)
