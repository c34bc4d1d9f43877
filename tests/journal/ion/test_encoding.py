"""One pass gives the same hash, JSON and Ion, byte for byte, as the separate functions."""

import math
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strandline.journal.ion import values as ion
from strandline.journal.ion.encoded import Encoded
from strandline.journal.ion.encoding import _transaction_info, encode, encode_transaction_info, metadata_digest
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.json import to_json
from tests.native.odd_journals import SCALARS, odd_journal

LICENCE = """{licenceId: "L-1", firstName: "Zoë", points: 3, fee: 34.00, issued: 2023-01-02T04:09:28.466Z, open: true,
    hash: {{AAAA}}, name: null, events: [{eventName: "LicenceIssued", fee: -1.50, at: 0128-01-01T00:00:00.128Z}, []]}"""


def as_written(text: str) -> Any:
    return ion.read_one(text.encode())


def check_same(value: dict[str, Any]) -> Any:
    encoded = encode(value)
    assert ion_hash(encoded) == ion_hash(dict(value))
    assert to_json(encoded) == to_json(dict(value))
    assert ion.write(encoded) == ion.write(dict(value))
    assert encoded == value
    return encoded


def structs_in(value: Any) -> Iterator[dict[str, Any]]:
    if type(value) is dict:
        yield value
        for member in value.values():
            yield from structs_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from structs_in(member)


def test_ordinary_document_is_encoded_in_one_pass() -> None:
    assert type(check_same(as_written(LICENCE))) is Encoded


@pytest.mark.parametrize("scalar", SCALARS)
def test_scalars_are_encoded_alike(scalar: str) -> None:
    for _ in range(2):  # the second time from what is kept in mind
        check_same(as_written(f"{{v: {scalar}, name: [{scalar}, {{w: {scalar}}}]}}"))


def test_equal_values_of_different_types_differ() -> None:
    check_same(as_written("{a: [1, true, 1.0, 1., 1e0], b: true, c: 1, d: 1.00, e: '1', f: \"1\"}"))
    check_same(as_written("{a: 1, b: 1., c: 1e0, d: true}"))


def test_odd_journals_are_encoded_alike() -> None:
    for seed in range(100):
        for block in odd_journal(Random(seed)):
            for struct in structs_in(block):
                check_same(struct)


@pytest.mark.parametrize("count", [13, 14, 118, 119, 246, 247, 300])
def test_many_names_are_encoded_alike(count: int) -> None:
    check_same({f"n{number}": {f"n{count - number}": number} for number in range(count)})


@pytest.mark.parametrize("length", [0, 13, 14, 127, 128, 255, 256, 20_000])
def test_all_lengths_are_encoded_alike(length: int) -> None:
    check_same({"text": "x" * length, "blob": bytes(length), "list": [0] * length, "int": 256 ** min(length, 300)})


@pytest.mark.parametrize("depth", [3, 49, 50, 51, 100])
def test_deep_nesting_is_encoded_alike(depth: int) -> None:
    value: Any = {"text": "x"}
    for _ in range(depth):
        value = {"a": [value]}
    check_same(value)


@given(st.dictionaries(st.text(max_size=4), st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=4))
def test_text_is_encoded_alike(value: dict[str, str]) -> None:
    check_same(value)


@given(st.lists(st.text('\\u0"d\x01\n'), max_size=4))
@example(["\\u0000", '"\\u0000', '\\u0000\\u0000"', "\\u0000\\u0000", "\\\\u0000\\\\u0000", '"'])
def test_text_is_never_mistaken_for_number_mark(texts: list[str]) -> None:
    check_same({"texts": texts, "n": Decimal("-1.50"), **{text: Decimal(1) for text in texts}})


@pytest.mark.parametrize(
    "value",
    [math.inf, -math.inf, math.nan, 2**20_000, Decimal("1e131072"), Decimal("1e-16384")],
    ids=lambda value: type(value).__name__,
)
def test_json_of_rare_numbers_is_written(value: Any) -> None:
    document = {**as_written(LICENCE), "v": value, "w": 1.5}
    assert type(encode(document)) is Encoded
    assert to_json(encode(document)) == to_json(document)


INFO = """{statements: [{statement: "INSERT INTO a ?", startTime: 2023-01-02T04:09:28.466Z, statementDigest: {{CwwO}}},
    {statement: "a\\n", startTime: 2023T, statementDigest: {{}}}],
    documents: {d1: {tableName: "a", tableId: "t", statements: [0]},
    d2: {tableName: "a", tableId: "t", statements: [0, 300]}}}"""
NAMES = st.sampled_from(["a", "documents", "tableId", "name", "", "\x0b", "é"])
TEXTS = st.sampled_from(["Licence", "statements", "", "\x0b", "\0", "x" * 97])
STATEMENT = st.fixed_dictionaries(
    {
        "statement": TEXTS | st.none(),
        "startTime": st.sampled_from(["2023-01-02T04:09:28.466Z", "2023T", "null"]).map(as_written),
        "statementDigest": st.binary(max_size=32) | TEXTS,
    },
    optional={"other": TEXTS},
)
DOCUMENT = st.fixed_dictionaries(
    {
        "tableName": TEXTS | st.integers(),
        "tableId": TEXTS | st.binary(max_size=2),
        "statements": st.lists(st.integers(-1, 300) | st.booleans(), max_size=3) | TEXTS,
    },
    optional={"other": TEXTS},
)


def check_info(info: dict[str, Any]) -> Any:
    encoded, expected = encode_transaction_info(info), encode(info)
    assert type(encoded) is type(expected)
    assert ion_hash(encoded) == ion_hash(dict(info))
    assert ion.write(encoded) == ion.write(dict(info))
    assert encoded == info
    return encoded


@given(
    st.lists(STATEMENT, max_size=3) | TEXTS,
    st.dictionaries(NAMES | st.text(st.characters(exclude_categories=["Cs"]), max_size=2), DOCUMENT, max_size=4)
    | TEXTS,
    st.dictionaries(NAMES, TEXTS, max_size=1),
)
def test_transaction_info_is_encoded_as_any_struct(statements: Any, documents: Any, more: dict[str, Any]) -> None:
    check_info({"statements": statements, "documents": documents, **more})
    check_info({"documents": documents, "statements": statements})


@pytest.mark.parametrize("count", [1, 2, 40, 110, 111, 112, 2_000])
def test_transaction_info_of_many_documents_is_encoded_alike(count: int) -> None:
    info = as_written(INFO)
    info["documents"] = {f"document{number}": info["documents"]["d1"] for number in range(count)}
    check_info(info)


@pytest.mark.parametrize("name", ["statements", "startTime", "documents", "tableId", "name", "$ion", "\x0b"])
def test_transaction_info_with_odd_document_id_is_encoded_alike(name: str) -> None:
    info = as_written(INFO)
    info["documents"] = {name: info["documents"]["d1"], **info["documents"]}
    check_info(info)


def test_equal_statement_numbers_of_other_types_differ() -> None:
    info = as_written(INFO)
    for numbers in ([1], [True], [Decimal(1)], [1.0]):
        info["documents"]["d1"]["statements"] = numbers
        check_info(info)


def test_transaction_info_takes_fast_path() -> None:
    assert _transaction_info(as_written(INFO)) is not None
    check_info(as_written(INFO))


TIMES = [
    "2023-01-02T04:09:28.466Z",
    "2023-01-02T04:09:28Z",
    "2023-01-02T04:09:28.466+00:00",
    "0127-01-01T00:00:00.000Z",
]
TIMES += ["2023-01-02T04:09:28.466-00:00", "2023-01-02T04:09:28.466+01:00", "2023T", "2023-01-02T04:09:28.000Z"]


@given(
    st.permutations(["id", "version", "txTime", "txId"]) | st.just(["id", "version", "txTime", "txId"]),
    st.text(max_size=3) | TEXTS,
    st.integers(0, 2**63) | st.booleans() | st.decimals(0, 3, places=0),
    st.sampled_from(TIMES).map(as_written) | st.just("2023-01-02T04:09:28.466Z"),
    st.text(max_size=3) | TEXTS | st.none(),
    st.dictionaries(st.just("other"), st.just(1)),
)
def test_metadata_is_hashed_as_any_struct(
    order: list[str], document_id: str, version: Any, time: Any, tx_id: Any, more: dict[str, Any]
) -> None:
    members = {"id": document_id, "version": version, "txTime": time, "txId": tx_id}
    metadata = {name: members[name] for name in order} | more
    assert metadata_digest(metadata) in (None, ion_hash(metadata))


def test_plain_metadata_takes_fast_path() -> None:
    metadata = {"id": "a", "version": 300, "txTime": as_written(TIMES[0]), "txId": "b\x0b"}
    assert metadata_digest(metadata) == ion_hash(metadata)
    assert metadata_digest({**metadata, "other": 1}) is None
    assert metadata_digest({**metadata, "version": True}) is None


def test_characters_that_jsonb_refuses_skip_fast_path() -> None:
    for text in ("\0", "\ufdd0", "a\0b"):
        assert type(check_same({"text": text})) is dict
