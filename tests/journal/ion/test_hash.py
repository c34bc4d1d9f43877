"""The official Ion Hash conformance tests (amazon-ion/ion-hash-test), every case of them.

The file states its expectations as the bytes that an identity "hash" gives, and for some cases as MD5: both are taken;
it has none with SHA-256 (QLDB's own bytes test that, in test_vectors). Only the bytes of the last digest are
compared, since they hold all that was given to the hash function before.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amazon.ion import simpleion

from strandline.journal.ion.hash import Serializer, ion_hash
from strandline.journal.ion.values import BINARY_VERSION_MARKER

CONFORMANCE = Path(__file__).parents[2] / "vectors/ion-hash/ion_hash_tests.ion"


class Identity(bytes):
    """The "hash" that is its input, so that an expectation shows every byte."""

    def digest(self) -> bytes:
        return bytes(self)


ALGORITHMS = {"identity": Identity, "md5": hashlib.md5}


def as_bytes(expression: Any) -> bytes:
    return bytes(int(member) for member in expression)


def cases() -> Iterator[Any]:
    simpleion.c_ext = False  # the C extension cannot read this file: too many annotations
    try:
        tests = simpleion.loads(CONFORMANCE.read_text(), single_value=False)
        for index, test in enumerate(tests):
            names = [annotation.text for annotation in test.ion_annotations]
            if "ion" in test:
                value = test["ion"]
            else:
                value = simpleion.loads(
                    BINARY_VERSION_MARKER + as_bytes(test["10n"]).removeprefix(BINARY_VERSION_MARKER)
                )
            for algorithm, steps in test["expect"].items():
                digests = [step for step in steps if step.ion_annotations[0].text.endswith("digest")]
                yield pytest.param(value, algorithm, as_bytes(digests[-1]), id=f"{index}-{'-'.join(names)}-{algorithm}")
    finally:
        simpleion.c_ext = True


CASES = list(cases())


def test_the_whole_file_is_read() -> None:
    assert len(CASES) == 171


@pytest.mark.parametrize(("value", "algorithm", "expected"), CASES)
def test_conformance(value: Any, algorithm: str, expected: bytes) -> None:
    hash_function = ALGORITHMS[algorithm]

    assert hash_function(Serializer(hash_function)(value)).digest() == expected


def test_names_beyond_the_cache_hash_the_same() -> None:
    serializer = Serializer(hashlib.sha256)
    before = serializer({"name": 1})
    for number in range(20_001):
        serializer({f"name{number}": 1})

    assert serializer({"name": 1}) == before


def test_what_is_no_ion_value_is_refused() -> None:
    with pytest.raises(TypeError, match="object is not an Ion value"):
        ion_hash(object())
