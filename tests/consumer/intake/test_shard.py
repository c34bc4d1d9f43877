"""Shares of a replay: every item in exactly one of them, of about the same size."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strandline.consumer.intake.shard import Shard, read_shard
from strandline.journal.errors import UsageError
from strandline.journal.sources.export import ExportObject


@dataclass(frozen=True)
class Sized:
    name: str
    size: int
    address: str = ""
    version: str = ""

    def read(self) -> bytes:
        return b""


@given(st.lists(st.integers(0, 10**9), max_size=60), st.integers(1, 12))
def test_every_item_is_in_one_shard(sizes: list[int], of: int) -> None:
    items = [ExportObject(str(at), Sized(str(at), size) if size else None) for at, size in enumerate(sizes)]
    shares = [Shard(index, of).share(items) for index in range(of)]
    assert [item for share in shares for item in share] == items


def test_shares_are_even() -> None:
    items = [ExportObject(str(at), Sized(str(at), 1_000)) for at in range(100)]
    assert [len(Shard(index, 3).share(items)) for index in range(3)] == [33, 34, 33]


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("0/1", {}, Shard(0, 1)),
        ("2/4", {"JOB_COMPLETION_INDEX": "1"}, Shard(2, 4)),
        ("/4", {"JOB_COMPLETION_INDEX": "3"}, Shard(3, 4)),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "5", "AWS_BATCH_JOB_ARRAY_SIZE": "6"}, Shard(5, 6)),
    ],
)
def test_shard_is_read(text: str, environment: dict[str, str], shard: Shard) -> None:
    assert read_shard(text, environment) == shard


@pytest.mark.parametrize(
    ("text", "environment", "reason"),
    [
        ("4/4", {}, "numbered from 0"),
        ("1", {}, "is not a shard"),
        ("-1/4", {}, "is not a shard"),
        ("1/0", {}, "no shard 1 of 0"),
        ("/4", {}, "numbers this job"),
        ("/4", {"JOB_COMPLETION_INDEX": "x"}, "numbers this job"),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "0"}, "ARRAY_SIZE is not set"),
    ],
)
def test_what_is_no_shard_is_refused(text: str, environment: dict[str, str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_shard(text, environment)
