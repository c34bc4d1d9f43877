import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strandline.consumer.projection.definition import RowProjection
from strandline.consumer.projection.discovery import discover
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.journal.errors import UsageError

MODULE = '''
"""Module docstring."""

from strandline import Column, Revision, RowProjection, Rows

LIMITS = {"a": 1}


def rows(revision: Revision) -> Rows:
    """What it means."""
    label = f"{revision.version}: {revision.text('label')!r:>{10}}"  # a comment
    if label:
        yield {"label": label}


PROJECTION = RowProjection("sample", "Test.", ("T",), "current", "analysts", (Column("label", "text", ""),), rows)
'''

Load = Callable[[str, str], RowProjection]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Writes modules of a fresh package and gives its name."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, **modules: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        for module, source in {"__init__": "", **modules}.items():
            (folder / f"{module}.py").write_text(source)
        return name

    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]


def sample_fingerprint(package: Callable[..., str], name: str, source: str) -> str:
    return fingerprint(discover([package(name, sample=source)])["sample"])


def test_comments_docstrings_and_layout_are_not_the_definition(package: Callable[..., str]) -> None:
    other = MODULE.replace("Module docstring", "Another\n\none").replace("What it means", "Otherwise")
    other = other.replace("  # a comment", "").replace("LIMITS = {", "\n\n# why\nLIMITS = {\n    # more\n    ")
    other = other.replace("        yield", "              yield")
    assert other != MODULE
    assert sample_fingerprint(package, "one", MODULE) == sample_fingerprint(package, "two", other)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"a": 1}', '{"a": 2}'),
        ("revision.version", "revision.sequence_no"),
        (": {revision.text", "; {revision.text"),
        ("{10}", "{11}"),
        ('"analysts"', '"cleared"'),
        ("    if label:\n        yield", "    if label:\n        pass\n    yield"),
    ],
)
def test_any_other_change_is(package: Callable[..., str], old: str, new: str) -> None:
    assert old in MODULE
    changed = MODULE.replace(old, new)
    assert sample_fingerprint(package, "one", MODULE) != sample_fingerprint(package, "two", changed)


def test_the_fingerprint_is_the_same_in_every_python_version(package: Callable[..., str]) -> None:
    # Taken in Python 3.11, where an f-string is one token.
    expected = "8ef832ff5e21a9e57646a5fab5a91d5f2bc508a8e84ac2aec68a3c3954414cb3"
    assert sample_fingerprint(package, "one", MODULE) == expected


def test_projections_are_found_in_packages_below_and_in_single_modules() -> None:
    everything = discover(["strandline.projections"])
    assert list(everything) == [
        "ai_audit_search",
        "ai_audit_timeline",
        "contact_directory",
        "endorsement_search",
        "ledger_activity",
        "licence_history",
        "licence_points",
        "licence_register",
        "licence_search",
        "provenance_lineage",
        "provenance_search",
        "wallet_balance",
        "wallet_search",
        "wallet_statement",
    ]
    assert discover(
        ["strandline.projections.licensing.licence_register", "strandline.projections.ledger_activity"]
    ).keys() == {
        "licence_register",
        "ledger_activity",
    }
    assert list(discover(["strandline.projections", "strandline.projections.licensing"])) == list(everything)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", "cannot be imported"),
        ("PROJECTION = 7", "not a Row-, Block- or ComposedProjection"),
        (MODULE.replace('"sample"', '"Sample; DROP"'), "small letters"),
        (MODULE.replace('Column("label"', 'Column("source_block"'), "cannot be a column's name"),
        (MODULE.replace('"text", ""', '"varchar", ""'), "'varchar' is not a column type"),
        (MODULE.replace(', ""),)', ', ""),) * 2'), "two columns have one name"),
        (MODULE.replace(", rows)", ', rows, key=("other",))'), "key or index names 'other'"),
        (MODULE.replace('("T",)', "()"), "no source tables"),
    ],
)
def test_a_projection_that_contradicts_itself_is_named(package: Callable[..., str], source: str, message: str) -> None:
    package("broken", sample=source)
    with pytest.raises(UsageError, match=rf"broken\.sample.*{message}"):
        discover(["broken"])


def test_two_projections_of_one_name_are_refused(package: Callable[..., str]) -> None:
    package("twice", one=MODULE, two=textwrap.dedent(MODULE))
    with pytest.raises(UsageError, match=r"twice\.two: another projection is named 'sample'"):
        discover(["twice"])


def test_an_unknown_package_is_a_wrong_setting() -> None:
    with pytest.raises(UsageError, match="STRANDLINE_PROJECTIONS"):
        discover(["no_such_package_of_projections"])
