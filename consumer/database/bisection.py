"""Runs a batch at once and, if that fails, finds by halves the items that are to blame."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Error = TypeVar("Error", bound=Exception)


def attempt_all(
    items: Sequence[Item],
    batch: Callable[[Sequence[Item]], Iterable[Result]],
    single: Callable[[Item, Error], Result],
    errors: type[Error] | tuple[type[Error], ...],
) -> list[Result]:
    """Return the results of `batch` over all items; if it raises one of `errors`, those of each half, in order.

    `batch` undoes what it did before it raises. An item that fails alone goes to `single`, with its error: return what
    stands for it, or raise to end the attempt. An empty sequence is no batch: the result is empty.
    """
    if not items:
        return []
    try:
        return list(batch(items))
    except errors as exc:
        if len(items) == 1:
            return [single(items[0], exc)]
    middle = len(items) // 2
    return [
        *attempt_all(items[:middle], batch, single, errors),
        *attempt_all(items[middle:], batch, single, errors),
    ]
