"""Discovery of projections, the scope of their fingerprints, and the declarations that are refused."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strandline.consumer.projection.discovery import discover
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.journal.errors import UsageError

MODULE = '''
"""Module docstring."""

from strandline import Column, Revision, RowProjection, Rows

LIMITS = {"a": 1}


def rows(revision: Revision) -> Rows:
    """Return the rows."""
    label = f"{revision.version}: {revision.text('label')!r:>{10}}"  # a comment
    if label:
        yield {"label": label}


PROJECTION = RowProjection("sample", "Test.", ("T",), "current", "analysts", (Column("label", "text", ""),), rows)
'''

COMPOSED = """
from strandline import Column, ComposedProjection, Computed


def keys(revision): return ()


def compose(key, lookup): return ()


PROJECTION = ComposedProjection(
    "sample", "Test.", {"T": ("a",)}, "analysts", (Column("label", "text", ""),), keys, compose,
    computed=(Computed("c", "now()", ""),),
)
"""


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


def test_declarations_of_each_kind_are_valid(package: Callable[..., str]) -> None:
    package("valid", rows=MODULE, keys=COMPOSED.replace('"sample"', '"composed"'))
    assert list(discover(["valid"])) == ["composed", "sample"]


def test_folder_without_init_file_is_a_package(package: Callable[..., str], tmp_path: Path) -> None:
    name = package("bare", sample=MODULE)
    (tmp_path / name / "__init__.py").unlink()
    assert list(discover([name])) == ["sample"]


def test_fingerprint_ignores_comments_docstrings_and_layout(package: Callable[..., str]) -> None:
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
def test_fingerprint_covers_any_other_change(package: Callable[..., str], old: str, new: str) -> None:
    assert old in MODULE
    changed = MODULE.replace(old, new)
    assert sample_fingerprint(package, "one", MODULE) != sample_fingerprint(package, "two", changed)


SHARED = MODULE.replace("PROJECTION =", "SHARED =")
HOLDER = MODULE[MODULE.index("PROJECTION =") :].replace(", rows)", ", shared.rows)")
IMPORTS = "from strandline import Column, RowProjection\nfrom . import shared\n\n"


def shared_fingerprint(package: Callable[..., str], name: str, shared: str, holder: str = HOLDER, **more: str) -> str:
    """The fingerprint of a projection whose function is in another module of its package."""
    written = package(name, shared=shared, sample=IMPORTS + holder, **more)
    return fingerprint(discover([written])["sample"])


@pytest.mark.parametrize(
    ("old", "new"),
    [('"analysts"', '"cleared"'), ('"text"', '"jsonb"'), ('"current"', '"history"'), ('("T",)', '("T", "U")')],
)
def test_fingerprint_covers_a_declaration_apart_from_its_function(
    package: Callable[..., str], old: str, new: str
) -> None:
    changed = HOLDER.replace(old, new)
    assert changed != HOLDER
    assert shared_fingerprint(package, "one", SHARED) != shared_fingerprint(package, "two", SHARED, changed)


def test_fingerprint_covers_imported_modules_of_the_package(package: Callable[..., str]) -> None:
    shared = SHARED.replace("LIMITS =", "from . import other\nfrom .deep import VALUE\nLIMITS =")
    rest = {"deep": "VALUE = 1\nfrom . import shared\n", "other": "VALUE = 2\n"}
    rest["third"] = MODULE.replace("sample", "third")

    def changed(name: str, *, shared: str = shared, **modules: str) -> str:
        return shared_fingerprint(package, name, shared, **rest | modules)

    before = changed("one")
    assert changed("two", third=rest["third"].replace("{10}", "{11}")) == before
    assert changed("three", deep="VALUE = 3\n") != before
    assert changed("four", other="VALUE = 3\n") != before
    assert changed("five", shared=shared.replace("{10}", "{11}")) != before


def test_fingerprint_does_not_cover_modules_outside_the_packages(package: Callable[..., str]) -> None:
    package("elsewhere", values="VALUE = 1\n")
    source = MODULE.replace("LIMITS =", "from elsewhere import values\n\nLIMITS =")
    before = sample_fingerprint(package, "one", source)
    (Path(sys.modules["elsewhere"].__path__[0]) / "values.py").write_text("VALUE = 2\n")
    assert sample_fingerprint(package, "two", source) == before


def test_fingerprint_of_a_single_module_is_that_of_its_package(package: Callable[..., str]) -> None:
    whole = shared_fingerprint(package, "one", SHARED)
    assert fingerprint(discover(["one.sample"])["sample"]) == whole


def test_fingerprint_is_the_same_in_every_python_version(package: Callable[..., str]) -> None:
    # Taken in Python 3.11, where an f-string is one token.
    expected = "b267f824b400ee3f8f403932cb4f40237a337a27b8d2f2140477881a745f0634"
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
        ("PROJECTION = 7", "not a RowProjection, BlockProjection or ComposedProjection"),
        (MODULE.replace('"sample"', '"Sample; DROP"'), "name is 'Sample; DROP'.*small letters"),
        (MODULE.replace('"sample"', "None"), "name is None"),
        (MODULE.replace('"Test."', '""'), "purpose is ''"),
        (MODULE.replace('"analysts"', '"everyone"'), "readers is 'everyone'; allowed are analysts, cleared"),
        (MODULE.replace('"current"', '"currnt"'), "keeps is 'currnt'; allowed are current, history"),
        (MODULE.replace(", rows)", ', rows, store="mysql")'), "store is 'mysql'; allowed are postgresql, opensearch"),
        (MODULE.replace('Column("label"', 'Column("source_block"'), "'source_block'; every read model has one"),
        *[
            (MODULE.replace('Column("label"', f'Column("{name}"'), f"'{name}'; every read model has one")
            for name in ("tableoid", "ctid", "xmin", "cmin", "xmax", "cmax")
        ],
        (MODULE.replace('Column("label"', "Column(7"), "columns has a column 7"),
        (MODULE.replace('"text", ""', '"varchar", ""'), "label: type is 'varchar'; allowed are text, boolean"),
        (MODULE.replace('"text", ""', '"text", None'), "label: description is None"),
        (MODULE.replace('"text", ""', '"text", "", 7'), "label: mapping is 7"),
        (MODULE.replace(', ""),)', ', ""))'), "columns is not a tuple of Column"),
        (MODULE.replace(', ""),)', ', ""),) * 2'), "two columns 'label'"),
        (MODULE.replace(", rows)", ', rows, key=("other",))'), "key has 'other'"),
        (MODULE.replace(", rows)", ', rows, key="label")'), "key is 'label'; allowed is a tuple"),
        (MODULE.replace(", rows)", ', rows, indexes=("label",))'), "indexes is not a tuple of tuple"),
        (MODULE.replace(", rows)", ', rows, indexes=(("lable",),))'), "indexes has 'lable'"),
        (MODULE.replace(", rows)", ', rows, subjects=("email",))'), "subjects has 'email'.*Contact.email"),
        (MODULE.replace(", rows)", ', rows, fields="label")'), "fields is 'label'; allowed is a tuple"),
        (MODULE.replace(", rows)", ", rows, analysis=7)"), "analysis is 7"),
        (MODULE.replace(", rows)", ', rows, analysis={"analyzer": {}})'), "for store='opensearch' only"),
        (MODULE.replace(", rows)", ", rows, shards=0)"), "shards is 0; allowed are 1 to 1,024"),
        (MODULE.replace(", rows)", ", rows, shards=2)"), "for store='opensearch' only"),
        (MODULE.replace(", rows)", ", [])"), "rows is \\[\\]; allowed is a function"),
        (MODULE.replace('("T",)', "()"), "tables is empty"),
        (MODULE.replace('("T",)', '("T")'), "tables is 'T'; allowed is a tuple"),
        (MODULE.replace('"analysts"', '"cleared"').replace(", rows)", ', rows, store="opensearch")'), "readers is 'cl"),
        (COMPOSED.replace('{"T": ("a",)}', "{}"), "lookups is empty"),
        (COMPOSED.replace('{"T": ("a",)}', '{"T": "a"}'), "lookups of T is 'a'; allowed is a tuple"),
        (COMPOSED.replace('{"T": ("a",)}', '("T",)'), r"lookups is \('T',\); allowed is a mapping"),
        (COMPOSED.replace("keys, compose", "None, compose"), "keys is None; allowed is a function"),
        (COMPOSED.replace("keys, compose", "keys, None"), "compose is None; allowed is a function"),
        (COMPOSED.replace('Computed("c"', 'Computed("xmin"'), "computed has a column 'xmin'"),
        (COMPOSED.replace('"now()"', '""'), "computed column c: sql is ''"),
        (COMPOSED.replace('Computed("c"', 'Computed("label"'), "two columns 'label'"),
        (MODULE.replace("PROJECTION =", "projection ="), "it has no PROJECTION, and no other module imports it"),
    ],
)
def test_invalid_declaration_is_refused_with_module_and_field(
    package: Callable[..., str], source: str, message: str
) -> None:
    package("broken", sample=source)
    with pytest.raises(UsageError, match=rf"broken\.sample.*{message}"):
        discover(["broken"])


def test_two_projections_of_the_same_name_are_refused(package: Callable[..., str]) -> None:
    package("twice", one=MODULE, two=textwrap.dedent(MODULE))
    with pytest.raises(UsageError, match=r"twice\.two: another projection is named 'sample'"):
        discover(["twice"])


def test_unknown_package_is_refused_with_its_setting() -> None:
    with pytest.raises(UsageError, match="STRANDLINE_PROJECTIONS"):
        discover(["no_such_package_of_projections"])
