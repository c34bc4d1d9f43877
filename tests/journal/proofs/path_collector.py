"""The path of a block, computed from every block's hash: slow, and independent of the stored roots of ranges."""

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
