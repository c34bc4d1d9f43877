"""The wheel, built from what git has, and a user's folder."""

import subprocess
from pathlib import Path

import pytest

from tests.packaging.installing import ROOT, TOOLS, run


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git has, so that building leaves nothing in the clone and finds nothing of an earlier build."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    copy = tmp_path_factory.mktemp("sources")
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


@pytest.fixture(scope="session")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dist = tmp_path_factory.mktemp("dist")
    run(TOOLS / "uv", "build", "--quiet", "--wheel", "--out-dir", dist, sources, cwd=dist)
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder, whose packages have the names of our folders and must not be imported in their place."""
    for name in ("cli", "console", "consumer", "journal", "ledger", "migrations", "projections"):
        package = tmp_path / "work" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise SystemExit('the folder of the user was imported')\n")
    return tmp_path / "work"
