"""Kinds and literals of statement texts, found in linear time."""

import pytest

from strandline.journal.check.statements import has_literal, statement_kind


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT 1", "SELECT"),
        (" \x1c\xa0insert INTO T ?", "INSERT"),
        ("-- Ada\nupdate T", "UPDATE"),
        ("/* Ada */ /* Bob\n */delete", "DELETE"),
        ("/**//**/--\n/* * */ set x", "SET"),
        ("Ada", "OTHER"),
        ("", "OTHER"),
        ("-- SELECT", "OTHER"),
        ("/* SELECT", "OTHER"),
        ("/* a */ 1 */ SELECT", "OTHER"),
    ],
)
def test_kind_is_leading_keyword(statement: str, kind: str) -> None:
    assert statement_kind(statement) == kind


@pytest.mark.parametrize("part", ["/**/", "/* */ ", "--\n", " ", "/*", "-", "a ", '"a"', '""', "$", "/***"])
def test_repeated_parts_take_linear_time(part: str) -> None:
    """An exponential expression would not end; a quadratic one would take minutes."""
    statement = part * (400_000 // len(part))

    assert statement_kind(statement) == "OTHER"
    assert has_literal(statement + "'x'")
