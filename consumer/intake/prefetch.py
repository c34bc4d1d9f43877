"""Runs an iterator on a thread of its own, ahead of its consumer."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def prefetch(items: Iterable[Item], ahead: int, name: str) -> Iterator[Iterator[Item]]:
    """Give the items, of which a thread called `name` makes up to `ahead` before they are asked for.

    An error of the iterator is raised where its item is asked for. On exit the thread makes no further item; an item
    that it is making is waited for.
    """
    source = iter(items)
    end = object()
    waiting: deque[Future[Item | object]] = deque()

    def results() -> Iterator[Item]:
        while (item := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(next, source, end))
            yield item  # type: ignore[misc]  # it is not `end`

    with ThreadPoolExecutor(1, thread_name_prefix=name) as thread:
        waiting.extend(thread.submit(next, source, end) for _ in range(ahead))
        try:
            yield results()
        finally:
            for future in waiting:
                future.cancel()
