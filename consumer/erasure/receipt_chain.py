"""The chain of receipts: each names the hash of the one before, and holds no data. The head names the last one.

A redaction has a receipt for each store and each level that it has reached there: *hidden*, no query finds it;
*expunged*, the deleted rows are vacuumed or merged away; *physical*, the bytes are gone from the store's files.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from strandline.consumer.database.connection import Connection
from strandline.journal.errors import UsageError

Level = Literal["hidden", "expunged", "physical"]

FIRST_PREVIOUS = bytes(32)  # the hash that the first receipt names as the one before

LOCK = "SELECT pg_advisory_xact_lock(%s)"
LOCK_KEY = int.from_bytes(b"receipt", "big")
READ_HEAD = "SELECT count, hash FROM projection.receipt_head"
MOVE_HEAD = "UPDATE projection.receipt_head SET count = %s, hash = %s"
READ_RECEIPTS = "SELECT number, body, hash FROM projection.receipt {} ORDER BY number"
COPY = "COPY projection.receipt (number, document_id, version, store, level, body, hash) FROM STDIN (FORMAT binary)"
TYPES = ("bigint", "text", "bigint", "text", "text", "text", "bytea")


class Head(NamedTuple):
    """The end of the chain: the number of the last receipt, and its hash."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"


@dataclass(frozen=True)
class Receipt:
    """One receipt: `body` is JSON, `hash` the SHA-256 of it."""

    number: int
    body: str
    hash: bytes

    def content(self) -> dict[str, Any]:
        """Return the members of the body."""
        content: dict[str, Any] = json.loads(self.body)
        return content

    def as_dict(self) -> dict[str, Any]:
        """Return the members of the body, and its hash, in the form of `receipts --json`."""
        return {**self.content(), "hash": self.hash.hex()}

    def follows(self, number: int, previous: bytes) -> bool:
        """Return whether this is receipt `number` of the chain, after the one whose hash is `previous`."""
        content = self.content()
        return (
            self.number == content["receipt"] == number
            and content["previous"] == previous.hex()
            and hashlib.sha256(self.body.encode()).digest() == self.hash
        )


def lock_chain(connection: Connection) -> None:
    """Lock the end of the chain until the transaction ends."""
    connection.execute(LOCK, [LOCK_KEY])


def append(connection: Connection, contents: Sequence[Mapping[str, Any]]) -> None:
    """Append receipts, given without `receipt` and `previous`; the caller holds the lock of `lock_chain`.

    They follow the head: if the last receipt was deleted, its number stays missing.
    """
    number, previous = read_head(connection)
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.set_types(TYPES)
        for content in contents:
            number += 1
            body = json.dumps({"receipt": number, **content, "previous": previous.hex()}, separators=(",", ":"))
            previous = hashlib.sha256(body.encode()).digest()
            key = (content["documentId"], content["version"], content["store"], content["level"])
            copy.write_row((number, *key, body, previous))
    connection.execute(MOVE_HEAD, [number, previous])


def read_head(connection: Connection) -> Head:
    """Return the stored head."""
    row = connection.execute(READ_HEAD).fetchone()
    return Head(*row) if row else Head(0, FIRST_PREVIOUS)


def parse_head(text: str) -> Head:
    """Parse a head as `str` gives it. Raises UsageError."""
    count, _, digest = text.strip().partition(":")
    try:
        head = Head(int(count), bytes.fromhex(digest))
    except ValueError:
        head = None
    if head is None or head.number < 0 or len(head.hash) != len(FIRST_PREVIOUS):
        raise UsageError(f"{text} is not a head of receipts: expected COUNT:HASH as `receipts --head` prints it")
    return head


def read_receipts(connection: Connection, document_id: str | None = None) -> Iterator[Receipt]:
    """Yield all receipts, or those of one document, in the order in which they were issued."""
    condition, parameters = ("", []) if document_id is None else ("WHERE document_id = %s", [document_id])
    with connection.transaction(), connection.cursor(name="receipts") as cursor:
        cursor.execute(READ_RECEIPTS.format(condition).encode(), parameters)
        for row in cursor:
            yield Receipt(*row)
