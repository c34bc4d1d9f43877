"""Documents that a past request wrote, to tell a repetition from another request under the same id."""

from typing import Any

from strandline.consumer.database.connection import connect

REQUESTED = "SELECT sequence_no, transaction_id FROM journal.request WHERE request_id = %s"
# The block's number, as a constant, says in which partition it is; the transaction's id excludes another candidate of
# that number.
WRITTEN = "SELECT data FROM journal.revision WHERE sequence_no = %s AND tx_id = %s AND table_name = %s"


def written(url: str, request_id: str, table: str) -> list[Any]:
    """Return a table's documents as the request wrote them, as JSON values; None for one redacted since."""
    with connect(url, application_name="strandline ledger") as connection:
        request = connection.execute(REQUESTED, [request_id]).fetchone()
        return [] if request is None else [data for (data,) in connection.execute(WRITTEN, [*request, table])]
