"""Writes the journal of a fictitious ledger, of any size, as exports and as stream records.

The first pass makes the strand block by block and writes it to a temporary file. The second pass knows every redaction
and writes the exports. Memory stays flat except for the list of redacted revisions. The same seed, number of blocks and
share of redactions give the same journal in every format.
"""

import json
import struct
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from random import Random
from tempfile import TemporaryFile
from typing import IO, Any

from strandline.journal.decode import stream
from strandline.journal.errors import UsageError
from strandline.journal.ion import values as ion
from strandline.journal.make.block import NewRedaction, redact
from strandline.journal.make.export import ExportWriter, encode
from strandline.journal.make.format import Format
from strandline.journal.simulation.ledger import SimulatedLedger, new_id
from strandline.journal.simulation.licensing import LicenceLedger
from strandline.journal.simulation.strand import Simulated, SimulatedStrand

Progress = Callable[[int, int], None]
"""Called with the number of blocks done and the total; each block counts twice, made and exported."""

_MAX_OBJECT_BLOCKS = 1000
_SPOOLED_BLOCKS = 200
# The window in which the stream's order is random, and the shares of user records and Kinesis records sent twice.
_SHUFFLED = 4096
_SENT_TWICE = 0.03
_PUT_TWICE = 0.02


def simulate(
    directory: Path,
    blocks: int,
    seed: int,
    format: Format,
    redactions: float | None = None,
    progress: Progress | None = None,
    kind: type[SimulatedLedger] = LicenceLedger,
) -> Simulated:
    """Write `full/`, `early/`, `late/`, `stream/` and `full.digest.json` into a new or empty directory.

    `full/` holds all blocks as last exported. `early/` holds the first half, exported before the redactions in the
    second; `late/` the second half. `stream/` holds raw Kinesis records, one a file, as streamed when written: out of
    order, some twice. `redactions` is the share of blocks that redact, from 0 up to 1, by default the ledger's own; it
    is lower if there is nothing to redact.
    Raises UsageError if the directory is not empty or cannot be created, or a number is out of range.
    """
    redactions = kind.redactions if redactions is None else redactions
    _check(directory, blocks, redactions)
    count = _Count(progress, 2 * blocks)
    strand = SimulatedStrand(kind, seed, blocks, redactions)
    with TemporaryFile(dir=directory) as file:
        spool = _Spool(file)
        _write_stream(
            directory / "stream", kind.name, count.through(spool.keep(strand.make())), Random(f"{seed} stream")
        )
        _write_exports(directory, format, strand, count.through(spool.read()))
    simulated = strand.summary()
    _write_digest(directory / "full.digest.json", simulated)
    return simulated


def _check(directory: Path, blocks: int, redactions: float) -> None:
    if blocks < 1:
        raise UsageError(f"a journal has at least 1 block, not {blocks}")
    if not 0 <= redactions < 1:
        raise UsageError(f"the share of redactions is from 0 up to 1, not {redactions}")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        occupied = any(directory.iterdir())
    except OSError as error:
        raise UsageError(f"cannot write to {directory}: {error.strerror}") from None
    if occupied:
        raise UsageError(f"{directory} is not empty: name a new directory, so that nothing is overwritten")


class _Spool:
    """Blocks in a temporary file, some hundred to one Ion stream, to be read again in order."""

    _LENGTH = struct.Struct(">Q")

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def keep(self, blocks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        waiting: list[dict[str, Any]] = []
        for block in blocks:
            waiting.append(block)
            if len(waiting) == _SPOOLED_BLOCKS:
                self._write(waiting)
                waiting = []
            yield block
        self._write(waiting)

    def read(self) -> Iterator[dict[str, Any]]:
        self._file.seek(0)
        while header := self._file.read(self._LENGTH.size):
            yield from ion.read(self._file.read(self._LENGTH.unpack(header)[0]))

    def _write(self, blocks: list[dict[str, Any]]) -> None:
        data = encode(blocks, Format.ION_BINARY)
        self._file.write(self._LENGTH.pack(len(data)) + data)


class _Count:
    """Passes blocks through and reports their number."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def through(self, blocks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for block in blocks:
            yield block
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)


def _write_stream(directory: Path, ledger: str, blocks: Iterable[dict[str, Any]], random: Random) -> None:
    directory.mkdir()
    arn = f"arn:aws:qldb:eu-west-2:123456789012:stream/{ledger}/{new_id(random)}"
    records = chain.from_iterable(stream.block_records(arn, block) for block in blocks)
    sent = chain(
        [stream.control_record(arn, "CREATED")],
        _out_of_order(records, random),
        [stream.control_record(arn, "COMPLETED")],
    )
    number = 0
    for raw in stream.aggregate(sent):
        for _ in range(2 if random.random() < _PUT_TWICE else 1):
            (directory / f"{number:08d}.bin").write_bytes(raw)
            number += 1


def _out_of_order(records: Iterable[stream.UserRecord], random: Random) -> Iterator[stream.UserRecord]:
    """Yield the records in random order, the first and some others twice; keeps `_SHUFFLED` of them in memory."""
    waiting: list[stream.UserRecord] = []
    for index, record in enumerate(records):
        waiting.extend([record] * (2 if index == 0 or random.random() < _SENT_TWICE else 1))
        while len(waiting) > _SHUFFLED:
            chosen = random.randrange(len(waiting))
            waiting[chosen], waiting[-1] = waiting[-1], waiting[chosen]
            yield waiting.pop()
    random.shuffle(waiting)
    yield from waiting


def _write_exports(directory: Path, format: Format, strand: SimulatedStrand, blocks: Iterable[dict[str, Any]]) -> None:
    half = (strand.blocks + 1) // 2
    end = strand.summary().tip
    full, early, late = (_writer(directory, name, format, strand) for name in ("full", "early", "late"))
    for number, block in enumerate(blocks):
        redacted = strand.redacted.get(number, [])
        last = _as_exported(block, redacted, end)
        full.add(last)
        if number < half:
            early.add(_as_exported(block, redacted, half - 1))
        else:
            late.add(last)
    for writer in (full, early, late):
        writer.finish()


def _as_exported(block: dict[str, Any], redacted: list[tuple[NewRedaction, int]], tip: int) -> dict[str, Any]:
    """Return the block as exported when `tip` was the strand's last block."""
    for redaction, redacted_by in redacted:
        if redacted_by <= tip:
            block = redact(block, redaction.document_id, redaction.version)
    return block


def _writer(directory: Path, name: str, format: Format, strand: SimulatedStrand) -> ExportWriter:
    writer = ExportWriter(
        directory / name,
        format,
        strand_id=strand.maker.strand_id,
        export_id=new_id(strand.random),
        prefix=f"{name}/",
        object_blocks=min(_MAX_OBJECT_BLOCKS, strand.blocks // 6 + 1),
    )
    name = strand.ledger.name
    writer.start(ledger=name, bucket=f"{name}-journal", start_time=strand.start_time(), end_time=strand.end_time())
    return writer


def _write_digest(path: Path, simulated: Simulated) -> None:
    """Write the strand's digest as the AWS CLI's get-digest printed it."""
    address = ion.write_text({"strandId": simulated.strand_id, "sequenceNo": simulated.tip})
    digest = {"Digest": b64encode(simulated.digest).decode(), "DigestTipAddress": {"IonText": address}}
    path.write_text(json.dumps(digest, indent=4) + "\n", encoding="utf-8")
