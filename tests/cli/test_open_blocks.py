"""Blocks that stop the mark or lie beyond it, and the commands with which an operator decides about them."""

from pathlib import Path
from typing import Any

from tests.commands import Run
from tests.consumer.intake.replays import export
from tests.journals import Block, small_journal


def without(block: Block, *members: str) -> Block:
    return {name: value for name, value in block.items() if name not in members}


def stripped_journal() -> list[Block]:
    """Its third block has lost everything that a user wrote."""
    blocks: list[Any] = small_journal()
    blocks[2] = without(blocks[2], "transactionInfo", "revisions")
    return blocks


def test_block_that_is_not_complete_is_passed_only_if_accepted(run: Run, tmp_path: Path) -> None:
    assert run("replay", export(tmp_path / "export", stripped_journal())).status == 1
    status = run("status", "--json").json
    assert (status["mark"], status["incomplete_blocks"]) == (1, {"open": 1, "accepted": 0})
    assert "accept-omission BLOCK" in run("status").out
    assert "omission" in run("rejected").out
    assert run("accept-omission", "2", "--reason", " ").status == 2
    assert run("accept-omission", "1", "--reason", "lost").status == 2
    accepted = run("accept-omission", "2", "--reason", "the archive lost it", "--json")
    assert (accepted.status, accepted.json["accepted"]) == (0, 2)
    assert accepted.json["mark"] >= 2
    assert run("status", "--json").json["incomplete_blocks"] == {"open": 0, "accepted": 1}


def test_block_far_ahead_is_the_head_until_it_is_rejected(run: Run, tmp_path: Path) -> None:
    blocks = small_journal()
    export(tmp_path / "export", blocks[:4])
    run("replay", export(tmp_path / "export", blocks[7:8]))
    before = run("status", "--json").json
    assert (before["mark"], before["head"]) == (3, 7)
    block_hash = blocks[7]["blockHash"].hex()
    assert run("reject", "7", "no hash", "--reason", "of another journal").status == 2
    assert run("reject", "7", "00" * 32, "--reason", "of another journal").status == 2
    rejected = run("reject", "7", block_hash, "--reason", "of another journal", "--json")
    assert (rejected.status, rejected.json["rejected"]) == (0, [7])
    after = run("status", "--json").json
    assert (after["mark"], after["head"]) == (3, 3)
    run("replay", str(tmp_path / "export"))
    assert run("status", "--json").json["head"] == 3
