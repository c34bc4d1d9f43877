"""Enumerates combinations of alternatives, the likeliest first."""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Protocol


class Alternatives(Protocol):
    """Alternatives in the order of their costs, which may be found one by one."""

    def cost(self, index: int) -> float | None:
        """Return the cost of the alternative with that index, None beyond the last one. Never falls with the index."""


class Product:
    """Every combination of one alternative from each factor, in the order of total cost.

    The cost of a combination is the sum over its factors. Combinations are found when asked for, each once: each has
    one predecessor, from which it differs in the last factor that is not at its first alternative. So memory grows with
    the combinations asked for, not with the number of all of them.
    """

    def __init__(self, factors: Sequence[Alternatives]) -> None:
        self._factors = factors
        first = [factor.cost(0) for factor in factors]
        seconds = [factor.cost(1) for factor in factors]
        rises = [
            (second - least, place)
            for place, (least, second) in enumerate(zip(first, seconds, strict=True))
            if least is not None and second is not None
        ]
        # The cheapest rise first, so that a successor never costs less than its predecessor.
        self._open = [place for _, place in sorted(rises)]
        self._rises = [rise for rise, _ in sorted(rises)]
        self._found: list[tuple[float, tuple[int, ...]]] = []
        self._heap: list[tuple[float, tuple[int, ...], int]] = []
        if None not in first:
            total = sum(least for least in first if least is not None)
            heappush(self._heap, (total, (0,) * len(factors), -1))

    def cost(self, index: int) -> float | None:
        found = self._at(index)
        return None if found is None else found[0]

    def choice(self, index: int) -> tuple[int, ...]:
        """Return the combination with that index: each factor's alternative. The caller has seen its cost."""
        found = self._at(index)
        assert found is not None
        return found[1]

    def _at(self, index: int) -> tuple[float, tuple[int, ...]] | None:
        while len(self._found) <= index:
            if not self._heap:
                return None
            total, choice, last = heappop(self._heap)
            self._found.append((total, choice))
            self._push_successors(total, choice, last)
        return self._found[index]

    def _push_successors(self, total: float, choice: tuple[int, ...], last: int) -> None:
        """Push the combinations whose predecessor this is; `last` is the last factor, in order of rise, not at 0."""
        if last >= 0:
            place = self._open[last]
            index = choice[place]
            here, above = self._factors[place].cost(index), self._factors[place].cost(index + 1)
            if here is not None and above is not None:
                heappush(self._heap, (total + above - here, _with(choice, place, index + 1), last))
        if last + 1 == len(self._open):
            return
        following = self._open[last + 1]
        raised = _with(choice, following, 1)
        heappush(self._heap, (total + self._rises[last + 1], raised, last + 1))
        if last >= 0 and choice[self._open[last]] == 1:
            moved = total - self._rises[last] + self._rises[last + 1]
            heappush(self._heap, (moved, _with(raised, self._open[last], 0), last + 1))


def _with(choice: tuple[int, ...], place: int, index: int) -> tuple[int, ...]:
    return (*choice[:place], index, *choice[place + 1 :])
