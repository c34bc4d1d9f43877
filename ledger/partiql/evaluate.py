"""Evaluates expressions. Conditions have three answers; arithmetic on something that is no number is MISSING."""

from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Any, Protocol

from amazon.ion.core import Timestamp

from strandline.ledger.partiql import functions, syntax
from strandline.ledger.partiql.errors import SemanticError
from strandline.ledger.partiql.like import matches
from strandline.ledger.partiql.rows import Row
from strandline.ledger.partiql.syntax import Expression
from strandline.ledger.partiql.values import (
    MISSING,
    NUMBERS,
    SEQUENCES,
    Bag,
    Missing,
    as_bool,
    compare,
    equal,
    is_unknown,
    key,
    kind,
    number,
    present,
    step,
    text_of,
)

# QLDB's decimals have 38 digits; Ion's, as they are stored, may have more.
_ARITHMETIC = Context(
    prec=38, rounding=ROUND_HALF_EVEN, Emin=-1_000_000, Emax=1_000_000,
    traps=[DivisionByZero, InvalidOperation, Overflow],
)  # fmt: skip
_MOST_BITS = 4_096  # of an integer that arithmetic makes
_MOST_TEXT = 4 * 1024 * 1024


class Surroundings(Protocol):
    """The context that an expression needs from the statement that it is in."""

    @property
    def transaction_id(self) -> str: ...

    @property
    def now(self) -> Timestamp:
        """The time of the statement."""

    def select(self, query: syntax.Select, row: Row) -> Iterable[Any]:
        """Run a query within a row."""

    def exists(self, query: syntax.Select, row: Row) -> bool:
        """Tell whether a query within a row has a value."""


class Evaluator:
    """Evaluates the expressions of one statement."""

    def __init__(self, parameters: Sequence[Any], surroundings: Surroundings) -> None:
        self._parameters = parameters
        self._surroundings = surroundings

    def value(self, node: Expression, row: Row) -> Any:
        """Return the expression's value. Raises SemanticError."""
        return _EVALUATE[type(node)](self, node, row)

    def holds(self, condition: Expression | None, row: Row) -> bool:
        """Return whether the condition is true: neither false nor unknown."""
        return condition is None or as_bool(self.value(condition, row)) is True

    # -- values

    def _literal(self, node: syntax.Literal, _: Row) -> Any:
        return node.value

    def _missing(self, _: syntax.MissingLiteral, __: Row) -> Any:
        return MISSING

    def _parameter(self, node: syntax.Parameter, _: Row) -> Any:
        return self._parameters[node.number]

    def _name(self, node: syntax.Name, row: Row) -> Any:
        return row.value(node.name)

    def _path(self, node: syntax.Path, row: Row) -> Any:
        value = self.value(node.root, row)
        for one in node.steps:
            if value is MISSING:
                break
            value = step(value, self.value(one, row))
        return value

    def _list(self, node: syntax.ListOf, row: Row) -> list[Any]:
        return present(self.value(one, row) for one in node.items)

    def _bag(self, node: syntax.BagOf, row: Row) -> Bag:
        return Bag(present(self.value(one, row) for one in node.items))

    def _struct(self, node: syntax.StructOf, row: Row) -> dict[str, Any]:
        made = {}
        for name, member in node.members:
            text = text_of(self.value(name, row))
            value = self.value(member, row)
            if text is None:
                raise SemanticError("Semantic Error: a struct's names are strings")
            if text in made:
                raise SemanticError("Semantic Error: a struct has a field twice")
            if value is not MISSING:
                made[text] = value
        return made

    def _select(self, node: syntax.Select, row: Row) -> Bag:
        return Bag(present(self._surroundings.select(node, row)))

    # -- conditions

    def _and(self, node: syntax.And, row: Row) -> bool | None:
        answer: bool | None = True
        for one in node.items:
            truth = as_bool(self.value(one, row))
            if truth is False:
                return False
            answer = answer and truth
        return answer

    def _or(self, node: syntax.Or, row: Row) -> bool | None:
        answer: bool | None = False
        for one in node.items:
            truth = as_bool(self.value(one, row))
            if truth is True:
                return True
            answer = None if truth is None else answer
        return answer

    def _not(self, node: syntax.Not, row: Row) -> bool | None:
        truth = as_bool(self.value(node.operand, row))
        return None if truth is None else not truth

    def _compare(self, node: syntax.Compare, row: Row) -> Any:
        left, right = self.value(node.left, row), self.value(node.right, row)
        if node.operator in ("=", "<>"):
            same = equal(left, right)
            return same if node.operator == "=" or same is None else not same
        return _ordered(node.operator, compare(left, right))

    def _in(self, node: syntax.In, row: Row) -> bool | None:
        value, collection = self.value(node.operand, row), self.value(node.collection, row)
        if is_unknown(value) or is_unknown(collection):
            return None
        # QLDB also took one value for a list of it: IN (x).
        answers = [equal(value, one) for one in (collection if kind(collection) in SEQUENCES else [collection])]
        return True if True in answers else None if None in answers else False

    def _like(self, node: syntax.Like, row: Row) -> Any:
        values = [self.value(node.operand, row), self.value(node.pattern, row)]
        values += [self.value(node.escape, row)] if node.escape is not None else []
        if any(map(is_unknown, values)):
            return None
        texts = list(map(text_of, values))
        if any(text is None for text in texts):
            return MISSING
        text, pattern, *escape = texts
        return matches(text or "", pattern or "", escape[0] if escape else None)

    def _between(self, node: syntax.Between, row: Row) -> Any:
        value = self.value(node.operand, row)
        low = _ordered(">=", compare(value, self.value(node.low, row)))
        high = _ordered("<=", compare(value, self.value(node.high, row)))
        if low is False or high is False:
            return False
        return True if low is True and high is True else None

    def _is(self, node: syntax.Is, row: Row) -> bool:
        value = self.value(node.operand, row)
        if node.type == "MISSING":
            return value is MISSING
        if node.type == "NULL":
            return is_unknown(value)
        return not is_unknown(value) and kind(value) == functions.type_kind(node.type)

    def _exists(self, node: syntax.Exists, row: Row) -> bool:
        if isinstance(node.collection, syntax.Select):
            return self._surroundings.exists(node.collection, row)
        value = self.value(node.collection, row)
        return not is_unknown(value) and functions.size(value) > 0

    # -- operators and functions

    def _arithmetic(self, node: syntax.Arithmetic, row: Row) -> Any:
        value = self.value(node.first, row)
        for operator, operand in node.rest:
            value = _calculated(operator, value, self.value(operand, row))
        return value

    def _negative(self, node: syntax.Negative, row: Row) -> Any:
        value = self.value(node.operand, row)
        if is_unknown(value):
            return None
        if kind(value) not in NUMBERS:
            return MISSING
        return _plain(value).copy_negate() if isinstance(value, Decimal) else -value

    def _case(self, node: syntax.Case, row: Row) -> Any:
        subject = None if node.subject is None else self.value(node.subject, row)
        for condition, result in node.branches:
            found = self.value(condition, row)
            if (as_bool(found) if node.subject is None else equal(subject, found)) is True:
                return self.value(result, row)
        return self.value(node.otherwise, row)

    def _call(self, node: syntax.Call, row: Row) -> Any:
        if node.function == "UTCNOW" and not node.arguments:
            return self._surroundings.now
        if node.function == "TXID" and not node.arguments:
            return self._surroundings.transaction_id
        return functions.call(node.function, [self.value(one, row) for one in node.arguments])

    def _aggregate(self, node: syntax.Aggregate, row: Row) -> Any:
        if row.members is None:
            raise SemanticError(f"Semantic Error: {node.function} is only in a SELECT list or HAVING")
        if node.operand is None:
            return len(row.members)
        values = [self.value(node.operand, one) for one in row.members]
        values = [value for value in values if not is_unknown(value)]
        if node.distinct:
            values = list({key(value): value for value in values}.values())
        return len(values) if node.function == "COUNT" else _aggregated(node.function, values)


def _ordered(operator: str, order: int | Missing | None) -> Any:
    if order is None or isinstance(order, Missing):
        return order
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]


def _plain(value: Any) -> Any:
    """Return a number without its annotations."""
    kind_ = type(value)
    if kind_ in (int, float, Decimal):
        return value
    return Decimal(value) if isinstance(value, Decimal) else float(value) if isinstance(value, float) else int(value)


def _calculated(operator: str, left: Any, right: Any) -> Any:
    if is_unknown(left) or is_unknown(right):
        return None
    if operator == "||":
        return _joined(left, right)
    one, other = kind(left), kind(right)
    if one not in NUMBERS or other not in NUMBERS:
        return MISSING
    a, b = _plain(left), _plain(right)
    try:
        if "float" in (one, other):
            return _float_of(operator, float(a), float(b))
        if "decimal" in (one, other):
            return _DECIMAL[operator](_ARITHMETIC.create_decimal(a), _ARITHMETIC.create_decimal(b))
        return _int_of(operator, a, b)
    except (ArithmeticError, ValueError) as error:
        wrong = "division by zero" if isinstance(error, ZeroDivisionError | InvalidOperation) else "out of range"
        raise SemanticError(f"Semantic Error: {operator}: {wrong}") from None


_DECIMAL: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": _ARITHMETIC.add, "-": _ARITHMETIC.subtract, "*": _ARITHMETIC.multiply, "/": _ARITHMETIC.divide,
    "%": _ARITHMETIC.remainder,
}  # fmt: skip


def _float_of(operator: str, a: float, b: float) -> float:
    if operator == "%":
        return float(_remainder(a, b))
    return a / b if operator == "/" else a + b if operator == "+" else a - b if operator == "-" else a * b


def _remainder(a: Any, b: Any) -> Any:
    """Return the remainder with the sign of the dividend, as SQL and Java have it."""
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def _int_of(operator: str, a: int, b: int) -> int:
    if operator == "/":
        quotient = abs(a) // abs(b)
        return -quotient if (a < 0) != (b < 0) else quotient
    if operator == "%":
        return int(_remainder(a, b))
    result = a + b if operator == "+" else a - b if operator == "-" else a * b
    if result.bit_length() > _MOST_BITS:
        raise OverflowError
    return result


def _joined(left: Any, right: Any) -> Any:
    one, other = text_of(left), text_of(right)
    if one is None or other is None:
        return MISSING
    if len(one) + len(other) > _MOST_TEXT:
        raise SemanticError("Semantic Error: ||: the text is too long")
    return one + other


def _aggregated(function: str, values: list[Any]) -> Any:
    if not values:
        return None
    if function in ("MIN", "MAX"):
        best = values[0]
        for value in values[1:]:
            order = compare(value, best)
            if isinstance(order, int) and (order < 0 if function == "MIN" else order > 0):
                best = value
        return best
    if any(kind(value) not in NUMBERS for value in values):
        raise SemanticError(f"Semantic Error: {function}: a number is expected")
    total = values[0]
    for value in values[1:]:
        total = _calculated("+", total, value)
    if function == "SUM" and kind(total) != "float":
        return _plain(total)
    # A sum of floats is a decimal, as every average is.
    exact = number(_plain(total))
    if isinstance(exact, float):
        raise SemanticError(f"Semantic Error: {function}: out of range")
    decimal = _ARITHMETIC.create_decimal(exact)
    return decimal if function == "SUM" else _calculated("/", decimal, len(values))


_EVALUATE: dict[type, Callable[[Evaluator, Any, Row], Any]] = {
    syntax.Literal: Evaluator._literal,
    syntax.MissingLiteral: Evaluator._missing,
    syntax.Parameter: Evaluator._parameter,
    syntax.Name: Evaluator._name,
    syntax.Path: Evaluator._path,
    syntax.ListOf: Evaluator._list,
    syntax.BagOf: Evaluator._bag,
    syntax.StructOf: Evaluator._struct,
    syntax.Select: Evaluator._select,
    syntax.And: Evaluator._and,
    syntax.Or: Evaluator._or,
    syntax.Not: Evaluator._not,
    syntax.Compare: Evaluator._compare,
    syntax.In: Evaluator._in,
    syntax.Like: Evaluator._like,
    syntax.Between: Evaluator._between,
    syntax.Is: Evaluator._is,
    syntax.Exists: Evaluator._exists,
    syntax.Arithmetic: Evaluator._arithmetic,
    syntax.Negative: Evaluator._negative,
    syntax.Case: Evaluator._case,
    syntax.Call: Evaluator._call,
    syntax.Aggregate: Evaluator._aggregate,
}
