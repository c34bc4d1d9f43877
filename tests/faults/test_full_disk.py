"""A full disk: each command ends with a line that says so, nothing is lost, and with room again it goes on."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate

pytestmark = pytest.mark.postgres  # each starts an embedded server of its own

OWN_MOUNTS = ["unshare", "--mount", "--propagation", "private"]


def can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    mount = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not below pytest's folder, which is closed to the account that the embedded server runs as.
    with tempfile.TemporaryDirectory(prefix="strandline-full-") as made:
        yield Path(made)


def test_a_full_disk(folder: Path) -> None:
    if not can_mount(folder):
        pytest.skip("needs the right to mount a small file system (root, or CAP_SYS_ADMIN)")
    simulate(folder / "journal", 900, 11, Format.ION_TEXT)
    command = [*OWN_MOUNTS, sys.executable, "-m", "tests.faults.full_disk", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
