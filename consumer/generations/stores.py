"""The stores of read models: the database, and OpenSearch if the settings name it."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.sql import SQL, Identifier

from strandline.consumer.database.connection import Connection
from strandline.consumer.database.ledgers import made_as
from strandline.consumer.projection.definition import Projection
from strandline.consumer.settings import Settings
from strandline.consumer.sinks import row_records
from strandline.consumer.sinks.contract import Fields, Key, Sink, StoredRows
from strandline.consumer.sinks.postgresql import PostgresqlSink
from strandline.consumer.sinks.table_rows import TableRows
from strandline.journal.errors import UsageError

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


OPENSEARCH = "opensearch"
CONNECTIONS = 32
COUNT = "SELECT count(*) FROM read.{}"


@dataclass(frozen=True)
class Stores:
    """The stores besides the database; `url` is the database's, for records that are committed before rows are sent.

    `prefix` is that of the names of indexes and aliases in OpenSearch.
    """

    url: str = ""
    opensearch: "OpenSearch | None" = None
    prefix: str = ""

    def off(self, store: str) -> bool:
        """Return whether a store is not set: its read models are neither filled nor an error."""
        return store == OPENSEARCH and self.opensearch is None

    def require(self, projection: Projection) -> None:
        """Raises `UsageError` if the projection's store is not set."""
        if self.off(projection.store):
            raise UsageError(
                f"The read model {projection.name} is in OpenSearch, which is off: set STRANDLINE_OPENSEARCH_URL."
            )

    def unreachable(self) -> bool:
        """Return whether OpenSearch is on, but does not answer."""
        return self.opensearch is not None and not self.opensearch.ping()

    def prefix_of(self, projection: Projection) -> str:
        """Return the prefix of the names of the projection's tables or indexes."""
        return self.prefix if projection.store == OPENSEARCH else ""

    def sink(self, connection: Connection, projection: Projection, generation: int, relation: str) -> Sink:
        """Return the sink of one generation; `connection` is the control transaction's."""
        if projection.store != OPENSEARCH:
            return PostgresqlSink(connection, projection, relation)
        from strandline.consumer.sinks.opensearch.sink import OpensearchSink

        assert self.opensearch is not None
        return OpensearchSink(
            self.opensearch, self.url, connection, projection, generation, relation, prefix=self.prefix
        )

    def stored(self, connection: Connection, store: str, generation: int, relation: str) -> StoredRows:
        """Return the rows of one generation, for which no definition is needed; `connection` is as for `sink`."""
        if store != OPENSEARCH:
            return TableRows(connection, relation)
        from strandline.consumer.sinks.opensearch.index_rows import IndexRows

        assert self.opensearch is not None
        return IndexRows(self.opensearch, self.url, connection, generation, relation, prefix=self.prefix)

    def rows_of(
        self, connection: Connection, store: str, generation: int, relation: str, keys: Sequence[Key]
    ) -> Iterator[tuple[Key, Fields | None]]:
        """Yield a generation's rows as `StoredRows.rows_of` does; if its store is off, those on record, without their
        fields."""
        if self.off(store):
            return iter([(key, None) for key in row_records.recorded(connection, generation, keys)])
        return self.stored(connection, store, generation, relation).rows_of(keys)

    def count(self, connection: Connection, projection: Projection) -> int:
        """Return the number of rows that readers of the read model can find now."""
        if projection.store == OPENSEARCH:
            from strandline.consumer.sinks.opensearch.client import count

            assert self.opensearch is not None
            return count(self.opensearch, self.prefix + projection.name)
        row = connection.execute(SQL(COUNT).format(Identifier(projection.name))).fetchone()
        return int(row[0]) if row else 0


DATABASE_ONLY = Stores()


def open_stores(settings: Settings, url: str) -> Stores:
    """Return the stores of these settings, without a request to OpenSearch. Raises `UsageError` if a setting is wrong.

    The indexes of a ledger that was made beside others begin with its name, too.
    """
    if settings.opensearch_url is None:
        return Stores(url)
    name = made_as(url) if url else None
    prefix = settings.opensearch_prefix + (f"{name.lower()}-" if name else "")
    return Stores(url, _client(settings, settings.opensearch_url), prefix)


def _client(settings: Settings, opensearch_url: str) -> "OpenSearch":
    from opensearchpy import OpenSearch

    from strandline.consumer.sinks.opensearch.client import SECONDS

    # These loggers write the bodies of requests, which are payload, at their lower levels.
    logging.getLogger("opensearch").setLevel(logging.ERROR)
    logging.getLogger("opensearchpy.trace").setLevel(logging.ERROR)
    if settings.opensearch_ca is not None and not settings.opensearch_ca.is_file():
        raise UsageError(f"STRANDLINE_OPENSEARCH_CA: there is no file {settings.opensearch_ca}.")
    ca = None if settings.opensearch_ca is None else os.fspath(settings.opensearch_ca)
    return OpenSearch(
        hosts=[opensearch_url],
        http_auth=_credentials(settings),
        ca_certs=ca,
        timeout=SECONDS,
        max_retries=0,  # the sink retries, within its deadline
        pool_maxsize=CONNECTIONS,
    )


def _credentials(settings: Settings) -> Any:
    if settings.opensearch_region is not None:
        import boto3
        from opensearchpy import Urllib3AWSV4SignerAuth

        found = boto3.Session().get_credentials()
        if found is None:
            raise UsageError("STRANDLINE_OPENSEARCH_REGION is set, but there are no AWS credentials.")
        return Urllib3AWSV4SignerAuth(found, settings.opensearch_region, settings.opensearch_service)
    if settings.opensearch_user is not None:
        return settings.opensearch_user, settings.opensearch_password or ""
    return None
