"""Unusual values of real ledgers, and hostile input: stored as they are, or refused in one line."""

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from amazon.ion import simpleion
from hypothesis import given, settings
from hypothesis import strategies as st

from strandline.cli.app import run
from strandline.journal.decode import stream
from strandline.journal.decode.archives import decode_records
from strandline.journal.decode.objects import decode
from strandline.journal.decode.stream import UserRecord
from strandline.journal.ion.json import escape, exact
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp
from tests.journals import STRAND, TABLE, Block, ion_binary, ion_text, json_lines, small_journal

DOCUMENT = "DocumentOdd00000000000"
FORMS = {"binary": ion_binary, "text": ion_text, "json": json_lines}


def journal(data: Any, table: str = "Odd", more: tuple[str, ...] = ()) -> list[Block]:
    """Three blocks: the table is made, the document comes, and the end."""
    maker = BlockMaker(STRAND)

    def make(texts: tuple[str, ...], revisions: tuple[NewRevision, ...] = ()) -> Block:
        at = 1_600_000_000_000 + maker.next_sequence_no * 1_000
        return maker.make(
            transaction_id=f"Transaction{maker.next_sequence_no:011d}",
            tx_time=timestamp(at),
            block_time=timestamp(at + 7),
            statements=[Statement(text, timestamp(at - 30)) for text in texts],
            revisions=revisions,
        )

    quoted = table.replace('"', '""')
    return [
        make((f'CREATE TABLE "{quoted}"', *more)),
        make(("INSERT INTO Odd ?",), (NewRevision(DOCUMENT, TABLE, table, 0, data),)),
        make(("SELECT * FROM Odd",)),
    ]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return {"deep": value}


ODD: dict[str, Any] = {
    "nested 200 deep": nested(200),
    "1 MB": {"long": "x" * 1_000_000},
    "40 digits": {"whole": 10**39 + 7, "fine": Decimal("0." + "1234567890" * 4)},
    "1e200000": {"large": Decimal("1e200000"), "small": Decimal("1e-200000")},
    "5,000 digits": {"whole": 10**5_000 + 1, "fine": Decimal(f"{'1' * 900}.5")},
    "NUL": {"a\0b": "c\0d", "\ufdd0": "\ufdd00000"},
    "empty names": {"": {"": ""}},
    "a field twice": simpleion.loads('{name: "first", name: "second", inner: {a: 1, a: 2}}'),
    "names of SQL": {"'; DROP TABLE journal.block; --": '"', "$1": "%s", "\\": "\\x00"},
    "text of all planes": {"\u202e\u0301": "\U0001f600\U0010ffff\x7f"},
    "types": simpleion.loads('{a: null.list, b: nan, c: +inf, d: {{"clob"}}, e: (s exp), f: x::1, g: 2020T, h: {{}}}'),
    "a list for a document": [1, {"a": 2}],
    "a word for a document": "just text",
}  # fmt: skip
TABLES = {
    "63 bytes": "T" * 63,
    "64 bytes": "T" * 64,
    "63 bytes of two each": "ü" * 31 + "x",
    "200 bytes": "long" * 50,
    "quotes": "a\"b'c",
    "SQL": 'x"; DROP SCHEMA journal CASCADE; --',
    "percent": "%s {} $1",
    "a view's own name": "user_tables",
    "another view's own name": "user_table_fields",
    "another's committed view": "_ql_committed_T",
    "blank": " ",
}


@pytest.fixture
def replayed(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[bytes], tuple[int, dict[str, Any]]]:
    def replay(data: bytes) -> tuple[int, dict[str, Any]]:
        monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
        (tmp_path / "journal.ion").write_bytes(data)
        status = run(["replay", "--json", str(tmp_path / "journal.ion")])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert said.out, said.err
        return status, json.loads(said.out)

    return replay


def ask(query: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert run(["sql", "--write", "--json", query]) == 0
    rows: list[dict[str, Any]] = exact(capsys.readouterr().out)["rows"]
    return rows


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ODD)
def test_an_odd_document(
    replayed: Callable[[bytes], tuple[int, dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
    name: str,
    form: str,
) -> None:
    if (name, form) == ("a field twice", "json"):
        pytest.skip("JSON that is made of it has lost one of the fields")
    if (name, form) == ("5,000 digits", "text"):
        pytest.skip("Python writes no text of so many digits")
    data = FORMS[form](journal(ODD[name]))
    status, told = replayed(data)
    assert (status, told["mark"], told["rejected"]) == (0, 2, 0)
    assert run(["verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    [shown] = ask('SELECT data FROM ledger."Odd"', capsys)
    if name == "40 digits":
        assert shown["data"] == ODD[name]
    if name == "NUL":
        assert shown["data"] == {escape("a\0b"): escape("c\0d"), escape("\ufdd0"): escape("\ufdd00000")}
    if name == "1 MB":
        assert shown["data"] == ODD[name]


@pytest.mark.parametrize("name", TABLES)
def test_an_odd_table_name(
    replayed: Callable[[bytes], tuple[int, dict[str, Any]]], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    table = TABLES[name]
    status, told = replayed(ion_binary(journal({"a": 1}, table, (f'CREATE INDEX ON "{table}" (a)',))))
    assert (status, told["mark"]) == (0, 2)
    [listed] = ask("SELECT name, view_name FROM ledger.user_tables", capsys)
    assert listed["name"] == table
    quoted = listed["view_name"].replace('"', '""')
    assert ask(f'SELECT data FROM ledger."{quoted}"', capsys) == [{"data": {"a": 1}}]
    literal = table.replace("'", "''")
    assert ask(f"SELECT document_id FROM ledger.history('{literal}')", capsys) == [{"document_id": DOCUMENT}]


@pytest.mark.parametrize("form", FORMS)
def test_nesting_that_nobody_can_read_is_refused(
    replayed: Callable[[bytes], tuple[int, dict[str, Any]]], form: str
) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    if form == "binary":
        deep = ion_binary(small_journal()) + b"\xbe\x84" * 20_000
    whole = FORMS[form](small_journal()) + b"\n"
    status, told = replayed(whole + deep)
    assert status == 1
    assert told["mark"] == 8
    assert told["rejected"] >= 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_lone_surrogate(replayed: Callable[[bytes], tuple[int, dict[str, Any]]], form: str) -> None:
    """No QLDB could hold one; JSON can, and its hash is not recomputed. Ion's would not be that of the data."""
    data = FORMS[form](journal({"a": "SURROGATE"})).replace(b"SURROGATE", rb"\ud800")
    status, told = replayed(data)
    assert (status, told["mark"]) == ((0, 2) if form == "json" else (1, 0))


@pytest.mark.parametrize("value", ["$#", "{$#: 1}", "{a: [$#::1]}"])
@pytest.mark.parametrize("digits", ["4294967296", "9" * 100, "9" * 5_000], ids=["wraps", "100", "5000"])
def test_a_symbol_id_that_no_table_can_have(tmp_path: Path, value: str, digits: str) -> None:
    """Read in a process of its own: whoever looked for it went on for ever."""
    (tmp_path / "journal.ion").write_bytes(ion_text(small_journal()) + b"\n" + value.replace("#", digits).encode())
    command = [sys.executable, "-m", "strandline.cli", "verify", "--json", str(tmp_path / "journal.ion")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["blocks"] == 9
    assert [fault["fault"] for fault in told["faults"]] == ["unreadable"]


def test_a_text_that_looks_like_a_large_symbol_id(replayed: Callable[[bytes], tuple[int, dict[str, Any]]]) -> None:
    status, told = replayed(ion_text(journal({"price": "$" + "9" * 100, "when": simpleion.loads("2020T")})))
    assert (status, told["mark"]) == (0, 2)


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=200), prefix=st.sampled_from([b"", b"\xe0\x01\x00\xea", b'{"', b"\xf3\x89\x9a\xc2", b"{"])
)
def test_any_bytes(data: bytes, prefix: bytes) -> None:
    decoded = decode(prefix + data)
    assert decoded.rows is None
    assert decode_records([("file", prefix + data)]).rows is None


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_packed_record_with_one_byte_changed_is_kept(at: int, flip: int) -> None:
    """The checksum covers all but the magic bytes; whatever cannot be read is refused with its bytes."""
    records = [record for block in small_journal() for record in stream.block_records("arn", block)]
    packed = bytearray(next(stream.aggregate([UserRecord("0", r.data) for r in records], 1 << 20)))
    packed[at % len(packed)] ^= flip
    decoded = decode_records([("file", bytes(packed))])
    assert decoded.rows is None
    assert [refused.record for refused in decoded.refused] == [bytes(packed)]


def test_damaged_input_in_a_process_of_its_own(database: str, tmp_path: Path) -> None:
    """For a few seconds; `make soak` goes on longer. A reader that crashes or hangs leaves the input that did it."""
    kept = tmp_path / "input"
    command = [
        sys.executable,
        "-m",
        "tests.faults.fuzz",
        "--seconds",
        "6",
        "--input",
        str(kept),
        "--database",
        database,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.stderr[-2000:], kept.read_bytes())
    assert json.loads(done.stdout)["with faults"]
