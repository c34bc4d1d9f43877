"""Errors in a statement. The texts begin as QLDB's did, and hold names and positions but no values."""

from strandline.ledger.errors import LedgerError


class StatementError(LedgerError):
    """The statement cannot be run."""


class StatementSyntaxError(StatementError):
    """The statement's text is not in the dialect."""


class SemanticError(StatementError):
    """The statement means nothing here: an unknown name or function, or a value of a wrong type."""


def at(text: str, position: int) -> str:
    """Return a position in the text as QLDB's errors had it."""
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return f"at line {line}, column {column}"
