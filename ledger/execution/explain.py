"""Explains a statement: how the rows of its sources would be found, those of queries within it too."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from strandline.journal.make.block import timestamp
from strandline.ledger.execution.documents import Documents
from strandline.ledger.execution.plan import describe
from strandline.ledger.execution.query import Queries
from strandline.ledger.partiql import syntax
from strandline.ledger.partiql.parser import parse

_INDENT = "  "


def explain(documents: Documents, text: str) -> Iterator[str]:
    """Yield a line for each source. A query within another is indented, after the sources whose names it may use."""
    yield from _lines(Queries(documents, (), timestamp(0), lambda: None), parse(text).node, frozenset(), "")


def _lines(queries: Queries, node: Any, outer: frozenset[str], indent: str) -> Iterator[str]:
    """Yield the lines of a statement or an expression. `outer` are the variables that have a value there."""
    if isinstance(node, syntax.Select | syntax.Change):
        yield from _sources(queries, node, outer, indent)
    elif isinstance(node, tuple):
        for one in node:
            yield from _lines(queries, one, outer, indent)
    elif is_dataclass(node) and not isinstance(node, syntax.Literal):
        for one in fields(node):
            yield from _lines(queries, getattr(node, one.name), outer, indent)


def _sources(
    queries: Queries, node: syntax.Select | syntax.Change, outer: frozenset[str], indent: str
) -> Iterator[str]:
    inner, bound = indent + _INDENT, outer
    for step in queries.plan(node.sources, node.where, outer):
        yield indent + describe(step)
        yield from _lines(queries, step.source.expression, bound, inner)
        bound |= {name for name in (step.alias, step.source.at, step.source.by) if name}
        yield from _lines(queries, step.source.on, bound, inner)
    yield from _lines(queries, node.where, bound, inner)
    if isinstance(node, syntax.Change):
        yield from _lines(queries, node.operations, bound, inner)
        return
    yield from _lines(queries, node.group_by, bound, inner)
    bound |= {item.alias for item in node.group_by or () if item.alias}
    yield from _lines(queries, (node.having, node.value, node.items), bound, inner)
