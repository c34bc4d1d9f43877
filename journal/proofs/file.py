"""The file of a proof: all that an auditor needs to recompute a revision's hash and follow it to a digest.

One JSON object; hashes and Ion are base64, Ion is binary Ion of one value:

    {"format": "strandline-proof/2", "documentId": text, "version": number,
     "blockAddress": {"strandId": text, "sequenceNo": number},
     "level": "full",
     "writtenBy": "qldb", or "strandline" for a block appended since,
     "revision": {"hash": hash, "metadata": Ion, "data": Ion | "dataHash": hash (redacted) | neither (deleted)},
     "block": {"documents": Ion, "otherFields": [hash, …], "entriesHashList": [hash, …], "previousBlockHash": hash,
               "previousBlockPath": [hash, …]}, absent if the proof cannot be bound to its block,
     "proof": [hash, …], "digest": hash, "digestTipAddress": {"strandId": text, "sequenceNo": number},
     "notes": [text, …]}

Files of format strandline-proof/1 have no `block`, and their level may be "chain".

`docs/verify_proof.py` checks it with nothing but Python's standard library.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from strandline.journal.check.block import Level
from strandline.journal.check.members import ShapeError
from strandline.journal.errors import UnreadableError
from strandline.journal.proofs.binding import Binding

FORMAT = "strandline-proof/2"
_FORMATS = ("strandline-proof/1", FORMAT)
_HASH_SIZE = 32
_LEVELS = ("full", "chain")
_WRITERS = ("qldb", "strandline")

Writer = Literal["qldb", "strandline"]


@dataclass(frozen=True, slots=True)
class Proof:
    """All that an auditor needs to recompute a revision's hash and follow it to the digest.

    `metadata` and `data` are binary Ion of one value. `data` is None if the revision is redacted (`data_hash` is set)
    or deletes its document (neither is set). `path` is in QLDB's order; `tip` is the last block that `digest` covers.
    `notes` say what limits the proof.
    """

    document_id: str
    version: int
    strand_id: str
    sequence_no: int
    level: Level
    written_by: Writer
    hash: bytes
    metadata: bytes | None
    data: bytes | None
    data_hash: bytes | None
    path: tuple[bytes, ...]
    digest: bytes
    tip: int
    notes: tuple[str, ...] = ()
    binding: Binding | None = None

    def to_json(self) -> str:
        """Return the text of the proof's file."""
        revision = {
            "hash": _base64(self.hash),
            "metadata": _base64(self.metadata),
            "data": _base64(self.data),
            "dataHash": _base64(self.data_hash) if self.data is None else None,
        }
        content = {
            "format": FORMAT,
            "documentId": self.document_id,
            "version": self.version,
            "blockAddress": {"strandId": self.strand_id, "sequenceNo": self.sequence_no},
            "level": self.level,
            "writtenBy": self.written_by,
            "revision": {name: value for name, value in revision.items() if value is not None},
            **({} if self.binding is None else {"block": _binding_json(self.binding)}),
            "proof": [_base64(sibling) for sibling in self.path],
            "digest": _base64(self.digest),
            "digestTipAddress": {"strandId": self.strand_id, "sequenceNo": self.tip},
            "notes": list(self.notes),
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_proof(content: Mapping[str, Any], name: str) -> Proof:
    """Read the proof in a file's JSON object. Raises UnreadableError, with the member at fault."""
    if content.get("format") not in _FORMATS:
        raise UnreadableError(f"{name}: its format is not {FORMAT}: use the version of Strandline that wrote it")
    try:
        address, tip = _object(content, "blockAddress"), _object(content, "digestTipAddress")
        revision = _object(content, "revision")
        return Proof(
            document_id=_text(content, "documentId"),
            version=_number(content, "version"),
            strand_id=_text(address, "strandId"),
            sequence_no=_number(address, "sequenceNo"),
            level=_one_of(content, "level", _LEVELS),
            written_by=_one_of(content, "writtenBy", _WRITERS),
            hash=_hash(_text(revision, "hash"), "hash"),
            metadata=_bytes(revision, "metadata"),
            data=_bytes(revision, "data"),
            data_hash=_hash(_text(revision, "dataHash"), "dataHash") if "dataHash" in revision else None,
            path=_hashes(content, "proof"),
            digest=_hash(_text(content, "digest"), "digest"),
            tip=_number(tip, "sequenceNo"),
            notes=tuple(_printable(note, "notes") for note in _list(content, "notes")),
            binding=_read_binding(_object(content, "block")) if "block" in content else None,
        )
    except ShapeError as error:
        raise UnreadableError(f"{name}: damaged proof: {error}: make it again with `strandline prove`") from None


def _binding_json(binding: Binding) -> dict[str, object]:
    return {
        "documents": _base64(binding.documents),
        "otherFields": [_base64(field) for field in binding.other_fields],
        "entriesHashList": [_base64(entry) for entry in binding.entries_hashes],
        "previousBlockHash": _base64(binding.previous_hash),
        "previousBlockPath": [_base64(sibling) for sibling in binding.previous_path],
    }


def _read_binding(block: Mapping[str, Any]) -> Binding:
    documents = _bytes(block, "documents")
    if documents is None:
        raise ShapeError("documents is missing")
    return Binding(
        documents,
        _hashes(block, "otherFields"),
        _hashes(block, "entriesHashList"),
        _hash(_text(block, "previousBlockHash"), "previousBlockHash"),
        _hashes(block, "previousBlockPath"),
    )


def _hashes(content: Mapping[str, Any], name: str) -> tuple[bytes, ...]:
    return tuple(_hash(member, name) for member in _list(content, name))


def _base64(data: bytes | None) -> str | None:
    return None if data is None else b64encode(data).decode()


def _object(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise ShapeError(f"{name} is missing or not an object")
    return value


def _list(content: Mapping[str, Any], name: str) -> list[Any]:
    value = content.get(name)
    if not isinstance(value, list):
        raise ShapeError(f"{name} is missing or not a list")
    return value


def _text(content: Mapping[str, Any], name: str) -> str:
    return _printable(content.get(name), name)


def _printable(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ShapeError(f"{name} is missing or not plain text")
    return value


def _number(content: Mapping[str, Any], name: str) -> int:
    value = content.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ShapeError(f"{name} is missing or not a whole number from 0")
    return value


def _one_of(content: Mapping[str, Any], name: str, choices: Sequence[str]) -> Any:
    value = content.get(name)
    if value not in choices:
        raise ShapeError(f"{name} is none of {', '.join(choices)}")
    return value


def _bytes(content: Mapping[str, Any], name: str) -> bytes | None:
    if name not in content:
        return None
    try:
        return b64decode(_text(content, name), validate=True)
    except ValueError:
        raise ShapeError(f"{name} is not base64") from None


def _hash(value: Any, name: str) -> bytes:
    try:
        decoded = b64decode(value, validate=True)
    except (ValueError, TypeError):
        raise ShapeError(f"{name} is not base64") from None
    if len(decoded) != _HASH_SIZE:
        raise ShapeError(f"{name} is not a SHA-256 hash")
    return decoded
