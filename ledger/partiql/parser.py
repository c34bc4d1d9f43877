"""The parser: a statement's text to its syntax tree (QLDB's developer guide, "PartiQL reference").

Recursive descent; operators by precedence. Every nested construct counts towards MOST_DEPTH, so that no text makes it
or the evaluation recurse without bound. Each token is read once.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

from strandline.journal.errors import StrandlineError
from strandline.ledger.errors import WrongDocument
from strandline.ledger.partiql import syntax
from strandline.ledger.partiql.errors import StatementSyntaxError, at
from strandline.ledger.partiql.lexer import Token, tokens
from strandline.ledger.partiql.reserved import RESERVED
from strandline.ledger.partiql.syntax import Expression
from strandline.ledger.values import read_value

MOST_DEPTH = 64
MOST_SOURCES = 32  # of one FROM
MOST_DIGITS = 1_000  # of a number in a statement
MOST_EXPONENT = 6_000
_CACHED = 500  # statements: an application has few, with parameters
MOST_CACHED = 10_000  # characters

_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN = range(1, 8)  # how strongly an operator binds
_AGGREGATES = frozenset(("COUNT", "SUM", "MIN", "MAX", "AVG"))
_REFUSED = {
    "ORDER": "QLDB's PartiQL has no ORDER BY", "LIMIT": "QLDB's PartiQL has no LIMIT",
    "UNION": "QLDB's PartiQL has no UNION", "RIGHT": "a join is INNER or LEFT", "FULL": "a join is INNER or LEFT",
    "DISTINCT": "QLDB's PartiQL has no SELECT DISTINCT",
}  # fmt: skip

Parsed = TypeVar("Parsed")


def parse(text: str) -> syntax.Statement:
    """Return the statement that the text holds. Raises StatementSyntaxError."""
    return _parse_again(text) if len(text) <= MOST_CACHED else _Parser(text).statement()


@lru_cache(_CACHED)
def _parse_again(text: str) -> syntax.Statement:
    return _Parser(text).statement()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._index = 0
        self._depth = 0
        self._parameters = 0

    def statement(self) -> syntax.Statement:
        node = self._statement()
        self._takes(";")
        if self._token.kind != "end":
            raise self._error("the end of the statement")
        return syntax.Statement(node, self._parameters, self._text)

    # -- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _is(self, *words: str) -> bool:
        token = self._tokens[self._index]
        return token.value in words and token.kind in ("keyword", "operator")

    def _is_next(self, *words: str) -> bool:
        token = self._tokens[min(self._index + 1, len(self._tokens) - 1)]
        return token.value in words and token.kind in ("keyword", "operator")

    def _takes(self, *words: str) -> bool:
        if self._is(*words):
            self._index += 1
            return True
        return False

    def _word(self, *words: str) -> str | None:
        """Take a word that means something only here, and return it in upper case."""
        token = self._token
        if token.kind in ("name", "keyword") and token.value.upper() in words:
            self._index += 1
            return token.value.upper()
        return None

    def _need(self, *words: str) -> None:
        if not self._takes(*words):
            raise self._error(" or ".join(words))

    def _error(self, expected: str) -> StatementSyntaxError:
        token = self._token
        if token.kind in ("keyword", "operator"):
            found = token.value
        else:
            found = {
                "name": "a name", "quoted": "a quoted name", "string": "a string", "number": "a number",
                "ion": "an Ion literal",
            }.get(token.kind, "the end of the statement")  # fmt: skip
        more = f" ({_REFUSED[token.value]})" if token.kind == "keyword" and token.value in _REFUSED else ""
        return self._refusal(f"expected {expected}, found {found}{more}")

    def _refusal(self, why: str) -> StatementSyntaxError:
        return StatementSyntaxError(f"Parser Error: {at(self._text, self._token.position)}: {why}")

    def _name(self, what: str = "a name") -> str:
        token = self._token
        if token.kind == "quoted" or (token.kind == "name" and token.value.upper() not in RESERVED):
            self._index += 1
            return token.value
        if token.kind in ("name", "keyword"):
            word = token.value.upper()
            raise self._refusal(f"expected {what}, found {word}, a reserved word: as a name it needs double quotes")
        raise self._error(what)

    def _any_name(self, what: str) -> str:
        """Take a name where a reserved word means itself: a type, a part of a date, an option."""
        if self._token.kind != "name":
            return self._name(what)
        self._index += 1
        return self._tokens[self._index - 1].value

    def _alias(self) -> str | None:
        if self._takes("AS"):
            return self._name("an alias")
        return self._name() if self._token.kind in ("name", "quoted") else None

    def _variable(self, what: str = "a table") -> syntax.Name:
        position = self._token.position
        return syntax.Name(self._name(what), position)

    def _nested(self, parse: Callable[[], Parsed]) -> Parsed:
        """Parse something that may hold itself."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise self._refusal(f"more than {MOST_DEPTH} constructs within each other")
        parsed = parse()
        self._depth -= 1
        return parsed

    def _separated(self, parse: Callable[[], Parsed]) -> tuple[Parsed, ...]:
        items = [parse()]
        while self._takes(","):
            items.append(parse())
        return tuple(items)

    def _enclosed(self, close: str, parse: Callable[[], Parsed]) -> tuple[Parsed, ...]:
        """Parse items up to the closing sign, which may follow at once."""
        if self._takes(close):
            return ()
        items = self._separated(parse)
        self._need(close)
        return items

    # -- statements

    def _statement(self) -> syntax.Node:
        if self._is("SELECT"):
            return self._nested(self._select)
        if self._takes("INSERT"):
            return self._insert()
        if self._takes("UPDATE"):
            table = self._source()
            operations = self._operations()
            return syntax.Change((table,), operations, self._where())
        if self._takes("DELETE"):
            self._need("FROM")
            return syntax.Change((self._source(),), (syntax.DeleteDocument(),), self._where())
        if self._takes("FROM"):
            sources, where = self._sources(), self._where()
            return syntax.Change(sources, self._operations(), where)
        if self._takes("CREATE"):
            return self._create()
        if self._takes("DROP"):
            return self._drop()
        if self._takes("UNDROP"):
            self._need("TABLE")
            return syntax.UndropTable(self._name("a table's id"))
        if self._takes("EXEC"):
            position = self._token.position
            procedure = self._name("a procedure").lower()
            ended = self._token.kind == "end" or self._is(";")
            return syntax.Exec(procedure, () if ended else self._separated(self._expression), position)
        raise self._error("SELECT, INSERT, UPDATE, DELETE, FROM, CREATE, DROP, UNDROP or EXEC")

    def _insert(self) -> syntax.Insert:
        self._need("INTO")
        table = self._variable()
        self._takes("VALUE")
        return syntax.Insert(table, self._expression())

    def _create(self) -> syntax.CreateTable | syntax.CreateIndex:
        if self._takes("TABLE"):
            name = self._name("a table")
            self._options()
            return syntax.CreateTable(name)
        self._need("INDEX")
        self._need("ON")
        table = self._variable()
        self._need("(")
        field = self._name("a field")
        if self._is("."):
            raise self._refusal("an index is on one top-level field")
        self._need(")")
        return syntax.CreateIndex(table, field)

    def _drop(self) -> syntax.DropTable | syntax.DropIndex:
        if self._takes("TABLE"):
            return syntax.DropTable(self._variable())
        self._need("INDEX")
        index_id = self._name("an index's id")
        self._need("ON")
        table = self._variable()
        self._options()
        return syntax.DropIndex(index_id, table)

    def _options(self) -> None:
        """WITH (name = value, …): AWS's tags, and how to drop an index. They have no effect here."""

        def option() -> None:
            self._any_name("an option")
            self._need("=")
            self._expression()

        if self._takes("WITH"):
            self._need("(")
            self._separated(option)
            self._need(")")

    def _operations(self) -> tuple[syntax.Operation, ...]:
        operations: list[syntax.Operation] = []
        while True:
            if self._takes("SET"):
                operations += self._separated(self._assignment)
            elif self._takes("REMOVE"):
                operations.append(syntax.RemovePath(self._target()))
            elif self._takes("INSERT"):
                self._need("INTO")
                target = self._target()
                self._need("VALUE")
                value = self._expression()
                operations.append(syntax.InsertInto(target, value, self._expression() if self._takes("AT") else None))
            elif operations:
                return tuple(operations)
            else:
                raise self._error("SET, REMOVE or INSERT INTO")

    def _assignment(self) -> syntax.SetPath:
        target = self._target()
        self._need("=")
        return syntax.SetPath(target, self._expression())

    def _target(self) -> syntax.Name | syntax.Path:
        position = self._token.position
        self._takes("@")
        root = syntax.Name(self._name("a field or a path"), position)
        steps = self._steps()
        return syntax.Path(root, steps) if steps else root

    # -- queries

    def _select(self) -> syntax.Select:
        self._need("SELECT")
        if self._is("DISTINCT"):
            raise self._error("an expression")
        self._takes("ALL")
        items: tuple[syntax.Item, ...] | None = None
        value = None
        if self._takes("VALUE"):
            value = self._expression()
        elif not self._takes("*"):
            items = self._separated(self._item)
        self._need("FROM")
        sources = self._sources()
        where = self._where()
        group_by = having = None
        if self._takes("GROUP"):
            self._need("BY")
            group_by = self._separated(self._item)
        if self._takes("HAVING"):
            having = self._expression()
        return syntax.Select(items, value, sources, where, group_by, having)

    def _item(self) -> syntax.Item:
        expression = self._expression()
        if self._takes("."):
            self._need("*")
            return syntax.Item(expression, None, spread=True)
        return syntax.Item(expression, self._alias())

    def _sources(self) -> tuple[syntax.Source, ...]:
        sources = [self._source()]
        while True:
            if len(sources) > MOST_SOURCES:
                raise self._refusal(f"more than {MOST_SOURCES} sources")
            if self._takes(","):
                sources.append(self._source())
            elif self._is("JOIN", "INNER", "LEFT", "CROSS"):
                sources.append(self._joined())
            else:
                return tuple(sources)

    def _joined(self) -> syntax.Source:
        left = self._takes("LEFT")
        if left:
            self._takes("OUTER")
        elif not self._takes("CROSS"):
            self._takes("INNER")
        self._need("JOIN")
        one = self._source()
        on = self._expression() if self._takes("ON") else None
        kind = "left" if left else "inner"
        return syntax.Source(one.expression, one.alias, one.at, one.by, one.unpivot, kind, on)  # type: ignore[arg-type]

    def _source(self) -> syntax.Source:
        unpivot = self._takes("UNPIVOT")
        expression = self._expression()
        alias = self._alias()
        at_alias = self._name("an alias") if self._takes("AT") else None
        by_alias = self._name("an alias") if self._takes("BY") else None
        return syntax.Source(expression, alias, at_alias, by_alias, unpivot)

    def _where(self) -> Expression | None:
        return self._expression() if self._takes("WHERE") else None

    # -- expressions

    def _expression(self) -> Expression:
        return self._nested(lambda: self._operation(0))

    def _operation(self, binding: int) -> Expression:
        """Parse an operand, and the operators after it that bind more strongly than `binding`."""
        left = self._operand()
        while True:
            if binding < _SUM and self._is("+", "-", "||"):
                left = syntax.Arithmetic(left, self._rest(_SUM, "+", "-", "||"))
            elif binding < _PRODUCT and self._is("*", "/", "%"):
                left = syntax.Arithmetic(left, self._rest(_PRODUCT, "*", "/", "%"))
            elif binding < _COMPARISON and self._is_comparison():
                left = self._comparison(left)
                if self._is_comparison():
                    raise self._refusal("comparisons of comparisons need parentheses")
            elif binding < _AND and self._is("AND"):
                left = syntax.And((left, *self._chain("AND", _AND)))
            elif binding < _OR and self._is("OR"):
                left = syntax.Or((left, *self._chain("OR", _OR)))
            else:
                return left

    def _chain(self, word: str, binding: int) -> list[Expression]:
        items = []
        while self._takes(word):
            items.append(self._operation(binding))
        return items

    def _rest(self, binding: int, *operators: str) -> tuple[tuple[str, Expression], ...]:
        rest = []
        while self._is(*operators):
            operator = self._token.value
            self._index += 1
            rest.append((operator, self._operation(binding)))
        return tuple(rest)

    def _is_comparison(self) -> bool:
        if self._is("NOT"):
            return self._is_next("IN", "LIKE", "BETWEEN")
        return self._is("IN", "LIKE", "BETWEEN", "IS", *_COMPARISONS)

    def _comparison(self, left: Expression) -> Expression:
        if self._is(*_COMPARISONS):
            operator = _COMPARISONS[self._token.value]
            self._index += 1
            return syntax.Compare(operator, left, self._operation(_COMPARISON))  # type: ignore[arg-type]
        if self._takes("IS"):
            return self._is_type(left)
        negated = self._takes("NOT")
        found: Expression
        if self._takes("IN"):
            found = syntax.In(left, self._operation(_COMPARISON))
        elif self._takes("LIKE"):
            pattern = self._operation(_COMPARISON)
            found = syntax.Like(left, pattern, self._operation(_COMPARISON) if self._takes("ESCAPE") else None)
        else:
            self._need("BETWEEN")
            low = self._operation(_COMPARISON)
            self._need("AND")
            found = syntax.Between(left, low, self._operation(_COMPARISON))
        return syntax.Not(found) if negated else found

    def _is_type(self, left: Expression) -> Expression:
        negated = self._takes("NOT")
        found = syntax.Is(left, self._type())
        return syntax.Not(found) if negated else found

    def _type(self) -> str:
        if self._token.kind == "keyword" and self._token.value in ("NULL", "MISSING"):
            self._index += 1
            return self._tokens[self._index - 1].value
        name = self._any_name("a type").upper()
        if name == "CHARACTER" and self._word("VARYING"):
            name = "VARCHAR"
        if name == "DOUBLE" and self._word("PRECISION"):
            name = "FLOAT"
        if self._takes("("):  # a length or a precision, which QLDB does not apply
            self._enclosed(")", self._expression)
        return name

    def _operand(self) -> Expression:
        if self._takes("NOT"):
            return self._nested(lambda: syntax.Not(self._operation(_NOT)))
        if self._takes("-"):
            return self._nested(lambda: _negative(self._operation(_SIGN)))
        if self._takes("+"):
            return self._nested(lambda: self._operation(_SIGN))
        root = self._atom()
        steps = self._steps()
        return syntax.Path(root, steps) if steps else root

    def _steps(self) -> tuple[Expression, ...]:
        steps: list[Expression] = []
        while True:
            if self._is(".") and not self._is_next("*"):
                self._index += 1
                steps.append(self._field())
            elif self._is("["):
                self._index += 1
                steps.append(self._expression())
                self._need("]")
            else:
                return tuple(steps)

    def _field(self) -> Expression:
        """Parse a field's name after a point, where every word is one."""
        token = self._token
        if token.kind == "keyword":
            self._index += 1
            return syntax.Literal(self._text[token.position : token.position + len(token.value)])
        return syntax.Literal(self._any_name("a field"))

    def _atom(self) -> Expression:
        token = self._token
        if token.kind == "string":
            self._index += 1
            return syntax.Literal(token.value)
        if token.kind == "number":
            return syntax.Literal(self._number())
        if token.kind == "ion":
            return syntax.Literal(self._ion())
        if token.kind == "name" and self._is_next("("):
            self._index += 2
            return self._nested(lambda: self._call(token))
        if token.kind in ("name", "quoted"):
            return self._variable("an expression")
        return self._special()

    def _special(self) -> Expression:
        """Parse an operand that begins with a keyword or a sign."""
        position = self._token.position
        if self._takes("?"):
            self._parameters += 1
            return syntax.Parameter(self._parameters - 1)
        if self._takes("NULL"):
            return syntax.Literal(None)
        if self._takes("MISSING"):
            return syntax.MissingLiteral()
        if self._is("TRUE", "FALSE"):
            self._index += 1
            return syntax.Literal(self._tokens[self._index - 1].value == "TRUE")
        if self._takes("@"):
            return syntax.Name(self._name("a variable"), position, local=True)
        if self._is("SELECT"):
            return self._nested(self._select)
        if self._takes("("):
            return self._parenthesis()
        if self._takes("["):
            return syntax.ListOf(self._enclosed("]", self._expression))
        if self._takes("<<"):
            return syntax.BagOf(self._enclosed(">>", self._expression))
        if self._takes("{"):
            return syntax.StructOf(self._enclosed("}", self._member))
        if self._takes("EXISTS"):
            self._need("(")
            collection = self._expression()
            self._need(")")
            return syntax.Exists(collection)
        if self._takes("CASE"):
            return self._case()
        raise self._error("an expression")

    def _parenthesis(self) -> Expression:
        items = self._separated(self._expression)
        self._need(")")
        return items[0] if len(items) == 1 else syntax.ListOf(items)

    def _member(self) -> tuple[Expression, Expression]:
        name = self._expression()
        self._need(":")
        return name, self._expression()

    def _case(self) -> syntax.Case:
        subject = None if self._is("WHEN") else self._expression()
        branches = []
        while self._takes("WHEN"):
            condition = self._expression()
            self._need("THEN")
            branches.append((condition, self._expression()))
        if not branches:
            raise self._error("WHEN")
        otherwise = self._expression() if self._takes("ELSE") else syntax.Literal(None)
        self._need("END")
        return syntax.Case(subject, tuple(branches), otherwise)

    def _call(self, token: Token) -> Expression:
        """Parse the arguments of a function, after its parenthesis. Some are words, some are divided by words."""
        name = token.value.upper()
        if name in _AGGREGATES:
            return self._aggregate(name)
        arguments: tuple[Expression, ...]
        if name == "CAST":
            operand = self._expression()
            self._need("AS")
            arguments = (operand, syntax.Literal(self._type()))
        elif name == "EXTRACT":
            part = syntax.Literal(self._any_name("a part of a date").upper())
            self._need("FROM")
            arguments = (part, self._expression())
        elif name in ("DATE_ADD", "DATE_DIFF"):
            part = syntax.Literal(self._any_name("a part of a date").upper())
            self._need(",")
            arguments = (part, *self._separated(self._expression))
        elif name == "TRIM":
            arguments = self._trimmed()
        elif name == "SUBSTRING":
            arguments = self._substring()
        else:
            return syntax.Call(name, self._enclosed(")", self._expression), token.position)
        self._need(")")
        return syntax.Call(name, arguments, token.position)

    def _aggregate(self, name: str) -> syntax.Aggregate:
        if name == "COUNT" and self._takes("*"):
            self._need(")")
            return syntax.Aggregate(name, None)
        distinct = self._takes("DISTINCT")
        if not distinct:
            self._takes("ALL")
        operand = self._expression()
        self._need(")")
        return syntax.Aggregate(name, operand, distinct)

    def _trimmed(self) -> tuple[Expression, ...]:
        side = self._word("LEADING", "TRAILING", "BOTH")
        characters: Expression = syntax.Literal(" ")
        if self._takes("FROM"):
            operand = self._expression()
        else:
            operand = self._expression()
            if self._takes("FROM"):
                characters, operand = operand, self._expression()
            elif side is not None:
                raise self._error("FROM")
        return (syntax.Literal(side or "BOTH"), characters, operand)

    def _substring(self) -> tuple[Expression, ...]:
        arguments = [self._expression()]
        if self._takes("FROM"):
            arguments.append(self._expression())
            if self._word("FOR"):
                arguments.append(self._expression())
        else:
            while self._takes(","):
                arguments.append(self._expression())
        return tuple(arguments)

    def _number(self) -> int | Decimal:
        text = self._token.value
        digits, _, exponent = text.lower().partition("e")
        if len(digits) > MOST_DIGITS or len(exponent) > 6 or abs(int(exponent or 0)) > MOST_EXPONENT:
            raise self._refusal(f"a number has at most {MOST_DIGITS:,} digits and an exponent of {MOST_EXPONENT:,}")
        self._index += 1
        return int(text) if text.isdigit() else Decimal(text)

    def _ion(self) -> object:
        try:
            value = read_value(self._token.value.encode())
        except WrongDocument as error:
            raise self._refusal(f"an Ion literal with {error}") from None
        except (StrandlineError, UnicodeEncodeError):
            raise self._refusal("an Ion literal that is not one Ion value") from None
        self._index += 1
        return value


def _negative(operand: Expression) -> Expression:
    """Return -operand; a negative number is a value."""
    if isinstance(operand, syntax.Literal) and type(operand.value) in (int, Decimal):
        value = operand.value
        return syntax.Literal(value.copy_negate() if isinstance(value, Decimal) else -value)
    return syntax.Negative(operand)
