"""Compares the native kernel with the plain Python: values, journals, and a part of the fuzzing (`make fuzz`)."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from amazon.ion import simpleion
from hypothesis import given
from hypothesis import strategies as st

from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.json import to_json
from strandline.journal.ion.values import SymbolToken, Timestamp
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.journal.ion.conformance import CASES, CONFORMANCE
from tests.native.odd_journals import SCALARS

native: Any = pytest.importorskip("strandline_native", reason="not built: make native")
fuzzing: Any = pytest.importorskip("tests.native.fuzz")

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**513), 2**513), st.floats(allow_nan=False), st.text(), st.binary(),
    st.decimals(allow_nan=False, allow_infinity=False).filter(lambda d: -6_000 < int(d.as_tuple().exponent) < 6_000),
    st.text().map(lambda text: SymbolToken(text, None)),
    st.datetimes().map(lambda time: Timestamp(
        time.year, time.month, time.day, time.hour, time.minute, time.second, time.microsecond,
    )),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5), max_leaves=20
)


def of_native(data: bytes) -> tuple[bytes, str, bytes]:
    found = native.values(data)
    assert not isinstance(found, str), found
    (value,) = found
    return value


@given(values)
def test_values_have_the_same_hash_and_json(value: Any) -> None:
    binary = ion.write(value)

    value = ion.read_one(binary)
    digest, json, written = of_native(binary)
    assert digest == ion_hash(value)
    assert json == to_json(value)
    assert written == ion.write(value)


@given(values)
def test_values_in_text_have_the_same_hash_and_json(value: Any) -> None:
    text = f"({ion.write_text(value)})".encode()  # a symbol alone could be a version marker

    value = ion.read_one(text)
    digest, json, written = of_native(text)
    assert digest == ion_hash(value)
    assert json == to_json(value)
    assert written == ion.write(value)


@pytest.mark.parametrize("scalar", [scalar for scalar in SCALARS if scalar != "1_000"])  # that one is handed over
def test_every_scalar_is_the_same(scalar: str) -> None:
    text = f"[{scalar}]".encode()

    value = ion.read_one(text)
    assert of_native(text) == (ion_hash(value), to_json(value), ion.write(value))


def test_nan_hashes_as_the_only_nan() -> None:
    """Its bits, which no hash covers, are not those that amazon.ion writes."""
    value = ion.read_one(b"nan")

    digest, json, written = of_native(b"nan")
    assert (digest, json) == (ion_hash(value), to_json(value))
    assert ion_hash(ion.read_one(written)) == digest


def test_values_of_conformance_file_are_equal() -> None:
    compared = 0
    for case in CASES:
        value = case.values[0]
        for data in (simpleion.dumps([value]), simpleion.dumps([value], binary=False).encode()):
            if isinstance(native.values(data), str):
                continue
            assert of_native(data)[0] == ion_hash([value])
            compared += 1
    assert compared == 2 * len(CASES)


def test_conformance_file_itself_is_read() -> None:
    simpleion.c_ext = False  # the C extension cannot read this file: too many annotations
    try:
        expected = [ion_hash(value) for value in simpleion.loads(CONFORMANCE.read_text(), single_value=False)]
    finally:
        simpleion.c_ext = True
    found = native.values(CONFORMANCE.read_bytes())

    assert not isinstance(found, str), found
    assert [digest for digest, _, _ in found] == expected


@pytest.mark.parametrize("form", [Format.ION_TEXT, Format.ION_BINARY])
def test_simulated_journals_give_the_same_rows(form: Format, tmp_path: Path) -> None:
    made = simulate(tmp_path / "journal", 300, seed=4, format=form)

    for path in tmp_path.rglob(f"{made.strand_id}.*-*.ion"):
        assert fuzzing.compare(path.read_bytes())


def test_fuzzing_finds_no_difference() -> None:
    counts = fuzzing.fuzz(4_000, seed=2)

    assert counts["both"] > 300


@pytest.mark.parametrize(
    "text", ["1d999999", "1" + "0" * 5000, "2020-01-01T00:00:00.1234567891Z", "[" * 101 + "]" * 101]
)
def test_slow_or_ambiguous_input_is_handed_over(text: str) -> None:
    assert isinstance(native.values(text.encode()), str)


def test_long_name_behind_many_ids_is_handed_over() -> None:
    name = "n" * 100_000
    data = ion.write([SymbolToken(name, None)] * 20_000)

    assert native.values(data) == "names that come very often"


def test_decimals_keep_their_exponents() -> None:
    for exponent in (-6_176, -6_143, -34, 0, 34, 6_111):
        value = Decimal((1, tuple(range(1, 10)), exponent))
        data = ion.write(value)
        if ion.read_one(data) == value:
            assert of_native(data)[:2] == (ion_hash(value), to_json(value))
