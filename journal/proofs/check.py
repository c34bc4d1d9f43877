"""Checks a proof that a revision is in a ledger, against a saved digest.

`docs/verify_proof.py` makes the same checks with nothing of this project, and gives the same answers: tested.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from strandline.journal.check import merkle
from strandline.journal.check.block import CheckedRevision, check_revision
from strandline.journal.check.members import ShapeError
from strandline.journal.errors import UnreadableError, UnwritableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.framing import check_shape
from strandline.journal.ion.hash import ion_hash, sha256
from strandline.journal.proofs.binding import binding_fault, documents_in
from strandline.journal.proofs.file import Proof, read_proof
from strandline.journal.proofs.saved_digest import SavedDigest, parse_saved_digest
from strandline.journal.proofs.scalars import check_scalars

Answer = Literal["holds", "does not hold", "cannot be checked"]

METADATA = {"id": str, "version": int, "txTime": datetime, "txId": str}
NO_DATA_HASHES = (sha256(b""), ion_hash(None))  # in the place of the data's hash: a deletion
WEAK = "the proof is not bound to its block: nothing shows that the block's transaction names the document"


@dataclass(frozen=True, slots=True)
class Content:
    """The proved revision: all but `table` is covered by its hash, `table` by the binding (None without one).

    `data` is Ion text, None if the revision has none, or none that can be shown exactly as text.
    """

    document_id: str
    version: int
    table: str | None
    tx_id: str
    tx_time: datetime
    state: str
    data: str | None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The answer for a proof. `reasons` say why it does not hold or cannot be checked, `notes` what is not shown.

    `document`, `version`, `strand_id` and `sequence_no` are claims of the file, None if it has none. `content` is what
    was proved, None if nothing was. `digest` is the one compared with. A proof that is not `bound` is weaker: see
    `proofs.binding`.
    """

    answer: Answer
    bound: bool
    document: str | None
    version: int | None
    strand_id: str | None
    sequence_no: int | None
    digest: bytes
    content: Content | None
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return self.answer == "holds"


class NotChecked(Exception):
    """A part of the proof can be neither confirmed nor refuted; the message says why."""


class NotProved(Exception):
    """A part of the proof is refuted; the message says why."""


def check_tip_beyond(last_block_hash: bytes, saved: SavedDigest) -> bool:
    """Return whether the proof saved with a digest leads to it from the hash of block `saved.last_block`.

    With the chain up to that block verified, this ties the export to a digest whose tip is beyond it.
    """
    return saved.proof is not None and merkle.fold(last_block_hash, saved.proof) == saved.digest


def check_proof(data: bytes, digest: bytes | None = None, *, name: str = "the proof") -> CheckResult:
    """Check the bytes of a proof's file against a digest, by default the one in the file.

    Reads files of `Proof.to_json`, and saved receipts with a revision's hash, a proof and a digest. Raises
    UnreadableError, with `name` in the message, if the file is neither.
    """
    content = _json_object(data)
    if content is not None and "format" in content:
        return _check_own(read_proof(content, name), digest)
    return _check_saved(parse_saved_digest(data, name), digest)


def check_json(result: CheckResult) -> dict[str, object]:
    """Return the object of `check-proof --json`."""
    content = result.content
    return {
        "ok": result.ok,
        "data_verified": result.ok and content is not None,
        "answer": result.answer,
        "bound": result.bound,
        "document": result.document,
        "version": result.version,
        "digest": b64encode(result.digest).decode(),
        "content": None
        if content is None
        else {
            "table": content.table,
            "block": result.sequence_no,
            "strand_id": result.strand_id,
            "transaction": content.tx_id,
            "time": content.tx_time.isoformat(),
            "state": content.state,
            "data": content.data,
        },
        "reasons": list(result.reasons),
        "notes": list(result.notes),
    }


def _check_own(proof: Proof, digest: bytes | None) -> CheckResult:
    notes = [*proof.notes, "the block's number and its writer are claims of the file: no hash covers them"]
    answer: Answer = "holds"
    content, reasons = None, list[str]()
    try:
        content = _check_content(proof)
        reasons = _digest_faults(proof.hash, proof.path, proof.digest, digest)
    except NotChecked as error:
        answer, reasons = "cannot be checked", [str(error)]
    except NotProved as error:
        answer, reasons = "does not hold", [str(error)]
    if reasons and content is not None:
        answer, content = "does not hold", None
    if content is not None:
        if content.state == "redacted":
            notes.insert(0, "the data are not in the proof (redacted, or withheld): their hash is in their place")
        if proof.binding is None:
            notes.insert(0, WEAK)
    return _result(answer, proof.binding is not None, content, reasons, notes, proof, digest)


def _check_content(proof: Proof) -> Content:
    """Return the revision if its hash and its block show it. Raises NotChecked or NotProved."""
    if proof.level == "chain":
        raise NotChecked("the block is known only as JSON: the revision's hash cannot be recomputed from its content")
    if proof.metadata is None:
        raise NotChecked("the file lacks the revision's metadata")
    try:
        metadata = _read(proof.metadata)
        data = None if proof.data is None else _read(proof.data)
        revision = _check_revision(proof)
        documents = None if proof.binding is None else documents_in(proof.binding)
    except UnreadableError as error:
        raise NotProved(f"the revision is {error}") from None
    except (ShapeError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError):
        raise NotProved("the revision's metadata or data is not what a revision holds") from None
    _check_halves(metadata, data, revision, documents)
    if (revision.document_id, revision.version) != (proof.document_id, proof.version):
        raise NotProved("the document or version is not that of the revision's metadata")
    if proof.binding is not None and documents is not None:
        if revision.document_id not in documents:
            raise NotProved("the block's transaction does not name the document")
        if fault := binding_fault(proof.binding, proof.hash, proof.path, proof.sequence_no, proof.tip):
            raise NotProved(fault)
    return Content(
        revision.document_id,
        revision.version,
        None if documents is None else documents[revision.document_id],
        revision.tx_id,
        revision.tx_time,
        revision.state,
        _text(proof.data) if revision.state == "normal" and proof.data is not None else None,
    )


def _check_revision(proof: Proof) -> CheckedRevision:
    revision, fault = check_revision(_revision_value(proof, ion.read_one), level="full")
    if fault:
        # A struct may repeat a field, which plain dicts lose.
        again, fault_again = check_revision(_revision_value(proof, _read), level="full")
        revision, fault = (revision, fault) if fault_again else (again, None)
    if fault == "deletion":
        raise NotProved("the revision has no data, and its hash is not that of a deletion")
    if fault:
        raise NotProved(f"the revision: {fault}")
    return revision


def _check_halves(metadata: Any, data: Any, revision: CheckedRevision, documents: Mapping[str, str] | None) -> None:
    """Check that neither half of the revision can be taken for the other."""
    if not _is_metadata(metadata):
        raise NotProved("the revision's metadata is not what QLDB writes: id, version, txTime and txId")
    if revision.state == "redacted" and revision.data_hash in NO_DATA_HASHES:
        raise NotProved("the revision's dataHash is that of a deletion")
    if revision.deletion == "metadata":
        raise NotChecked("a deletion whose hash is that of its metadata alone could be part of another revision")
    if revision.state != "normal":
        return
    if not isinstance(data, Mapping):
        raise NotProved("the revision's data is not a struct")
    if _is_metadata(data) and (documents is None or str(data["id"]) in documents):
        raise NotChecked("the revision's data has the form of metadata, so either half could be the metadata")


def _is_metadata(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(list(value.items())) == len(METADATA)
        and all(
            isinstance(value.get(name), kind)
            and not isinstance(value.get(name), bool)
            and not getattr(value.get(name), "ion_annotations", ())
            for name, kind in METADATA.items()
        )
    )


def _revision_value(proof: Proof, read: Any) -> dict[str, Any]:
    value = {"hash": proof.hash, "metadata": read(proof.metadata)}
    if proof.data is not None:
        value["data"] = read(proof.data)
    if proof.data_hash is not None:
        value["dataHash"] = proof.data_hash
    return value


def _read(data: bytes) -> Any:
    check_shape(data)
    check_scalars(data)
    values = list(ion.read_typed(data))
    if len(values) != 1:
        raise UnreadableError(f"not one Ion value but {len(values)}")
    return values[0]


def _text(data: bytes) -> str | None:
    """Return the data as Ion text; None if the text does not have the data's hash."""
    try:
        value = _read(data)
        text = ion.write_text(value)
        return text if ion_hash(next(iter(ion.read_typed(text.encode())))) == ion_hash(value) else None
    except (UnreadableError, UnwritableError, StopIteration, TypeError, ValueError, ArithmeticError):
        return None


def _check_saved(saved: SavedDigest, digest: bytes | None) -> CheckResult:
    notes = ["the file holds the revision's hash, not the revision: what the revision says was not checked"]
    answer: Answer = "holds"
    reasons = list[str]()
    if saved.proof is None:
        answer = "cannot be checked"
        reasons = ["the file holds a digest and no proof: check a journal against it with `verify --digest`"]
    elif saved.revision_hash is None:
        answer = "cannot be checked"
        reasons = ["the proof starts from a block that the file does not hold: use `verify EXPORT --digest` with it"]
    elif reasons := _digest_faults(saved.revision_hash, saved.proof, saved.digest, digest):
        answer = "does not hold"
    return _result(answer, False, None, reasons, notes if saved.revision_hash else [], saved, digest)


def _digest_faults(leaf: bytes, path: Sequence[bytes], own: bytes, given: bytes | None) -> list[str]:
    end = merkle.fold(leaf, path)
    faults = []
    if end != own:
        faults.append("the proof does not lead from the revision's hash to the digest in the file")
    if given is not None and end != given:
        faults.append("the proof does not lead to the digest given, which may have another tip than the proof")
    return faults


def _result(
    answer: Answer,
    bound: bool,
    content: Content | None,
    reasons: Sequence[str],
    notes: Sequence[str],
    file: Proof | SavedDigest,
    given: bytes | None,
) -> CheckResult:
    version, number = (file.version, file.sequence_no) if isinstance(file, Proof) else (None, None)
    if given is None:
        notes = [*notes, "compared with the digest in the file itself: give one saved from QLDB with --digest"]
    digest = given or file.digest
    return CheckResult(
        answer, bound, file.document_id, version, file.strand_id, number, digest, content, tuple(reasons), tuple(notes)
    )


def _json_object(data: bytes) -> Mapping[str, Any] | None:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
