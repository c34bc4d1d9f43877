"""The settings, the migrated database and the projections, which nearly every command needs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from strandline.cli.extras import needs_extra
from strandline.cli.output import note

if TYPE_CHECKING:
    from strandline.consumer.cluster.client import Cluster
    from strandline.consumer.projection.definition import Projection
    from strandline.consumer.settings import Settings


@contextmanager
def open_store() -> Iterator[tuple["Settings", str]]:
    """Give the settings and the URL of the migrated database. An embedded server runs until the block ends."""
    from strandline.consumer.database.connection import open_database
    from strandline.consumer.database.migrate import migrate
    from strandline.consumer.settings import load_settings

    settings = load_settings()
    for text in settings.unused:
        note(f"Warning: {text}.")
    with open_database(settings) as url:
        migrate(url)
        yield settings, url


@contextmanager
def open_cluster(address: str) -> Iterator["Cluster"]:
    """Give the connected Dask cluster with this scheduler."""
    with needs_extra("cluster", "dask", "distributed"):
        from strandline.consumer.cluster.client import connect_cluster

    with connect_cluster(address) as cluster:
        yield cluster


def discover_projections() -> Mapping[str, "Projection"]:
    """Load the projections that the settings name. Call it first: a wrong setting must show before any work."""
    from strandline.consumer.projection.discovery import discover
    from strandline.consumer.settings import load_settings

    return discover(load_settings().projections)
