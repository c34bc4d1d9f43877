"""The keys of a composed projection in a temporary table, where what names them is too much to be held in memory."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.projection.definition import ComposedProjection, KeyLookup
from strandline.consumer.projector.composed_filler import KEYS
from strandline.consumer.projector.composition import Documents, followed
from strandline.consumer.projector.lookup import BY_INDEX, find

Connection = psycopg.Connection[tuple[Any, ...]]

STAGE_KEYS = "CREATE TEMPORARY TABLE key (key text) ON COMMIT DROP"
ADD_KEYS = "INSERT INTO key SELECT unnest(%s::text[])"
COUNT_KEYS = "SELECT count(DISTINCT key) FROM key"
READ_KEYS = "SELECT DISTINCT key FROM key ORDER BY key"


class StagedKeys(ExitStack):
    """Keys as of the block `last`; over a connection of its own, which is made when it is first needed."""

    def __init__(self, url: str, projection: ComposedProjection, last: int) -> None:
        super().__init__()
        self._url = url
        self._projection = projection
        self._last = last

    @cached_property
    def _connection(self) -> Connection:
        connection = self.enter_context(connect(self._url))
        self.enter_context(connection.transaction())
        connection.execute(BY_INDEX)
        connection.execute(STAGE_KEYS)
        return connection

    def find(self, wanted: Collection[KeyLookup]) -> Mapping[KeyLookup, Documents]:
        """What look-ups find."""
        return find(self._connection, self._projection, wanted, self._last)

    def add(self, named: Collection[str | KeyLookup]) -> None:
        """Add the keys that are named, or found by what is."""
        self._connection.execute(ADD_KEYS, [list(followed(self._projection, named, self.find))])

    def keys(self) -> tuple[Iterator[str], int]:
        """The keys in their order, and their number."""
        (total,) = self._connection.execute(COUNT_KEYS).fetchone() or (0,)

        def keys() -> Iterator[str]:
            with self._connection.cursor(name="keys") as cursor:
                cursor.execute(READ_KEYS)
                while some := cursor.fetchmany(KEYS):
                    yield from [key for (key,) in some]

        return keys(), total
