"""The view `read.<name>` that readers of a read model in PostgreSQL query."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from strandline.consumer.sinks.patience import with_patience
from strandline.journal.errors import StrandlineError

READERS = {"analysts": ("strandline_analyst", "strandline_cleared"), "cleared": ("strandline_cleared",)}

COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
# Objects that depend on a view: other views, and functions whose body is bound to it.
READ_DEPENDENTS = """
    SELECT DISTINCT coalesce(r.ev_class::regclass::text, d.objid::regprocedure::text) AS name
    FROM pg_depend d
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(%(view)s)
      AND (r.ev_class <> to_regclass(%(view)s) OR d.classid = 'pg_proc'::regclass)
    ORDER BY name"""
# A read model's view is over a table in schema generation.
IS_FOREIGN = """
    SELECT to_regclass(%(view)s) IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
        WHERE r.ev_class = to_regclass(%(view)s) AND c.relnamespace = 'generation'::regnamespace)"""
READ_READERS = """
    SELECT pg_get_userbyid(a.grantee) FROM pg_class, aclexplode(relacl) AS a
    WHERE oid = to_regclass(%s) AND a.privilege_type = 'SELECT' AND pg_get_userbyid(a.grantee) = ANY(%s)"""
REPLACE = "CREATE OR REPLACE VIEW {view} AS {query}"
DROP = "DROP VIEW {view}"
COMMENT = "COMMENT ON VIEW {view} IS {text}"
COMMENT_COLUMN = "COMMENT ON COLUMN {view}.{column} IS {text}"
REVOKE = "REVOKE ALL ON {view} FROM {roles}"
GRANT = "GRANT SELECT ON {view} TO {roles}"


class ViewInUse(StrandlineError):
    """The columns of a read model change, and other objects depend on its view."""


class ForeignView(StrandlineError):
    """Somebody else made a view, or another relation, of the read model's name."""


class ReadView:
    """The view of one read model."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], name: str) -> None:
        self._connection = connection
        self._view = Identifier("read", name)
        self._name = f"read.{name}"

    def columns(self) -> list[str]:
        """Return the view's columns in their order; none if there is no view."""
        return [name for (name,) in self._connection.execute(COLUMNS, [self._quoted])]

    def dependents(self) -> list[str]:
        """Return the names of the objects that depend on the view."""
        return [name for (name,) in self._connection.execute(READ_DEPENDENTS, {"view": self._quoted})]

    def show(self, query: Callable[[], Composable], roles: Sequence[str], comments: Iterable[Composed] = ()) -> None:
        """Create or replace the view, for these roles alone.

        `query` is called when the view is about to be replaced, and again after it was dropped because its columns do
        not allow that. Raises `ForeignView`, `ViewInUse` or `ReadersInTheWay`; then nothing has changed.
        """
        if self._connection.execute(IS_FOREIGN, {"view": self._quoted}).fetchone() == (True,):
            raise ForeignView(f"{self._name} is not of a read model.\nRename it, or give the projection another name.")
        rest = [self._sql(REVOKE, roles=names(READERS["analysts"])), *comments]
        if roles:
            rest.append(self._sql(GRANT, roles=names(roles)))

        def replace() -> None:
            # In one request: readers wait from the first statement to the commit.
            self._connection.execute(SQL("; ").join([self._sql(REPLACE, query=query()), *rest]))

        def act() -> None:
            try:
                with self._connection.transaction():
                    replace()
            except errors.InvalidTableDefinition:
                self._drop()
                replace()

        with_patience(self._connection, act, self._name)

    def set_readers(self, roles: Sequence[str], *, withdraw_only: bool) -> None:
        """Grant the view to these roles, and revoke it from other readers; a no-op if there is no view.

        `withdraw_only`: grant nothing, because the view's columns are of an earlier declaration.
        """
        if not self.columns():
            return
        every = list(READERS["analysts"])
        present = {name for (name,) in self._connection.execute(READ_READERS, [self._quoted, every])}
        if revoked := sorted(present - set(roles)):
            self._connection.execute(self._sql(REVOKE, roles=names(revoked)))
        if (granted := sorted(set(roles) - present)) and not withdraw_only:
            self._connection.execute(self._sql(GRANT, roles=names(granted)))

    def comments(self, purpose: str, columns: Mapping[str, str]) -> Iterator[Composed]:
        """Yield the statements that comment on the view and its columns."""
        yield self._sql(COMMENT, text=Literal(purpose))
        for name, text in columns.items():
            yield self._sql(COMMENT_COLUMN, column=Identifier(name), text=Literal(text))

    def _drop(self) -> None:
        if dependents := self.dependents():
            raise ViewInUse(
                f"The columns of {self._name} change otherwise than by new ones at the end, and other objects depend "
                f"on it: {', '.join(dependents)}.\nNothing was changed: drop those first."
            ) from None
        self._connection.execute(self._sql(DROP))

    @property
    def _quoted(self) -> str:
        return self._view.as_string(self._connection)

    def _sql(self, statement: Any, **parts: Composable) -> Composed:
        return SQL(statement).format(view=self._view, **parts)


def names(some: Sequence[str]) -> Composed:
    """Return a list of identifiers."""
    return SQL(", ").join([Identifier(name) for name in some])


def trusted(sql: str) -> SQL:
    """Return SQL from a trusted source, such as the projection's own file, as it is."""
    return SQL(sql.replace("{", "{{").replace("}", "}}"))
