"""Sources: the objects and streams that the store was filled from, and the streams that the ledger writes."""

import re
from datetime import timedelta

from strandline.console.page import Asked, Page
from strandline.consumer.monitoring.as_json import stream_json
from strandline.consumer.store.restored import read_restored
from strandline.consumer.store.streams import read_streams

ROWS = 100
_SHA256 = re.compile("[0-9a-f]{64}")

READ_OBJECTS = """
    SELECT name, first_no, last_no, blocks, revisions, taken_at, encode(digest, 'hex') FROM journal.object
    WHERE %(last)s::bigint IS NULL OR (last_no, digest) < (%(last)s, decode(%(digest)s, 'hex'))
    ORDER BY last_no DESC, digest DESC LIMIT %(limit)s"""
READ_OUTBOUND = "SELECT name, sequence_no, opened_at, ends_at, completed FROM journal.outbound_stream ORDER BY name"


def sources(asked: Asked) -> Page:
    last, digest = _place(asked.query.get("below", ""))
    with asked.console.status() as connection:
        streams = read_streams(connection, timedelta(seconds=asked.console.settings.silent_seconds))
        restored = read_restored(connection)
        with connection.transaction():
            rows = connection.execute(READ_OBJECTS, {"last": last, "digest": digest, "limit": ROWS}).fetchall()
            outbound = connection.execute(READ_OUTBOUND).fetchall()
    names = ("name", "first", "last", "blocks", "revisions", "taken_at", "sha256")
    objects = [{**dict(zip(names, row, strict=True)), "taken_at": row[5].isoformat()} for row in rows]
    written = [
        {
            "name": name,
            "block": number,
            "opened_at": opened.isoformat(),
            "ends_at": ends.isoformat() if ends else None,
            "completed": completed,
        }
        for name, number, opened, ends, completed in outbound
    ]
    below = f"{objects[-1]['last']}:{objects[-1]['sha256']}" if len(objects) == ROWS else None
    data = {
        "objects": objects,
        "below": below,
        "streams": [stream_json(one) for one in streams],
        "written": written,
        "restored": restored.as_dict(),
    }
    return Page("sources.html", data, {"streams": streams, "restored": restored})


def _place(text: str) -> tuple[int | None, str]:
    """Return the last block and the digest of the object that the page before ended with."""
    last, _, digest = text.partition(":")
    known = last.isdecimal() and len(last) < 18 and _SHA256.fullmatch(digest) is not None
    return (int(last), digest) if known else (None, "")
