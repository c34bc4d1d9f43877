"""Addresses of objects that are stored completely: a replay does not read them again if nothing has changed there."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from strandline.consumer.database.connection import Connection, columns_of

CHUNK = 10_000

READ_STORED = """
    SELECT p.address, p.size, p.version FROM journal.object_place p JOIN journal.object USING (digest)
    WHERE p.address = ANY (%s)"""
ADD = """
    INSERT INTO journal.object_place (address, size, version, digest)
    SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bytea[])
    ON CONFLICT (address) DO UPDATE SET size = excluded.size, version = excluded.version, digest = excluded.digest"""


class ObjectPlace(NamedTuple):
    """A file, as it was when it was read; `version` is the time of its last change, or an ETag."""

    address: str
    size: int
    version: str


def stored_places(connection: Connection, addresses: Sequence[str]) -> Iterator[ObjectPlace]:
    """Yield those of the addresses at which a completely stored object was found, as it was then."""
    for start in range(0, len(addresses), CHUNK):
        with connection.transaction():
            rows = connection.execute(READ_STORED, [list(addresses[start : start + CHUNK])]).fetchall()
        yield from map(ObjectPlace._make, rows)


def add_places(connection: Connection, places: Sequence[tuple[ObjectPlace, bytes]]) -> None:
    """Record where objects were found, with their SHA-256, in the caller's transaction."""
    latest = {place.address: (*place, digest) for place, digest in places}
    if latest:
        connection.execute(ADD, columns_of(list(latest.values())))
