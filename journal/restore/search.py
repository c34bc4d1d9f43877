"""Searches for the Ion value that a JSON value was, against a hash that only the right one has."""

from collections.abc import Callable
from typing import Any, NamedTuple

from strandline.journal.ion.hash import sha256
from strandline.journal.restore.nodes import Assignment, Node, Rank, node


class Found(NamedTuple):
    """A value whose hash is the one searched for, and the recipes that gave it. `tried` counts hashes computed."""

    value: Any
    assignment: Assignment
    tried: int


class NotFound(NamedTuple):
    """A search without result: `exhausted` if no combination is left, otherwise the budget ended it."""

    tried: int
    exhausted: bool


def search(value: Any, accepts: Callable[[bytes], bool], rank: Rank, budget: int) -> Found | NotFound:
    """Try the combinations of the recipes that `rank` gives, best first, until one is accepted by its Ion Hash.

    `budget` is the number of combinations to try. At first all members of a list have the same types; half of the
    budget is kept for lists of mixed types. Raises RecursionError for a value that is nested too deeply.
    """
    lists = _holds_list(value)
    uniform = _run(node(value, (), rank, uniform=True), accepts, max(1, budget // 2) if lists else budget)
    if isinstance(uniform, Found) or not lists:
        return uniform
    mixed = _run(node(value, (), rank, uniform=False), accepts, budget - uniform.tried)
    return mixed._replace(tried=mixed.tried + uniform.tried)


def _run(root: Node, accepts: Callable[[bytes], bool], budget: int) -> Found | NotFound:
    for index in range(budget):
        if root.cost(index) is None:
            return NotFound(index, exhausted=True)
        if accepts(sha256(root.serialized(index))):
            return Found(root.value(index), dict(root.recipes(index)), index + 1)
    return NotFound(budget, exhausted=False)


def _holds_list(value: Any) -> bool:
    if type(value) is dict:
        return any(map(_holds_list, value.values()))
    return type(value) is list and len(value) > 0
