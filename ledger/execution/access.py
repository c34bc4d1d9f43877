"""The right to run statements on tables, by QLDB's actions (its developer guide, "Standard permissions mode")."""

from collections.abc import Callable

from strandline.ledger.errors import LedgerError

SELECT = "PartiQLSelect"
INSERT = "PartiQLInsert"
UPDATE = "PartiQLUpdate"
DELETE = "PartiQLDelete"
CREATE_TABLE = "PartiQLCreateTable"
DROP_TABLE = "PartiQLDropTable"
UNDROP_TABLE = "PartiQLUndropTable"
CREATE_INDEX = "PartiQLCreateIndex"
DROP_INDEX = "PartiQLDropIndex"
HISTORY = "PartiQLHistoryFunction"
REDACT = "PartiQLRedact"
ACTIONS = frozenset((
    SELECT, INSERT, UPDATE, DELETE, CREATE_TABLE, DROP_TABLE, UNDROP_TABLE, CREATE_INDEX, DROP_INDEX, HISTORY, REDACT,
))  # fmt: skip
CATALOG = "information_schema.user_tables"

# Returns whether an action is allowed on the table of this name.
May = Callable[[str, str], bool]


class AccessDenied(LedgerError):
    """Access denied. Unable to run the statement due to insufficient permissions or an improper variable reference"""

    def __init__(self) -> None:
        super().__init__(str(type(self).__doc__))  # QLDB's words: they do not tell a table that is not there apart
