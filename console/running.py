"""The queries that run now, by reader, so that a reader can cancel them from another tab."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class Running:
    """The cancels of the queries that run in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._cancels: dict[str, list[Callable[[], None]]] = {}

    @contextmanager
    def entered(self, reader: str, cancel: Callable[[], None]) -> Iterator[None]:
        """Hold a query as running until the block ends."""
        with self._lock:
            self._cancels.setdefault(reader, []).append(cancel)
        try:
            yield
        finally:
            with self._lock:
                self._cancels[reader].remove(cancel)
                if not self._cancels[reader]:
                    del self._cancels[reader]

    def cancel(self, reader: str) -> int:
        """Cancel the reader's queries. Returns how many there were."""
        with self._lock:
            found = list(self._cancels.get(reader, ()))
        for cancel in found:
            cancel()
        return len(found)
