"""Writes a journal export as QLDB did to S3: data objects named by their blocks, and two manifests.

Names and manifests follow QLDB's developer guide, "Journal export output in QLDB": `<exportId>.started.manifest`
repeats the request, `<exportId>.<strandId>.completed.manifest` lists the objects' full keys in order.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from strandline.journal.ion.down_conversion import down_convert
from strandline.journal.ion.values import Timestamp, write_stream, write_text
from strandline.journal.make.format import Format


def encode(blocks: Sequence[dict[str, Any]], format: Format) -> bytes:
    """Encode one data object: a block a line, or one binary stream with one symbol table."""
    if format is Format.ION_BINARY:
        return write_stream(blocks)
    write = down_convert if format is Format.JSON else write_text
    return "".join([write(block) + "\n" for block in blocks]).encode()


def object_name(blocks: Sequence[dict[str, Any]], strand_id: str, format: Format) -> str:
    """Return the object's key below the export's prefix: a folder for the hour, a name from the block numbers."""
    first, last = blocks[0], blocks[-1]
    hour = first["blockTimestamp"].strftime("%Y/%m/%d/%H")
    numbers = f"{first['blockAddress']['sequenceNo']}-{last['blockAddress']['sequenceNo']}"
    return f"{hour}/{strand_id}.{numbers}.{format.extension}"


def encode_manifest(value: dict[str, Any], format: Format) -> bytes:
    """Encode a manifest; that of a binary export is Ion text."""
    return (down_convert(value) if format is Format.JSON else write_text(value)).encode()


class ExportWriter:
    """Writes the blocks of one strand, added in order, as one export.

    `directory` is the folder for the bucket's `prefix`. Each object holds `object_blocks` blocks, the last one may hold
    fewer. Without `finish` there is no completed manifest, as after an interrupted export. Raises OSError if the
    directory cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        format: Format,
        *,
        strand_id: str,
        export_id: str,
        prefix: str,
        object_blocks: int = 1000,
    ) -> None:
        self._directory = directory
        self._format = format
        self._strand_id = strand_id
        self._export_id = export_id
        self._prefix = prefix
        self._object_blocks = object_blocks
        self._waiting: list[dict[str, Any]] = []
        self._keys: list[str] = []

    def start(self, *, ledger: str, bucket: str, start_time: Timestamp, end_time: Timestamp) -> None:
        """Write the started manifest: the request for the blocks from `start_time` up to, excluding, `end_time`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        request = {
            "ledgerName": ledger,
            "exportId": self._export_id,
            "inclusiveStartTime": start_time,
            "exclusiveEndTime": end_time,
            "bucket": bucket,
            "prefix": self._prefix,
            "objectEncryptionType": "NO_ENCRYPTION",
            "outputFormat": str(self._format),
        }
        self._write_manifest(f"{self._export_id}.started.manifest", request)

    def add(self, block: dict[str, Any]) -> None:
        self._waiting.append(block)
        if len(self._waiting) >= self._object_blocks:
            self._write_object()

    def finish(self) -> None:
        """Write the remaining blocks and the completed manifest."""
        self._write_object()
        name = f"{self._export_id}.{self._strand_id}.completed.manifest"
        self._write_manifest(name, {"keys": self._keys})

    def _write_object(self) -> None:
        if not self._waiting:
            return
        name = object_name(self._waiting, self._strand_id, self._format)
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(self._waiting, self._format))
        self._keys.append(self._prefix + name)
        self._waiting = []

    def _write_manifest(self, name: str, value: dict[str, Any]) -> None:
        (self._directory / name).write_bytes(encode_manifest(value, self._format))
