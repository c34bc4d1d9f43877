"""Binary form of text[] for COPY: several times as fast as psycopg's, which allows for other members and dimensions."""

from collections.abc import Sequence
from struct import Struct

from psycopg import pq
from psycopg.adapt import Dumper

TEXT, TEXT_ARRAY = 25, 1009  # oids, the same on every server

# Dimensions, whether one is null, the members' type; of the one dimension its length and first index.
_EMPTY = Struct("!3i").pack(0, 0, TEXT)
_HEAD, _LENGTH = Struct("!5i"), Struct("!i")


class TextArrayDumper(Dumper):
    """Dumps a list of texts, none of them None."""

    format = pq.Format.BINARY
    oid = TEXT_ARRAY

    def dump(self, obj: Sequence[str]) -> bytes:
        if not obj:
            return _EMPTY
        parts = [_HEAD.pack(1, 0, TEXT, len(obj), 1)]
        for text in obj:
            data = text.encode()
            parts += (_LENGTH.pack(len(data)), data)
        return b"".join(parts)
