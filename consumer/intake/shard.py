"""Shards of a large replay: each of N processes, on one machine or on many, takes in its share of the objects."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from strandline.journal.errors import UsageError
from strandline.journal.sources.source import Item

_SHARD = re.compile(r"(\d{0,6})/(\d{1,6})")
# AWS Batch array jobs name both, Kubernetes indexed jobs the index alone.
SIZE = "AWS_BATCH_JOB_ARRAY_SIZE"
INDEXES = ("AWS_BATCH_JOB_ARRAY_INDEX", "JOB_COMPLETION_INDEX")
FORMS = "write 0/4, 1/4, 2/4 and 3/4; or /4 if the batch system numbers its jobs; or auto in an AWS Batch array"


@dataclass(frozen=True)
class Shard:
    """Share `index` of `of`, counted from 0."""

    index: int
    of: int

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return this shard's items: a run of them that holds about 1/`of` of the bytes.

        Every item is in exactly one shard, as long as all of them see the same list.
        """
        sizes = [sum(file.size for file in item.files) or 1 for item in items]
        total = sum(sizes)
        middles = (end - size / 2 for end, size in zip(accumulate(sizes), sizes, strict=True))
        shards = (min(int(middle * self.of / total), self.of - 1) for middle in middles)
        return [item for item, shard in zip(items, shards, strict=True) if shard == self.index]


def read_shard(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """Read `I/N`, or `/N` or `auto` with what the batch system set. Raises UsageError."""
    of = environment.get(SIZE, "") if text == "auto" else ""
    match = _SHARD.fullmatch(f"/{of}" if text == "auto" else text)
    if match is None:
        reason = f"{SIZE} is not set" if text == "auto" else f"{text[:40]!r} is not a shard"
        raise UsageError(f"--shard: {reason}: {FORMS}.")
    index = match[1] or next((environment[name] for name in INDEXES if environment.get(name)), "")
    if not index.isdecimal():
        raise UsageError(f"--shard: none of {' or '.join(INDEXES)} numbers this job: {FORMS}.")
    shard = Shard(int(index), int(match[2]))
    if shard.index >= shard.of:
        raise UsageError(f"--shard: there is no shard {shard.index} of {shard.of}: they are numbered from 0.")
    return shard
