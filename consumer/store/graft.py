"""Tells QLDB's blocks from those that Strandline appended, as the journal itself says.

The first append writes a *graft*: an ordinary block that inserts a document into the table StrandlineGraft. That block
and all later ones are Strandline's.
"""

from strandline.consumer.database.connection import Connection
from strandline.journal.decode.graft import GRAFT_TABLE as TABLE
from strandline.journal.proofs.file import Writer

__all__ = ["TABLE", "read_graft", "written_by"]

READ_GRAFT = "SELECT min(first_no) FROM journal.user_table WHERE name = 'StrandlineGraft'"


def read_graft(connection: Connection) -> int | None:
    """Return the number of the first block that Strandline appended; None if all are QLDB's."""
    row = connection.execute(READ_GRAFT).fetchone()
    return None if row is None else row[0]


def written_by(sequence_no: int, graft: int | None) -> Writer:
    """Return who wrote a block, as the journal says."""
    return "qldb" if graft is None or sequence_no < graft else "strandline"
