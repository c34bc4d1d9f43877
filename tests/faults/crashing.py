"""Connections that break: at any statement, between any two commits."""

from typing import Any

import psycopg

from strandline.consumer.database.connection import connect


class Crash(psycopg.OperationalError):
    """The connection was lost on purpose."""


class Breakable:
    """A connection for one actor, made anew after it broke; `arm` says after how many statements it breaks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None
        self._left: int | None = None

    def get(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url)
            self._watch(self._connection)
        return self._connection

    @property
    def broken(self) -> bool:
        """Return True if it broke and was not opened again: code that ignores a first error meets a second one."""
        return self._connection is not None and self._connection.closed

    def arm(self, statements: int | None) -> None:
        self._left = statements

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _watch(self, connection: psycopg.Connection[Any]) -> None:
        make_cursor = connection.cursor

        def cursor(*args: Any, **options: Any) -> Any:
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    self._left = None
                    connection.close()  # the server undoes what is not committed
                    raise Crash("lost on purpose")
            return make_cursor(*args, **options)

        connection.cursor = cursor  # type: ignore[method-assign,assignment]
