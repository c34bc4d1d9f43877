"""The settings, the migrated database and the projections, which nearly every command needs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from strandline.cli.output import note
from strandline.consumer.extras import needs_extra

if TYPE_CHECKING:
    from strandline.consumer.cluster.client import Cluster
    from strandline.consumer.projection.definition import Projection
    from strandline.consumer.settings import Settings


@contextmanager
def open_store(*, of_ledger: bool = True) -> Iterator[tuple["Settings", str]]:
    """Give the settings and the URL of the migrated database. An embedded server runs until the block ends.

    The database is that of the ledger which is set; unless `of_ledger`, that of the catalogue of ledgers.
    """
    from strandline.consumer.database.connection import open_database, open_home
    from strandline.consumer.database.migrate import migrate
    from strandline.consumer.settings import load_settings

    settings = load_settings()
    for text in settings.unused:
        note(f"Warning: {text}.")
    with (open_database if of_ledger else open_home)(settings) as url:
        migrate(url)
        yield settings, url


def start_log() -> None:
    """Set up the log of a command that serves, as the settings say."""
    from strandline.consumer.logging import start_logging
    from strandline.consumer.settings import load_settings

    settings = load_settings()
    start_logging(settings.log_level, settings.log_format)


@contextmanager
def open_reader(*, write: bool = False) -> Iterator[str]:
    """Give the URL of a login with a reader's rights, or with `write` that of the login as it is.

    Only the embedded database is migrated: a login that may only read could not do that.
    """
    from strandline.consumer.database.connection import open_database
    from strandline.consumer.database.migrate import migrate
    from strandline.consumer.database.readers import embedded_reader_url, read_only_url
    from strandline.consumer.settings import load_settings

    settings = load_settings()
    with open_database(settings) as url:
        if settings.database_url is None:
            migrate(url)
            url = url if write else embedded_reader_url(url, "cleared")
        yield url if write else read_only_url(url)


@contextmanager
def open_cluster(address: str) -> Iterator["Cluster"]:
    """Give the connected Dask cluster with this scheduler."""
    with needs_extra("cluster"):
        from strandline.consumer.cluster.client import connect_cluster

    with connect_cluster(address) as cluster:
        yield cluster


def discover_projections() -> Mapping[str, "Projection"]:
    """Load the projections that the settings name. Call it first: a wrong setting must show before any work."""
    from strandline.consumer.projection.discovery import discover
    from strandline.consumer.settings import load_settings

    return discover(load_settings().projections)
