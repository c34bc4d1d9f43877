"""Runs queries: the rows of FROM by their plan, conditions, groups, and the SELECT list."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from amazon.ion.core import Timestamp

from strandline.ledger.execution import access
from strandline.ledger.execution.access import AccessDenied
from strandline.ledger.execution.documents import Documents, Struct
from strandline.ledger.execution.plan import (
    ByField,
    ById,
    Catalog,
    NoSuchVariable,
    Plans,
    Step,
    Stored,
    Value,
    Wanted,
    plan,
)
from strandline.ledger.partiql import syntax
from strandline.ledger.partiql.errors import SemanticError
from strandline.ledger.partiql.evaluate import Evaluator
from strandline.ledger.partiql.rows import Boundary, Place, Row
from strandline.ledger.partiql.syntax import Expression
from strandline.ledger.partiql.values import (
    MISSING,
    SEQUENCES,
    STRUCTS,
    instant,
    is_indexable,
    is_unknown,
    key,
    kind,
    text_of,
)

_ROWS_BETWEEN_CHECKS = 64


@dataclass(frozen=True, slots=True)
class Found:
    """A row of a source: its value, the id of its document, and the name of a member that UNPIVOT shows."""

    value: Any
    document_id: str | None = None
    name: str | None = None


class Queries:
    """The queries of one statement. `check` raises an error when the transaction's time is over.

    `plans` are those of other statements, and are kept for others.
    """

    def __init__(
        self,
        documents: Documents,
        parameters: tuple[Any, ...],
        now: Timestamp,
        check: Callable[[], None],
        plans: Plans | None = None,
    ) -> None:
        self.documents = documents
        self.now = now
        self.reads = 0
        self.evaluator = Evaluator(parameters, self)
        self._check = check
        self._plans = plans
        self._planned: dict[int, tuple[Step, ...]] = {}
        self._values: dict[int, list[Found]] = {}
        self._constant: dict[int, list[Any]] = {}
        self._exists: dict[int, bool] = {}

    @property
    def transaction_id(self) -> str:
        return self.documents.transaction_id

    def plan(
        self, sources: tuple[syntax.Source, ...], where: Expression | None, outer: frozenset[str] = frozenset()
    ) -> tuple[Step, ...]:
        """Return the plan of the sources, made once."""
        if (steps := self._planned.get(id(sources))) is None:

            def make() -> tuple[Step, ...]:
                return plan(sources, where, self.documents.table, self.documents.dropped, outer)

            try:
                steps = make() if self._plans is None else self._plans.get(sources, make)
            except NoSuchVariable:
                if self.documents.may is not None:
                    raise AccessDenied from None
                raise
            self._check_access(steps)
            self._planned[id(sources)] = steps
        return steps

    def _check_access(self, steps: tuple[Step, ...]) -> None:
        """Check the right to read each source. Every read of a statement is planned first."""
        for step in steps:
            origin = step.origin
            if isinstance(origin, Catalog):
                self.documents.check_access(access.SELECT, access.CATALOG)
            elif isinstance(origin, Stored):
                self.documents.check_access(access.SELECT, origin.table.name)
                if origin.view != "user":
                    self.documents.check_access(access.HISTORY, origin.table.name)

    # -- SELECT

    def select(self, query: syntax.Select, row: Row) -> Iterable[Any]:
        """Return the values of a query within a row.

        One that has looked for no name in the rows around it has the same values in each: it runs once.
        """
        if row.outer is None and not row.variables:
            return self._select(query, row, Boundary())
        if (known := self._constant.get(id(query))) is not None:
            return known
        boundary = Boundary()
        values = list(self._select(query, row, boundary))
        if not boundary.crossed:
            self._constant[id(query)] = values
        return values

    def exists(self, query: syntax.Select, row: Row) -> bool:
        """Return whether a query within a row has a value."""
        if (known := self._exists.get(id(query))) is not None:
            return known
        boundary = Boundary()
        found = any(True for _ in self._select(query, row, boundary))
        if not boundary.crossed:
            self._exists[id(query)] = found
        return found

    def _select(self, query: syntax.Select, row: Row, boundary: Boundary) -> Iterator[Any]:
        steps = self.plan(query.sources, query.where, _bound(row))
        rows = self.rows(steps, row, boundary)
        if query.group_by is not None or query.having is not None or _aggregates(query):
            rows = self._groups(query, rows, row.inner(boundary))
        for one in rows:
            value = self._projected(query, one)
            if value is not MISSING:
                yield value

    def _projected(self, query: syntax.Select, row: Row) -> Any:
        if query.value is not None:
            return self.evaluator.value(query.value, row)
        made: Struct = {}
        if query.items is None:
            for place, alias in enumerate(row.sources, 1):
                _merge(made, row.variables[alias], f"_{place}")
            return made
        for place, item in enumerate(query.items, 1):
            value = self.evaluator.value(item.expression, row)
            if item.spread:
                _merge(made, value, f"_{place}")
            elif value is not MISSING:
                made[item.alias or _column(item.expression) or f"_{place}"] = value
        return made

    def _groups(self, query: syntax.Select, rows: Iterable[Row], empty: Row) -> Iterator[Row]:
        """Yield a row for each group; for no rows at all and no GROUP BY, one of the empty row."""
        groups: dict[Any, list[Row]] = {}
        for row in rows:
            values = [self.evaluator.value(item.expression, row) for item in query.group_by or ()]
            groups.setdefault(tuple(map(key, values)), []).append(row)
        if not groups and query.group_by is None:
            groups[()] = []
        for members in groups.values():
            first = members[0] if members else empty
            named = {item.alias: self.evaluator.value(item.expression, first) for item in query.group_by or ()}
            more = {name: value for name, value in named.items() if name is not None}
            group = Row({**first.variables, **more}, first.sources, first.outer, members, (), first.boundary)
            if self.evaluator.holds(query.having, group):
                yield group

    # -- FROM and WHERE

    def rows(self, steps: tuple[Step, ...], row: Row, boundary: Boundary | None = None) -> Iterator[Row]:
        """Yield the rows of the sources for which all conditions hold."""
        yield from self._bind(steps, 0, row.inner(boundary))

    def _bind(self, steps: tuple[Step, ...], place: int, row: Row) -> Iterator[Row]:
        if place == len(steps):
            yield row
            return
        step, found = steps[place], False
        for bound in self._bindings(step, row):
            if self.evaluator.holds(step.source.on, bound):
                found = True
                if all(self.evaluator.holds(one, bound) for one in step.conditions):
                    yield from self._bind(steps, place + 1, bound)
        if not found and step.source.join == "left":
            empty = row.bind(step.alias, None, {}, Place(None, 0))
            if all(self.evaluator.holds(one, empty) for one in step.conditions):
                yield from self._bind(steps, place + 1, empty)

    def _bindings(self, step: Step, row: Row) -> Iterator[Row]:
        source = step.source
        for place, found in enumerate(self._found(step, row)):
            self.reads += 1
            if self.reads % _ROWS_BETWEEN_CHECKS == 0:
                self._check()
            more: Struct = {}
            if source.at is not None:
                more[source.at] = place if found.name is None else found.name
            if source.by is not None:
                more[source.by] = MISSING if found.document_id is None else found.document_id
            yield row.bind(step.alias, found.value, more, Place(found.document_id, place))

    def _found(self, step: Step, row: Row) -> Iterable[Found]:
        """Return the rows of a source. What does not depend on an earlier source is read once, if it is read again."""
        origin = step.origin
        if isinstance(origin, Value):
            return self._members(step, row)
        if isinstance(origin, Catalog):
            return [Found(one) for one in self.documents.user_table_rows()]
        if not row.sources or isinstance(origin.access, ById | ByField):
            return self._stored(origin, row)
        if id(step) not in self._values:
            self._values[id(step)] = list(self._stored(origin, row))
        return self._values[id(step)]

    def _members(self, step: Step, row: Row) -> Iterable[Found]:
        value = self.evaluator.value(step.source.expression, row)
        if step.source.unpivot:
            members = value.items() if isinstance(value, STRUCTS) else ()
            return [Found(member, name=name) for name, member in members]
        if value is MISSING:
            return []
        return [Found(one) for one in value] if kind(value) in SEQUENCES else [Found(value)]

    # -- the ledger's tables

    def _stored(self, origin: Stored, row: Row) -> Iterator[Found]:
        access = origin.access
        if isinstance(access, ById):
            ids = [text for one in self._wanted(access.wanted, row) if (text := text_of(one)) is not None]
            return self._by_ids(origin, ids, row)
        if isinstance(access, ByField):
            values = [one for one in self._wanted(access.wanted, row) if not is_unknown(one)]
            if all(map(is_indexable, values)):
                return self._by_values(origin, access, values)
        return self._all(origin, row)

    def _wanted(self, wanted: Wanted, row: Row) -> list[Any]:
        value = self.evaluator.value(wanted.expression, row)
        return list(value) if wanted.many and kind(value) in SEQUENCES else [value]

    def _by_ids(self, origin: Stored, ids: list[str], row: Row) -> Iterator[Found]:
        if origin.view == "user":
            return (Found(one.data, one.document_id) for one in self.documents.by_ids(origin.table, ids))
        if origin.view == "committed":
            return map(_committed, self.documents.committed_by_ids(origin.table, ids))
        return map(_committed, self.documents.revisions(origin.table, ids, *self._period(origin, row)))

    def _by_values(self, origin: Stored, access: ByField, values: list[Any]) -> Iterator[Found]:
        if not values:
            return iter(())
        if origin.view == "committed":
            if access.indexed:
                return map(_committed, self.documents.committed_by_values(origin.table, access.field, values))
            return map(_committed, self.documents.committed(origin.table))
        find = self.documents.by_values if access.indexed else self.documents.narrowed
        return (Found(one.data, one.document_id) for one in find(origin.table, access.field, values))

    def _all(self, origin: Stored, row: Row) -> Iterator[Found]:
        self._check()
        if origin.view == "user":
            return (Found(one.data, one.document_id) for one in self.documents.scan(origin.table))
        if origin.view == "committed":
            return map(_committed, self.documents.committed(origin.table))
        return map(_committed, self.documents.revisions(origin.table, None, *self._period(origin, row)))

    def _period(self, origin: Stored, row: Row) -> tuple[datetime | None, datetime | None]:
        times = [_moment(self.evaluator.value(one, row)) for one in origin.period]
        first, last, *_ = [*times, None, None]
        return first, last


def _committed(revision: Struct) -> Found:
    return Found(revision, revision["metadata"]["id"])


def _moment(value: Any) -> datetime | None:
    """Return a time of history's period, rounded down to microseconds, which is finer than the journal's times."""
    if is_unknown(value):
        return None
    if not isinstance(value, Timestamp):
        raise SemanticError("Semantic Error: history: a timestamp is expected")
    whole, fraction = instant(value)
    return whole.replace(microsecond=int(fraction * 1_000_000), tzinfo=UTC)


def _bound(row: Row) -> frozenset[str]:
    """Return the variables of a row and of the queries around it."""
    names: set[str] = set()
    one: Row | None = row
    while one is not None:
        names |= one.variables.keys()
        one = one.outer
    return frozenset(names)


def _merge(made: Struct, value: Any, name: str) -> None:
    """Add a struct's members, or a value that is no struct under the name of its place."""
    if isinstance(value, STRUCTS):
        made.update(value)
    elif value is not MISSING:
        made[name] = value


def _column(node: Expression) -> str | None:
    """Return the name of an expression that has no alias: that of a variable, or the last name of a path."""
    if isinstance(node, syntax.Name):
        return node.name
    if isinstance(node, syntax.Path) and isinstance(last := node.steps[-1], syntax.Literal):
        return text_of(last.value)
    return None


def _aggregates(query: syntax.Select) -> bool:
    return _holds_aggregate(query.value) or any(_holds_aggregate(item.expression) for item in query.items or ())


def _holds_aggregate(node: Any) -> bool:
    if isinstance(node, syntax.Aggregate):
        return True
    if isinstance(node, tuple):
        return any(map(_holds_aggregate, node))
    if not is_dataclass(node) or isinstance(node, syntax.Select | syntax.Literal):
        return False
    return any(_holds_aggregate(getattr(node, one.name)) for one in fields(node))
