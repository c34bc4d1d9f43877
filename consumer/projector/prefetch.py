"""Makes the next items on a background thread while the caller works on one."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def prefetch(items: Generator[T, Any, Any], ahead: int) -> Iterator[Iterator[T]]:
    """Iterate over `items`, made at most `ahead` before they are asked for; closes the generator at the end."""
    end = object()
    with closing(items), ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        made = deque(pool.submit(next, items, end) for _ in range(ahead))

        def results() -> Iterator[T]:
            while (item := made.popleft().result()) is not end:
                made.append(pool.submit(next, items, end))
                yield item  # type: ignore[misc]

        try:
            yield results()
        finally:
            pool.shutdown(cancel_futures=True)
