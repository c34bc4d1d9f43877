"""Runs in a mount namespace of its own: small file systems that are full, for the database and for temporary files."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strandline.consumer.database.embedded import embedded_postgres
from tests.faults.kills import Contents, contents

COMMAND = [sys.executable, "-m", "strandline.cli"]
MEGABYTE = 1024 * 1024
# What is left for the database when a replay begins; each stops it at another point.
LEFT = (100 * 1024, MEGABYTE, 3 * MEGABYTE, 6 * MEGABYTE)


def main() -> None:
    folder = Path(sys.argv[1])
    full_database(folder)
    full_temporary_folder(folder)


def full_database(folder: Path) -> None:
    with small_file_system(folder / "data", 400 * MEGABYTE) as mounted:
        home = mounted / "home"
        ended_well(["migrate"], home)
        stopped = 0
        # Nobody holds the server meanwhile: one that has no room for its write-ahead log ends, for the next to start.
        for left in LEFT:
            fill(mounted, left)
            done = strandline(["replay", str(folder / "journal" / "full")], home)
            (mounted / "ballast").unlink()
            check(done)
            stopped += done.returncode
        assert stopped, "the disk was never full"
        ended_well(["replay", str(folder / "journal" / "full")], home)
        ended_well(["verify"], home)
        with embedded_postgres(home) as url:
            assert contents(url) == undisturbed(folder), "something is lost"


def undisturbed(folder: Path) -> Contents:
    home = folder / "elsewhere"
    with embedded_postgres(home) as url:
        ended_well(["replay", str(folder / "journal" / "full")], home)
        return contents(url)


def full_temporary_folder(folder: Path) -> None:
    home = folder / "elsewhere"
    with small_file_system(folder / "temporary", 64 * 1024) as mounted:
        source = str(folder / "journal" / "full")
        query = "SELECT repeat('x', 1000) FROM generate_series(1, 20000)"
        made = str(mounted / "made")
        commands = (
            ["sql", "--json", query],
            ["simulate", made],
            ["scrub", source, made + "-scrubbed"],
            ["ledger", "export", made + "-exported"],
        )
        for command in commands:
            done = strandline(command, home, TMPDIR=str(mounted))
            assert done.returncode == 1, (command, done.stdout[-300:], done.stderr)
            check(done)
            ended_well(command[:1] + [part.replace(str(mounted), str(folder)) for part in command[1:]], home)


def check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert "error" in done.stderr or "has failed" in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) <= 8, done.stderr


def strandline(command: list[str], home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "STRANDLINE_DATABASE_URL": "", "STRANDLINE_HOME": str(home), **environment}
    return subprocess.run([*COMMAND, *command], env=given, capture_output=True, text=True, timeout=300, check=False)


def ended_well(command: list[str], home: Path) -> None:
    done = strandline(command, home)
    assert done.returncode == 0, (command, done.stderr)


def fill(mounted: Path, left: int) -> None:
    """All of the file system but so many bytes."""
    status = os.statvfs(mounted)
    with (mounted / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_frsize - left))


@contextmanager
def small_file_system(at: Path, size: int) -> Iterator[Path]:
    at.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


if __name__ == "__main__":
    main()
