"""Checks receipts: their chain up to the stored head, and that every store is free of the data that they name."""

from collections.abc import Mapping
from dataclasses import dataclass

from strandline.consumer.database.connection import Connection
from strandline.consumer.database.planner import BY_INDEX
from strandline.consumer.erasure.probe import Residue, probe
from strandline.consumer.erasure.receipt_chain import FIRST_PREVIOUS, Head, lock_chain, read_head, read_receipts
from strandline.consumer.erasure.receipts import REDACTIONS_AT_ONCE, count_without, unsearched_stores
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.sinks.contract import Key


@dataclass(frozen=True)
class ReceiptCheck:
    """The result of a check.

    `receipts` counts all, `broken_at` is the first that breaks the chain, for the `reason`. `without_receipt` counts
    redactions that every read model has applied and that have none. `residue` is what was found of revisions that
    receipts call erased, and `unsearched` names the stores that are off.
    """

    receipts: int
    head: Head
    broken_at: int | None
    reason: str | None
    without_receipt: int
    residue: list[Residue]
    unsearched: list[str]

    @property
    def holds(self) -> bool:
        return self.broken_at is None and not (self.without_receipt or self.residue or self.unsearched)

    def as_dict(self) -> dict[str, object]:
        """Return the result in the form of `receipts --verify --json`."""
        return {
            "ok": self.holds,
            "receipts": self.receipts,
            "head": str(self.head),
            "broken_at": self.broken_at,
            "reason": self.reason,
            "without_receipt": self.without_receipt,
            "unsearched": self.unsearched,
            "residue": [one.as_dict() for one in self.residue],
        }


def check_receipts(
    connection: Connection, projections: Mapping[str, Projection], stores: Stores, saved: Head | None = None
) -> ReceiptCheck:
    """Check the chain of all receipts, and search every store for the data that they call erased.

    `saved` is a head that was given to an outsider: the chain must have gone through it. Raises `StoreFailed`.
    """
    keys: set[Key] = set()
    count, broken_at, reason = 0, None, None
    with connection.transaction():
        lock_chain(connection)
        head = read_head(connection)
        heads = [head] if saved is None else [head, saved]
        previous = FIRST_PREVIOUS
        for receipt in read_receipts(connection):
            count += 1
            if broken_at is None and not receipt.follows(count, previous):
                broken_at, reason = receipt.number, "it, or the one before it, was changed or deleted"
            previous = receipt.hash
            if broken_at is None and any(one.number == count and one.hash != previous for one in heads):
                broken_at, reason = count, "it is not the one that the head names"
            content = receipt.content()
            keys.add((content["documentId"], content["version"]))
        if broken_at is None and count != head.number:
            broken_at, reason = min(count, head.number) + 1, f"the stored head counts {head.number:,} receipts"
        if broken_at is None and saved is not None and count < saved.number:
            broken_at, reason = count + 1, f"the head given counts {saved.number:,} receipts"
        without_receipt = count_without(connection)
    residue: list[Residue] = []
    ordered = sorted(keys)
    for start in range(0, len(ordered), REDACTIONS_AT_ONCE):
        with connection.transaction():
            connection.execute(BY_INDEX)
            residue += probe(connection, projections, stores, ordered[start : start + REDACTIONS_AT_ONCE])
    with connection.transaction():
        unsearched = unsearched_stores(connection, stores)
    return ReceiptCheck(count, head, broken_at, reason, without_receipt, residue, unsearched)
