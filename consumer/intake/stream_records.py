"""Sorts a batch of KCL: rows to store, and refusals with the bytes of what cannot be stored."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from strandline.consumer.store.rejected import Refusal
from strandline.journal.check.block import Fault, Omission
from strandline.journal.decode.copy_format import Rows
from strandline.journal.decode.kernel import decode_record
from strandline.journal.decode.record import DecodedRecord
from strandline.journal.errors import UnreadableError


class Received(NamedTuple):
    """A user record; `position` is its sequence and subsequence number in the shard."""

    data: bytes
    position: str


class Part(NamedTuple):
    """The rows of one record."""

    record: Received
    strand_id: str
    rows: Rows
    omissions: Sequence[Omission]


@dataclass(slots=True)
class Sorted:
    """The contents of a batch; `created` and `completed`: QLDB's CONTROL records said so of the stream."""

    parts: list[Part] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    created: bool = False
    completed: bool = False


def sort_out(records: Iterable[Received], source: str, *, trust_deletions: bool = False) -> Sorted:
    """Decode and verify each record by itself. Never raises for the contents of the bytes."""
    result = Sorted()
    for received in records:
        for record in _checked(received, trust_deletions):
            if record.faults:
                result.refusals.append(_refusal(received, source, record))
            elif record.contents.rows is not None and record.strand_id is not None:
                result.parts.append(Part(received, record.strand_id, record.contents.rows, record.contents.omissions))
            result.created |= record.kind == "CONTROL CREATED"
            result.completed |= record.kind == "CONTROL COMPLETED"
    return result


def refuse(received: Received, source: str, fault: Fault, block_hash: bytes | None = None) -> Refusal:
    """Return a refusal that keeps the record itself: an export may not have it."""
    return Refusal(fault.sequence_no, block_hash, source, received.position, fault.fault, fault.detail, received.data)


def _checked(received: Received, trust_deletions: bool) -> Iterator[DecodedRecord]:
    some = False
    try:
        for record in decode_record(received.data, trust_deletions=trust_deletions):
            some = True
            yield record
        if not some:
            raise UnreadableError("holds no record")
    except UnreadableError as error:
        yield DecodedRecord("unreadable", [Fault(None, "unreadable", str(error))])


def _refusal(received: Received, source: str, record: DecodedRecord) -> Refusal:
    detail = "; ".join(fault.detail for fault in record.faults)
    return refuse(received, source, record.faults[0]._replace(detail=detail), record.block_hash)
