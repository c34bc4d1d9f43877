"""Where QLDB's blocks end and those appended since begin, as the journal itself tells it.

The first append writes a *graft*: an ordinary block that inserts a document into the table StrandlineGraft. Blocks
from it on are Strandline's.
"""

from strandline.consumer.database.connection import Connection
from strandline.journal.proofs.file import Writer

TABLE = "StrandlineGraft"

READ_GRAFT = "SELECT min(first_no) FROM journal.user_table WHERE name = 'StrandlineGraft'"


def read_graft(connection: Connection) -> int | None:
    """The number of the first block that was appended since QLDB; None where all are QLDB's."""
    row = connection.execute(READ_GRAFT).fetchone()
    return None if row is None else row[0]


def written_by(sequence_no: int, graft: int | None) -> Writer:
    """Who wrote a block."""
    return "qldb" if graft is None or sequence_no < graft else "strandline"
