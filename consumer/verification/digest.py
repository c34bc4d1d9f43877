"""Computes the digest of the journal in the store, as QLDB would have given it."""

from base64 import b64encode
from dataclasses import dataclass

from strandline.consumer.database.connection import AUDITOR, connect
from strandline.consumer.store.graft import read_graft
from strandline.consumer.verification.tree import BlockTree, Progress


@dataclass(frozen=True)
class Digest:
    """The Merkle root over the hashes of all blocks from 0 to `tip`.

    `graft` is the first block that Strandline wrote, None if QLDB wrote all.
    """

    digest: bytes
    tip: int
    strand_id: str
    graft: int | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the digest in the form of `--json`, which can be saved and checked against later."""
        return {
            "digest": b64encode(self.digest).decode(),
            "tip": self.tip,
            "strand_id": self.strand_id,
            "data_verified": False,
            "graft": self.graft,
        }


def store_digest(url: str, tip: int | None = None, *, progress: Progress = lambda *_: None) -> Digest:
    """Compute the digest up to block `tip`, by default the mark.

    Checks the links between blocks that no earlier call has checked, not their contents. Raises as `BlockTree` does.
    """
    with connect(url, role=AUDITOR) as connection:
        tree = BlockTree(connection, tip, progress=progress)
        return Digest(tree.digest(), tree.tip, tree.strand_id, read_graft(connection))
