"""Remembers which recipes were right, by table, shape and field, and ranks the next guesses by it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import log2
from typing import Any

from strandline.journal.restore.hints import Hints, TableHints
from strandline.journal.restore.nodes import Assignment, Field, Ranked
from strandline.journal.restore.plan import Plan
from strandline.journal.restore.recipes import recipes_for

Shape = tuple[tuple[str, ...], tuple[type, ...]]
"""The names of a document's top-level fields and the JSON types of their values."""

_MOST_PLANS = 8  # a shape; the one that was right last comes first
_MOST_SHAPES = 10_000  # a table; a table with more has names made from data
_UNHINTED = 1.0  # how much less likely a type is that a hint does not name
_UNSEEN = 3.0  # how much less likely a type is that a field never had


def shape_of(value: Mapping[str, Any]) -> Shape:
    """Return the shape of a document."""
    return tuple(value), tuple(map(type, value.values()))


class TableHistory:
    """The history of one table."""

    def __init__(self, hints: TableHints | None = None) -> None:
        self._hints = hints or TableHints()
        self._counts: dict[Field, dict[str, int]] = {}
        self._shapes: dict[Shape, list[Plan]] = {}

    def plans(self, shape: Shape) -> list[Plan]:
        """Return the plans of a shape, the one that was right last first."""
        return self._shapes.get(shape, [])

    def confirm(self, shape: Shape, place: int) -> None:
        """Move the plan at a place, which was right again, to the front."""
        if place:
            plans = self._shapes[shape]
            plans.insert(0, plans.pop(place))

    def learn(self, shape: Shape, assignment: Assignment) -> None:
        """Take in an assignment that a revision's hash has confirmed."""
        for field, recipe in assignment.items():
            counts = self._counts.setdefault(field, {})
            counts[recipe] = counts.get(recipe, 0) + 1
        if shape not in self._shapes and len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        plans = self._shapes.setdefault(shape, [])
        for place, plan in enumerate(plans):
            merged = plan.merged(assignment)
            if merged is not None:
                plans.pop(place)
                plans.insert(0, merged)
                return
        plans.insert(0, Plan(assignment))
        del plans[_MOST_PLANS:]

    def rank(self, field: Field, value: Any) -> Ranked:
        """Return the recipes to try for a value: what the field was before, what a hint says, what JSON allows."""
        return self._ranked(field, value, self._hints.get(field[0]))

    def rank_without_hints(self, field: Field, value: Any) -> Ranked:
        """Return what `rank` does, as if there were no hints: they may be wrong."""
        return self._ranked(field, value, ())

    def _ranked(self, field: Field, value: Any, hinted: tuple[str, ...]) -> Ranked:
        base = recipes_for(value)
        counts = self._counts.get(field)
        if counts is None and not hinted:
            return base
        rise = _UNHINTED if counts is None else _UNSEEN
        costs: dict[str, float] = {recipe: cost + rise for recipe, cost in base}
        for place, recipe in enumerate(hinted):
            costs[recipe] = place / 2 + (0.0 if counts is None else 1.0)
        if counts is not None:
            total = sum(counts.values())
            costs.update({recipe: log2((total + 1) / count) / 2 for recipe, count in counts.items()})
        return list(costs.items())

    @property
    def hinted(self) -> bool:
        """Return whether there are hints for this table."""
        return bool(self._hints.paths or self._hints.names)

    def knows(self, field: Field) -> bool:
        """Return True if a revision's hash has confirmed a recipe of this field."""
        return field in self._counts

    def fields(self) -> Iterator[tuple[Field, dict[str, int]]]:
        """Yield each field with the recipes that were right, and how often a search found them."""
        yield from self._counts.items()


class History:
    """The histories of all tables.

    `failures` counts, by table and shape, the searches without result since the last one with a result.
    """

    def __init__(self, hints: Hints | None = None) -> None:
        self.failures: Counter[tuple[str, Shape]] = Counter()
        self._hints = hints or Hints()
        self._tables: dict[str, TableHistory] = {}

    def table(self, name: str) -> TableHistory:
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = TableHistory(self._hints.table(name))
        return table

    def tables(self) -> Mapping[str, TableHistory]:
        return self._tables
