"""Measures what an installation of Strandline takes: `make sizes` prints the README's table.

Each extra is installed from the wheel, by uv, into an environment of its own.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

EXTRAS = ("embedded", "console", "alb", "worker", "parquet", "provenance", "shell", "cluster", "tracing")
LOCK = "requirements.lock"  # of `make demo`


def main(wheel: Path, uv: Path) -> None:
    base = size(uv, str(wheel))
    print("| | MB |\n|---|---|")
    print(f"| without an extra | {base:.0f} |")
    for extra in EXTRAS:
        print(f"| `{extra}` | + {size(uv, f'{wheel}[{extra}]') - base:.0f} |", flush=True)
    locked = size(uv, "--no-deps", "--requirements", LOCK)
    print(
        f"| the lock file of `make demo`, with `embedded` and `console`, without what nothing imports | {locked:.0f} |"
    )


def size(uv: Path, *what: str) -> float:
    """Return the size of the packages in an environment that has these, in MB on disk."""
    with tempfile.TemporaryDirectory(prefix="strandline-size-") as folder:
        python = Path(folder) / "bin" / "python"
        run(uv, "venv", "--quiet", "--python", sys.executable, folder)
        run(uv, "pip", "install", "--quiet", "--python", str(python), *what)
        files = [Path(at) / name for at, _, names in os.walk(folder) for name in names]
        return sum(file.lstat().st_blocks * 512 for file in files) / 1e6


def run(uv: Path, *arguments: str) -> None:
    subprocess.run([uv, *arguments], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
