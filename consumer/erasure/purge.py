"""Runs the projectors until every redaction is applied, then issues receipts."""

from collections.abc import Mapping

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.erasure.probe import Residue
from strandline.consumer.erasure.receipts import Issued, issue_hidden, open_for
from strandline.consumer.generations.leftover import drop_unknown
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.generations.purge_by_source import purge_unknown
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projector import feed
from strandline.consumer.projector.projector import Progress
from strandline.consumer.sinks.contract import StoreFailed
from strandline.consumer.tracing import span


def hide(
    url: str, projections: Mapping[str, Projection], stores: Stores, progress: Progress | None = None
) -> list[Residue]:
    """Bring every projection to the mark and issue receipts, until no redaction is open. Returns the residue found.

    Repeats while others raise the mark. A projection that cannot go on leaves redactions open; `read_status` counts
    them.
    """
    while True:
        with connect(url) as connection:
            mark = feed.read_mark(connection)
        project(url, projections, progress=progress, stores=stores)
        with connect(url) as connection:
            try:
                residue = purge_and_issue(connection, projections, stores).residue
            except StoreFailed:
                return []
            with connection.transaction():
                waiting = open_for(connection)
                moved = feed.read_mark(connection) > mark
        if waiting is None or not moved:
            return residue


def purge_and_issue(connection: Connection, projections: Mapping[str, Projection], stores: Stores) -> Issued:
    """Purge the generations that no projector fills, drop what is left of such, then issue the receipts that are due.

    The connection must be outside a transaction. Raises `StoreFailed`.
    """
    with span("purge") as facts:
        purge_unknown(connection, projections, stores)
        drop_unknown(connection, projections, stores)
        issued = issue_hidden(connection, projections, stores)
        if issued.receipts or issued.residue:
            facts |= {"receipts": issued.receipts, "residue": len(issued.residue)}
        return issued
