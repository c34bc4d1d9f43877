"""What a request wrote, long after: to tell a repetition from another request under the same id."""

from typing import Any

from strandline.consumer.database.connection import connect

# A request's block is found by its number; the transaction's id keeps a candidate for that number out.
WRITTEN = """
    SELECT r.data FROM journal.request q
    JOIN journal.revision r ON r.sequence_no = q.sequence_no AND r.tx_id = q.transaction_id
    WHERE q.request_id = %s AND r.table_name = %s"""


def written(url: str, request_id: str, table: str) -> list[Any]:
    """The documents of a table as the request wrote them, as JSON values; None for what was redacted since."""
    with connect(url, application_name="strandline ledger") as connection:
        return [data for (data,) in connection.execute(WRITTEN, [request_id, table])]
