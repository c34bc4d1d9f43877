"""Running commands as somebody who has no clone."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
OURS = ("PYTHON", "VIRTUAL_ENV", "STRANDLINE_", "XDG_", "AWS_")


def run(*command: str | Path, cwd: Path, expect: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of the installation that runs the tests, nor of the clone; check its exit status."""
    done = subprocess.run(
        command, cwd=cwd, env=clean(environment), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == expect, done.stdout[-2000:] + done.stderr[-2000:]
    return done


def clean(more: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | dict(more)
