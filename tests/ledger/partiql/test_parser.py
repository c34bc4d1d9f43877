"""The parser: every shape of statement, its errors, and its bounds."""

import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline.ledger.partiql import syntax
from strandline.ledger.partiql.errors import StatementSyntaxError
from strandline.ledger.partiql.lexer import KEYWORDS, tokens
from strandline.ledger.partiql.parser import MOST_DEPTH, parse
from strandline.ledger.partiql.reserved import RESERVED
from tests.ledger.partiql.evaluation import expression

SHAPES = [line for line in Path(__file__).with_name("shapes.txt").read_text().splitlines() if line]


@pytest.mark.parametrize("text", SHAPES)
def test_every_shape_is_parsed(text: str) -> None:
    assert parse(text).parameters == text.count("?")


@pytest.mark.parametrize(
    "text",
    [
        "FROM T AS v WHERE v.VIN = ?INSERT INTO v.Owners VALUE ?",
        "select * from T where a=1;",
        "-- a comment\nSELECT /* another * / one */ * FROM T -- the end",
        "SELECT t.value, t.from, t.order FROM T AS t",
        'SELECT VALUE "value" FROM << 1 >> AS "value"',
        'SELECT "value", t.index, t.date, t."from" FROM T AS t',
        "UPDATE T SET a = 1, b = 2 REMOVE c INSERT INTO d VALUE 1 WHERE k = 1",
        "SELECT * FROM history(T) AS h",
        "SELECT EXTRACT(SECOND FROM t.d) FROM T AS t",
        "SELECT TRIM(LEADING FROM t.a), TRIM('x' FROM t.a), TRIM(t.a) FROM T AS t",
        "SELECT SUBSTRING(t.a FROM 2 FOR 3) FROM T AS t",
        "SELECT * FROM T WHERE a NOT IN (1, 2) AND b NOT LIKE 'x' AND c NOT BETWEEN 1 AND 2 AND NOT d = 1",
        "SELECT COUNT(DISTINCT a) FROM T",
        'SELECT `"a`b"` FROM T',
        "CREATE TABLE VehicleRegistration WITH (aws_tags = `{'environment': 'production', env: \"x`y\"}`)",
        "SELECT t.\"a\"\"b\" FROM T AS t WHERE t.s = 'it''s'",
    ],
)
def test_more_shapes_are_parsed(text: str) -> None:
    parse(text)


def test_tree_has_operators_by_precedence() -> None:
    tree = expression("a OR b AND NOT c = 1 + 2 * 3")
    assert isinstance(tree, syntax.Or)
    conjunction = tree.items[1]
    assert isinstance(conjunction, syntax.And)
    negation = conjunction.items[1]
    assert isinstance(negation, syntax.Not)
    comparison = negation.operand
    assert isinstance(comparison, syntax.Compare)
    assert isinstance(comparison.right, syntax.Arithmetic)
    assert [operator for operator, _ in comparison.right.rest] == ["+"]


def test_numbers_are_exact() -> None:
    values = [expression(text) for text in ("10", "1.10", "-2.50", "1e3", ".5")]
    literals = [one.value for one in values if isinstance(one, syntax.Literal)]
    assert literals == [10, Decimal("1.10"), Decimal("-2.50"), Decimal("1e3"), Decimal("0.5")]
    assert list(map(str, literals)) == ["10", "1.10", "-2.50", "1E+3", "0.5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT", "Parser Error: at line 1, column 7: expected an expression, found the end of the statement"),
        ("SELECT * FROM T WHERE\n  a = = 1", "Parser Error: at line 2, column 7: expected an expression, found ="),
        ("SELECT * FROM T ORDER BY a", "found ORDER (QLDB's PartiQL has no ORDER BY)"),
        ("SELECT * FROM T LIMIT 1", "found LIMIT (QLDB's PartiQL has no LIMIT)"),
        ("SELECT DISTINCT a FROM T", "no SELECT DISTINCT"),
        ("SELECT 'abc FROM T", "Lexer Error: at line 1, column 8: a string does not end"),
        ("SELECT /* x", "Lexer Error: at line 1, column 8: a comment does not end"),
        ("SELECT `{` FROM T", "Parser Error: at line 1, column 8: an Ion literal that is not one Ion value"),
        ("SELECT `[{a: 1, a: 2}]` FROM T", "at line 1, column 8: an Ion literal with a struct that has a field twice"),
        ("SELECT #", "Lexer Error: at line 1, column 8: U+0023 is no part of a statement"),
        ("UPDATE T WHERE a = 1", "expected SET, REMOVE or INSERT INTO, found WHERE"),
        ("SELECT a b c FROM T", "expected FROM, found a name"),
        ("CREATE INDEX ON T (a.b)", "an index is on one top-level field"),
        ("DROP VIEW x", "expected INDEX, found a name"),
        ("SELECT a = b = c FROM T", "comparisons of comparisons need parentheses"),
        ("SELECT 1e9999 FROM T", "a number has at most"),
        (
            "SELECT date FROM T",
            "at line 1, column 8: expected an expression, found DATE, a reserved word: as a name it "
            "needs double quotes",
        ),
        ("SELECT a AS value FROM T", "expected an alias, found VALUE, a reserved word"),
        ("CREATE TABLE User", "expected a table, found USER, a reserved word"),
        ("UPDATE T SET key = 1", "expected a field or a path, found KEY, a reserved word"),
        ("", "expected SELECT, INSERT, UPDATE, DELETE, FROM, CREATE, DROP, UNDROP or EXEC"),
    ],
)
def test_error_names_place_and_expectation(text: str, message: str) -> None:
    with pytest.raises(StatementSyntaxError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_error_holds_no_value() -> None:
    with pytest.raises(StatementSyntaxError) as caught:
        parse("SELECT * FROM T WHERE name = Ada 'Lovelace' 4711")
    assert not any(word in str(caught.value) for word in ("Ada", "Lovelace", "4711"))


NESTED = [
    ("(", "1", ")"), ("[", "", "]"), ("<<", "1", ">>"), ("{'a':", "1", "}"), ("NOT ", "a", ""), ("- ", "a", ""),
    ("CASE WHEN a THEN ", "1", " END"), ("EXISTS(", "a", ")"), ("f(", "a", ")"), ("a[", "1", "]"),
    ("(SELECT VALUE ", "1", " FROM << 1 >>)"), ("SELECT VALUE a FROM ", "b", ""), ("COUNT(", "a", ")"),
    ("CAST(", "a", " AS INT)"), ("1 IN (", "2", ")"), ("'a' || (", "b", ")"), ("TRIM('a' FROM ", "b", ")"),
]  # fmt: skip


@pytest.mark.parametrize(("begin", "middle", "end"), NESTED)
@pytest.mark.parametrize("times", [MOST_DEPTH // 4, 1_000, 10_000])
def test_nesting_is_bounded(begin: str, middle: str, end: str, times: int) -> None:
    """Deep nesting is refused by the parser's own bound; less is parsed."""
    text = f"SELECT VALUE {begin * times}{middle}{end * times} FROM << 0 >>"
    if len(text) > 100_000:
        text = text[:100_000]
    if times < MOST_DEPTH:
        parse(text)
    else:
        with pytest.raises(StatementSyntaxError, match="within each other"):
            parse(text)


@pytest.mark.parametrize(
    "unit", ["AND a = 1 ", "OR a ", "+ 1 ", "|| 'a' ", ".a ", "[0]", "* 2 ", "", "/**/", "''", '"a" ', "-- \n"]
)
def test_long_chains_are_flat_and_linear(unit: str) -> None:
    times = 90_000 // max(1, len(unit))
    text = f"SELECT VALUE a {unit * times} FROM << 0 >>"
    begun = time.process_time()
    with suppress(StatementSyntaxError):
        parse(text)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("unit", ["'", '"', "`", "/*", "(", "<", "1", "a", "\\", "`'", "''' ", "?,", "1."])
def test_hostile_repetition_ends_soon(unit: str) -> None:
    begun = time.process_time()
    with pytest.raises(StatementSyntaxError):
        parse("SELECT " + unit * (90_000 // len(unit)))
    assert time.process_time() - begun < 5


def test_statement_is_bounded() -> None:
    with pytest.raises(StatementSyntaxError, match="at most 100,000 characters"):
        parse("SELECT '" + "a" * 100_000 + "'")


WORDS = st.sampled_from(
    [*sorted(KEYWORDS), "T", "a", "t.a", "'x'", "1", "2.5", "?", "`[1]`", "(", ")", "[", "]", "{", "}", "<<", ">>",
     ",", ":", "=", "<", "+", "-", "*", ".", "@", "COUNT", "history", "CAST", "TRIM", "EXTRACT", "DATE_ADD", ";"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=60))
def test_any_text_is_a_statement_or_a_syntax_error(text: str) -> None:
    with suppress(StatementSyntaxError):
        assert parse(text).parameters == sum(one.value == "?" for one in tokens(text) if one.kind == "operator")


@given(st.sampled_from(SHAPES), st.integers(0, 200), st.integers(0, 200), st.sampled_from(SHAPES))
def test_mutated_statements_are_parsed_or_refused(one: str, cut: int, begin: int, other: str) -> None:
    with suppress(StatementSyntaxError):
        parse(one[:cut] + other[begin:])


def test_reserved_words_are_qldbs() -> None:
    """Each is refused as a name, and is one in quotes or after a point; a call and a type are no names."""
    assert len(RESERVED) == 251
    assert KEYWORDS < RESERVED
    for word in RESERVED - {"END-EXEC"}:
        with pytest.raises(StatementSyntaxError):
            parse(f"SELECT a FROM T AS {word.lower()}")
        parse(f'SELECT a."{word}", a.{word} FROM T AS "{word}"')
    parse("SELECT COUNT(a), CAST(a AS INT), DATE_ADD(day, 1, a), EXTRACT(YEAR FROM a), SIZE(a) FROM T")


def test_tokens_cover_the_text() -> None:
    text = "SELECT a, 'b''c' FROM \"T\" WHERE x<>1"
    assert [(one.kind, one.value) for one in tokens(text)] == [
        ("keyword", "SELECT"), ("name", "a"), ("operator", ","), ("string", "b'c"), ("keyword", "FROM"),
        ("quoted", "T"), ("keyword", "WHERE"), ("name", "x"), ("operator", "<>"), ("number", "1"), ("end", ""),
    ]  # fmt: skip
