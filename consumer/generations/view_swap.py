"""Which generation readers see: a read model's view is moved from one to another, and one is kept for the way back."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Identifier

from strandline.consumer.generations.generation import Generation
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.sinks.postgresql import READERS, PostgresqlSink
from strandline.journal.errors import StrandlineError

Connection = psycopg.Connection[tuple[Any, ...]]

# A lock that waits makes every later reader wait behind it, so it waits for a moment only, and tries again.
LOCK_MILLISECONDS = 100
PAUSE_SECONDS = 0.3
PATIENCE_SECONDS = 60.0

SET_LOCK_TIMEOUT = f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"
READ_VIEW = """
    SELECT pg_get_viewdef(view), ARRAY(
        SELECT rolname::text FROM pg_roles
        WHERE rolname = ANY (%s) AND has_table_privilege(rolname, view, 'SELECT') ORDER BY 1)
    FROM to_regclass(%s) AS view"""
RETIRE = """
    UPDATE projection.generation
    SET state = CASE WHEN fingerprint = %(fingerprint)s THEN 'kept' ELSE 'frozen' END, served_at = NULL,
        view_query = %(query)s, view_readers = %(readers)s
    WHERE projection = %(projection)s AND state = 'live'"""
GO_LIVE = "UPDATE projection.generation SET state = 'live', served_at = now() WHERE generation = %s"
DELETE = "DELETE FROM projection.generation WHERE generation = %s"
# Whatever is built on a view: other views, and functions whose body is bound to it.
READ_DEPENDENTS = """
    SELECT DISTINCT coalesce(r.ev_class::regclass::text, d.objid::regprocedure::text) AS name
    FROM pg_depend d
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(%(view)s)
      AND (r.ev_class <> to_regclass(%(view)s) OR d.classid = 'pg_proc'::regclass)
    ORDER BY name"""
REPLACE_VIEW = "CREATE OR REPLACE VIEW {view} AS {query}"
DROP_VIEW = "DROP VIEW {view}"
REVOKE = "REVOKE ALL ON {view} FROM {roles}"
GRANT = "GRANT SELECT ON {view} TO {roles}"


class ViewInUse(StrandlineError):
    """The columns of a read model change, and others are built on its view."""


class ReadersInTheWay(StrandlineError):
    """The view was in use all the time."""


def serve(connection: Connection, projection: Projection, generation: int, show: Callable[[bool], None]) -> None:
    """Let readers see this generation, in the caller's transaction; the one they saw is kept, or frozen.

    `show(anew)` makes the view show it; anew, where its columns do not allow for replacing it in place. Raises
    `ViewInUse` or `ReadersInTheWay`; then nothing has changed.
    """
    name = projection.name
    view = Identifier("read", name).as_string(connection)
    query, readers = connection.execute(READ_VIEW, [list(READERS["analysts"]), view]).fetchone() or (None, [])
    with_patience(connection, lambda: _show(connection, name, show), f"read.{name}")
    mine = fingerprint(projection)
    parameters = {"fingerprint": mine, "query": query, "readers": readers, "projection": name}
    connection.execute(RETIRE, parameters)
    connection.execute(GO_LIVE, [generation])


def show_generation(sink: PostgresqlSink) -> Callable[[bool], None]:
    """Shows a generation that the definition at hand describes."""

    def show(anew: bool) -> None:
        if anew:
            sink.hide()
        sink.serve()

    return show


def show_as_before(connection: Connection, name: str, query: str, readers: list[str]) -> Callable[[bool], None]:
    """Shows a generation whose definition is gone, as it was shown before."""
    view = Identifier("read", name)

    def show(anew: bool) -> None:
        if anew:
            connection.execute(SQL(DROP_VIEW).format(view=view))
        statement = SQL(REPLACE_VIEW).format(view=view, query=SQL(query.replace("{", "{{").replace("}", "}}")))
        connection.execute(statement)
        everyone = SQL(", ").join(map(Identifier, READERS["analysts"]))
        connection.execute(SQL(REVOKE).format(view=view, roles=everyone))
        if readers:
            connection.execute(SQL(GRANT).format(view=view, roles=SQL(", ").join(map(Identifier, readers))))

    return show


def drop(connection: Connection, projection: Projection, gone: Generation, patience: float = PATIENCE_SECONDS) -> None:
    """Drop a generation that nobody is shown, in a transaction of its own."""

    def act() -> None:
        PostgresqlSink(connection, projection, gone.relation).drop()
        connection.execute(DELETE, [gone.generation])

    with connection.transaction():
        with_patience(connection, act, f"generation.{gone.relation}", patience)


def dependents(connection: Connection, name: str) -> list[str]:
    """What others have built on the read model's view."""
    view = Identifier("read", name).as_string(connection)
    return [found for (found,) in connection.execute(READ_DEPENDENTS, {"view": view})]


def _show(connection: Connection, name: str, show: Callable[[bool], None]) -> None:
    try:
        with connection.transaction():
            show(False)
    except errors.InvalidTableDefinition:
        if built_on := dependents(connection, name):
            raise ViewInUse(
                f"The columns of read.{name} change otherwise than by new ones, and others are built on it: "
                f"{', '.join(built_on)}.\nDrop those first; nothing was changed."
            ) from None
        show(True)


def with_patience(
    connection: Connection, act: Callable[[], object], what: str, patience: float = PATIENCE_SECONDS
) -> None:
    """Do what needs a lock that readers hold: again and again, each time waiting a moment only."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with connection.transaction():
                connection.execute(SET_LOCK_TIMEOUT)
                act()
                connection.execute("SET LOCAL lock_timeout TO DEFAULT")
            return
        except errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise ReadersInTheWay(
                    f"{what} was in use for {patience:.0f} seconds, and stays as it was.\n"
                    "End the queries that hold it (pg_stat_activity), then run the command again."
                ) from None
        time.sleep(PAUSE_SECONDS)
