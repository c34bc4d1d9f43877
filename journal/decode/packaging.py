"""Finds the user records in an archived file, in the forms in which people archive a Kinesis stream.

A file holds raw Kinesis records, KPL-aggregated or not, one or several concatenated, with or without newlines between
them (Firehose); or their base64, one text or one a line; or JSON of `aws kinesis get-records` or of a Lambda function's
events. All of it may be gzip'd.
"""

import hashlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from aws_kinesis_agg import DIGEST_SIZE, MAGIC

from strandline.journal.decode.gzip import decompress
from strandline.journal.decode.stream import deaggregate
from strandline.journal.errors import UnreadableError
from strandline.journal.ion.framing import without_newlines
from strandline.journal.ion.json import read_json
from strandline.journal.ion.values import BINARY_VERSION_MARKER

_BASE64_STARTS = (b"84maw", b"4AEA6")  # of an aggregated record, of binary Ion
_NEWLINES = b"\r\n"
_WIDTHS = (64, 76)  # of wrapped base64: PEM's and MIME's
_MOST_DEPTH = 3  # gzip'd base64 in gzip'd JSON


def user_records(data: bytes) -> Iterator[bytes]:
    """Yield the user records in a file; one of them may hold several concatenated ones.

    Raises UnreadableError if an aggregated record is damaged, or the file's form is.
    """
    return _records(data, _MOST_DEPTH)


def _records(data: bytes, depth: int) -> Iterator[bytes]:
    data = decompress(data)
    start = data.lstrip()
    if data.startswith(MAGIC):
        for raw in _aggregated(data):
            yield from deaggregate(raw)
    elif data.startswith(BINARY_VERSION_MARKER):
        yield without_newlines(data)
    elif depth and start.startswith(_BASE64_STARTS):
        for raw in _base64(data):
            yield from _records(raw, depth - 1)
    elif depth and start.startswith(b"{") and b'"Records"' in data:
        for raw in _json(data):
            yield from _records(raw, depth - 1)
    else:
        yield data


def _aggregated(data: bytes) -> Iterator[bytes]:
    """Split concatenated aggregated records at the ends that their checksums confirm, in linear time."""
    start = 0
    while start < len(data):
        end = _end_of_record(data, start)
        if end is None:
            yield data[start:]  # damaged: the reader says so
            return
        yield data[start:end]
        start = end
        while start < len(data) and data[start] in _NEWLINES:
            start += 1


def _end_of_record(data: bytes, start: int) -> int | None:
    digest = hashlib.md5(usedforsecurity=False)
    done = start + len(MAGIC)
    following = start
    while following < len(data):
        following = data.find(MAGIC, following + len(MAGIC))
        following = len(data) if following < 0 else following
        newlines = 2 if data[following - 2 : following] == b"\r\n" else int(data[following - 1] in _NEWLINES)
        for end in (following - newlines, following):
            if end - DIGEST_SIZE < done:
                continue
            digest.update(data[done : end - DIGEST_SIZE])
            done = end - DIGEST_SIZE
            if digest.digest() == data[done:end]:
                return end
    return None


def _base64(data: bytes) -> Iterator[bytes]:
    """Yield what each line holds; lines of a usual width continue one text, up to a shorter line."""
    lines = data.split()
    width = len(lines[0])
    if width not in _WIDTHS:
        yield from map(_decoded, lines)
        return
    text: list[bytes] = []
    for line in lines:
        text.append(line)
        if len(line) < width or line.endswith(b"="):
            yield _decoded(b"".join(text))
            text = []
    if text:
        yield _decoded(b"".join(text))


def _json(data: bytes) -> Iterator[bytes]:
    """Yield the data of GetRecords' answers, or of Lambda's events, one or several in a file."""
    try:
        pages = list(read_json(data.decode()))
    except UnicodeDecodeError:
        raise UnreadableError("not readable as JSON: not UTF-8") from None
    for page in pages:
        records = page.get("Records") if isinstance(page, Mapping) else None
        if not isinstance(records, list):
            raise UnreadableError("JSON without the Records of a Kinesis stream")
        for record in records:
            yield _decoded(_data_of(record))


def _data_of(record: Any) -> bytes:
    if isinstance(record, Mapping):
        kinesis = record.get("kinesis")
        data = kinesis.get("data") if isinstance(kinesis, Mapping) else record.get("Data")
        if isinstance(data, str):
            return data.encode("ascii", "replace")
    raise UnreadableError("a record in JSON has no data")


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise UnreadableError("not readable as base64") from None
