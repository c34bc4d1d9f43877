"""One pure function: the bytes of archived raw Kinesis records → verified rows, ready for COPY.

Blocks and revisions come apart, in any order and more than once, so what only the two together show is left to whoever
has both: `summaries` and `arrived` are what each side says (journal.streamed).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from strandline.journal.check.block import Fault
from strandline.journal.check.pairing import ExpectedRevision, StreamedRevision
from strandline.journal.decode import stream
from strandline.journal.decode.copy_format import Rows, Tally, shapes_of
from strandline.journal.decode.gzip import decompressed
from strandline.journal.decode.kernel import decode_record
from strandline.journal.decode.objects import Decoded
from strandline.journal.decode.record import DecodedRecord
from strandline.journal.errors import UnreadableError, UnwritableError
from strandline.journal.ion import values as ion

_LARGEST_RECORD = 10 * 1024 * 1024  # of Kinesis; a file that is larger holds many


class RefusedRecord(NamedTuple):
    """A fault and the record that it was found in: the file, which of the user records in it, and its bytes.

    `record` is None where the file is too large to be one record, and could not be taken apart.
    """

    fault: Fault
    file: str
    position: int
    record: bytes | None


@dataclass(slots=True)
class DecodedRecords(Decoded):
    """What records held. `records` counts them by kind (journal.record); `refused` has the record of each fault."""

    records: Counter[str] = field(default_factory=Counter)
    summaries: list[ExpectedRevision] = field(default_factory=list)
    arrived: list[StreamedRevision] = field(default_factory=list)
    refused: list[RefusedRecord] = field(default_factory=list)

    @property
    def revision_count(self) -> int:
        return len(self.arrived)


def decode_records(
    files: Sequence[tuple[str, bytes]], *, trust_deletions: bool = False, with_rows: bool = True
) -> DecodedRecords:
    """Read, verify and pack raw records, each a file's name and bytes: KPL-aggregated or not, also gzip'd.

    A file may also hold user records one after another. Never raises for what the bytes hold: what cannot be read is a
    fault, and kept.
    """
    result = DecodedRecords()
    rows: list[Rows] = []
    seen: dict[bytes, list[str]] = {}  # the kinds that a record's bytes held: most repetitions come close together
    for name, data in files:
        try:
            records = stream.deaggregate(decompressed(data))
        except UnreadableError as error:
            _refuse(result, [Fault(None, "unreadable", str(error))], name, 0, data)
            continue
        for position, record in enumerate(records):
            if record not in seen:
                seen[record] = _take(record, name, position, trust_deletions, result, rows if with_rows else None)
            result.records.update(seen[record])
    if rows:
        result.rows = Rows(
            b"".join(part.blocks for part in rows),
            b"".join(part.revisions for part in rows),
            min(part.first_no for part in rows),
            max(part.last_no for part in rows),
            Tally(shapes_of(rows)),
        )
    return result


def _take(
    data: bytes, name: str, position: int, trust_deletions: bool, result: DecodedRecords, rows: list[Rows] | None
) -> list[str]:
    """Add up what a user record holds, or the several in one; gives their kinds."""
    kinds: list[str] = []
    try:
        for record in decode_record(data, trust_deletions=trust_deletions, with_rows=rows is not None):
            if rows is not None and record.held.rows is not None:
                rows.append(record.held.rows)
            if record.faults:
                _refuse(result, record.faults, name, position + len(kinds), _one(data, len(kinds)))
            _add(record, result)
            kinds.append(record.kind)
        if not kinds:
            raise UnreadableError("holds no record")
    except UnreadableError as error:
        _refuse(result, [Fault(None, "unreadable", str(error))], name, position + len(kinds), data)
    return kinds


def _add(record: DecodedRecord, result: DecodedRecords) -> None:
    held = record.held
    result.links += held.links
    result.warnings += held.warnings
    result.redactions += held.redactions
    result.deletions.update(held.deletions)
    result.redacted += held.redacted
    result.named += held.named
    result.erased += held.erased
    result.summaries += record.summaries
    if record.arrived is not None:
        result.arrived.append(record.arrived)


def _one(data: bytes, index: int) -> bytes:
    """Of several records one after another only the one, or a fault in each would keep all of them as often."""
    if sum(1 for _ in islice(ion.read(data), 2)) < 2:
        return data
    try:
        return ion.write(next(islice(ion.read_typed(data), index, None)))
    except UnwritableError:
        return data


def _refuse(result: DecodedRecords, faults: Sequence[Fault], name: str, position: int, record: bytes) -> None:
    kept = record if len(record) <= _LARGEST_RECORD else None
    result.faults += faults
    result.refused += [RefusedRecord(fault, name, position, kept) for fault in faults]
