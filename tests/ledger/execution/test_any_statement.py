"""Any statement that can be parsed runs, or is refused by an error of the ledger: never by a fault of the program."""

import re
from pathlib import Path
from random import Random
from typing import Any

from strandline.ledger import Ledger
from strandline.ledger.errors import LedgerError
from tests.ledger.execution.statements import run
from tests.ledger.partiql.evaluation import ion

SHAPES = (Path(__file__).parents[1] / "partiql/shapes.txt").read_text().splitlines()
PARAMETERS = [ion(one) for one in ("1", '"x"', "null.int", "[1, {a: 2}]", "{a: 1}", "2020T", "1.5e0", "a::(b)", "{{}}")]
ITERATIONS = 400


EXPRESSIONS = [
    "?",
    "NULL",
    "MISSING",
    "1",
    "'x'",
    "t",
    "t.a",
    "t.a.b",
    "t.list",
    "t.list[0]",
    "a",
    "k",
    "n",
    "[1, 2]",
    "<<'x', 1>>",
    "{'a': t.k}",
    "(SELECT VALUE u.k FROM U AS u)",
    "(SELECT COUNT(*) FROM T AS t)",
    "CAST(t.n AS STRING)",
    "SIZE(t.list)",
    "EXISTS(t.owners)",
    "CASE WHEN t.n > 0 THEN 1 END",
    "t.n + 1",
    "t.k || 'y'",
    "`2020-01-01T`",
    "UPPER(t.k)",
    "NOT t.n",
    "t.a IN (1, 'x')",
    "DATE_ADD(day, 1, t.d)",
    "TO_STRING(t.d, 'y')",
    "TXID()",
    "UTCNOW()",
    "-t.n",
    "t.k LIKE 'x%'",
]
OPERAND = re.compile(r"\?|'\w+'|\bt(?:\.\w+)+|\b\d+\b|`[^`]*`")


def mutated(random: Random) -> str:
    """A statement with some of its operands replaced."""

    def replace(found: re.Match[str]) -> str:
        return random.choice(EXPRESSIONS) if random.random() < 0.5 else found[0]

    return OPERAND.sub(replace, random.choice(SHAPES))


def attempt(ledger: Ledger, text: str, random: Random) -> bool:
    parameters: list[Any] = [random.choice(PARAMETERS) for _ in range(text.count("?"))]
    with ledger.begin(10) as transaction:
        try:
            list(transaction.execute(text, *parameters))
        except LedgerError:
            return False
    return True


def test_shapes_run_over_tables(ledger: Ledger) -> None:
    for text in (
        "CREATE TABLE T", "CREATE TABLE U", "CREATE TABLE V", "CREATE TABLE R", "CREATE INDEX ON T (k)",
        "INSERT INTO T << {'a': {'b': {'c': 'x'}}, 'k': 'x', 'n': 1, 'list': [{'name': 'q'}], 'owners': [{'id': 1}],"
        " 'd': `2020-02-01T`, 's': '2020', 'l': [1], 'attributes': {'p': 1}}, {'a': 'x', 'k': `x`, 'b': 'y'} >>",
        "INSERT INTO U {'k': 'x'}", "INSERT INTO V {'k': 1, 'a': 2}", "INSERT INTO R {'k': 1, 'x': {}}",
    ):  # fmt: skip
        run(ledger, text)
    random = Random(5)
    done = sum(attempt(ledger, text, random) for text in SHAPES if text)
    assert done > len(SHAPES) // 2
    done = sum(attempt(ledger, mutated(random), random) for _ in range(ITERATIONS))
    assert done > ITERATIONS // 5
