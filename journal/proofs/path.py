"""The hashes that lead from a revision to a digest, in QLDB's order.

A revision's proof is the path of its hash in its block's entries, the hash of the block before, and the block's path to
the digest: `reduce(dot, proof, hash) == digest` (QLDB's developer guide, "Verification"; tests/vectors/proofs).
"""

from collections.abc import Sequence

from strandline.journal.check import merkle


class PathCollector:
    """The path of one block in the tree over a strand's blocks, whose hashes are appended in order from block 0.

    Keeps a few hashes for each level of the tree, however many blocks there are.
    """

    def __init__(self, target: int) -> None:
        self.count = 0
        self._target = target
        self._leaf: bytes | None = None
        self._siblings: dict[int, merkle.Frontier] = {}

    def append(self, block_hash: bytes) -> None:
        """Append the next block's hash."""
        if self.count == self._target:
            self._leaf = block_hash
        else:
            # Blocks that first meet the target at a level are the leaves of its sibling there.
            level = (self.count ^ self._target).bit_length() - 1
            self._siblings.setdefault(level, merkle.Frontier()).append(block_hash)
        self.count += 1

    def path(self) -> list[bytes]:
        """Return the siblings from the target to the digest, lowest first. Raises ValueError before the target."""
        if self._leaf is None:
            raise ValueError(f"block {self._target} was not appended; {self.count} blocks were")
        return [self._siblings[level].digest() for level in sorted(self._siblings)]

    def digest(self) -> bytes:
        """Return the digest over all blocks so far. Raises ValueError before the target."""
        path = self.path()
        assert self._leaf is not None
        return merkle.fold(self._leaf, path)


def revision_path(
    entries_hashes: Sequence[bytes], revision_hashes: Sequence[bytes], revision_hash: bytes
) -> list[bytes]:
    """Return the siblings from a revision's hash to its block's entriesHash.

    Raises ValueError if the revision is not among the block's, or the root of those not among the block's entries.
    """
    root = merkle.root(revision_hashes)
    path = merkle.path(revision_hashes, revision_hashes.index(revision_hash))
    path += merkle.path(entries_hashes, entries_hashes.index(root))
    return [sibling for sibling in path if sibling]  # an entry with nothing to hash is empty


def revision_proof(
    entries_hashes: Sequence[bytes],
    revision_hashes: Sequence[bytes],
    revision_hash: bytes,
    previous_hash: bytes,
    block_path: Sequence[bytes],
) -> tuple[bytes, ...]:
    """Return a revision's complete proof in QLDB's order. Raises ValueError as `revision_path`.

    `previous_hash` is empty for block 0, which has none.
    """
    path = revision_path(entries_hashes, revision_hashes, revision_hash)
    return (*path, *([previous_hash] if previous_hash else ()), *block_path)


def path_length(block: int, tip: int) -> int:
    """Return the number of siblings from a block to the digest at `tip`."""
    length, size = 0, tip + 1
    while size > 1:
        length += block ^ 1 < size
        block //= 2
        size = (size + 1) // 2
    return length


def levels_shared(block: int) -> int:
    """Return the length of the previous block's path to the node where it meets this block's: 0 for odd numbers."""
    return (block & -block).bit_length() - 1
