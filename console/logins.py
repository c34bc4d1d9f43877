"""The logins by which payload is read: each is a member of exactly one reader role.

A login that may also act as another role is no protection: `SET ROLE` restricts a session until a statement undoes it,
for example by `set_config('role', 'none', …)` in a query.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.database.readers import ROLES, Readers
from strandline.journal.errors import UsageError

SETTINGS: dict[Readers, str] = {
    "analysts": "STRANDLINE_CONSOLE_ANALYST_URL",
    "cleared": "STRANDLINE_CONSOLE_CLEARED_URL",
}
QUERY_SECONDS = 30
DOWNLOAD_SECONDS = 300  # it ends when the last row is sent
IDLE_SECONDS = 60

# All roles that the login may become, by any way, whether or not it inherits their rights.
READ_ROLES = """
    WITH RECURSIVE held AS (
        SELECT oid FROM pg_roles WHERE rolname = session_user
        UNION
        SELECT m.roleid FROM pg_auth_members m JOIN held ON m.member = held.oid
    )
    SELECT r.rolname, r.rolname = session_user,
           r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls
    FROM held JOIN pg_roles r USING (oid)"""
READ_OWNED = (
    "SELECT EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND datdba = session_user::regrole)"
)
SAME_DATABASE = "SELECT count(*) FROM read.read_models"


@dataclass(frozen=True)
class Login:
    """A checked login of one reader role."""

    readers: Readers
    url: str

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Open a connection whose transactions are read-only and limited in time; it acts as the login itself."""
        with connect(self.url, role=None, application_name="strandline console", idle_seconds=IDLE_SECONDS) as found:
            found.execute(f"SET statement_timeout = '{QUERY_SECONDS}s'".encode())
            found.commit()
            found.read_only = True
            try:
                yield found
            finally:
                found.rollback()


def check_login(readers: Readers, url: str) -> Login:
    """Return the login if it is a member of its readers' role and of no other. Raises `UsageError`."""
    setting, role = SETTINGS[readers], ROLES[readers]
    with connect(url, role=None, application_name="strandline console", autocommit=True) as connection:
        rows = connection.execute(READ_ROLES).fetchall()
        owns = connection.execute(READ_OWNED).fetchone() == (True,)
        names = {name for name, is_login, _ in rows if not is_login}
        if any(mighty for *_, mighty in rows) or owns:
            raise UsageError(
                f"{setting}: the login is a superuser, may create roles, or owns the database. "
                f"Make one that is a member of {role} alone (docs/console.md)."
            )
        if names != {role}:
            others = ", ".join(sorted(names - {role}))
            found = f"is also a member of {others}" if others else f"is not a member of {role}"
            raise UsageError(
                f"{setting}: the login {found}. Make one that is a member of {role} alone (docs/console.md)."
            )
        try:
            connection.execute(SAME_DATABASE)
        except psycopg.Error:
            raise UsageError(
                f"{setting}: the database holds no store: name the one of STRANDLINE_DATABASE_URL."
            ) from None
    return Login(readers, url)
