"""Which kernel decodes: the native one (native/, built by `make native`) where it is there, else the plain Python.

Both give the same; `journal.decode.objects` is the readable statement of it, and takes what the native kernel leaves
to it: JSON, and Ion that is malformed or rare. STRANDLINE_KERNEL=python switches the native one off.
"""

import importlib
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from strandline.journal.check.block import Fault, Table
from strandline.journal.check.pairing import ExpectedRevision, StreamedRevision
from strandline.journal.decode import objects, record
from strandline.journal.decode.copy_format import Count, Rows, Tally
from strandline.journal.decode.gzip import decompressed
from strandline.journal.decode.objects import Decoded, Link
from strandline.journal.decode.record import DecodedRecord
from strandline.journal.errors import UnreadableError

_SEAM = 8  # of native/src/python.rs; a build that has another is not used
_EPOCH_2000 = 946_684_800_000_000  # microseconds from 1970


def _native() -> Any | None:
    if os.environ.get("STRANDLINE_KERNEL") == "python":
        return None
    try:
        module = importlib.import_module("strandline_native")
    except ImportError:
        return None
    return module if getattr(module, "SEAM", None) == _SEAM else None


_NATIVE = _native()

KERNEL: Literal["native", "python"] = "python" if _NATIVE is None else "native"
"""The kernel that this process uses."""


def decode(data: bytes, *, trust_deletions: bool = False, with_rows: bool = True) -> Decoded:
    """As `journal.decode.objects.decode`; the native kernel releases the GIL, so threads run side by side."""
    decoded = None if _NATIVE is None else decode_natively(_NATIVE, data, trust_deletions, with_rows)
    if decoded is None:
        decoded = objects.decode(data, trust_deletions=trust_deletions, with_rows=with_rows)
    return decoded


def decode_natively(native: Any, data: bytes, trust_deletions: bool, with_rows: bool) -> Decoded | None:
    """What the native module gives; None where it leaves the object to the plain Python."""
    try:
        found = native.decode(decompressed(data), trust_deletions, with_rows)
    except UnreadableError:
        return None
    if isinstance(found, str):
        return None
    return _decoded(found)


def decode_record(data: bytes, *, trust_deletions: bool = False, with_rows: bool = True) -> Iterator[DecodedRecord]:
    """As `journal.decode.record.decode_records_of`; the native kernel takes what is one record and holds."""
    decoded = None if _NATIVE is None else decode_record_natively(_NATIVE, data, trust_deletions)
    if decoded is None:
        yield from record.decode_records_of(data, trust_deletions=trust_deletions, with_rows=with_rows)
        return
    if not with_rows:
        decoded.held.rows = None
    yield decoded


def decode_record_natively(native: Any, data: bytes, trust_deletions: bool) -> DecodedRecord | None:
    """What the native module gives; None where it leaves the record to the plain Python."""
    found = native.decode_record(data, trust_deletions)
    if isinstance(found, str):
        return None
    kind, held, side = found
    decoded = DecodedRecord(kind, [], _decoded(held))
    if kind == "BLOCK_SUMMARY":
        decoded.strand_id, number, decoded.block_hash, transaction_id, time, revisions = side
        decoded.summaries = [
            ExpectedRevision(
                number,
                decoded.block_hash,
                revision_hash,
                document_id,
                Table(*(table or (None, None))),
                transaction_id,
                _seconds(time),
            )
            for revision_hash, document_id, table in revisions
        ]
    elif kind == "REVISION_DETAILS":
        decoded.strand_id, number, revision_hash, document_id, version, table, tx_id, time = side
        decoded.arrived = StreamedRevision(
            number, revision_hash, side[0], document_id, version, Table(*table), tx_id, _seconds(time)
        )
    return decoded


def statement_texts(info: bytes) -> list[str] | None:
    """The texts of the statements of a transactionInfo in Ion; None where plain Python has to read it."""
    texts: list[str] | None = None if _NATIVE is None else _NATIVE.statement_texts(info)
    return texts


def hash_and_json(data: bytes) -> tuple[bytes, str] | None:
    """The Ion Hash and the JSON (journal.ion_json) of one Ion value; None where plain Python has to read it."""
    found: tuple[bytes, str] | None = None if _NATIVE is None else _NATIVE.value(data)
    return found


def _seconds(microseconds_from_2000: int) -> float:
    return (microseconds_from_2000 + _EPOCH_2000) / 1_000_000


def _decoded(found: Any) -> Decoded:
    links, packed, faults, warnings, redactions, deletions, redacted, named = found
    taken = None
    if packed is not None:
        blocks, revisions, first_no, last_no, in_order, shapes, counts, tables = packed
        tally = Tally(shapes, {key: Count(*count) for key, count in counts.items()}, tables)
        taken = Rows(blocks, revisions, first_no, last_no, tally, in_order)
    return Decoded(
        links=[Link(*link) for link in links],
        rows=taken,
        faults=[Fault(*fault) for fault in faults],
        warnings=[Fault(*warning) for warning in warnings],
        redactions=redactions,
        deletions=Counter(deletions),
        redacted=redacted,
        named=named,
    )
