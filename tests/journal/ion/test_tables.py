"""Symbol tables that would take unbounded memory or time are refused before a reader sees them."""

import pytest

from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.framing import MOST_APPENDS, check_shape, scan

IVM = b"\xe0\x01\x00\xea"
SHARED = 'name:"x",version:1,max_id:4611686018427387904'


def typed(code: int, raw: bytes) -> bytes:
    return bytes([code | 14, len(raw) >> 7, len(raw) & 0x7F | 0x80]) + raw


def table(fields: bytes) -> bytes:
    return typed(0xE0, b"\x81\x83" + typed(0xD0, fields))


IMPORT = typed(0xD0, b"\x84\x81x\x85\x21\x01\x88\x28\x40" + bytes(7))


@pytest.mark.parametrize(
    "text",
    [
        f"$ion_symbol_table::{{imports:[{{{SHARED}}}]}} 1",
        f"'\\x24ion_symbol_table' /*x*/ ::a::{{ 'imp\\u006frts' : [{{{SHARED}}}]}} 1",
        f"$3::{{$6:[{{{SHARED}}}]}} 1",
        f'$ion_symbol_table::{{"imports":[{{{SHARED}}}]}} 1',
        f"$ion_symbol_table::{{'''imp''' '''orts''':[{{{SHARED}}}]}} 1",
        f"$ion_symbol_table::{{imports:a::[{{{SHARED}}}]}} 1",
        f"$ion_symbol_table::{{imports:$ion_symbol_table::[{{{SHARED}}}]}} 1",
        f"$ion_symbol_table::{{imports:null,imports:[{{{SHARED}}}]}} 1",
        f"{{a:1}} $ion_symbol_table::{{symbols:[\"}}\"],imports:[{{{SHARED}}}]}} 1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("read", [ion.read, ion.read_typed])
def test_import_in_text_is_refused(text: str, read: object) -> None:
    with pytest.raises(UnreadableError, match="symbol table"):
        list(read(text.encode()))  # type: ignore[operator]


@pytest.mark.parametrize("data", [table(b"\x86" + typed(0xB0, IMPORT)), table(b"\x84\x81x\x86" + typed(0xB0, IMPORT))])
def test_import_in_binary_is_refused(data: bytes) -> None:
    for check in (lambda data: list(ion.read(data)), check_shape, scan):
        with pytest.raises(UnreadableError, match="symbol table"):
            check(IVM + b"\x0f" + data + b"\x21\x01")


def test_local_tables_are_read() -> None:
    text = (
        b'$ion_symbol_table::{symbols:["a"]} $10 $ion_symbol_table::{imports:$ion_symbol_table,symbols:["b"]} [$10,$11]'
        b' $ion_symbol_table::{imports:[],symbols:["c"]} $10 "$ion_symbol_table::{imports:[{}]}" {x:{imports:[{}]}}'
    )
    one, two, three, *others = ion.read(text)

    assert (one.text, [symbol.text for symbol in two], three.text) == ("a", ["a", "b"], "c")
    assert others == ["$ion_symbol_table::{imports:[{}]}", {"x": {"imports": [{}]}}]


def test_many_appended_tables_are_refused() -> None:
    text = b'$ion_symbol_table::{imports:$ion_symbol_table,symbols:["s"]} '
    binary = table(b"\x86\x71\x03\x87" + typed(0xB0, b"\x81s"))
    for few, many in (
        (text * MOST_APPENDS, text * (MOST_APPENDS + 1)),
        (IVM + binary * MOST_APPENDS, IVM + binary * (MOST_APPENDS + 1)),
    ):
        assert list(ion.read(few)) == []
        with pytest.raises(UnreadableError, match="symbol tables"):
            list(ion.read(many))


def test_huge_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strandline.journal.ion.framing.MOST_VALUE", 1_000)

    assert list(ion.read(IVM + typed(0xB0, typed(0x80, b"x" * 900)))) == [["x" * 900]]
    with pytest.raises(UnreadableError, match="a value of more than"):
        list(ion.read(IVM + typed(0xB0, typed(0x80, b"x" * 1_000))))
