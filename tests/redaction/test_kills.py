"""Killed between any two statements, often: in the end one receipt a level, nothing lost, nothing back."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from consumer.database import connect
from consumer.migrations import migrate
from consumer.receipts import check_receipts
from consumer.stores import DATABASE_ONLY
from consumer.verification import verify_store
from tests.redaction.canaries import canaries, write_export
from tests.redaction.conftest import PROJECTIONS, Replayed
from tests.redaction.dump import dump, relations_with

KILLS = 10


def run(store: Replayed, export: Path, last: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.redaction.killed", store.url, str(export), str(last)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(store: Replayed) -> dict[str, list[str]]:
    """What analysts see, whatever the numbers of the generations."""
    return {name: sorted(text.splitlines()) for name, text in dump(store.url).items() if name.startswith("read.")}


def test_killed_anywhere_it_ends_as_if_it_had_not_been(
    store: Replayed, empty_database: str, new_store: Callable[[str], Replayed], tmp_path: Path
) -> None:
    made = canaries()
    early = write_export(tmp_path / "early", made.blocks[: made.first_redaction])
    whole = write_export(tmp_path / "whole", made.blocks)
    undisturbed = new_store(empty_database)
    migrate(empty_database)
    assert run(undisturbed, early, 0).returncode == 0
    ended = run(undisturbed, whole, 0)
    assert ended.returncode == 0, ended.stderr
    statements = int(ended.stdout)
    assert run(store, early, 0).returncode == 0
    chance = random.Random(6)
    killed = [run(store, whole, chance.randrange(1, statements)).returncode for _ in range(KILLS)]
    assert killed.count(-signal.SIGKILL) >= KILLS // 2
    ended = run(store, whole, 0)
    assert ended.returncode == 0, ended.stderr
    assert store.rows("SELECT level, count(*) FROM projection.receipt GROUP BY 1 ORDER BY 1") == [
        ("expunged", 12), ("hidden", 12), ("physical", 12),
    ]  # fmt: skip
    assert relations_with(store.url, made.strings) == {}
    assert contents(store) == contents(undisturbed)
    assert verify_store(store.url, workers=1).faults == []
    with connect(store.url) as connection:
        assert check_receipts(connection, PROJECTIONS, DATABASE_ONLY).holds
