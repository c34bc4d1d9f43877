"""Exports of small sample ledgers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from strandline.journal.ion import values as ion
from strandline.journal.make.export import ExportWriter
from strandline.journal.make.format import Format
from tests.journal.restore.exported import STRAND, journal_of


def write_export(
    folder: Path, texts: Sequence[str], object_blocks: int = 2, form: Format = Format.JSON
) -> list[dict[str, Any]]:
    """Write an export with a block for each document, given as Ion text; return the blocks."""
    blocks = journal_of([ion.read_one(text.encode()) for text in texts])
    writer = ExportWriter(folder, form, strand_id=STRAND, export_id="e", prefix="p/", object_blocks=object_blocks)
    for block in blocks:
        writer.add(block)
    writer.finish()
    return blocks
