"""What nearly every command needs first: the settings, and a database with its schema up to date."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strandline.consumer.projection.definition import Projection
    from strandline.consumer.settings import Settings


@contextmanager
def open_store() -> Iterator[tuple["Settings", str]]:
    """The settings, and the URL of the database, migrated; an embedded one runs meanwhile."""
    from strandline.consumer.database.connection import open_database
    from strandline.consumer.database.migrate import migrate
    from strandline.consumer.settings import load_settings

    settings = load_settings()
    with open_database(settings) as url:
        migrate(url)
        yield settings, url


def discover_projections() -> Mapping[str, "Projection"]:
    """The projections that the settings name; asked for first, so that a wrong setting is told before any work."""
    from strandline.consumer.projection.discovery import discover
    from strandline.consumer.settings import load_settings

    return discover(load_settings().projections)
