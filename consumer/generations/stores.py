"""The stores that read models are kept in: the database, and OpenSearch where the settings name it."""

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.sql import SQL, Identifier

from strandline.consumer.projection.definition import Projection
from strandline.consumer.settings import Settings
from strandline.consumer.sinks.contract import Sink
from strandline.consumer.sinks.postgresql import PostgresqlSink
from strandline.journal.errors import UsageError

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

OPENSEARCH = "opensearch"
CONNECTIONS = 32
COUNT = "SELECT count(*) FROM read.{}"


@dataclass(frozen=True)
class Stores:
    """What there is besides the database; `url` is the database's, for what must be committed before it is sent."""

    url: str = ""
    opensearch: "OpenSearch | None" = None

    def off(self, projection: Projection) -> bool:
        """Whether the projection's store is not set: it is neither filled nor an error."""
        return projection.store == OPENSEARCH and self.opensearch is None

    def require(self, projection: Projection) -> None:
        """Raises `UsageError` where the projection's store is not set."""
        if self.off(projection):
            raise UsageError(
                f"The read model {projection.name} is in OpenSearch, which is off: set STRANDLINE_OPENSEARCH_URL."
            )

    def sink(
        self, connection: psycopg.Connection[tuple[Any, ...]], projection: Projection, generation: int, relation: str
    ) -> Sink:
        """The sink of one generation; `connection` is the control transaction's."""
        if projection.store != OPENSEARCH:
            return PostgresqlSink(connection, projection, relation)
        from strandline.consumer.sinks.opensearch.sink import OpensearchSink

        assert self.opensearch is not None
        return OpensearchSink(self.opensearch, self.url, connection, projection, generation, relation)

    def count(self, connection: psycopg.Connection[tuple[Any, ...]], projection: Projection) -> int:
        """How many rows readers of the read model can find now."""
        if projection.store == OPENSEARCH:
            from strandline.consumer.sinks.opensearch.client import count

            assert self.opensearch is not None
            return count(self.opensearch, projection.name)
        row = connection.execute(SQL(COUNT).format(Identifier(projection.name))).fetchone()
        return int(row[0]) if row else 0


DATABASE_ONLY = Stores()


def open_stores(settings: Settings, url: str) -> Stores:
    """The stores of these settings; nothing is asked of them yet. Raises `UsageError` where a setting is wrong."""
    if settings.opensearch_url is None:
        return Stores(url)
    return Stores(url, _client(settings, settings.opensearch_url))


def _client(settings: Settings, opensearch_url: str) -> "OpenSearch":
    from opensearchpy import OpenSearch

    from strandline.consumer.sinks.opensearch.client import SECONDS

    # At these loggers' lower levels the bodies of requests are written, and those are payload.
    logging.getLogger("opensearch").setLevel(logging.ERROR)
    logging.getLogger("opensearchpy.trace").setLevel(logging.ERROR)
    if settings.opensearch_ca is not None and not settings.opensearch_ca.is_file():
        raise UsageError(f"STRANDLINE_OPENSEARCH_CA: there is no file {settings.opensearch_ca}")
    ca = None if settings.opensearch_ca is None else os.fspath(settings.opensearch_ca)
    return OpenSearch(
        hosts=[opensearch_url],
        http_auth=_credentials(settings),
        ca_certs=ca,
        timeout=SECONDS,
        max_retries=0,  # the sink knows how long it may try
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
