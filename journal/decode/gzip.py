"""Decompresses objects that people or a delivery stream compressed, recognised by content, never by name."""

import gzip
import zlib
from io import BytesIO

from strandline.journal.errors import UnreadableError

MOST = 80_000_000
"""The largest object in bytes, when decompressed; QLDB's own have a few million."""

_MAGIC = b"\x1f\x8b"


def decompress(data: bytes, most: int = MOST) -> bytes:
    """Return the contents of gzip data, in one member or several; return other data unchanged.

    Raises UnreadableError if the data holds more than `most` bytes, or its gzip is truncated or damaged.
    """
    if not data.startswith(_MAGIC):
        if len(data) > most:
            raise UnreadableError(f"holds more than {most:,} bytes: split the object")
        return data
    try:
        content = gzip.GzipFile(fileobj=BytesIO(data)).read(most + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UnreadableError("not readable as gzip: truncated or damaged, or other bytes follow it") from None
    if len(content) > most:
        raise UnreadableError(f"holds more than {most:,} bytes when decompressed: split the object")
    return content
