"""A JSON value as a tree of nodes; each node knows the Ion values that it may have been, the likeliest first.

Each alternative of each field is serialized and hashed once. A struct's hash is made of its fields' hashes, so another
combination costs a sort and one hash, not a new pass over the data.

Members of a list mostly have the same types, field by field. A `Uniform` list gives all values of one field the same
recipe; a `Mixed` one does not, and has very many more alternatives. `alike` gives all fields that
look alike one recipe: an application that wrote one float or symbol mostly wrote others too.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

from strandline.journal.ion.hash import escape, serialize, sha256, symbol_bytes
from strandline.journal.restore.product import Product
from strandline.journal.restore.recipes import NOT_POSSIBLE, Kind, apply, kind_of

Path = tuple[str, ...]
"""The names that lead to a field; `[]` for the members of a list."""
Field = tuple[Path, Kind]
"""A field as far as JSON shows it. One path may have values of several kinds, each with types of its own."""
Ranked = list[tuple[str, float]]
Rank = Callable[[Field, Any], Ranked]
"""Returns the recipes to try for a value of a field, with their costs, in any order."""
Assignment = dict[Field, str]
"""The recipe of each field of a document."""

MEMBER = "[]"
_CODES = {"struct": b"\x0b\xd0", "list": b"\x0b\xb0", "sexp": b"\x0b\xc0"}


class Node(Protocol):
    """A value and its alternatives, by index."""

    def cost(self, index: int) -> float | None: ...

    def serialized(self, index: int) -> bytes:
        """Return the serialization for Ion Hash."""

    def value(self, index: int) -> Any:
        """Return the Ion value."""

    def recipes(self, index: int) -> Iterator[tuple[Field, str]]:
        """Yield the recipe of every field in it."""


def node(value: Any, path: Path, rank: Rank, *, uniform: bool) -> Node:
    """Return the node of a JSON value (`journal.ion.json.read_json`)."""
    if type(value) is dict:
        return Struct(value, path, rank, uniform=uniform)
    if type(value) is list:
        return Uniform(value, path, rank) if uniform and value else Mixed(value, path, rank, uniform=uniform)
    return Scalar(value, path, rank)


class Scalar:
    def __init__(self, value: Any, path: Path, rank: Rank) -> None:
        self._field: Field = (path, kind_of(value))
        self._options: list[tuple[float, str, Any]] = []
        for recipe, cost in rank(self._field, value):
            converted = apply(recipe, value)
            if converted is not NOT_POSSIBLE:
                self._options.append((cost, recipe, converted))
        self._options.sort(key=lambda option: option[0])
        self._serialized: dict[int, bytes] = {}

    def cost(self, index: int) -> float | None:
        return self._options[index][0] if index < len(self._options) else None

    def serialized(self, index: int) -> bytes:
        known = self._serialized.get(index)
        if known is None:
            known = self._serialized[index] = serialize(self._options[index][2])
        return known

    def value(self, index: int) -> Any:
        return self._options[index][2]

    def recipes(self, index: int) -> Iterator[tuple[Field, str]]:
        yield self._field, self._options[index][1]


class _Own:
    """The recipes of a container itself: its type and its annotations."""

    def __init__(self, field: Field, value: Any, rank: Rank) -> None:
        self._options = sorted(((cost, recipe) for recipe, cost in rank(field, value)), key=lambda option: option[0])
        self._options = [option for option in self._options if apply(option[1], value) is not NOT_POSSIBLE]

    def cost(self, index: int) -> float | None:
        return self._options[index][0] if index < len(self._options) else None

    def recipe(self, index: int) -> str:
        return self._options[index][1]


class Struct:
    def __init__(self, value: Mapping[str, Any], path: Path, rank: Rank, *, uniform: bool) -> None:
        self._field: Field = (path, "object")
        self._own = _Own(self._field, value, rank)
        self._names = list(value)
        self._members = [node(member, (*path, name), rank, uniform=uniform) for name, member in value.items()]
        self._product = Product([self._own, *self._members])
        self._prefixes = [symbol_bytes(name) for name in self._names]
        self._digests: list[dict[int, bytes]] = [{} for _ in self._members]

    def cost(self, index: int) -> float | None:
        return self._product.cost(index)

    def serialized(self, index: int) -> bytes:
        own, *chosen = self._product.choice(index)
        digests = []
        for place, (known, choice) in enumerate(zip(self._digests, chosen, strict=True)):
            digest = known.get(choice)
            if digest is None:
                serialized = self._members[place].serialized(choice)
                digest = known[choice] = sha256(self._prefixes[place] + serialized)
            digests.append(digest)
        return container_bytes(self._own.recipe(own), struct_content(digests))

    def value(self, index: int) -> Any:
        own, *chosen = self._product.choice(index)
        members = [member.value(choice) for member, choice in zip(self._members, chosen, strict=True)]
        return apply(self._own.recipe(own), dict(zip(self._names, members, strict=True)))

    def recipes(self, index: int) -> Iterator[tuple[Field, str]]:
        own, *chosen = self._product.choice(index)
        yield self._field, self._own.recipe(own)
        for member, choice in zip(self._members, chosen, strict=True):
            yield from member.recipes(choice)


class Mixed:
    """A list whose members have types of their own."""

    def __init__(self, value: list[Any], path: Path, rank: Rank, *, uniform: bool) -> None:
        self._field: Field = (path, "array")
        self._own = _Own(self._field, value, rank)
        self._members = [node(member, (*path, MEMBER), rank, uniform=uniform) for member in value]
        self._product = Product([self._own, *self._members])

    def cost(self, index: int) -> float | None:
        return self._product.cost(index)

    def serialized(self, index: int) -> bytes:
        own, *chosen = self._product.choice(index)
        parts = [member.serialized(choice) for member, choice in zip(self._members, chosen, strict=True)]
        return container_bytes(self._own.recipe(own), b"".join(parts))

    def value(self, index: int) -> Any:
        own, *chosen = self._product.choice(index)
        members = [member.value(choice) for member, choice in zip(self._members, chosen, strict=True)]
        return apply(self._own.recipe(own), members)

    def recipes(self, index: int) -> Iterator[tuple[Field, str]]:
        own, *chosen = self._product.choice(index)
        yield self._field, self._own.recipe(own)
        for member, choice in zip(self._members, chosen, strict=True):
            yield from member.recipes(choice)


class _Shared:
    """The recipes that can be those of all values of one field; each costs as much as on average."""

    def __init__(self) -> None:
        self.values = 0
        self._costs: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._options: list[tuple[float, str]] | None = None

    def add(self, ranked: Ranked) -> None:
        self.values += 1
        for recipe, cost in ranked:
            self._costs[recipe] = self._costs.get(recipe, 0.0) + cost
            self._counts[recipe] = self._counts.get(recipe, 0) + 1

    def cost(self, index: int) -> float | None:
        options = self._ordered()
        return options[index][0] if index < len(options) else None

    def recipe(self, index: int) -> str:
        return self._ordered()[index][1]

    def _ordered(self) -> list[tuple[float, str]]:
        if self._options is None:
            common = [recipe for recipe, count in self._counts.items() if count == self.values]
            self._options = sorted((self._costs[recipe] / self.values, recipe) for recipe in common)
        return self._options


Group = Callable[[Field], Hashable]
"""Says which fields share a recipe."""


class Uniform:
    """A value in which all values of one group have one recipe; by default each field is a group."""

    def __init__(self, value: Any, path: Path, rank: Rank, group: Group = lambda field: field) -> None:
        self._group = group
        self._rank = rank
        self._value = value
        self._path = path
        self._shared: dict[Hashable, _Shared] = {}
        self._fields: dict[Field, Hashable] = {}
        self._serialized: dict[tuple[int, str], bytes] = {}
        self._gather(value, path)
        self._product = Product(list(self._shared.values()))

    def _gather(self, value: Any, path: Path) -> None:
        field = (path, kind_of(value))
        group = self._fields.get(field)
        if group is None:
            group = self._fields[field] = self._group(field)
        shared = self._shared.get(group)
        if shared is None:
            shared = self._shared[group] = _Shared()
        ranked = self._rank(field, value)
        shared.add([(recipe, cost) for recipe, cost in ranked if apply(recipe, value) is not NOT_POSSIBLE])
        if type(value) is dict:
            for name, member in value.items():
                self._gather(member, (*path, name))
        elif type(value) is list:
            for member in value:
                self._gather(member, (*path, MEMBER))

    def cost(self, index: int) -> float | None:
        return self._product.cost(index)

    def serialized(self, index: int) -> bytes:
        return self._bytes(self._value, self._path, dict(self.recipes(index)))

    def _bytes(self, value: Any, path: Path, chosen: Assignment) -> bytes:
        recipe = chosen[path, kind_of(value)]
        if type(value) is dict:
            digests = [
                sha256(symbol_bytes(name) + self._bytes(member, (*path, name), chosen))
                for name, member in value.items()
            ]
            return container_bytes(recipe, struct_content(digests))
        if type(value) is list:
            inner = (*path, MEMBER)
            return container_bytes(recipe, b"".join([self._bytes(member, inner, chosen) for member in value]))
        known = self._serialized.get((id(value), recipe))
        if known is None:
            known = self._serialized[id(value), recipe] = serialize(apply(recipe, value))
        return known

    def value(self, index: int) -> Any:
        return self._built(self._value, self._path, dict(self.recipes(index)))

    def _built(self, value: Any, path: Path, chosen: Assignment) -> Any:
        recipe = chosen[path, kind_of(value)]
        if type(value) is dict:
            value = {name: self._built(member, (*path, name), chosen) for name, member in value.items()}
        elif type(value) is list:
            value = [self._built(member, (*path, MEMBER), chosen) for member in value]
        return apply(recipe, value)

    def recipes(self, index: int) -> Iterator[tuple[Field, str]]:
        choices = dict(zip(self._shared, self._product.choice(index), strict=True))
        for field, group in self._fields.items():
            yield field, self._shared[group].recipe(choices[group])


def alike(value: Any, rank: Rank, known: Callable[[Field], bool]) -> Node:
    """Return the node of a document in which fields of one kind have one recipe, except for those known."""
    return Uniform(value, (), rank, lambda field: field if known(field) else field[1])


def struct_content(digests: list[bytes]) -> bytes:
    """Return a struct's representation from the hashes of its fields."""
    digests.sort()
    return escape(b"".join(digests))


def container_bytes(recipe: str, content: bytes) -> bytes:
    """Serialize a container of a recipe."""
    annotations, code = _container(recipe)
    serialized = code + content + b"\x0e"
    return b"\x0b\xe0" + annotations + serialized + b"\x0e" if annotations else serialized


@lru_cache(1_024)
def _container(recipe: str) -> tuple[bytes, bytes]:
    *annotations, name = recipe.split("::")
    return b"".join(map(symbol_bytes, annotations)), _CODES[name]
