"""Makes proofs that a revision is in a ledger, and checks them against a saved digest.

A revision's proof is QLDB's list of siblings, in its order: the path of the revision's hash in its block's entries, the
hash of the block before, the block's path to the digest. `reduce(dot, proof, hash) == digest` (QLDB's developer guide,
"Verification"; tests/vectors/proofs).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strandline.journal.check import merkle
from strandline.journal.check.block import CheckedRevision, State, check_revision
from strandline.journal.check.members import ShapeError
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.framing import check_shape
from strandline.journal.proofs.file import Proof, Writer, read_proof
from strandline.journal.proofs.saved_digest import SavedDigest, parse_saved_digest

__all__ = [
    "CheckResult",
    "PathCollector",
    "Proof",
    "Writer",
    "check_proof",
    "check_tip_beyond",
    "revision_path",
    "revision_proof",
]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of checking a proof. `reasons` state why it does not hold; `notes` state what was not checked.

    `document` and `version` are those of the file, None if missing; `digest` is the one compared with.
    """

    ok: bool
    document: str | None
    version: int | None
    digest: bytes
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


class PathCollector:
    """Collects the path of one block in the tree over a strand's blocks; hashes are added in order from block 0.

    Keeps a few hashes for each level of the tree, independent of the number of blocks.
    """

    def __init__(self, target: int) -> None:
        self.count = 0
        self._target = target
        self._leaf: bytes | None = None
        self._siblings: dict[int, merkle.Frontier] = {}

    def append(self, block_hash: bytes) -> None:
        """Add the next block's hash."""
        if self.count == self._target:
            self._leaf = block_hash
        else:
            # Blocks that first meet the target at a level are the leaves of its sibling there.
            level = (self.count ^ self._target).bit_length() - 1
            self._siblings.setdefault(level, merkle.Frontier()).append(block_hash)
        self.count += 1

    def path(self) -> list[bytes]:
        """Return the siblings from the target to the digest, lowest first. Raises ValueError if it was not added."""
        if self._leaf is None:
            raise ValueError(f"block {self._target} was not added; {self.count} blocks were")
        return [self._siblings[level].digest() for level in sorted(self._siblings)]

    def digest(self) -> bytes:
        """Return the digest over all blocks so far. Raises ValueError if the target was not added."""
        path = self.path()
        assert self._leaf is not None
        return merkle.fold(self._leaf, path)


def revision_path(
    entries_hashes: Sequence[bytes], revision_hashes: Sequence[bytes], revision_hash: bytes
) -> list[bytes]:
    """Return the siblings from a revision's hash to its block's entriesHash.

    Raises ValueError if the block does not hold the revision, or its entries not the revisions' root.
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
    """Return a revision's complete proof in QLDB's order. Raises ValueError as `revision_path` does.

    Block 0 has no previous hash (empty).
    """
    path = revision_path(entries_hashes, revision_hashes, revision_hash)
    return (*path, *([previous_hash] if previous_hash else ()), *block_path)


def check_tip_beyond(last_block_hash: bytes, saved: SavedDigest) -> bool:
    """Return True if the proof saved with a digest leads to it from the hash of block `saved.last_block`.

    If the chain up to that block is verified, this ties the export to a digest whose tip lies beyond it.
    """
    return saved.proof is not None and merkle.fold(last_block_hash, saved.proof) == saved.digest


def check_proof(data: bytes, digest: bytes | None = None, *, name: str = "the proof") -> CheckResult:
    """Check the bytes of a proof's file against a digest, by default the one in the file.

    Accepts files of `Proof.to_json`, and saved receipts with a revision's hash, a proof and a digest. Raises
    UnreadableError, which names the file `name`, if it is neither.
    """
    content = _json_object(data)
    if content is not None and "format" in content:
        return _check_own(read_proof(content, name), digest)
    return _check_saved(parse_saved_digest(data, name), digest)


def _check_own(proof: Proof, digest: bytes | None) -> CheckResult:
    reasons, state = _check_content(proof)
    reasons += _digest_faults(proof.hash, proof.path, proof.digest, digest)
    notes = [*proof.notes, "the block's address and its writer are as the file says: no hash covers them"]
    if state == "redacted":
        notes.insert(0, "the revision's data was redacted; the proof holds its hash instead")
    elif state == "deleted":
        notes.insert(0, "the revision deleted its document")
    return _result(reasons, notes, proof.document_id, proof.version, proof.digest, digest)


def _check_content(proof: Proof) -> tuple[list[str], State | None]:
    """Return the faults between the revision's hash and its contents in the file, and its state."""
    if proof.level == "chain":
        return ["the block is known only as JSON, so the revision's hash cannot be recomputed from its content"], None
    if proof.metadata is None:
        return ["the revision's metadata is missing"], None
    try:
        revision, fault = _check_revision(proof, proof.metadata)
    except UnreadableError as error:
        return [f"the revision is {error}"], None
    except (ShapeError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError):
        return ["the revision's metadata or data is not what a revision holds"], None
    faults = []
    if fault == "deletion":
        faults.append("the revision has no data, and its hash is not that of a deletion")
    elif fault:
        faults.append(f"the revision: {fault}")
    if (revision.document_id, revision.version) != (proof.document_id, proof.version):
        faults.append("the document or version is not that of the revision's metadata")
    return faults, None if faults else revision.state


def _check_revision(proof: Proof, metadata: bytes) -> tuple[CheckedRevision, str | None]:
    revision, fault = check_revision(_revision_value(proof, metadata, typed=False), level="full")
    if fault:
        # A struct may repeat a field, which plain dicts lose.
        again, fault_again = check_revision(_revision_value(proof, metadata, typed=True), level="full")
        return (revision, fault) if fault_again else (again, None)
    return revision, None


def _revision_value(proof: Proof, metadata: bytes, *, typed: bool) -> dict[str, Any]:
    value = {"hash": proof.hash, "metadata": _one(metadata, typed)}
    if proof.data is not None:
        value["data"] = _one(proof.data, typed)
    if proof.data_hash is not None:
        value["dataHash"] = proof.data_hash
    return value


def _one(data: bytes, typed: bool) -> Any:
    check_shape(data)
    values = list(ion.read_typed(data) if typed else ion.read(data))
    if len(values) != 1:
        raise UnreadableError(f"{len(values)} Ion values instead of one")
    return values[0]


def _check_saved(saved: SavedDigest, digest: bytes | None) -> CheckResult:
    notes = ["the file holds the revision's hash, not the revision: what the revision says was not checked"]
    if saved.proof is None:
        reasons = ["the file holds a digest and no proof; check a journal against it with `verify --digest`"]
    elif saved.revision_hash is None:
        reasons = ["the proof starts from a block that the file does not hold; use `verify EXPORT --digest` with it"]
    else:
        reasons = _digest_faults(saved.revision_hash, saved.proof, saved.digest, digest)
    return _result(reasons, notes if saved.revision_hash else [], saved.document_id, None, saved.digest, digest)


def _digest_faults(leaf: bytes, path: Sequence[bytes], own: bytes, given: bytes | None) -> list[str]:
    found = merkle.fold(leaf, path)
    faults = []
    if found != own:
        faults.append("the proof does not lead from the revision's hash to the digest in the file")
    if given is not None and found != given:
        faults.append(
            "the proof does not lead to the digest given, which may have another tip than the proof was made for"
        )
    return faults


def _result(
    reasons: list[str],
    notes: list[str],
    document: str | None,
    version: int | None,
    own: bytes,
    given: bytes | None,
) -> CheckResult:
    if given is None:
        notes = [*notes, "compared with the digest in the file itself; give one saved from QLDB with --digest"]
    return CheckResult(not reasons, document, version, given or own, tuple(reasons), tuple(notes))


def _json_object(data: bytes) -> Mapping[str, Any] | None:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
