"""Checks receipts: their chain, and that every store is free of the data that they name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from strandline.consumer.erasure.probe import Residue, probe
from strandline.consumer.erasure.receipt_chain import FIRST_PREVIOUS, read_receipts
from strandline.consumer.erasure.receipts import REDACTIONS_AT_ONCE, unsearched_stores
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.sinks.contract import Key


@dataclass(frozen=True)
class ReceiptCheck:
    """The result of a check.

    `receipts` counts all, `broken_at` is the first that breaks the chain, `residue` is what was found of revisions that
    receipts call erased, and `unsearched` names the stores that are off.
    """

    receipts: int
    broken_at: int | None
    residue: list[Residue]
    unsearched: list[str]

    @property
    def holds(self) -> bool:
        return self.broken_at is None and not self.residue and not self.unsearched


def check_receipts(
    connection: psycopg.Connection[tuple[Any, ...]], projections: Mapping[str, Projection], stores: Stores
) -> ReceiptCheck:
    """Check the chain of all receipts, and search every store for the data that they call erased.

    Raises `StoreFailed`.
    """
    previous, count, broken_at = FIRST_PREVIOUS, 0, None
    keys: set[Key] = set()
    for receipt in read_receipts(connection):
        count += 1
        if broken_at is None and not receipt.follows(count, previous):
            broken_at = receipt.number
        previous = receipt.hash
        content = receipt.content()
        keys.add((content["documentId"], content["version"]))
    residue: list[Residue] = []
    ordered = sorted(keys)
    for start in range(0, len(ordered), REDACTIONS_AT_ONCE):
        with connection.transaction():
            residue += probe(connection, projections, stores, ordered[start : start + REDACTIONS_AT_ONCE])
    with connection.transaction():
        unsearched = unsearched_stores(connection, stores)
    return ReceiptCheck(count, broken_at, residue, unsearched)
