"""Projecting until nothing that a redaction erased can be found any more, and the receipts for that."""

from collections.abc import Mapping

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.probe import Found
from strandline.consumer.erasure.receipts import issue_hidden, open_for
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.purge_by_source import purge_unknown
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projector import feed
from strandline.consumer.projector.projector import Progress
from strandline.consumer.sinks.contract import StoreFailed


def hide(
    url: str, projections: Mapping[str, Projection], stores: Stores, progress: Progress | None = None
) -> list[Found]:
    """Bring every projection to the mark, and write receipts, until no redaction is open; gives what was found of
    redacted revisions all the same.

    What cannot go on leaves redactions open, which `read_status` tells. While others raise the mark this goes on.
    """
    while True:
        with connect(url) as connection:
            mark = feed.read_mark(connection)
        project(url, projections, progress=progress, stores=stores)
        with connect(url) as connection:
            try:
                purge_unknown(connection, projections, stores)
                found = issue_hidden(connection, projections, stores).found
            except StoreFailed:
                return []
            with connection.transaction():
                waiting = open_for(connection)
                moved = feed.read_mark(connection) > mark
        if waiting is None or not moved:
            return found
