"""Makes the next items on a background thread while the caller works on one."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

WAITING_SECONDS = 2.0


@contextmanager
def prefetch(items: Generator[T, Any, Any], ahead: int, waiting: Callable[[], object]) -> Iterator[Iterator[T]]:
    """Iterate over `items`, made at most `ahead` before they are asked for; closes the generator at the end.

    Calls `waiting` every few seconds while the next item is not there.
    """
    end = object()
    with closing(items), ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        made = deque(pool.submit(next, items, end) for _ in range(ahead))

        def results() -> Iterator[T]:
            while True:
                while wait([made[0]], WAITING_SECONDS).not_done:
                    waiting()
                if (item := made.popleft().result()) is end:
                    return
                made.append(pool.submit(next, items, end))
                yield item  # type: ignore[misc]

        try:
            yield results()
        finally:
            pool.shutdown(cancel_futures=True)
