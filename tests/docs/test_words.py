"""One word for one thing: names in the code use the words of the glossary in docs/design.md, not former ones."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

CODE = ("cli", "console", "consumer", "journal", "ledger", "projections", "benchmarks")
# A former word, and the glossary's for it.
FORMER = {
    "adopt": "catch_up",
    "beforehand": "prefetch",
    "befores": "previous",
    "first_fill": "backfill",
    "hanging": "orphan",
    "onward": "pipeline",
    "settling": "intake",
    "straight": "fast_path",
    "swap": "cut_over",
    "told": "reported",
    "watermark": "mark",
}


def names(path: Path) -> Iterator[str]:
    """The module's name, and the names of its functions, classes, parameters and variables."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name


@cache
def all_names() -> list[tuple[str, str]]:
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    return [(str(path.relative_to(ROOT)), name) for path in files for name in names(path)]


@pytest.mark.parametrize("former", FORMER)
def test_former_word_is_not_a_name(former: str) -> None:
    part = re.compile(rf"(^|_){former}(_|$)")
    found = {f"{path}: {name}" for path, name in all_names() if part.search(name.lower())}
    assert found == set(), f"the glossary's word is {FORMER[former]}"
