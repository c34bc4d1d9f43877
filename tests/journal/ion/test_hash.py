"""The official Ion Hash conformance tests (amazon-ion/ion-hash-test), all cases."""

import hashlib
from typing import Any

import pytest

from strandline.journal.ion.hash import Serializer, ion_hash
from tests.journal.ion.conformance import ALGORITHMS, CASES


def test_whole_file_is_read() -> None:
    assert len(CASES) == 171


@pytest.mark.parametrize(("value", "algorithm", "expected"), CASES)
def test_value_hashes_as_specified(value: Any, algorithm: str, expected: bytes) -> None:
    hash_function = ALGORITHMS[algorithm]

    assert hash_function(Serializer(hash_function)(value)).digest() == expected


def test_names_beyond_the_cache_hash_the_same() -> None:
    serializer = Serializer(hashlib.sha256)
    before = serializer({"name": 1})
    for number in range(20_001):
        serializer({f"name{number}": 1})

    assert serializer({"name": 1}) == before


def test_other_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="object is not an Ion value"):
        ion_hash(object())
