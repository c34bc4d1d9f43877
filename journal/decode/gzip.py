"""Objects that people or a delivery stream compressed: told by their content, never by a name."""

import zlib

from strandline.journal.errors import UnreadableError

MOST = 1 << 30
"""Bytes that an object may hold; QLDB's own have a few million."""

_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS


def decompressed(data: bytes, most: int = MOST) -> bytes:
    """The bytes themselves, or what they hold where they are gzip's, in one member or several.

    Raises UnreadableError where they are cut short or damaged, or hold more than `most` bytes.
    """
    if not data.startswith(_MAGIC):
        return data
    parts, left = [], most
    try:
        while data.startswith(_MAGIC):
            member = zlib.decompressobj(_GZIP)
            part = member.decompress(data, left + 1)
            left -= len(part)
            if left < 0:
                raise UnreadableError(f"holds more than {most:,} bytes when decompressed; split the object")
            if not member.eof:
                raise EOFError
            parts.append(part)
            data = member.unused_data
    except (EOFError, zlib.error):
        raise UnreadableError("not readable as gzip: cut short or damaged") from None
    if data.strip(b"\0"):
        raise UnreadableError("not readable as gzip: other bytes follow it")
    return b"".join(parts)
