"""Installed from this folder, by pip and by uv, the command runs elsewhere and brings one package.

The editable install is the one that runs these tests.
"""

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.installs

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    # Nothing of the installation that runs the tests, nor of the clone, may be found.
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, cwd=cwd, env={**known, **environment}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder, whose packages have the names of our folders and must not be imported in their place."""
    for name in ("cli", "console", "consumer", "journal", "ledger", "migrations", "projections"):
        package = tmp_path / "work" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise SystemExit('the folder of the user was imported')\n")
    return tmp_path / "work"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of what git has, so that building leaves nothing in the clone and finds nothing of an earlier build."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    copy = tmp_path / "sources"
    for name in filter(None, listed.decode().split("\0")):
        if name.startswith(("tests/", "native/")) or not (ROOT / name).exists():
            continue
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            target.symlink_to((ROOT / name).readlink())
        else:
            target.write_bytes((ROOT / name).read_bytes())
    return copy


def works(strandline: Path, folder: Path) -> None:
    """Its own folders are found, and the user's are not."""
    assert run(strandline, "--version", cwd=folder).startswith("strandline ")
    run(strandline, "simulate", "sample", "--blocks", "30", cwd=folder)
    assert '"ok": true' in run(strandline, "verify", "--json", "sample/full", cwd=folder)


def test_wheel_holds_one_package(sources: Path, tmp_path: Path) -> None:
    run(TOOLS / "uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", sources, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
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
    run(commands / "pip", "install", "--quiet", "--disable-pip-version-check", sources, cwd=tmp_path)
    works(commands / "strandline", folder)
    run(commands / "python", "-c", "from strandline import Column, Revision, RowProjection", cwd=folder)


def test_uv_tool_install(sources: Path, folder: Path) -> None:
    what = f"strandline[embedded] @ {sources.as_uri()}"
    # Not below pytest's folder: the embedded server's account cannot enter that.
    with tempfile.TemporaryDirectory(prefix="strandline-install-") as name:
        home = Path(name)
        places = {"UV_TOOL_DIR": str(home / "tools"), "UV_TOOL_BIN_DIR": str(home / "bin")}
        run(TOOLS / "uv", "tool", "install", "--quiet", "--python", sys.executable, what, cwd=home, **places)
        strandline = home / "bin" / "strandline"
        works(strandline, folder)
        settings = {"STRANDLINE_HOME": str(home / "home"), "STRANDLINE_DATABASE_URL": ""}
        run(strandline, "replay", str(folder / "sample/full"), cwd=folder, **settings)
        run(strandline, "export-model", "licence_register", "register.csv", cwd=folder, **settings)
        assert '"ok": true' in run(strandline, "doctor", "--json", cwd=folder, **settings)
    assert (folder / "register.csv").read_text().startswith("licence_id,")
