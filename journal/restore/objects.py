"""Restores one export object: a pure function of its bytes and of what is known of the ledger's types."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from strandline.journal.check.members import ShapeError
from strandline.journal.decode.gzip import decompress
from strandline.journal.errors import UnreadableError, UnwritableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.json import read_json_spans
from strandline.journal.make.export import encode
from strandline.journal.make.format import Format
from strandline.journal.restore.block import HeldOut, Learned, Restorer
from strandline.journal.restore.history import Shape


class Run(NamedTuple):
    """Consecutive blocks of one format, as an object of an export. `json` blocks are those that something holds out."""

    first_no: int
    last_no: int
    json: bool
    data: bytes


@dataclass(slots=True)
class RestoredObject:
    """An object's blocks after the search, in order, and what was found.

    `lifted` and `kept_back` count revisions by table (journal.restore.block.Restored); `searched` has what was lifted
    in each JSON block. `blocks` counts those read, `restored` those that are Ion now and were not. `learned` is new
    knowledge of types, `failures` that of searches in vain (History); `tried` counts the combinations tried.
    """

    runs: list[Run] = field(default_factory=list)
    blocks: int = 0
    restored: int = 0
    lifted: Counter[str] = field(default_factory=Counter)
    kept_back: Counter[str] = field(default_factory=Counter)
    held_out: list[HeldOut] = field(default_factory=list)
    searched: dict[int, Counter[str]] = field(default_factory=dict)
    learned: list[Learned] = field(default_factory=list)
    failures: Counter[tuple[str, Shape]] = field(default_factory=Counter)
    tried: int = 0


_Found = tuple[int, dict[str, Any] | None, str]
"""A block's number, the block in Ion or None, and its JSON."""


def restore_object(data: bytes, restorer: Restorer) -> RestoredObject:
    """Restore an object's blocks. An object in Ion stays as it is, and teaches the types of its blocks.

    Raises UnreadableError for bytes that are neither, ShapeError for a value that is not a block.
    """
    plain = decompress(data)
    known, tried = len(restorer.learned), restorer.tried
    result = _restored(plain, restorer) if is_json(plain) else _observed(plain, data, restorer)
    result.learned = restorer.learned[known:]
    result.failures = restorer.history.failures
    result.tried = restorer.tried - tried
    return result


def is_json(plain: bytes) -> bool:
    """Return True if an object, not compressed, is JSON."""
    return plain.lstrip().startswith((b'{"', b"\xef\xbb\xbf{"))


def _observed(plain: bytes, data: bytes, restorer: Restorer) -> RestoredObject:
    numbers = []
    for block in ion.read(plain):
        try:
            numbers.append(int(block["blockAddress"]["sequenceNo"]))
        except (TypeError, LookupError):
            raise ShapeError("a value is not a block") from None
        restorer.observe(block)
    if not numbers:
        return RestoredObject()
    return RestoredObject([Run(numbers[0], numbers[-1], json=False, data=data)], blocks=len(numbers))


def _restored(plain: bytes, restorer: Restorer) -> RestoredObject:
    try:
        text = plain.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError("not readable as JSON: not UTF-8") from None
    result = RestoredObject()
    blocks: list[_Found] = []
    for value, start, end in read_json_spans(text):
        if not isinstance(value, dict):
            raise ShapeError("a value is not a block")
        found = restorer.restore(value)
        result.lifted += found.lifted
        result.searched[value["blockAddress"]["sequenceNo"]] = found.lifted
        result.kept_back += found.kept_back
        result.held_out += found.held_out
        blocks.append((value["blockAddress"]["sequenceNo"], found.block, text[start:end]))
    try:
        result.runs = _runs(blocks)
    except UnwritableError:
        _leave_unwritable(blocks, result)
        result.runs = _runs(blocks)
    result.blocks = len(blocks)
    result.restored = sum(block is not None for _, block, _ in blocks)
    return result


def _runs(blocks: list[_Found]) -> list[Run]:
    runs = []
    for stays, group in groupby(blocks, key=lambda one: one[1] is None):
        run = list(group)
        if stays:
            written = "".join([f"{text}\n" for _, _, text in run]).encode("utf-8", "backslashreplace")
        else:
            written = encode([block for _, block, _ in run if block is not None], Format.ION_BINARY)
        runs.append(Run(run[0][0], run[-1][0], json=stays, data=written))
    return runs


def _leave_unwritable(blocks: list[_Found], result: RestoredObject) -> None:
    """Leave blocks as JSON that cannot be written as Ion."""
    for place, (number, block, text) in enumerate(blocks):
        try:
            encode([] if block is None else [block], Format.ION_BINARY)
        except UnwritableError:
            blocks[place] = number, None, text
            lifted = result.searched[number]
            result.searched[number] = Counter()
            result.lifted -= lifted
            result.kept_back += lifted
            result.held_out.append(HeldOut(number, "", None, None, "cannot be written as Ion", ()))
