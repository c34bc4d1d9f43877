"""The reference pages are complete, and what pages refer to is there."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from strandline.cli.app import app
from strandline.consumer.settings import PREFIX, Settings
from tests.docs.pages import PAGES, ROOT, name_of

DOCS = ROOT / "docs"
EVERY_COMMAND = {"--help", "-h", "--json", "--ledger"}
CODE = ("cli", "console", "consumer", "journal", "ledger", "projections")


def sections() -> dict[str, str]:
    """The section of each command in commands.md, by the words in its heading that are lower case."""
    found = re.findall(r"^### ([^\n]*)\n(.*?)(?=^##|\Z)", (DOCS / "commands.md").read_text(), re.MULTILINE | re.DOTALL)
    return {" ".join(word for word in heading.split() if word.islower()): heading + text for heading, text in found}


def commands() -> dict[str, list[str]]:
    """Every command of the program, and its options and arguments."""
    found = {}
    open_ = [((), get_command(app))]
    while open_:
        path, command = open_.pop()
        children = getattr(command, "commands", None)
        if children is None:
            names = [option for one in command.params for option in (*one.opts, *one.secondary_opts)]
            found[" ".join(path)] = [name for name in names if name.startswith("-")]
        else:
            open_ += [((*path, name), child) for name, child in children.items()]
    return found


def test_commands_page_has_every_command() -> None:
    assert sections().keys() == commands().keys()


@pytest.mark.parametrize("command", commands())
def test_commands_page_has_every_option(command: str) -> None:
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", "\n".join(re.findall(r"`([^`]*)`", sections()[command]))))
    options = set(commands()[command]) - EVERY_COMMAND
    assert options <= told
    in_table = set(re.findall(r"^\| `(--?[a-z-]+)", sections()[command], re.MULTILINE))
    assert in_table <= options | {"--ledger"}


def test_settings_page_has_every_setting() -> None:
    table = set(re.findall(rf"`({PREFIX}[A-Z_]+)`", _first_cells("settings.md")))
    code = "\n".join(path.read_text() for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    named = {name for name in re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", code) if not name.startswith(f"{PREFIX}TEST")}
    assert {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} <= table
    assert named <= table
    assert table <= named | {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def _first_cells(page: str) -> str:
    return "\n".join(re.findall(r"^\|([^|]*)\|", (DOCS / page).read_text(), re.MULTILINE))


def test_design_page_draws_the_layers_that_are_enforced() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {contract["containers"][0]: contract["layers"] for contract in contracts if contract["type"] == "layers"}
    enforced = []
    for layer in layers["strandline"]:
        enforced.append(layer)
        if layer in ("consumer", "journal"):
            enforced += layers[f"strandline.{layer}"]
    picture = (DOCS / "design.md").read_text().partition("\n## Layers\n")[2].split("```")[1]
    assert [re.split(r"\s{2,}", line.strip(" │"))[0] for line in picture.strip().splitlines()] == enforced


@pytest.mark.parametrize("page", [*PAGES, ROOT / "benchmarks/README.md"], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), target
        if anchor:
            assert anchor in _anchors(there), target


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "benchmarks/README.md"], ids=name_of)
def test_files_that_pages_name_exist(page: Path) -> None:
    folders = "cli|console|consumer|journal|ledger|projections|migrations|tests|native|benchmarks|deploy|docs|tools"
    for name in re.findall(rf"(?<![\w/.-])`((?:{folders})/[\w./-]*)`", page.read_text()):
        assert (ROOT / name).exists(), name
