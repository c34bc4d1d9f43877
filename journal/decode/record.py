"""Checks one user record of a stream by itself: a block summary, revision details, or a control record."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from strandline.journal.check.block import CheckedBlock, CheckedRevision, Fault, Table, check_block, check_revision
from strandline.journal.check.members import ShapeError, id_in, sequence_no_in, struct_in, table_name_in
from strandline.journal.check.pairing import ExpectedRevision, StreamedRevision, summaries
from strandline.journal.decode import stream
from strandline.journal.decode.copy_format import Rows, Tally, pack, pack_revision
from strandline.journal.decode.objects import MOST_OTHERS, Decoded, count_block, unreadable, value_at
from strandline.journal.errors import UnreadableError, UnsupportedValueError, UnwritableError
from strandline.journal.ion import values as ion

_Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """A record and its faults.

    `kind` is the recordType, for control records CONTROL CREATED or CONTROL COMPLETED; "unreadable" if the value is not
    a record of QLDB's. A BLOCK_SUMMARY has a `block`, which names the revisions that arrive separately.
    REVISION_DETAILS have a `revision`, its description `arrived` for pairing, and a `block` with only the address.
    """

    kind: str
    faults: list[Fault] = field(default_factory=list)
    block: CheckedBlock | None = None
    revision: CheckedRevision | None = None
    arrived: StreamedRevision | None = None


@dataclass(slots=True)
class DecodedRecord:
    """One user record, verified; `contents` holds its rows ready for COPY and its counts.

    `summaries` and `arrived` are for pairing blocks and revisions (journal.check.pairing). `strand_id` is None if no
    block or revision could be read, `block_hash` unless the record is a summary.
    """

    kind: str
    faults: list[Fault]
    contents: Decoded = field(default_factory=Decoded)
    strand_id: str | None = None
    block_hash: bytes | None = None
    summaries: list[ExpectedRevision] = field(default_factory=list)
    arrived: StreamedRevision | None = None


def decode_records_of(data: bytes, *, trust_deletions: bool, with_rows: bool = True) -> Iterator[DecodedRecord]:
    """Decode the user records in `data` one by one; raises as `check_records` does."""
    for record in check_records(data, trust_deletions=trust_deletions):
        yield _decoded(record, with_rows)


def _decoded(record: CheckedRecord, with_rows: bool) -> DecodedRecord:
    block, revision = record.block, record.revision
    decoded = DecodedRecord(record.kind, record.faults)
    if block is None:
        return decoded
    decoded.strand_id = block.strand_id
    if with_rows:
        decoded.contents.rows = _rows(block, revision, record.faults)
    if revision is None:
        decoded.block_hash = block.block_hash
        count_block(block, decoded.contents)
        decoded.summaries = list(summaries(block))
    elif not record.faults:
        decoded.arrived = record.arrived
        if revision.deletion:
            decoded.contents.deletions[revision.deletion] += 1
        if revision.state == "redacted":
            decoded.contents.redacted.append((revision.document_id, revision.version))
    return decoded


def _rows(block: CheckedBlock, revision: CheckedRevision | None, faults: list[Fault]) -> Rows | None:
    """Pack the record for COPY; None if there is a fault, which may show only here."""
    if faults:
        return None
    number = block.sequence_no
    tally = Tally()
    try:
        packed = pack(block, tally) if revision is None else (b"", pack_revision(block, revision, tally))
        return Rows(*packed, number, number, tally, in_order=True)
    except UnwritableError as error:
        faults.append(Fault(number, "unsupported-value", str(error)))
        return None


def check_records(data: bytes, *, trust_deletions: bool = False) -> Iterator[CheckedRecord]:
    """Check the user records in `data`: one, or several concatenated as a delivery stream writes them.

    Raises UnreadableError at the first bytes that are not Ion, after the records before them.
    """
    typed: Iterator[tuple[int, Any]] | None = None
    others = 0
    for index, value in enumerate(ion.read_each(data)):
        record = _check(value, trust_deletions)
        if record.kind == "unreadable":
            others += 1
            if others > MOST_OTHERS:
                raise UnreadableError(f"more than {MOST_OTHERS} values are not records of QLDB's")
        elif record.faults:
            # A struct may repeat a field, which plain dicts lose: read this value again with all its fields.
            typed = typed or enumerate(ion.read_each(data, typed=True))
            again = _check(value_at(typed, index), trust_deletions)
            record = record if again.faults else again
        yield record


def _check(value: Any, trust_deletions: bool) -> CheckedRecord:
    if type(value) is UnsupportedValueError:
        return CheckedRecord("unreadable", [unreadable(value)])
    try:
        record = stream.as_record(value)
    except UnreadableError as error:
        return CheckedRecord("unreadable", [Fault(None, "unreadable", str(error))])
    if record.type == "CONTROL":
        event = record.payload.get("controlRecordType")
        return CheckedRecord(f"CONTROL {event}" if event in ("CREATED", "COMPLETED") else "CONTROL")
    check = _CHECKS[record.type]
    try:
        return check(record.payload, trust_deletions)
    except ShapeError as error:
        reason = str(error)
    except RecursionError:
        reason = "nested too deeply"
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        # Ion can hold anything anywhere; the value is payload, so only the kind of failure is reported.
        reason = f"a member is not what it holds ({type(error).__name__})"
    return CheckedRecord(record.type, [Fault(None, "shape", f"not a valid {record.type} record: {reason}")])


def _check_summary(payload: _Payload, trust_deletions: bool) -> CheckedRecord:
    _check_blob(payload, "blockHash")
    block = check_block(payload, trust_deletions=trust_deletions)
    return CheckedRecord("BLOCK_SUMMARY", block.faults, block)


def _check_details(payload: _Payload, trust_deletions: bool) -> CheckedRecord:
    value, info = struct_in(payload, "revision"), struct_in(payload, "tableInfo")
    address = struct_in(value, "blockAddress")
    _check_blob(value, "hash")
    block = CheckedBlock(id_in(address, "strandId"), sequence_no_in(address), b"", b"", "full")
    revision, fault = check_revision(value, level="full", trust_deletions=trust_deletions)
    revision.table = Table(id_in(info, "tableId"), table_name_in(info))
    name = f"revision {revision.document_id} version {revision.version}"
    if fault == "deletion":
        block.fault("deletion-hash", f"{name}: has no data, and its hash is not that of a deletion")
    elif fault:
        block.fault("revision-hash", f"{name}: {fault}")
    arrived = StreamedRevision(
        block.sequence_no,
        revision.hash,
        block.strand_id,
        revision.document_id,
        revision.version,
        revision.table,
        revision.tx_id,
        revision.tx_time.timestamp(),
    )
    return CheckedRecord("REVISION_DETAILS", block.faults, block, revision, arrived)


def _check_blob(payload: _Payload, name: str) -> None:
    """Refuse text as a hash: it would pass for JSON's, which is checked less strictly; a stream has no JSON."""
    if isinstance(payload.get(name), str):
        raise ShapeError(f"{name} is not a blob")


_CHECKS: dict[str, Callable[[_Payload, bool], CheckedRecord]] = {
    "BLOCK_SUMMARY": _check_summary,
    "REVISION_DETAILS": _check_details,
}
