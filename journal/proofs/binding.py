"""Binds a proof to its block: shows that the block's transaction names the document.

A revision's hash is the dot of two hashes, of its metadata and of its data, and `dot` is commutative. If the data look
like metadata, their author could exchange the two and prove a revision of any other document, or begin the proof at
another node of the tree. A binding excludes both:

- the hash of transactionInfo, whose documents name the document, is a member of the block's entries;
- the proof leads through the same entries, and then through the hash of the block before;
- the hash of the block before is a leaf next to this block's, in the tree under the digest. Nothing within a block can
  pass for that hash, so what passes for a block is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strandline.journal.check import merkle
from strandline.journal.check.members import ShapeError, struct_in, text_in
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.framing import check_shape
from strandline.journal.ion.hash import escape, serialize, sha256, symbol_bytes
from strandline.journal.proofs.path import levels_shared, path_length
from strandline.journal.proofs.scalars import check_scalars

_DOCUMENTS = "documents"


@dataclass(frozen=True, slots=True)
class Binding:
    """The parts of a block that bind a proof to it.

    `documents` is that member of transactionInfo as binary Ion; `other_fields` are the hashes of its other fields, so
    that no statement text is in the proof. `previous_path` leads from the hash of the block before to the node at which
    its path meets this block's.
    """

    documents: bytes
    other_fields: tuple[bytes, ...]
    entries_hashes: tuple[bytes, ...]
    previous_hash: bytes
    previous_path: tuple[bytes, ...]


def bind(
    transaction_info: Mapping[str, Any],
    entries_hashes: Sequence[bytes],
    previous_hash: bytes,
    sequence_no: int,
    previous_path: Sequence[bytes],
) -> Binding | None:
    """Make the binding of a proof in block `sequence_no`; `previous_path` leads from the block before to the digest.

    Returns None if the block has no such parts: block 0, or a block without its transactionInfo.
    """
    if sequence_no == 0 or _DOCUMENTS not in transaction_info:
        return None
    fields = list(transaction_info.items())
    binding = Binding(
        ion.write(transaction_info[_DOCUMENTS]),
        tuple(_field_hash(name, value) for name, value in fields if name != _DOCUMENTS),
        tuple(entries_hashes),
        previous_hash,
        tuple(previous_path[: levels_shared(sequence_no)]),
    )
    return binding if _transaction_hash(binding) in entries_hashes else None


def documents_in(binding: Binding) -> Mapping[str, str]:
    """Return the names of the tables by document. Raises UnreadableError or ShapeError."""
    check_shape(binding.documents)
    documents = struct_in({_DOCUMENTS: ion.read_one(binding.documents)}, _DOCUMENTS)
    return {str(name): text_in(struct_in(documents, name), "tableName") for name in documents}


def binding_fault(binding: Binding, leaf: bytes, path: Sequence[bytes], sequence_no: int, tip: int) -> str | None:
    """Return why a proof from `leaf` does not lead through the block, and from there to the digest at `tip`."""
    try:
        transaction_hash = _transaction_hash(binding)
    except (UnreadableError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError):
        return "the block's documents are not readable"
    entries = list(binding.entries_hashes)
    if b"" in entries or transaction_hash not in entries:
        return "the hash of the block's transactionInfo is not in its entriesHashList"
    length, node = 0, leaf
    while node not in entries and length < len(path):
        node = merkle.dot(node, path[length])
        length += 1
    if node not in entries or node == transaction_hash:
        return "the proof does not lead to a member of the block's entriesHashList"
    through_block = [*merkle.path(entries, entries.index(node)), binding.previous_hash]
    above = list(path[length + len(through_block) :])
    if list(path[length : length + len(through_block)]) != through_block:
        return "the proof does not lead through the block's entriesHashList and previousBlockHash"
    return _neighbour_fault(binding, above, sequence_no, tip)


def _neighbour_fault(binding: Binding, above: Sequence[bytes], sequence_no: int, tip: int) -> str | None:
    if not 0 < sequence_no <= tip or len(above) != path_length(sequence_no, tip):
        return "the proof is not as long as one from this block to the digest's tip"
    levels = levels_shared(sequence_no)
    below = sum(((sequence_no >> level) + 1) << level <= tip for level in range(levels))
    meeting = merkle.fold(binding.previous_hash, binding.previous_path)
    if len(binding.previous_path) != levels or meeting != above[below]:
        return "the hash of the block before is not that of the block next to this one"
    return None


def _transaction_hash(binding: Binding) -> bytes:
    """Return the Ion Hash of transactionInfo: that of a struct is over the sorted hashes of its fields."""
    documents = _field_hash(_DOCUMENTS, _read(binding.documents))
    fields = sorted([documents, *binding.other_fields])
    return sha256(b"\x0b\xd0" + escape(b"".join(fields)) + b"\x0e")


def _field_hash(name: str, value: Any) -> bytes:
    return sha256(symbol_bytes(name) + serialize(value))


def _read(data: bytes) -> Any:
    check_shape(data)
    check_scalars(data)
    values = list(ion.read_typed(data))
    if len(values) != 1:
        raise ShapeError(f"not one Ion value but {len(values)}")
    return values[0]
