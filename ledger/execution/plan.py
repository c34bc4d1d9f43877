"""The plan of a query: for each source of FROM, how its rows are found. Pure.

As in QLDB, an index needs an equality or IN on its field, and a document's id one on the alias of BY or on metadata.id.
Any other equality is left to PostgreSQL, which compares as JSON; everything that is found is compared again as Ion.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any
from typing import Literal as OneOf

from strandline.consumer.store.catalog import Table
from strandline.ledger.partiql import syntax
from strandline.ledger.partiql.errors import SemanticError
from strandline.ledger.partiql.syntax import Expression

COMMITTED = "_ql_committed_"
_CATALOG = ("information_schema", "user_tables")
_MOST_PLANS = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """The values that a condition allows: one, or those of a collection if there are `many`."""

    expression: Expression
    many: bool


@dataclass(frozen=True, slots=True)
class ById:
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class ByField:
    """An equality on a top-level field; without an index the table is read by PostgreSQL."""

    field: str
    wanted: Wanted
    indexed: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """All rows."""


Access = ById | ByField | Scan


@dataclass(frozen=True, slots=True)
class Stored:
    """A source of the ledger: a table's documents, its committed view, or its history with the times of the period."""

    view: OneOf["user", "committed", "history"]
    table: Table
    access: Access
    period: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """information_schema.user_tables."""


@dataclass(frozen=True, slots=True)
class Value:
    """A source that is a value: of an earlier source, a parameter, a query."""


@dataclass(frozen=True, slots=True)
class Step:
    """A source with its plan. `conditions` are the conjuncts that can be decided once it is bound."""

    source: syntax.Source
    alias: str
    origin: Stored | Catalog | Value
    conditions: tuple[Expression, ...]


class Plans:
    """The plans of statements over one state of the ledger's tables. The parser returns one tree for one text.

    Any thread may use it.
    """

    def __init__(self) -> None:
        self._plans: dict[int, tuple[tuple[syntax.Source, ...], tuple[Step, ...]]] = {}

    def get(self, sources: tuple[syntax.Source, ...], make: Callable[[], tuple[Step, ...]]) -> tuple[Step, ...]:
        """Return the plan of these sources, made once."""
        known = self._plans.get(id(sources))
        if known is not None and known[0] is sources:
            return known[1]
        steps = make()
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        self._plans[id(sources)] = sources, steps
        return steps


def plan(
    sources: tuple[syntax.Source, ...],
    where: Expression | None,
    find: Callable[[str], Table | None],
    dropped: Callable[[str], Table | None],
    outer: frozenset[str],
) -> tuple[Step, ...]:
    """Plan the sources in their order. `outer` are the variables of the queries around this one.

    Raises SemanticError for a source that is nothing known.
    """
    aliases = [_alias(source, place) for place, source in enumerate(sources)]
    conjuncts = tuple(_conjuncts(where))
    own = {
        name for source, alias in zip(sources, aliases, strict=True) for name in (alias, source.at, source.by) if name
    }
    steps: list[Step] = []
    bound = outer - own
    waiting = list(conjuncts)
    for place, (source, alias) in enumerate(zip(sources, aliases, strict=True)):
        alone = len(sources) == 1 and not outer
        usable = tuple(_conjuncts(source.on)) + (conjuncts if source.join == "inner" else ())
        search = _Search(alias, source.at, source.by, bound, usable, alone)
        origin = _origin(source, search, find, dropped, first=place == 0 and not outer)
        bound = bound | {name for name in (alias, source.at, source.by) if name}
        last = place == len(sources) - 1
        decided, rest = list[Expression](), list[Expression]()
        for one in waiting:
            (decided if last or _is_bound(one, bound) else rest).append(one)
        waiting = rest
        steps.append(Step(source, alias, origin, tuple(decided)))
    return tuple(steps)


def describe(step: Step) -> str:
    """Return how the rows of a source are found. Holds names, no values."""
    origin = step.origin
    if isinstance(origin, Value):
        return f"{step.alias}: the members of a value"
    if isinstance(origin, Catalog):
        return f"{step.alias}: the ledger's tables"
    view = {"user": "documents", "committed": "committed revisions", "history": "history"}[origin.view]
    return f"{step.alias}: {view} of {origin.table.name} by {_describe(origin.access)}"


def _describe(access: Access) -> str:
    if isinstance(access, ById):
        return f"document id{', several' if access.wanted.many else ''}"
    if isinstance(access, ByField):
        how = "the index on" if access.indexed else "a scan in PostgreSQL for equal"
        return f"{how} {access.field}{', several values' if access.wanted.many else ''}"
    return "a scan"


@dataclass(frozen=True, slots=True)
class _Search:
    """Looks for conditions that say which rows of a source are wanted.

    `bound` are the variables that have a value when the source is read; `alone`: a bare name can only be its field.
    """

    alias: str
    at: str | None
    by: str | None
    bound: frozenset[str] | set[str]
    conjuncts: tuple[Expression, ...]
    alone: bool

    def equalities(self) -> Iterator[tuple[tuple[str, ...], Wanted]]:
        """Yield each path that must equal a value, from the source on; that of BY's alias is ("",)."""
        for one in self.conjuncts:
            if isinstance(one, syntax.Compare) and one.operator == "=":
                for left, right in ((one.left, one.right), (one.right, one.left)):
                    if (path := self._path(left)) is not None and _is_bound(right, self.bound):
                        yield path, Wanted(right, many=False)
            elif isinstance(one, syntax.In):
                path = self._path(one.operand)
                if path is not None and _is_bound(one.collection, self.bound):
                    yield path, Wanted(one.collection, many=True)

    def _path(self, node: Expression) -> tuple[str, ...] | None:
        names = _names(node)
        if names is None:
            return None
        if self.by is not None and names == (self.by,):
            return ("",)
        if names[0] == self.alias:
            return names[1:] or None
        return names if self.alone and names[0] not in (self.at, self.by) else None


def _origin(
    source: syntax.Source,
    search: _Search,
    find: Callable[[str], Table | None],
    dropped: Callable[[str], Table | None],
    *,
    first: bool,
) -> Stored | Catalog | Value:
    node = source.expression
    if source.unpivot:
        return Value()
    if isinstance(node, syntax.Path) and _names(node) == _CATALOG:
        return Catalog()
    if isinstance(node, syntax.Call) and node.function == "HISTORY":
        table, period = _history(node, find, dropped)
        return Stored("history", table, _by_metadata(search, Scan()), period)
    if not isinstance(node, syntax.Name) or node.local:
        return Value()
    if (table_ := find(node.name)) is not None:
        return Stored("user", table_, _by_document(search, table_))
    if node.name.startswith(COMMITTED) and (table_ := find(node.name.removeprefix(COMMITTED))) is not None:
        return Stored("committed", table_, _by_metadata(search, _by_field(search, table_, ("data",))))
    if first:
        raise no_such_variable(node.name)
    return Value()


class NoSuchVariable(SemanticError):
    """A table that is not there."""


def no_such_variable(name: str) -> NoSuchVariable:
    """Return the error for a table that is not there, in QLDB's words, which applications look for."""
    return NoSuchVariable(f"Semantic Error: No such variable named '{name}'")


def _history(
    node: syntax.Call, find: Callable[[str], Table | None], dropped: Callable[[str], Table | None]
) -> tuple[Table, tuple[Expression, ...]]:
    if not 1 <= len(node.arguments) <= 3:
        raise SemanticError("Semantic Error: history has a table and at most two times")
    named, *period = node.arguments
    if isinstance(named, syntax.Name):
        name = named.name
    elif isinstance(named, syntax.Literal) and isinstance(named.value, str):
        name = named.value
    else:
        raise SemanticError("Semantic Error: history has a table as its first argument")
    table = find(name) or dropped(name)
    if table is None:
        raise no_such_variable(name)
    return table, tuple(period)


def _by_document(search: _Search, table: Table) -> Access:
    for path, wanted in search.equalities():
        if path == ("",):
            return ById(wanted)
    return _by_field(search, table, ())


def _by_metadata(search: _Search, otherwise: Access) -> Access:
    for path, wanted in search.equalities():
        if path in (("",), ("metadata", "id")):
            return ById(wanted)
    return otherwise


def _by_field(search: _Search, table: Table, prefix: tuple[str, ...]) -> Access:
    found = [
        ByField(path[-1], wanted, path[-1] in table.indexes)
        for path, wanted in search.equalities()
        if path[:-1] == prefix and path != ("",)
    ]
    # Of several, an indexed one; and one value rather than many.
    return min(found, key=lambda one: (not one.indexed, one.wanted.many), default=Scan())


def _alias(source: syntax.Source, place: int) -> str:
    """Return the name by which a source is known: its alias, or else the last name of its path."""
    if source.alias is not None:
        return source.alias
    node = source.expression
    if isinstance(node, syntax.Name):
        return node.name
    last = node.steps[-1] if isinstance(node, syntax.Path) else None
    if isinstance(last, syntax.Literal) and isinstance(last.value, str):
        return last.value
    return f"_{place + 1}"


def _conjuncts(condition: Expression | None) -> Iterator[Expression]:
    if isinstance(condition, syntax.And):
        for one in condition.items:
            yield from _conjuncts(one)
    elif condition is not None:
        yield condition


def _names(node: Expression) -> tuple[str, ...] | None:
    """Return the names of a path that has only names; None for any other expression."""
    if isinstance(node, syntax.Name):
        return (node.name,)
    if not isinstance(node, syntax.Path) or not isinstance(node.root, syntax.Name):
        return None
    names = [node.root.name]
    for one in node.steps:
        if not isinstance(one, syntax.Literal) or not isinstance(one.value, str):
            return None
        names.append(one.value)
    return tuple(names)


def _is_bound(node: Any, bound: Iterable[str]) -> bool:
    """Return whether an expression needs no variable but these. A query within it counts as one that does."""
    if isinstance(node, syntax.Select | syntax.Aggregate):
        return False
    if isinstance(node, syntax.Name):
        return node.name in bound
    if isinstance(node, tuple):
        return all(_is_bound(one, bound) for one in node)
    if is_dataclass(node) and not isinstance(node, syntax.Literal):
        return all(_is_bound(getattr(node, one.name), bound) for one in fields(node))
    return True
