"""Every operator and function, each with the source of its expectation.

Sources: names of pages of QLDB's developer guide ("CAST" is "CAST function in Amazon QLDB", "null" is "Querying Ion
with PartiQL: nulls"), "SQL-92" where the guide defers to SQL, "spec" for the PartiQL specification, "Ion" for Ion's.
"""

from typing import Any

import pytest

from strandline.journal.ion.hash import ion_hash
from strandline.ledger.partiql.errors import SemanticError
from strandline.ledger.partiql.values import MISSING, Bag
from tests.ledger.partiql.evaluation import evaluated, ion

VARIABLES = {
    "n": ion("null"), "ni": ion("null.int"), "ns": ion("null.struct"), "one": 1, "i": ion("12"), "d": ion("1.50"),
    "f": ion("1.5e0"), "s": "abc", "y": ion("abc"), "yes": True, "no": False, "l": ion("[1, 2, {a: 3}]"),
    "x": ion("(1 2)"), "t": ion("{a: {b: [10, 20]}, 'with space': 1, A: 2}"), "b": ion("{{aGk=}}"),
    "c": ion('{{"hi"}}'), "date_": ion("2020-01-01T"), "moment": ion("2020-01-01T00:00:00Z"), "ann": ion("cm::5"),
}  # fmt: skip

CASES = [
    # text, its value as Ion (None: MISSING), source
    # -- comparison
    ("1 = 1.0", "true", "spec, equality"),
    ("`1e0` = 1", "true", "spec, equality"),
    ("1.50 = 1.5", "true", "spec, equality"),
    ("`0.1e0` = 0.1", "true", "Ion, JSON numbers"),
    ("1 = '1'", "false", "spec, equality"),
    ("true = 1", "false", "spec, equality"),
    ("s = y", "true", "spec, text values"),
    ("'b' > 'a'", "true", "SQL-92"),
    ("`a` < 'b'", "true", "spec, text values"),
    ("1 <> 2", "true", "Operators"),
    ("1 != 1.0", "false", "Operators"),
    ("2 <= 2.0", "true", "Operators"),
    ("3 >= 4", "false", "Operators"),
    ("n = n", "null", "SQL-92"),
    ("ni = 1", "null", "Ion, typed nulls"),
    ("MISSING = 1", "null", "functions: unknown values"),
    ("'a' < 1", None, "spec, no order between types"),
    ("date_ = moment", "true", "Timestamps: the same instant"),
    ("`2020-01-01T01:00+01:00` = moment", "true", "Timestamps: the same instant"),
    ("`2020-01-01T00:00:00.000000001Z` > moment", "true", "Timestamps: any number of digits"),
    ("`2019T` < date_", "true", "Timestamps"),
    ("[1, 2] = `[1.0, 2e0]`", "true", "spec, equality"),
    ("[1, 2] = `(1 2)`", "false", "Ion, types"),
    ("{'a': 1, 'b': null} = `{b: null, a: 1.0}`", "true", "spec, equality"),
    ("<<1, 2>> = <<2, 1>>", "true", "spec, equality"),
    ("b = `{{aGk=}}`", "true", "Ion"),
    ("b = c", "false", "Ion, types"),
    ("ann = 5", "true", "Ion, annotations do not count"),
    # -- logic
    ("true AND n", "null", "SQL-92"),
    ("false AND n", "false", "SQL-92"),
    ("true OR n", "true", "SQL-92"),
    ("false OR n", "null", "SQL-92"),
    ("NOT n", "null", "SQL-92"),
    ("NOT false AND true", "true", "SQL-92"),
    ("MISSING OR true", "true", "spec, MISSING in logic"),
    # -- predicates
    ("2 IN (1, 2)", "true", "Operators"),
    ("3 IN [1, 2]", "false", "Operators"),
    ("3 NOT IN <<1, 2>>", "true", "Operators"),
    ("3 IN (1, n)", "null", "SQL-92"),
    ("n IN (1, 2)", "null", "SQL-92"),
    ("1 IN l", "true", "Operators"),
    ("1 IN (1)", "true", "Operators"),
    ("2 BETWEEN 1 AND 3", "true", "Operators"),
    ("2 NOT BETWEEN 1 AND 3", "false", "Operators"),
    ("2 BETWEEN n AND 3", "null", "SQL-92"),
    ("4 BETWEEN n AND 3", "false", "SQL-92"),
    ("date_ BETWEEN `2019T` AND `2021T`", "true", "Operators"),
    ("'abc' LIKE 'a%'", "true", "Operators"),
    ("'abc' LIKE 'a_c'", "true", "Operators"),
    ("'abc' LIKE '%b%c%'", "true", "Operators"),
    ("'abc' LIKE 'b%'", "false", "Operators"),
    ("'a%c' LIKE 'a!%c' ESCAPE '!'", "true", "SQL-92"),
    ("'abc' LIKE 'a!%c' ESCAPE '!'", "false", "SQL-92"),
    ("y LIKE 'ab_'", "true", "spec, text values"),
    ("n LIKE 'a'", "null", "SQL-92"),
    ("1 LIKE 'a'", None, "spec"),
    ("n IS NULL", "true", "null"),
    ("ni IS NULL", "true", "null"),
    ("MISSING IS NULL", "true", "null: MISSING IS NULL"),
    ("MISSING IS MISSING", "true", "null"),
    ("n IS MISSING", "false", "null"),
    ("nothing IS MISSING", "true", "null"),
    ("1 IS NOT NULL", "true", "null"),
    ("1 IS INT", "true", "spec, IS type"),
    ("1 IS STRING", "false", "spec, IS type"),
    ("EXISTS(`[]`)", "false", "EXISTS"),
    ("EXISTS(`[1, 2, 3]`)", "true", "EXISTS"),
    ("EXISTS(`{}`)", "false", "EXISTS"),
    ("EXISTS(`{a: 1}`)", "true", "EXISTS"),
    ("EXISTS(`()`)", "false", "EXISTS"),
    ("EXISTS(<<>>)", "false", "EXISTS"),
    # -- arithmetic
    ("1 + 2 * 3", "7", "Operators"),
    ("(1 + 2) * 3", "9", "Operators"),
    ("7 / 2", "3", "SQL-92"),
    ("-7 / 2", "-3", "SQL-92"),
    ("-7 % 2", "-1", "SQL-92"),
    ("7.0 / 2", "3.5", "SQL-92"),
    ("1.10 + 2.2", "3.30", "Ion, exact decimals"),
    ("1.1 * 1.1", "1.21", "Ion, exact decimals"),
    ("0.1 + 0.2", "0.3", "Ion, exact decimals"),
    ("f + 1", "2.5e0", "Ion"),
    ("1 - 2 - 3", "-4", "SQL-92"),
    ("- i", "-12", "Operators"),
    ("-(-d)", "1.50", "Operators"),
    ("n + 1", "null", "SQL-92"),
    ("'a' + 1", None, "spec"),
    ("'a' || 'b' || y", '"ababc"', "Operators"),
    ("'a' || n", "null", "SQL-92"),
    ("'a' || 1", None, "spec"),
    # -- paths and constructors
    ("t.a.b[1]", "20", "Paths"),
    ("t['a']['b'][0]", "10", "Paths"),
    ("t.\"with space\"", "1", "Paths"),
    ("t.A", "2", "Case sensitivity"),
    ("t.B", None, "Case sensitivity"),
    ("t.a.b[7]", None, "Paths"),
    ("t.a.b[-1]", None, "Paths"),
    ("l[2].a", "3", "Paths"),
    ("x[1]", "2", "Paths"),
    ("s.a", None, "Paths"),
    ("nothing.at.all", None, "Paths"),
    ("{'a': one, 'b': [one, nothing], 'c': nothing}", "{a: 1, b: [1]}", "spec, MISSING in constructors"),
    ("<<1, MISSING, n>>", "[1, null]", "spec, MISSING in constructors"),
    ("`cm::{a: 2020T, b: null.string}`", "cm::{a: 2020T, b: null.string}", "Ion literals"),
    ("ann", "cm::5", "Ion, annotations are kept"),
    ("ni", "null.int", "Ion, typed nulls are kept"),
    ("CASE WHEN one > 1 THEN 'many' ELSE 'one' END", '"one"', "SQL-92"),
    ("CASE one WHEN 2 THEN 'b' WHEN 1.0 THEN 'a' END", '"a"', "SQL-92"),
    ("CASE WHEN n THEN 1 END", "null", "SQL-92"),
    # -- functions
    ("CAST(n AS NULL)", "null", "CAST"),
    ("CAST(MISSING AS NULL)", "null", "CAST"),
    ("CAST(MISSING AS MISSING)", None, "CAST"),
    ("CAST(n AS MISSING)", None, "CAST"),
    ("CAST(n AS BOOLEAN)", "null", "CAST"),
    ("CAST(MISSING AS BOOLEAN)", None, "CAST"),
    ("CAST(true AS BOOLEAN)", "true", "CAST"),
    ("CAST(0 AS BOOLEAN)", "false", "CAST"),
    ("CAST(`1e0` AS BOOLEAN)", "true", "CAST"),
    ("CAST(`1d0` AS BOOL)", "true", "CAST"),
    ("CAST('a' AS BOOLEAN)", "false", "CAST"),
    ("CAST('true' AS BOOLEAN)", "true", "CAST"),
    ("CAST(`'false'` AS BOOLEAN)", "false", "CAST"),
    ("CAST(true AS INTEGER)", "1", "CAST"),
    ("CAST(`1d3` AS INT)", "1000", "CAST"),
    ("CAST(1.75 AS INTEGER)", "1", "CAST"),
    ("CAST('12' AS INTEGER)", "12", "CAST"),
    ("CAST(`'22'` AS INTEGER)", "22", "CAST"),
    ("CAST(1 AS FLOAT)", "1e0", "CAST"),
    ("CAST('1.5' AS DECIMAL)", "1.5", "CAST"),
    ("CAST(1 AS DECIMAL(10, 2))", "1.", "CAST"),
    ("CAST('2001T' AS TIMESTAMP)", "2001T", "CAST"),
    ("CAST(y AS STRING)", '"abc"', "CAST"),
    ("CAST(true AS VARCHAR)", '"true"', "CAST"),
    ("CAST(12 AS STRING)", '"12"', "CAST"),
    ("CAST(`2017-01-01T00:00:00Z` AS STRING)", '"2017-01-01T00:00:00Z"', "CAST"),
    ("CAST('a b' AS SYMBOL)", "'a b'", "CAST"),
    ("CAST(<<1, 2>> AS LIST)", "[1, 2]", "CAST"),
    ("CAST([1, 2] AS SEXP)", "(1 2)", "CAST"),
    ("CAST(b AS CLOB)", '{{"hi"}}', "CAST"),
    ("CHAR_LENGTH('')", "0", "CHAR_LENGTH"),
    ("CHARACTER_LENGTH('eʰʷ😁')", "4", "CHAR_LENGTH"),
    ("CHAR_LENGTH(n)", "null", "CHAR_LENGTH"),
    ("COALESCE(n, MISSING, 1, 2)", "1", "COALESCE"),
    ("COALESCE(n, n)", "null", "COALESCE"),
    ("DATE_ADD(year, 5, `2010-01-01T`)", "2015-01-01T", "DATE_ADD"),
    ("DATE_ADD(month, 1, `2010T`)", "2010-02T", "DATE_ADD"),
    ("DATE_ADD(month, 13, `2010T`)", "2011-02T", "DATE_ADD"),
    ("DATE_ADD(month, 1, `2020-01-31T`)", "2020-02-29T", "SQL: the last day of the month"),
    ("DATE_ADD(day, -1, `2017-01-10T`)", "2017-01-09T", "DATE_ADD"),
    ("DATE_ADD(hour, 1, `2017T`)", "2017-01-01T01:00-00:00", "DATE_ADD"),
    ("DATE_ADD(hour, 1, `2017-01-02T03:04Z`)", "2017-01-02T04:04Z", "DATE_ADD"),
    ("DATE_ADD(minute, 1, `2017-01-02T03:04:05.006Z`)", "2017-01-02T03:05:05.006Z", "DATE_ADD"),
    ("DATE_ADD(second, 1, `2017-01-02T03:04:05.006Z`)", "2017-01-02T03:04:06.006Z", "DATE_ADD"),
    ("DATE_ADD(second, 1, `2017-01-02T03:04:05+07:30`)", "2017-01-02T03:04:06+07:30", "DATE_ADD"),
    ("DATE_DIFF(year, `2010-01-01T`, `2011-01-01T`)", "1", "DATE_DIFF"),
    ("DATE_DIFF(year, `2010-12T`, `2011-01T`)", "0", "DATE_DIFF"),
    ("DATE_DIFF(month, `2010T`, `2010-05T`)", "4", "DATE_DIFF"),
    ("DATE_DIFF(month, `2010T`, `2011T`)", "12", "DATE_DIFF"),
    ("DATE_DIFF(month, `2011T`, `2010T`)", "-12", "DATE_DIFF"),
    ("DATE_DIFF(month, `2010-12-31T`, `2011-01-01T`)", "0", "DATE_DIFF"),
    ("DATE_DIFF(day, `2010-01-01T23:00Z`, `2010-01-02T01:00Z`)", "0", "DATE_DIFF"),
    ("DATE_DIFF(second, `2010-01-01T00:00:00Z`, `2010-01-01T00:01:00Z`)", "60", "DATE_DIFF"),
    ("EXTRACT(YEAR FROM `2010-01-01T`)", "2010", "EXTRACT"),
    ("EXTRACT(MONTH FROM `2010T`)", "1", "EXTRACT"),
    ("EXTRACT(HOUR FROM `2017-01-02T03:04:05+07:08`)", "3", "EXTRACT"),
    ("EXTRACT(MINUTE FROM `2017-01-02T03:04:05+07:08`)", "4", "EXTRACT"),
    ("EXTRACT(SECOND FROM `2017-01-02T03:04:05+07:08`)", "5", "EXTRACT"),
    ("EXTRACT(TIMEZONE_HOUR FROM `2017-01-02T03:04:05+07:08`)", "7", "EXTRACT"),
    ("EXTRACT(TIMEZONE_MINUTE FROM `2017-01-02T03:04:05+07:08`)", "8", "EXTRACT"),
    ("LOWER('AbCdEfG!@#$')", '"abcdefg!@#$"', "LOWER"),
    ("UPPER('AbCdEfG!@#$')", '"ABCDEFG!@#$"', "UPPER"),
    ("UPPER(y)", '"ABC"', "UPPER"),
    ("NULLIF(1, 1)", "null", "NULLIF"),
    ("NULLIF(1, 2)", "1", "NULLIF"),
    ("NULLIF(1.0, 1)", "null", "NULLIF"),
    ("NULLIF(1, '1')", "1", "NULLIF"),
    ("NULLIF([1], [1])", "null", "NULLIF"),
    ("NULLIF(1, n)", "1", "NULLIF"),
    ("NULLIF(n, 1)", "null", "NULLIF"),
    ("NULLIF(MISSING, n)", "null", "NULLIF"),
    ("SIZE(`[]`)", "0", "SIZE"),
    ("SIZE(`[null]`)", "1", "SIZE"),
    ("SIZE(<<'foo', 'bar'>>)", "2", "SIZE"),
    ("SIZE(`{foo: bar}`)", "1", "SIZE"),
    ("SUBSTRING('123456789', 0)", '"123456789"', "SUBSTRING"),
    ("SUBSTRING('123456789', 1)", '"123456789"', "SUBSTRING"),
    ("SUBSTRING('123456789', 2)", '"23456789"', "SUBSTRING"),
    ("SUBSTRING('123456789', -4)", '"123456789"', "SUBSTRING"),
    ("SUBSTRING('123456789', 0, 999)", '"123456789"', "SUBSTRING"),
    ("SUBSTRING('123456789', 1, 1)", '"1"', "SUBSTRING"),
    ("SUBSTRING('123456789', 0, 2)", '"1"', "SUBSTRING: SQL-92"),
    ("SUBSTRING('1', 1, 0)", '""', "SUBSTRING"),
    ("SUBSTRING('1', -4, 0)", '""', "SUBSTRING"),
    ("SUBSTRING('1234', 10, 10)", '""', "SUBSTRING"),
    ("SUBSTRING('1234' FROM 2 FOR 2)", '"23"', "SQL-92"),
    ("TRIM('       foobar         ')", '"foobar"', "TRIM"),
    ("TRIM('      \tfoobar\t         ')", r'"\tfoobar\t"', "TRIM"),
    ("TRIM(LEADING FROM '       foobar         ')", '"foobar         "', "TRIM"),
    ("TRIM(TRAILING FROM '       foobar         ')", '"       foobar"', "TRIM"),
    ("TRIM(BOTH '1' FROM '11foobar11')", '"foobar"', "TRIM"),
    ("TRIM(BOTH '12' FROM '1112211foobar22211122')", '"foobar"', "TRIM"),
    ("TO_STRING(`1969-07-20T20:18Z`, 'MMMM d, y')", '"July 20, 1969"', "TO_STRING"),
    ("TO_STRING(`1969-07-20T20:18Z`, 'MMM d, yyyy')", '"Jul 20, 1969"', "TO_STRING"),
    ("TO_STRING(`1969-07-20T20:18Z`, 'M-d-yy')", '"7-20-69"', "TO_STRING"),
    ("TO_STRING(`1969-07-20T20:18Z`, 'MM-d-y')", '"07-20-1969"', "TO_STRING"),
    ("TO_STRING(`1969-07-20T20:18Z`, 'MMMM d, y h:m a')", '"July 20, 1969 8:18 PM"', "TO_STRING"),
    ("TO_STRING(`1969-07-20T20:18Z`, 'y-MM-dd''T''H:m:ssX')", '"1969-07-20T20:18:00Z"', "TO_STRING"),
    ("TO_STRING(`1969-07-20T20:18+08:00`, 'y-MM-dd''T''H:m:ssXXXX')", '"1969-07-20T20:18:00+0800"', "TO_STRING"),
    ("TO_STRING(`1969-07-20T20:18+08:00`, 'y-MM-dd''T''H:m:ssXXXXX')", '"1969-07-20T20:18:00+08:00"', "TO_STRING"),
    ("TO_STRING(`1969-07-20T20:18:01.25Z`, 'SSS n x')", '"250 250000000 +00"', "Timestamp format strings"),
    ("TO_TIMESTAMP('2007T')", "2007T", "TO_TIMESTAMP"),
    ("TO_TIMESTAMP('2007-02-23T12:14:33.079-08:00')", "2007-02-23T12:14:33.079-08:00", "TO_TIMESTAMP"),
    ("TO_TIMESTAMP('2016', 'y')", "2016T", "TO_TIMESTAMP"),
    ("TO_TIMESTAMP('2016', 'yyyy')", "2016T", "TO_TIMESTAMP"),
    ("TO_TIMESTAMP('02-2016', 'MM-yyyy')", "2016-02T", "TO_TIMESTAMP"),
    ("TO_TIMESTAMP('Feb 2016', 'MMM yyyy')", "2016-02T", "TO_TIMESTAMP"),
    ("TO_TIMESTAMP('february 2016', 'MMMM yyyy')", "2016-02T", "TO_TIMESTAMP: case"),
    ("TO_TIMESTAMP('70', 'yy')", "1970T", "TO_TIMESTAMP: two-digit years"),
    ("TO_TIMESTAMP('69', 'yy')", "2069T", "TO_TIMESTAMP: two-digit years"),
    ("TO_TIMESTAMP('2/3/2016 8:05 pm', 'M/d/y h:mm a')", "2016-02-03T20:05-00:00", "TO_TIMESTAMP"),
    ("TO_TIMESTAMP('2016-02-03T04:05:06.25+01:00', 'y-MM-dd''T''HH:mm:ss.SSXXX')",
     "2016-02-03T04:05:06.25+01:00", "TO_TIMESTAMP"),
    ("TXID()", '"7htghJ1tzv34sHZMr71ZP3"', "TXID"),
    ("UTCNOW()", "2024-02-29T12:00:00.000Z", "UTCNOW"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected", "_"), CASES, ids=[case[0] for case in CASES])
def test_value(text: str, expected: str | None, _: str) -> None:
    """The value is the same Ion, its type, annotations and precision included."""
    value = evaluated(text, **VARIABLES)
    if expected is None:
        assert value is MISSING
    else:
        assert ion_hash(list(value) if type(value) is Bag else value) == ion_hash(ion(expected))


ERRORS = [
    "CAST(true AS NULL)", "CAST(1 AS MISSING)", "CAST('aa' AS INTEGER)", "CAST('1.5x' AS DECIMAL)",
    "CAST(b AS INT)", "CAST(1 AS NOTHING)", "CAST(`1d20000` AS INT)", "EXISTS(1)", "SIZE(12)", "UPPER(1)",
    "UPPER()", "UPPER('a', 'b')", "NOFUNCTION(1)", "1 / 0", "1.0 / 0", "1 % 0", "`1e0` / 0", "SUBSTRING('a', 1, -1)",
    "TO_STRING(`2020T`, 'QQ')", "TO_STRING('2020', 'y')", "TO_TIMESTAMP('x', 'y')", "TO_TIMESTAMP('1-2', 'M-d')",
    "TO_TIMESTAMP('2020-02-30', 'y-MM-dd')", "DATE_ADD(year, 10000, `2020T`)", "DATE_ADD(week, 1, `2020T`)",
    "DATE_ADD(day, 1.5, `2020T`)", "EXTRACT(DOY FROM `2020T`)", "'a' LIKE 'b' ESCAPE 'xx'", "'a' LIKE 'x' ESCAPE 'x'",
    "{1: 2}", "1 IS NOTHING", "COUNT(*)",
]  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_error(text: str) -> None:
    with pytest.raises(SemanticError) as caught:
        evaluated(text, **VARIABLES)
    assert str(caught.value).startswith("Semantic Error: ")


def test_parameters_are_values() -> None:
    assert evaluated("? + ?", 1, 2) == 3
    assert evaluated("t = ?", {"a": 1.0}, t={"a": 1}) is True


@pytest.mark.parametrize("text", ["1" + " * 99999999999999999999" * 400, "1" + "0" * 900 + " * 1e5999" * 300])
def test_numbers_do_not_grow_without_bound(text: str) -> None:
    with pytest.raises(SemanticError):
        evaluated(text)


def test_like_takes_no_exponential_time() -> None:
    text: Any = "a" * 20_000
    assert evaluated("? LIKE ?", text, "%a" * 50 + "b") is False
