"""The hashes that lead from a revision to a digest, in QLDB's order.

A revision's proof is the path of its hash in its block's entries, the hash of the block before, and the block's path to
the digest: `reduce(dot, proof, hash) == digest` (QLDB's developer guide, "Verification"; tests/vectors/proofs).
"""

from collections.abc import Sequence

from strandline.journal.check import merkle


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
