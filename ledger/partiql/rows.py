"""The variables of one row of FROM, and the way in which a name finds its value among them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from strandline.ledger.partiql.values import MISSING, STRUCTS


class Place(NamedTuple):
    """The origin of a source's value: a document, and the position in the collection that the source is."""

    document_id: str | None
    position: int


class Boundary:
    """The boundary between a query and those around it: `crossed` if a name was looked for beyond it."""

    __slots__ = ("crossed",)

    def __init__(self) -> None:
        self.crossed = False


class Row:
    """The variables that the sources of FROM bind, within those of an outer query.

    `sources` are the aliases that `*` shows, in order; `variables` also has those of AT and BY. `places` say where
    the values of the sources are from. `members` are the rows of a group.
    """

    __slots__ = ("boundary", "members", "outer", "places", "sources", "variables")

    def __init__(
        self,
        variables: Mapping[str, Any],
        sources: tuple[str, ...] = (),
        outer: "Row | None" = None,
        members: "Sequence[Row] | None" = None,
        places: tuple[Place, ...] = (),
        boundary: Boundary | None = None,
    ) -> None:
        self.variables = variables
        self.sources = sources
        self.outer = outer
        self.members = members
        self.places = places
        self.boundary = boundary or Boundary()

    def bind(self, alias: str, value: Any, more: Mapping[str, Any], place: Place) -> "Row":
        """Return the row with one more source, and with the variables of its AT and BY."""
        variables = {**self.variables, **more, alias: value}
        sources, places = (*self.sources, alias), (*self.places, place)
        return Row(variables, sources, self.outer, None, places, self.boundary)

    def inner(self, boundary: Boundary | None = None) -> "Row":
        """Return the row that a query within this one begins with."""
        return Row({}, (), self, boundary=boundary)

    def binds(self, name: str) -> bool:
        """Return whether the name is a variable, here or in an outer query."""
        return name in self.variables or (self.outer is not None and self.outer.binds(name))

    def value(self, name: str) -> Any:
        """Return a variable's value, or else that of the field of this name in a source; MISSING if there is none."""
        row: Row | None = self
        while row is not None:
            if name in row.variables:
                return row.variables[name]
            for alias in row.sources:
                value = row.variables[alias]
                if isinstance(value, STRUCTS) and name in value:
                    return value[name]
            row.boundary.crossed = True
            row = row.outer
        return MISSING
