"""Decodes archived raw Kinesis records into verified rows ready for COPY: one pure function.

Blocks and revisions arrive separately, in any order and more than once. `summaries` and `arrived` are each side's data
for pairing them later (journal.check.pairing).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from strandline.journal.check.block import Fault
from strandline.journal.check.pairing import ExpectedRevision, StreamedRevision
from strandline.journal.decode.copy_format import Rows, Tally, shapes_of
from strandline.journal.decode.kernel import decode_record
from strandline.journal.decode.objects import Decoded, unreadable, value_at
from strandline.journal.decode.packaging import user_records
from strandline.journal.decode.record import DecodedRecord
from strandline.journal.errors import UnreadableError, UnwritableError
from strandline.journal.ion import values as ion

_LARGEST_RECORD = 10 * 1024 * 1024  # Kinesis's limit; a larger file holds many records


class RefusedRecord(NamedTuple):
    """A fault and its record: the file, the user record's position in it, and the record's bytes.

    `record` is None if the file is too large for one record and could not be split.
    """

    fault: Fault
    file: str
    position: int
    record: bytes | None


@dataclass(slots=True)
class DecodedRecords(Decoded):
    """The contents of records. `records` counts them by kind (journal.decode.record); `refused` lists faulty ones."""

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
    """Read, verify and pack the records in files, each a name and bytes (forms: `journal.decode.packaging`).

    Never raises because of the bytes: an unreadable record is a fault,
    and kept in `refused`.
    """
    result = DecodedRecords()
    rows: list[Rows] = []
    seen: dict[
        bytes, list[str]
    ] = {}  # the kinds of the records in a user record's bytes: repetitions are close together
    for name, data in files:
        try:
            records = list(user_records(data))
        except UnreadableError as error:
            _refuse(result, [unreadable(error)], name, 0, data)
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
    """Add the record, or the several records, in a user record's bytes to the result; returns their kinds."""
    kinds: list[str] = []
    one = _Splitter(data)
    try:
        for record in decode_record(data, trust_deletions=trust_deletions, with_rows=rows is not None):
            if rows is not None and record.contents.rows is not None:
                rows.append(record.contents.rows)
            if record.faults:
                _refuse(result, record.faults, name, position + len(kinds), one.record(len(kinds)))
            _add(record, result)
            kinds.append(record.kind)
        if not kinds:
            raise UnreadableError("holds no record")
    except UnreadableError as error:
        _refuse(result, [unreadable(error)], name, position + len(kinds), data)
    return kinds


def _add(record: DecodedRecord, result: DecodedRecords) -> None:
    result.add(record.contents)
    result.summaries += record.summaries
    if record.arrived is not None:
        result.arrived.append(record.arrived)


class _Splitter:
    """Splits concatenated records, so that a fault in each does not keep all the bytes each time."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._typed: Iterator[tuple[int, Any]] | None = None

    def record(self, index: int) -> bytes:
        """Return the bytes of the record at `index`, which rises from call to call."""
        if self._typed is None:
            if sum(1 for _ in islice(ion.read_each(self._data), 2)) < 2:
                return self._data
            self._typed = enumerate(ion.read_each(self._data, typed=True))
        try:
            return ion.write(value_at(self._typed, index))
        except UnwritableError:
            return self._data


def _refuse(result: DecodedRecords, faults: Sequence[Fault], name: str, position: int, record: bytes) -> None:
    kept = record if len(record) <= _LARGEST_RECORD else None
    result.faults += faults
    result.refused += [RefusedRecord(fault, name, position, kept) for fault in faults]
