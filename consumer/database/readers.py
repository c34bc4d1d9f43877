"""Logins that may only read: what a person runs has no more rights than it needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier
from psycopg.sql import Literal as SqlLiteral

from strandline.consumer.database.connection import WORKER, connect

Readers = Literal["analysts", "cleared"]

ROLES: dict[Readers, str] = {"analysts": "strandline_analyst", "cleared": "strandline_cleared"}
# Of the embedded server. Each is a member of the role of its readers and of no other.
LOGINS: dict[Readers, str] = {"analysts": "strandline_analyst_login", "cleared": "strandline_cleared_login"}

HAS_PASSWORD = "SELECT FROM pg_authid WHERE rolname = %s AND rolpassword = %s"
CLOSE_TCP = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND client_addr IS NOT NULL"""
EXISTS = "SELECT FROM pg_roles WHERE rolname = %s"
MAY_WRITE = """
    SELECT pg_has_role(current_user, %s, 'USAGE') AND pg_has_role(current_user, %s, 'MEMBER')"""
READ_ONLY = "-c default_transaction_read_only=on"


def embedded_reader_url(url: str, readers: Readers) -> str:
    """Return the URL of a login of the embedded server that may only read, created if needed."""
    login = LOGINS[readers]
    with connect(url, role=None, autocommit=True) as connection:
        if not connection.execute(EXISTS, [login]).rowcount:
            connection.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(login)))
            connection.execute(SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(Identifier(login)))
            # A login does not take over the settings of the role that it is a member of.
            connection.execute(SQL("ALTER ROLE {} SET search_path = read").format(Identifier(login)))
        connection.execute(SQL("GRANT {} TO {}").format(Identifier(ROLES[readers]), Identifier(login)))
    return make_conninfo(url, user=login)


@contextmanager
def reader_password(url: str, readers: Readers, password: str) -> Iterator[None]:
    """Let this password, and no earlier one, open connections to the embedded server over TCP, within this block.

    At the end such connections are closed, unless somebody else has set another password since.
    """
    login = LOGINS[readers]
    with connect(url, role=None, autocommit=True) as connection:
        hashed = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
        connection.execute(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(login), SqlLiteral(hashed)))
    try:
        yield
    finally:
        # The server may run on for other commands, and for some minutes after the last one.
        with connect(url, role=None, autocommit=True) as connection:
            if connection.execute(HAS_PASSWORD, [login, hashed]).rowcount:
                connection.execute(SQL("ALTER ROLE {} PASSWORD NULL").format(Identifier(login)))
                connection.execute(CLOSE_TCP, [login])


def read_only_url(url: str) -> str:
    """Return the URL with options that make every transaction read-only.

    A login that may also write acts as `strandline_cleared`, if it is a member.
    """
    options = READ_ONLY
    with connect(url, role=None, autocommit=True) as connection:
        known = connection.execute(EXISTS, [ROLES["cleared"]]).rowcount
        if known and connection.execute(MAY_WRITE, [WORKER, ROLES["cleared"]]).fetchone() == (True,):
            options += f" -c role={ROLES['cleared']}"
    given = conninfo_to_dict(url).get("options")
    return make_conninfo(url, options=f"{given} {options}" if given else options)
