"""Export of the journal in QLDB's format, once or as it grows: an archive that `replay` and `verify` read.

The objects at the destination show how far the export is. An interrupted or a later export resumes there.
"""

import re
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.mark.effects import CHANNEL
from strandline.consumer.mark.mark import read_mark
from strandline.journal.decode.kernel import decode
from strandline.journal.errors import StrandlineError, UnreadableError, UsageError
from strandline.journal.ion import values as ion
from strandline.journal.make.block import timestamp
from strandline.journal.make.export import encode, encode_manifest, object_name
from strandline.journal.make.format import Format
from strandline.journal.make.ids import new_id
from strandline.ledger.publish.blocks import Block, read_blocks
from strandline.ledger.publish.period import EmptyJournal
from strandline.ledger.publish.target import Target

OBJECT_BLOCKS = 1_000
OBJECT_REVISIONS = 5_000
_QUIET_SECONDS = 5.0  # with `follow`, an object is written when it is full, or after so long
_OBJECT = re.compile(r"([0-9A-Za-z]+)\.(\d+)-(\d+)\.(?:ion|json)$")
_STARTED = re.compile(r"([0-9A-Za-z]+)\.started\.manifest$")


@dataclass(slots=True)
class ExportResult:
    """The blocks and objects that an export wrote. `last_no` is the last block at the destination, None if empty."""

    blocks: int = 0
    objects: int = 0
    last_no: int | None = None


class Exporter:
    """The export of one store's journal to one destination."""

    def __init__(self, url: str, target: Target, format: Format = Format.ION_TEXT) -> None:
        """Raises StrandlineError if the store is empty, UsageError if the destination has another journal or format."""
        self._url = url
        self._target = target
        self._format = format
        with connect(url) as connection:
            mark = read_mark(connection)
        if mark.strand_id is None or mark.sequence_no < mark.origin:
            raise EmptyJournal("The store holds no blocks yet, so there is nothing to export.")
        self._strand_id = mark.strand_id
        self._names = self._objects(mark.origin)
        self._next_no = self._numbers(self._names[-1])[1] + 1 if self._names else mark.origin
        self.exported = ExportResult(last_no=self._next_no - 1 if self._names else None)
        self._export_id = self._started() or self._start()

    def run(self, progress: Callable[[int], None] = lambda _: None) -> ExportResult:
        """Export up to the present mark."""
        with connect(self._url) as connection:
            self._catch_up(connection, progress)
        self._complete()
        return self.exported

    def follow(self, stopping: Callable[[], bool], progress: Callable[[int], None] = lambda _: None) -> ExportResult:
        """Export, then follow the journal until `stopping` returns true."""
        with connect(self._url) as connection, connect(self._url, autocommit=True) as listening:
            listening.execute(f"LISTEN {CHANNEL}")
            self._catch_up(connection, progress)
            self._complete()
            written = time.monotonic()
            while not stopping():
                for _ in listening.notifies(timeout=0.5, stop_after=1):
                    pass
                waiting = read_mark(connection).sequence_no - self._next_no + 1
                if waiting >= OBJECT_BLOCKS or (waiting > 0 and time.monotonic() - written > _QUIET_SECONDS):
                    self._catch_up(connection, progress)
                    self._complete()
                    written = time.monotonic()
            self._catch_up(connection, progress)
        self._complete()
        return self.exported

    def _catch_up(self, connection: psycopg.Connection[Any], progress: Callable[[int], None]) -> None:
        last_no = read_mark(connection).sequence_no
        for blocks in batches(read_blocks(connection, self._next_no, last_no)):
            self._names.append(write_object(self._target, blocks, self._strand_id, self._format))
            self._next_no = blocks[-1]["blockAddress"]["sequenceNo"] + 1
            self.exported.blocks += len(blocks)
            self.exported.objects += 1
            self.exported.last_no = self._next_no - 1
            progress(len(blocks))

    def _objects(self, origin: int) -> list[str]:
        """Return the objects of this strand at the destination, in order."""
        names = [name for name in self._target.names() if _OBJECT.search(name)]
        strands = {self._match(name)[1] for name in names}
        if strands - {self._strand_id}:
            raise UsageError("The destination holds an export of another strand: name an empty one.")
        names.sort(key=lambda name: (self._numbers(name), name))
        if names and self._numbers(names[0])[0] > origin:
            raise UsageError("The destination holds an export that begins above the store's first block: name another.")
        return names

    def _started(self) -> str | None:
        """Return the id of the export at the destination. Raises UsageError if it has another format."""
        for name in self._target.names():
            if found := _STARTED.search(name):
                try:
                    found_format = ion.read_one(self._target.read(name))["outputFormat"]
                except (UnreadableError, KeyError, TypeError):
                    raise UsageError(
                        f"{name}: is no started manifest of an export: name an empty destination."
                    ) from None
                if found_format != self._format:
                    raise UsageError(f"The export at the destination is {found_format}: use --format {found_format}.")
                return found[1]
        return None

    def _start(self) -> str:
        export_id, now = new_id(), timestamp(time.time_ns() // 1_000_000)
        request = {
            "ledgerName": "strandline",
            "exportId": export_id,
            "inclusiveStartTime": timestamp(0),
            "exclusiveEndTime": now,
            "bucket": "",
            "prefix": self._target.prefix,
            "objectEncryptionType": "NO_ENCRYPTION",
            "outputFormat": str(self._format),
        }
        self._target.put(f"{export_id}.started.manifest", encode_manifest(request, self._format))
        return export_id

    def _complete(self) -> None:
        name = f"{self._export_id}.{self._strand_id}.completed.manifest"
        keys = [self._target.prefix + one for one in self._names]
        self._target.put(name, encode_manifest({"keys": keys}, self._format))

    @staticmethod
    def _match(name: str) -> re.Match[str]:
        match = _OBJECT.search(name)
        assert match is not None
        return match

    def _numbers(self, name: str) -> tuple[int, int]:
        match = self._match(name)
        return int(match[2]), int(match[3])


def write_object(target: Target, blocks: Sequence[Block], strand_id: str, format: Format) -> str:
    """Write an object with these blocks and return its name. Raises StrandlineError."""
    name, data = object_name(blocks, strand_id, format), encode(blocks, format)
    _check(name, data, blocks)
    target.put(name, data)
    return name


def _check(name: str, data: bytes, blocks: Sequence[Block]) -> None:
    """Read an encoded object as `replay` does. Raises StrandlineError if it does not have the blocks' hashes."""
    decoded = decode(data, trust_deletions=True, with_rows=False)
    expected = [(block["blockAddress"]["sequenceNo"], _hash(block["blockHash"])) for block in blocks]
    if decoded.faults or [(link.sequence_no, link.block_hash) for link in decoded.links] != expected:
        fault = decoded.faults[0] if decoded.faults else None
        number = fault.sequence_no if fault and fault.sequence_no is not None else expected[0][0]
        raise StrandlineError(
            f"{name}: block {number} would not have its hash when read back ({fault.fault if fault else 'blockHash'}), "
            "so the object was not written: export in another --format, and report this."
        )


def _hash(value: bytes | str) -> bytes:
    """Return a block's hash, which JSON has in base64."""
    return b64decode(value) if isinstance(value, str) else bytes(value)


def batches(blocks: Iterator[Block]) -> Iterator[list[Block]]:
    """Yield the blocks of each object."""
    batch: list[Block] = []
    revisions = 0
    for block in blocks:
        follows = not batch or block["blockAddress"]["sequenceNo"] == batch[-1]["blockAddress"]["sequenceNo"] + 1
        if batch and (len(batch) >= OBJECT_BLOCKS or revisions >= OBJECT_REVISIONS or not follows):
            yield batch
            batch, revisions = [], 0
        batch.append(block)
        revisions += len(block.get("revisions", ()))
    if batch:
        yield batch
