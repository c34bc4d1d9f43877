"""Searches for the Ion value that a JSON value was, against a hash that only the right one has."""

from collections.abc import Callable
from typing import Any, NamedTuple

from strandline.journal.ion.hash import sha256
from strandline.journal.restore.nodes import Assignment, Field, Node, Rank, alike, node

Accepts = Callable[[bytes], bool]
"""Returns True for the Ion Hash of the right value alone."""

# The share of the budget after which fields that look alike are tried together, and the share for that.
_UNTIL_ALIKE, _FOR_ALIKE = 20, 4


class Found(NamedTuple):
    """A value whose hash is the one searched for, and the recipes that gave it. `tried` counts hashes computed."""

    value: Any
    assignment: Assignment
    tried: int


class NotFound(NamedTuple):
    """A search without result: `exhausted` if no combination is left, otherwise the budget ended it."""

    tried: int
    exhausted: bool


def search(
    value: Any, accepts: Accepts, rank: Rank, budget: int, known: Callable[[Field], bool] = lambda _: False
) -> Found | NotFound:
    """Try the combinations of the recipes that `rank` gives, best first, until one is accepted by its Ion Hash.

    `budget` is the number of combinations to try. At first all members of a list have the same types. If the likeliest
    of these fail, fields that look alike get the same type, unless they are `known`. Half of the budget is kept for
    lists of mixed types. Raises RecursionError for a value that is nested too deeply.
    """
    search = _Search(accepts, budget)
    lists = _holds_list(value)
    uniform = _Candidates(node(value, (), rank, uniform=True))
    if search.run(uniform, budget // _UNTIL_ALIKE) or (uniform.exhausted and not lists):
        return search.result(exhausted=uniform.exhausted)
    search.run(_Candidates(alike(value, rank, known)), budget // _FOR_ALIKE)
    search.run(uniform, budget // 2 - search.tried if lists else budget)
    if lists:
        uniform = _Candidates(node(value, (), rank, uniform=False))
        search.run(uniform, budget)
    return search.result(exhausted=uniform.exhausted)


class _Candidates:
    """The combinations of a node, in order; a search can be resumed."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.next = 0
        self.exhausted = False


class _Search:
    def __init__(self, accepts: Accepts, budget: int) -> None:
        self.tried = 0
        self._accepts = accepts
        self._budget = budget
        self._found: Found | None = None

    def run(self, candidates: _Candidates, most: int) -> bool:
        """Try the next candidates, at most so many and at least one. Returns True if one was accepted."""
        root, accepts = candidates.root, self._accepts
        for index in range(candidates.next, candidates.next + min(max(most, 1), self._budget - self.tried)):
            if self._found is not None or root.cost(index) is None:
                candidates.exhausted = self._found is None
                break
            candidates.next = index + 1
            self.tried += 1
            if accepts(sha256(root.serialized(index))):
                self._found = Found(root.value(index), dict(root.recipes(index)), self.tried)
        return self._found is not None

    def result(self, *, exhausted: bool) -> Found | NotFound:
        return self._found or NotFound(self.tried, exhausted)


def _holds_list(value: Any) -> bool:
    if type(value) is dict:
        return any(map(_holds_list, value.values()))
    return type(value) is list and len(value) > 0
