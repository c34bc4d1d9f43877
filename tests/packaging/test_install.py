"""Installed by pip, from the sources, the command runs elsewhere and brings one package.

The editable install is the one that runs these tests; `test_wheel` has the wheel.
"""

import venv
import zipfile
from pathlib import Path

import pytest

from tests.packaging.installing import run

pytestmark = pytest.mark.installs


def test_wheel_holds_one_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"strandline"}
    assert "strandline/consumer/worker/logback.xml" in names
    assert "strandline/migrations/0001_roles.sql" in names
    assert "strandline/py.typed" in names
    assert {"strandline/docs/analysts.md", "strandline/docs/verify_proof.py"} <= set(names)
    assert {
        "strandline/console/templates/base.html",
        "strandline/console/static/htmx.min.js",
        "strandline/console/static/htmx.LICENSE.txt",
        "strandline/console/static/verify_proof.py",
    } <= set(names)
    assert "strandline/projections/licensing/licence_register.py" in names


def test_pip_install(sources: Path, folder: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    commands = tmp_path / "venv" / "bin"
    run(commands / "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", sources, cwd=tmp_path)
    # Its own folders are found, and the user's are not.
    assert run(commands / "strandline", "--version", cwd=folder).stdout.startswith("strandline ")
    run(commands / "strandline", "simulate", "sample", "--blocks", "30", cwd=folder)
    assert '"ok": true' in run(commands / "strandline", "verify", "--json", "sample/full", cwd=folder).stdout
    run(commands / "python", "-c", "from strandline import Column, Revision, RowProjection", cwd=folder)
