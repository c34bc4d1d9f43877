"""Checks that a version is that of the package, of the native kernel and of a section of the changelog.

For a release by tag: python tools/check_version.py 0.1.0
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def differences(version: str, root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each place that has another version."""
    package = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    kernel = tomllib.loads((root / "native/Cargo.toml").read_text())["package"]["version"]
    for place, found in (("pyproject.toml", package), ("native/Cargo.toml", kernel)):
        if found != version:
            yield f"{place} has version {found}, not {version}: change it, or tag another version."
    if not re.search(rf"^## \[{re.escape(version)}\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE):
        yield f"CHANGELOG.md has no section [{version}]: name the unreleased one so."


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: check_version.py VERSION", file=sys.stderr)
        return 2
    found = list(differences(sys.argv[1]))
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
