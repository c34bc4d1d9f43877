"""Meaning of PostgreSQL's errors to the person who runs Strandline."""

import psycopg
from psycopg import errors

from strandline.journal.errors import StrandlineError

# Errors of a value, not of the connection or the server: the only ones that blame a row.
ROW_ERRORS = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded, errors.StatementTooComplex)


class DatabaseError(StrandlineError):
    """PostgreSQL refused something or was lost."""


class DatabaseUnreachable(DatabaseError):
    """No connection to PostgreSQL could be made."""


def describe_error(exc: psycopg.Error) -> DatabaseError:
    """Describe an error by its SQLSTATE alone: PostgreSQL's own text and DETAIL may hold payload."""
    state = exc.sqlstate
    if state is None:
        if isinstance(exc, psycopg.OperationalError):
            return DatabaseError(_LOST)
        return DatabaseError(f"A statement to PostgreSQL failed in the client ({type(exc).__name__}).")
    text = _MEANINGS.get(state) or _CLASSES.get(state[:2])
    where = _where(exc)
    if text is None:
        return DatabaseError(f"PostgreSQL refused a statement{where} ({type(exc).__name__}, SQLSTATE {state}).")
    return DatabaseError(f"{text}{where} (SQLSTATE {state}).")


_LOST = "The connection to PostgreSQL was lost; what was committed stays: run the command again"
_OUT_OF_DATE = "The database's schema is not what this Strandline expects: run `strandline migrate`"
_MEANINGS = {
    "25006": "The database is read-only (a standby?): use the primary",
    "25P03": "PostgreSQL ended the connection because a transaction was idle for too long: run the command again",
    "3F000": _OUT_OF_DATE,
    "42501": "The database login lacks a right: let an administrator run `strandline migrate`, or grant it",
    "42703": _OUT_OF_DATE,
    "42883": _OUT_OF_DATE,
    "42P01": _OUT_OF_DATE,
    "53100": "PostgreSQL's disk is full: make room, then run the command again",
    "53200": "PostgreSQL is out of memory: run the command again when it has less to do",
    "53300": "PostgreSQL has no connection left: raise max_connections, or end other clients",
    "55P03": "A lock in the database was not free in time: run the command again",
    "57014": "PostgreSQL cancelled a statement (statement_timeout, or an administrator)",
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": "PostgreSQL is starting or stopping: run the command again in a moment",
}
_CLASSES = {
    "08": _LOST,
    "28": "PostgreSQL refused the login: check STRANDLINE_DATABASE_URL",
    "40": "PostgreSQL rolled a transaction back in favour of another one: run the command again",
    "53": "PostgreSQL lacks a resource (disk, memory, connections): see its log",
    "58": "PostgreSQL met an error of the system it runs on: see its log",
    "XX": "PostgreSQL met an internal error or damaged data: see its log",
}


def _where(exc: psycopg.Error) -> str:
    """Name the table and the constraint: they belong to the schema and hold no payload."""
    names = [name for name in (exc.diag.table_name, exc.diag.constraint_name) if name]
    return f" [{', '.join(names)}]" if names else ""
