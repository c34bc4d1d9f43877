"""Addresses of objects that are stored completely: a replay does not read them again if nothing has changed there."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from strandline.consumer.database.connection import Connection, columns_of

CHUNK = 10_000

READ_STORED = """
    SELECT p.address, p.size, p.version, p.digest FROM journal.object_place p JOIN journal.object USING (digest)
    WHERE p.address = ANY (%s)"""
# Objects whose blocks are all there as Ion.
READ_FULL = """
    SELECT o.digest FROM journal.object o WHERE o.digest = ANY (%s) AND NOT EXISTS (
        SELECT FROM journal.block b
        WHERE b.level = 'chain' AND b.sequence_no BETWEEN o.first_no AND o.last_no)"""
ADD = """
    INSERT INTO journal.object_place (address, size, version, digest)
    SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bytea[])
    ON CONFLICT (address) DO UPDATE SET size = excluded.size, version = excluded.version, digest = excluded.digest"""


class ObjectPlace(NamedTuple):
    """A file, as it was when it was read; `version` is the time of its last change, or an ETag."""

    address: str
    size: int
    version: str


def stored_places(connection: Connection, addresses: Sequence[str], *, full: bool = False) -> Iterator[ObjectPlace]:
    """Yield those of the addresses at which a completely stored object was found, as it was then.

    With `full`, only those of objects of which no block is at level chain.
    """
    for start in range(0, len(addresses), CHUNK):
        with connection.transaction():
            rows = connection.execute(READ_STORED, [list(addresses[start : start + CHUNK])]).fetchall()
        wanted = {digest for *_, digest in rows}
        if full:
            wanted = full_objects(connection, wanted)
        yield from (ObjectPlace._make(place) for *place, digest in rows if digest in wanted)


def full_objects(connection: Connection, digests: Collection[bytes]) -> set[bytes]:
    """Return those of the objects, by their SHA-256, that are stored completely and have no block at level chain."""
    with connection.transaction():
        return {digest for (digest,) in connection.execute(READ_FULL, [list(digests)])}


def add_places(connection: Connection, places: Sequence[tuple[ObjectPlace, bytes]]) -> None:
    """Record where objects were found, with their SHA-256, in the caller's transaction."""
    latest = {place.address: (*place, digest) for place, digest in places}
    if latest:
        connection.execute(ADD, columns_of(list(latest.values())))
