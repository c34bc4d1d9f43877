"""Chooses the kernel that decodes: the native one (native/, built by `make native`) if installed, else plain Python.

Both give the same results. `journal.decode.objects` is the readable reference, and decodes what the native kernel hands
over: JSON, and malformed or rare Ion. STRANDLINE_KERNEL=python disables the native kernel.
"""

import importlib
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from strandline.journal.check.block import Fault, Omission, Table
from strandline.journal.check.pairing import ExpectedRevision, StreamedRevision
from strandline.journal.decode import objects, record
from strandline.journal.decode.copy_format import Count, Rows, Tally
from strandline.journal.decode.graft import find_graft
from strandline.journal.decode.gzip import decompress
from strandline.journal.decode.objects import Decoded, Link
from strandline.journal.decode.record import DecodedRecord
from strandline.journal.errors import UnreadableError

_SEAM = 10  # as in native/src/python.rs; a build with another number is not used
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
    """Decode as `journal.decode.objects.decode` does. The native kernel releases the GIL: threads run in parallel."""
    decoded = None if _NATIVE is None else decode_natively(_NATIVE, data, trust_deletions, with_rows)
    if decoded is None:
        decoded = objects.decode(data, trust_deletions=trust_deletions, with_rows=with_rows)
    if not with_rows:
        decoded.graft = find_graft(data)
    return decoded


def decode_natively(native: Any, data: bytes, trust_deletions: bool, with_rows: bool) -> Decoded | None:
    """Decode by the native module; None if it hands the object over to plain Python."""
    try:
        found = native.decode(decompress(data), trust_deletions, with_rows)
    except UnreadableError:
        return None
    if isinstance(found, str):
        return None
    return _decoded(found)


def decode_record(data: bytes, *, trust_deletions: bool = False, with_rows: bool = True) -> Iterator[DecodedRecord]:
    """Decode as `journal.decode.record.decode_records_of` does; the native kernel takes a single, sound record."""
    decoded = None if _NATIVE is None else decode_record_natively(_NATIVE, data, trust_deletions)
    if decoded is None:
        yield from record.decode_records_of(data, trust_deletions=trust_deletions, with_rows=with_rows)
        return
    if not with_rows:
        decoded.contents.rows = None
    yield decoded


def decode_record_natively(native: Any, data: bytes, trust_deletions: bool) -> DecodedRecord | None:
    """Decode by the native module; None if it hands the record over to plain Python."""
    found = native.decode_record(data, trust_deletions)
    if isinstance(found, str):
        return None
    kind, contents, side = found
    decoded = DecodedRecord(kind, [], _decoded(contents))
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


def check_stored(
    strand_id: str, blocks: bytes, revisions: bytes, *, trust_deletions: bool
) -> tuple[Decoded, list[int]] | None:
    """Check stored blocks, given as binary COPYs of BLOCK_COLUMNS and REVISION_COLUMNS (journal.decode.copy_format).

    Returns the counts of those that hold, and the numbers of the others, which plain Python has to check; None if it
    has to check all.
    """
    found = None if _NATIVE is None else _NATIVE.check_stored(strand_id, blocks, revisions, trust_deletions)
    if found is None or isinstance(found, str):
        return None
    accepted, left = found
    return _decoded(accepted), left


def statement_texts(info: bytes) -> list[str] | None:
    """Return the statement texts of a transactionInfo in Ion; None if plain Python has to read it."""
    texts: list[str] | None = None if _NATIVE is None else _NATIVE.statement_texts(info)
    return texts


def hash_and_json(data: bytes) -> tuple[bytes, str] | None:
    """Return the Ion Hash and the JSON (journal.ion.json) of one Ion value; None if plain Python has to read it."""
    found: tuple[bytes, str] | None = None if _NATIVE is None else _NATIVE.value(data)
    return found


def _seconds(microseconds_from_2000: int) -> float:
    return (microseconds_from_2000 + _EPOCH_2000) / 1_000_000


def _decoded(found: Any) -> Decoded:
    links, packed, faults, warnings, redactions, deletions, redacted, named, omissions = found
    rows = None
    if packed is not None:
        blocks, revisions, first_no, last_no, in_order, shapes, counts, tables = packed
        tally = Tally(shapes, {key: Count(*count) for key, count in counts.items()}, tables)
        rows = Rows(blocks, revisions, first_no, last_no, tally, in_order)
    return Decoded(
        links=[Link(*link) for link in links],
        rows=rows,
        faults=[Fault(*fault) for fault in faults],
        warnings=[Fault(*warning) for warning in warnings],
        redactions=redactions,
        deletions=Counter(deletions),
        redacted=redacted,
        named=named,
        omissions=[Omission(*omission) for omission in omissions],
    )
