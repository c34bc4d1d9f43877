"""Documents that a past request wrote, to tell a repetition from another request under the same id."""

from typing import Any

from strandline.consumer.database.connection import connect

# The request's block is found by its number; the transaction's id excludes another candidate of that number.
WRITTEN = """
    SELECT r.data FROM journal.request q
    JOIN journal.revision r ON r.sequence_no = q.sequence_no AND r.tx_id = q.transaction_id
    WHERE q.request_id = %s AND r.table_name = %s"""


def written(url: str, request_id: str, table: str) -> list[Any]:
    """Return a table's documents as the request wrote them, as JSON values; None for one redacted since."""
    with connect(url, application_name="strandline ledger") as connection:
        return [data for (data,) in connection.execute(WRITTEN, [request_id, table])]
