"""Evaluates one expression without a ledger."""

from collections.abc import Iterable
from typing import Any

from amazon.ion.core import Timestamp

from strandline.journal.ion.values import read_one
from strandline.ledger.partiql import syntax
from strandline.ledger.partiql.evaluate import Evaluator
from strandline.ledger.partiql.parser import parse
from strandline.ledger.partiql.rows import Row


class Nowhere:
    transaction_id = "7htghJ1tzv34sHZMr71ZP3"
    now: Timestamp = read_one(b"2024-02-29T12:00:00.000Z")

    def select(self, query: syntax.Select, row: Row) -> Iterable[Any]:
        raise AssertionError("no ledger here")

    def exists(self, query: syntax.Select, row: Row) -> bool:
        raise AssertionError("no ledger here")


def expression(text: str) -> syntax.Expression:
    """The tree of an expression."""
    node = parse(f"SELECT VALUE {text} FROM << 0 >>").node
    assert isinstance(node, syntax.Select)
    assert node.value is not None
    return node.value


def evaluated(text: str, *parameters: Any, **variables: Any) -> Any:
    """The value of an expression, with variables."""
    return Evaluator(parameters, Nowhere()).value(expression(text), Row(variables, tuple(variables)))


def ion(text: str) -> Any:
    """The Ion value of a text."""
    return read_one(text.encode())
