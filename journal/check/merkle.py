"""QLDB's Merkle trees: `dot`, roots, proofs, and the digest of a growing strand.

QLDB's own bytes (tests/vectors) show: `dot` orders its operands as signed bytes from the last to the first; an odd last
node moves up a level unchanged; a ledger's digest is the root over all block hashes from block 0 to the tip.
"""

import hashlib
from collections.abc import Iterable, Sequence

_FLIP_SIGN = bytes(byte ^ 0x80 for byte in range(256))


def dot(a: bytes, b: bytes) -> bytes:
    """Return the SHA-256 of both hashes, the smaller first; if one is empty, return the other."""
    if not a:
        return b
    if not b:
        return a
    last, other = a[-1] ^ 0x80, b[-1] ^ 0x80
    if last < other or (last == other and a[::-1].translate(_FLIP_SIGN) <= b[::-1].translate(_FLIP_SIGN)):
        return hashlib.sha256(a + b).digest()
    return hashlib.sha256(b + a).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Return the Merkle root of the hashes in their order; empty for none."""
    level = list(hashes)
    while len(level) > 1:
        above = [dot(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0] if level else b""


def path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings that lead from `hashes[index]` to the root, lowest first."""
    siblings = []
    level = list(hashes)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        odd = level.pop() if len(level) % 2 else None
        level = [dot(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        if odd is not None:
            level.append(odd)
        index //= 2
    return siblings


def fold(leaf: bytes, proof: Iterable[bytes]) -> bytes:
    """Return the root that a proof gives for a leaf: `reduce(dot, proof, leaf)`."""
    for sibling in proof:
        leaf = dot(leaf, sibling)
    return leaf


class Frontier:
    """The digest of a growing list of hashes, in memory that grows with the logarithm of its length."""

    def __init__(self) -> None:
        self.count = 0
        self._peaks: list[tuple[int, bytes]] = []  # roots of full trees and their heights, highest first

    def append(self, leaf: bytes) -> None:
        height = 0
        while self._peaks and self._peaks[-1][0] == height:
            leaf = dot(self._peaks.pop()[1], leaf)
            height += 1
        self._peaks.append((height, leaf))
        self.count += 1

    def digest(self) -> bytes:
        """Return the Merkle root over all hashes appended so far; empty for none."""
        result = b""
        for _, peak in reversed(self._peaks):
            result = dot(peak, result)
        return result
