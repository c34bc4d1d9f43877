"""The walk from the mark up the chain of candidates, and the candidates that it rejects. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Candidate(NamedTuple):
    """A block above the mark.

    `ready`: all its revisions are stored. `omits`: it is not shown to be complete, and nobody has accepted that.
    `documents`: how many revisions it names.
    """

    sequence_no: int
    block_hash: bytes
    previous_hash: bytes
    ready: bool
    omits: bool
    documents: int


class Loser(NamedTuple):
    """A candidate that cannot be part of the chain, and the reason."""

    candidate: Candidate
    fault: str
    detail: str


@dataclass(slots=True)
class Walk:
    """The block that a walk reached. `block_hash` is None after an accepted gap, and before the first block.

    `jumped` are the accepted gaps that it crossed, as first and last number. `cut`: it ended because the candidates
    given to it did, so more of them may take it further. `blocked` is the next block if its omissions
    stop the walk.
    """

    sequence_no: int
    block_hash: bytes | None
    documents: int = 0
    losers: list[Loser] = field(default_factory=list)
    jumped: list[tuple[int, int]] = field(default_factory=list)
    cut: bool = False
    blocked: Candidate | None = None


def walk(
    sequence_no: int,
    block_hash: bytes | None,
    candidates: Iterable[Candidate],
    *,
    accepted: Sequence[tuple[int, int]] = (),
    more: bool = False,
) -> Walk:
    """Go up from block `sequence_no` as long as exactly one ready candidate comes next.

    `more`: candidates beyond those given exist, and the last number given may lack some of its own.
    """
    groups = defaultdict(list)
    for candidate in candidates:
        groups[candidate.sequence_no].append(candidate)
    end = max(groups, default=sequence_no + 1) if more else None
    at = Walk(sequence_no, block_hash)
    while not at.cut and _step(at, groups, accepted, end):
        pass
    return at


def _step(
    at: Walk, groups: Mapping[int, Sequence[Candidate]], accepted: Sequence[tuple[int, int]], end: int | None
) -> bool:
    number = at.sequence_no + 1
    if end is not None and number >= end:
        at.cut = True
        return False
    group = groups.get(number, ())
    linking = [c for c in group if at.block_hash is None or c.previous_hash == at.block_hash]
    if not linking:
        return _jump(at, number, accepted) or _lose(at, group)
    if len(linking) > 1:
        named = {successor.previous_hash for successor in groups.get(number + 1, ())}
        linking = [c for c in linking if c.block_hash in named]
        at.cut = number + 1 == end
    if len(linking) != 1 or at.cut or not linking[0].ready:
        return False
    if linking[0].omits:
        at.blocked = linking[0]
        return False
    _pass(at, linking[0], group)
    return True


def _jump(at: Walk, number: int, accepted: Sequence[tuple[int, int]]) -> bool:
    last = next((last for first, last in accepted if first <= number <= last), None)
    if last is None:
        return False
    at.jumped.append((number, last))
    at.sequence_no, at.block_hash = last, None
    return True


def _lose(at: Walk, group: Sequence[Candidate]) -> bool:
    """Reject the group: the block that it would have to link to no longer changes."""
    before = at.block_hash.hex() if at.block_hash is not None else "none"
    at.losers += [
        Loser(c, "link", f"previousBlockHash {c.previous_hash.hex()} is not the blockHash before it, {before}")
        for c in group
    ]
    return False


def _pass(at: Walk, chosen: Candidate, group: Sequence[Candidate]) -> None:
    at.sequence_no, at.block_hash = chosen.sequence_no, chosen.block_hash
    at.documents += chosen.documents
    at.losers += [
        Loser(c, "fork", f"the chain continues with another block, {chosen.block_hash.hex()}")
        for c in group
        if c is not chosen
    ]
