"""The cases of the official Ion Hash conformance tests (amazon-ion/ion-hash-test).

The file states expectations as the bytes that an identity "hash" gives, and for some cases as MD5; both are used. It
has none with SHA-256, which QLDB's own bytes test (tests/journal/test_vectors.py). Only the last digest is compared,
since it covers everything that was hashed before.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amazon.ion import simpleion

from strandline.journal.ion.values import BINARY_VERSION_MARKER

CONFORMANCE = Path(__file__).parents[2] / "vectors/ion-hash/ion_hash_tests.ion"


class Identity(bytes):
    """A "hash" equal to its input, so that an expectation shows every byte."""

    def digest(self) -> bytes:
        return bytes(self)


ALGORITHMS = {"identity": Identity, "md5": hashlib.md5}


def _as_bytes(expression: Any) -> bytes:
    return bytes(int(member) for member in expression)


def _cases() -> Iterator[Any]:
    simpleion.c_ext = False  # the C extension cannot read this file: too many annotations
    try:
        tests = simpleion.loads(CONFORMANCE.read_text(), single_value=False)
        for index, test in enumerate(tests):
            names = [annotation.text for annotation in test.ion_annotations]
            if "ion" in test:
                value = test["ion"]
            else:
                value = simpleion.loads(
                    BINARY_VERSION_MARKER + _as_bytes(test["10n"]).removeprefix(BINARY_VERSION_MARKER)
                )
            for algorithm, steps in test["expect"].items():
                digests = [step for step in steps if step.ion_annotations[0].text.endswith("digest")]
                name = f"{index}-{'-'.join(names)}-{algorithm}"
                yield pytest.param(value, algorithm, _as_bytes(digests[-1]), id=name)
    finally:
        simpleion.c_ext = True


CASES = list(_cases())
