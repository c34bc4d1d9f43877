"""A user's own packages in the working directory: none shadows Strandline's, and their projections are found."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECTION = '''
"""One projection of a user, and a module of theirs."""

from strandline import Block, BlockProjection, Column, Rows

from projections.texts import LABEL


def rows(block: Block) -> Rows:
    yield {"label": LABEL}


PROJECTION = BlockProjection("mine", "Test.", "analysts", (Column("label", "text", ""),), rows)
'''
OWN = ("consumer", "ledger", "journal", "migrations", "cli")
COMMANDS = ([str(Path(sys.executable).with_name("strandline"))], [sys.executable, "-m", "strandline"])


@pytest.mark.parametrize("command", COMMANDS, ids=["script", "module"])
def test_own_packages_are_found_and_shadow_nothing(command: list[str], database: str, tmp_path: Path) -> None:
    for name in OWN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the package of the user is imported')\n")
    own = tmp_path / "projections"
    own.mkdir()
    for name, text in {"__init__": "", "texts": "LABEL = 'x'\n", "mine": PROJECTION}.items():
        (own / f"{name}.py").write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"STRANDLINE_DATABASE_URL": database, "STRANDLINE_PROJECTIONS": "projections,strandline.projections"}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )

    done = run("status", "--json")
    assert done.returncode == 0, done.stderr
    names = [one["name"] for one in json.loads(done.stdout)["projections"]]
    assert "mine" in names
    assert "none of the tables of licence_register is in the ledger yet" in run("rebuild", "licence_register").stderr
