"""Exports and records with one change, and their folders, for tests of verification and replay."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from strandline.journal.decode import stream
from strandline.journal.ion import values as ion
from tests.journals import STRAND, Block, ion_binary

ARN = "arn:aws:qldb:eu-west-2:123456789012:stream/licences/AYj8gSIUcxiHijsjEKob30"


Change = Callable[[list[dict[str, Any]]], None]


def write_records(folder: Path, blocks: list[Block], change: Change | None = None) -> str:
    """Write a file a record; `change` may alter the records, as values."""
    records = [ion.read_one(record.data) for block in blocks for record in stream.block_records(ARN, block)]
    if change is not None:
        change(records)
    folder.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(Random(1).sample(records, len(records))):
        (folder / f"{number:04d}.bin").write_bytes(ion.write(value))
    return str(folder)


def write_export(folder: Path, blocks: list[Block], write: Callable[[list[Block]], bytes] = ion_binary) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    first, last = (blocks[at]["blockAddress"]["sequenceNo"] for at in (0, -1))
    (folder / f"{STRAND}.{first}-{last}.ion").write_bytes(write(blocks))
    return str(folder)


def of(records: list[dict[str, Any]], kind: str, number: int) -> dict[str, Any]:
    for value in records:
        payload = value["payload"]
        address = payload.get("revision", payload).get("blockAddress")
        if value["recordType"] == kind and address["sequenceNo"] == number:
            return payload
    raise AssertionError


def lose_revision(records: list[dict[str, Any]]) -> None:
    records[:] = [r for r in records if r["payload"] is not of(records, "REVISION_DETAILS", 3)]


def other_table(records: list[dict[str, Any]]) -> None:
    of(records, "REVISION_DETAILS", 3)["tableInfo"]["tableName"] = "Contact"


def change_data(records: list[dict[str, Any]]) -> None:
    of(records, "REVISION_DETAILS", 3)["revision"]["data"]["status"] = "Valid"
