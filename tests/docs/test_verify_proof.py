"""The auditor's script gives the answers of `check_proof`, and its own Ion Hash agrees with `journal.ion.hash`."""

import contextlib
import dataclasses
import importlib.util
import io
import json
import subprocess
import sys
from base64 import b64encode
from datetime import timedelta, timezone
from decimal import Decimal
from itertools import islice
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
from amazon.ion import simpleion
from amazon.ion.core import IonType, TimestampPrecision
from amazon.ion.simple_types import IonPyBytes, IonPyList, IonPyNull
from hypothesis import given, settings
from hypothesis import strategies as st

from strandline.journal.check import merkle
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.block import timestamp
from strandline.journal.proofs.check import Answer, check_proof
from strandline.journal.proofs.file import Proof
from tests.docs.mutations import mutated_files, our_hash
from tests.journal.proofs.examples import DAMAGED, DOCUMENTS, TAMPERED, UNCHECKED, make_proof, make_strand, real_proof
from tests.journal.proofs.forgeries import made_block

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "docs" / "verify_proof.py"
CONFORMANCE = ROOT / "tests" / "vectors" / "ion-hash" / "ion_hash_tests.ion"


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


script = load(SCRIPT, "verify_proof")


def script_hash(data: bytes) -> bytes:
    digest = script.ion_hash(script.IonReader(data).read_one())
    assert isinstance(digest, bytes)
    return digest


def timestamps() -> st.SearchStrategy[ion.Timestamp]:
    def make(
        parts: tuple[int, int, int, int, int, int], precision: Any, digits: int, fraction: int, offset: int | None
    ) -> ion.Timestamp:
        year, month, day, hour, minute, second = parts
        kinds = list(TimestampPrecision)
        known = kinds.index(precision)
        zone = None if offset is None or known < kinds.index(TimestampPrecision.MINUTE) else offset
        return ion.Timestamp(
            year,
            month if known >= 1 else 1,
            day if known >= 2 else 1,
            hour if known >= 3 else 0,
            minute if known >= 3 else 0,
            second if known >= 4 else 0,
            fraction % 10**digits * 10 ** (6 - digits) if known >= 4 else 0,
            tzinfo=None if zone is None else timezone(timedelta(minutes=zone)),
            precision=precision,
            fractional_precision=digits if known >= 4 else None,
        )

    parts = st.tuples(
        st.integers(2, 9998),
        st.integers(1, 12),
        st.integers(1, 28),
        st.integers(0, 23),
        st.integers(0, 59),
        st.integers(0, 59),
    )
    offsets = st.none() | st.integers(-1439, 1439)
    return st.builds(
        make, parts, st.sampled_from(list(TimestampPrecision)), st.integers(0, 6), st.integers(0, 999_999), offsets
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
DECIMALS = st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(map(int, str(digits))), exponent)),
    st.integers(0, 1),
    st.integers(0, 10**40),
    st.integers(-300, 300),
)
NULLS = st.sampled_from([kind for kind in IonType if kind is not IonType.NULL])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**60), 10**60),
    st.floats(),
    DECIMALS,
    timestamps(),
    TEXT,
    TEXT.map(lambda text: ion.SymbolToken(text, None)),
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda data: IonPyBytes.from_value(IonType.CLOB, data)),
    NULLS.map(lambda kind: IonPyNull.from_value(kind, None)),
    st.lists(TEXT, min_size=1, max_size=3).map(lambda names: IonPyBytes.from_value(IonType.BLOB, b"\x0b\x0c", names)),
)
VALUES = st.recursive(
    SCALARS,
    lambda values: st.one_of(
        st.lists(values, max_size=20),
        st.lists(values, max_size=4).map(lambda members: IonPyList.from_value(IonType.SEXP, members)),
        st.dictionaries(TEXT, values, max_size=8),
    ),
    max_leaves=30,
)


@settings(max_examples=120, deadline=None)
@given(VALUES)
def test_ion_hash_of_script_equals_ours(value: Any) -> None:
    data = ion.write(value)

    assert script_hash(data) == ion_hash(ion.read_one(data))


@pytest.mark.parametrize(
    "text",
    [
        "{a: 1, a: 2, b: 1}",
        "annotated::other::{a: [b::1, (c d null.sexp)], '': null.struct}",
        "[1.0, 1.00, 1e0, 0., -0., 0d3, -0.0, 0e0, -0e0, nan, +inf, 1d-200000, 1d63, 1d64, 1d-64]",
        "[2017T, 2017-08T, 2017-08-21T, 2017-08-21T10:30Z, 2017-08-21T10:30-00:00, 2017-08-21T10:30:05.000+12:45]",
        '[$0, \'$0\', symbol, "", {{}}, {{"clob"}}, null, null.int, null.timestamp, {}, (), []]',
        "[-1, 0, 255, 256, -18446744073709551616]",
    ],
)
def test_ion_hash_agrees_on_rare_values(text: str) -> None:
    value = next(ion.read_typed(text.encode()))

    assert script_hash(ion.write(value)) == ion_hash(value)


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        ("e00100ea 00 2101", "1"),
        ("e00100ea 21 01 01 ff", "1"),
        ("e00100ea 220001", "1"),
        ("e00100ea b5 0000 2101 00", "[1]"),
        ("e00100ea d3 84 01 ff", "{}"),
        ("e00100ea d1 83 84 21 01", "{name: 1}"),
        ("e00100ea 44 3fc00000", "1.5e0"),
        ("e00100ea 53 40 81 05", "0.5"),
    ],
    ids=[
        "padding",
        "padding-after",
        "leading-zero",
        "padding-in-list",
        "padding-in-struct",
        "ordered",
        "float32",
        "long",
    ],
)
def test_ion_hash_agrees_on_other_encodings_of_a_value(encoded: str, text: str) -> None:
    assert script_hash(bytes.fromhex(encoded)) == ion_hash(ion.read_one(text.encode()))


def test_symbol_table_appends_to_the_one_before() -> None:
    first = ion.write({"alpha": 1})[:-4]  # its symbol table alone
    assert first.endswith(b"alpha")
    appended = bytes.fromhex("eb 81 83 d8 86 71 03 87 b3 82") + b"be" + bytes.fromhex("d6 8a 21 01 8b 21 02")

    assert script_hash(first + appended) == ion_hash({"alpha": 1, "be": 2})


@settings(max_examples=120, deadline=None)
@given(VALUES)
def test_text_of_script_has_the_hash_of_the_value(value: Any) -> None:
    data = ion.write(value)
    text = script.text(script.IonReader(data).read_one())
    assert text.isprintable()
    # amazon.ion's C extension does not read \\U in a symbol.
    again = simpleion.load_python(io.StringIO(text, newline=""), single_value=True)
    assert ion_hash(again) == ion_hash(ion.read_one(data))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{a: 1, 'b c': [true, null.int]}", "{a: 1, 'b c': [true, null.int]}"),
        ("1.50", "1.50"),
        ("-0.", "-0."),
        ("1d-60", "1d-60"),
        ("12d3", "12d3"),
        ("2017T", "2017T"),
        ("2017-08-21T10:30-00:00", "2017-08-21T10:30-00:00"),
        ("2017-08-21T10:30:05.120+12:45", "2017-08-21T10:30:05.120+12:45"),
        ("1e2", "100.0e0"),
        ('"\\x1b[2J\\u202e"', '"\\x1b[2J\\u202e"'),
        ("{{AAE=}}", "{{AAE=}}"),
        ('{{"a\\"b"}}', '{{"a\\"b"}}'),
        ("a::(b 'nan')", "a::(b 'nan')"),
    ],
)
def test_text_of_script_is_legible(value: str, text: str) -> None:
    data = ion.write(next(ion.read_typed(value.encode())))
    assert script.text(script.IonReader(data).read_one()) == text


@pytest.mark.parametrize("state", DOCUMENTS)
def test_verifiers_agree_on_each_state(state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proof = make_proof(make_strand(), 3, state)

    assert run(proof.to_json(), proof.digest, tmp_path) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "THE PROOF HOLDS, against the digest given"
    assert 'table        "T"' in said
    assert f"document     {state}, version 3" in said
    assert 'transaction  "tx3" at 2020-09-13T12:26:40.003Z' in said
    assert ('data         {name: "normal", number: 3}' in said) == (state == "normal")
    assert check_proof(proof.to_json().encode(), proof.digest).ok


@pytest.mark.parametrize(("state", "change"), [row[1:3] for row in TAMPERED], ids=[r[0] for r in TAMPERED])
def test_verifiers_agree_on_tampered_proofs(
    state: str, change: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = make_proof(make_strand(), 3, state)
    content = json.loads(proof.to_json())
    change(content)

    assert run(json.dumps(content), proof.digest, tmp_path) == 1
    assert "DOES NOT HOLD" in capsys.readouterr().out


@pytest.mark.parametrize(("state", "change"), [row[1:3] for row in UNCHECKED], ids=[r[0] for r in UNCHECKED])
def test_verifiers_agree_on_what_cannot_be_checked(state: str, change: Any, tmp_path: Path) -> None:
    proof = make_proof(make_strand(), 3, state)
    content = json.loads(proof.to_json())
    change(content)

    assert run(json.dumps(content), proof.digest, tmp_path) == 3


@pytest.mark.parametrize(("member", "change"), DAMAGED)
def test_script_refuses_damaged_proofs(
    member: str, change: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = make_proof(make_strand(), 3, "normal")
    content = json.loads(proof.to_json())
    change(content)

    assert run(json.dumps(content), proof.digest, tmp_path) == 3
    assert "CANNOT BE CHECKED" in capsys.readouterr().out


def test_script_refuses_a_part_of_a_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(made_block().to_json(), None, tmp_path) == 1
    assert "next to this one" in capsys.readouterr().out


def test_script_calls_an_older_file_weak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proof = dataclasses.replace(make_proof(make_strand(), 3, "normal"), binding=None)
    content = {**json.loads(proof.to_json()), "format": "strandline-proof/1"}
    assert run(json.dumps(content), proof.digest, tmp_path) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "THE PROOF HOLDS, WEAKLY (see the notes), against the digest given"
    assert script.WEAK in said


def proof_of(value: Any) -> Proof:
    """The proof of a revision that holds the value, alone in its journal."""
    metadata = {"id": "doc", "version": 3, "txTime": timestamp(0), "txId": "tx"}
    revision_hash = merkle.dot(ion_hash(metadata), ion_hash(value))
    return dataclasses.replace(
        real_proof(),
        document_id="doc",
        version=3,
        hash=revision_hash,
        metadata=ion.write(metadata),
        data=ion.write(value),
        path=(),
        digest=revision_hash,
    )


@pytest.mark.parametrize(
    "text",
    ["{a: b::{{Cww=}}, c: [1e0]}", "{a: b::2020-01-01T00:00:00.000Z, c: 1}", "{a: b::c::1.5, d: e::[f::2020T]}"],
)
def test_annotated_fields_are_read_by_both(text: str) -> None:
    assert both(proof_of(ion.read_one(text.encode()))) == ("holds", "holds")


@settings(max_examples=150, deadline=None)
@given(VALUES, st.integers(0, 2**16), st.integers(0, 255))
def test_verifiers_agree_on_any_changed_byte(value: Any, place: int, byte: int) -> None:
    proof = proof_of(ion.read_one(ion.write({"value": value})))
    assert both(proof) == ("holds", "holds")

    changed = bytearray(proof.data or b"")
    changed[place % len(changed)] = byte
    changed_proof = dataclasses.replace(proof, data=bytes(changed))
    ours, scripts = both(changed_proof)
    assert ours == scripts


@pytest.mark.parametrize("seed", range(3))
def test_verifiers_agree_on_mutated_files(seed: int, tmp_path: Path) -> None:
    different = []
    for content in islice(mutated_files(Random(seed), [our_hash, script_hash]), 400):
        ours, scripts = our_answer(content), file_answer(content, tmp_path)
        if ours != scripts:
            different.append((ours, scripts, content))
    assert different == []


def test_script_checks_a_real_revision(tmp_path: Path) -> None:
    proof = real_proof()

    assert run(proof.to_json(), proof.digest, tmp_path) == 0
    assert run(proof.to_json(), None, tmp_path) == 0
    assert run(proof.to_json(), bytes(32), tmp_path) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", "hello", "[" * 100_000])
def test_file_that_is_no_proof_is_refused(content: str, tmp_path: Path) -> None:
    assert run(content, None, tmp_path) == 3
    with pytest.raises(UnreadableError):
        check_proof(content.encode())


def test_deep_nesting_is_refused_without_a_crash(tmp_path: Path) -> None:
    nested = b""
    for _ in range(20_000):
        nested = (
            bytes([0xB0 | len(nested)]) if len(nested) < 14 else b"\xbe" + script.write_var_uint(len(nested))
        ) + nested
    proof = dataclasses.replace(real_proof(), data=script.VERSION_MARKER + nested)

    assert run(proof.to_json(), None, tmp_path) == 1


def test_script_runs_without_installed_packages(tmp_path: Path) -> None:
    proof = real_proof()
    file = tmp_path / "proof.json"
    file.write_text(proof.to_json())
    command = [sys.executable, "-I", "-S", "-W", "error", str(SCRIPT), str(file), "--digest"]

    def call(digest: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*command, digest], capture_output=True, text=True, check=False)

    good, other, bad = call(b64encode(proof.digest).decode()), call(b64encode(bytes(32)).decode()), call("nothing")

    assert (good.returncode, other.returncode, bad.returncode) == (0, 1, 2)
    assert good.stdout.splitlines()[-1].startswith("THE PROOF HOLDS")
    assert good.stderr == other.stderr == ""
    assert "Traceback" not in bad.stderr
    file.unlink()
    assert call(b64encode(proof.digest).decode()).returncode == 2


def both(proof: Proof) -> tuple[Answer, Answer]:
    """Return our answer and the script's."""
    content = proof.to_json()
    return check_proof(content.encode()).answer, script_answer(content)


def our_answer(content: bytes) -> Answer:
    try:
        return check_proof(content).answer
    except UnreadableError:
        return "cannot be checked"


def file_answer(content: bytes, folder: Path) -> Answer:
    file = folder / "mutated.json"
    file.write_bytes(content)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            script.verify(script.read_proof(str(file)), None)
    except script.NotProved:
        return "does not hold"
    except script.NotChecked:
        return "cannot be checked"
    return "holds"


def script_answer(content: str) -> Answer:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            script.verify(json.loads(content), None)
    except script.NotProved:
        return "does not hold"
    except script.NotChecked:
        return "cannot be checked"
    return "holds"


def run(content: str, digest: bytes | None, folder: Path) -> int:
    file = folder / "proof.json"
    file.write_text(content)
    arguments = [str(file)] + ([] if digest is None else ["--digest", b64encode(digest).decode()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["verify_proof.py", *arguments])
        status = script.main()
    assert isinstance(status, int)
    return status
