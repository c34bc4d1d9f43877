"""Group commit: one of the threads that wait to write serves all of them together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
MOST_TOGETHER = 64


@dataclass(slots=True, eq=False)
class _Slot(Generic[Item, Outcome]):
    item: Item
    outcome: Outcome | None = None
    error: BaseException | None = None
    served: bool = False


class Group(Generic[Item, Outcome]):
    """Passes the items that several threads submit to one function, in order of arrival. Has no thread of its own."""

    def __init__(self, serve: Callable[[Sequence[Item]], Sequence[Outcome]]) -> None:
        self._serve = serve
        self._waiting: list[_Slot[Item, Outcome]] = []
        self._changing = Lock()
        self._serving = Lock()

    def submit(self, item: Item) -> Outcome:
        """Wait for the item's outcome and return it. Raises the error that serving it raised."""
        slot: _Slot[Item, Outcome] = _Slot(item)
        with self._changing:
            self._waiting.append(slot)
        # The first thread to get the lock serves all that wait by then; the others find their slot served.
        with self._serving:
            while not slot.served:
                self._serve_waiting()
        if slot.error is not None:
            raise slot.error
        assert slot.outcome is not None
        return slot.outcome

    def _serve_waiting(self) -> None:
        with self._changing:
            slots, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
        try:
            outcomes = self._serve([slot.item for slot in slots])
            for slot, outcome in zip(slots, outcomes, strict=True):
                slot.outcome = outcome
        except BaseException as error:
            for slot in slots:
                slot.error = error
        for slot in slots:
            slot.served = True
