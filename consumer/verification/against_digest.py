"""Compares a verified journal with a saved digest, and records the results for a store; the JSON of `verify`."""

from base64 import b64encode
from dataclasses import asdict

import psycopg

from strandline.consumer.database.connection import AUDITOR, connect
from strandline.consumer.database.errors import describe_error
from strandline.consumer.store.digest_checks import add_check
from strandline.consumer.store.verifications import add_verification
from strandline.consumer.verification.verify import Verification
from strandline.journal.check.block import Fault
from strandline.journal.decode.kernel import KERNEL
from strandline.journal.proofs.check import check_tip_beyond
from strandline.journal.proofs.saved_digest import SavedDigest


def record_check(url: str, found: Verification, saved: SavedDigest, tip: int | None, by: str) -> None:
    """Record that a saved digest was compared with the store, and the answer; `by` says who asked."""
    covered = saved.tip if tip is None else tip
    if covered is None and saved.last_block is None and found.ok:
        covered = found.last_no
    elif covered is None and saved.last_block is not None:
        covered = saved.last_block  # what is shown of this store ends here
    qldb = found.graft is None or (covered is not None and covered < found.graft)
    with connect(url) as connection:
        add_check(connection, saved.digest, covered, found.answer, found.level, qldb=qldb, by=by)


def record_verification(url: str, found: Verification) -> None:
    """Record that these blocks of the store were verified, if nothing was found that speaks against it.

    Raises `DatabaseError`.
    """
    scope = found.scope
    if scope is not None and found.ok:
        try:
            with connect(url, role=AUDITOR) as connection:
                add_verification(connection, scope.first_no, scope.last_no, found.level, scope.began_at)
        except psycopg.Error as error:  # of a database that takes no writes
            raise describe_error(error) from None


def check_tip(found: Verification, saved: SavedDigest | None, tip: int | None) -> None:
    """Compare the journal with the given tip and digest; adds to its faults, or to what cannot be checked."""
    if saved is not None and saved.last_block is not None:
        _check_tie(found, saved)
    elif tip is not None and found.last_no is not None and tip > found.last_no:
        found.unchecked.append(Fault(tip, "tip", f"the journal ends at block {found.last_no}, before this tip"))
    elif saved is not None and found.digest is None:
        found.unchecked.append(
            Fault(tip, "digest", f"covers every block from 0 to its tip, and {no_digest_reason(found)}")
        )
    elif saved is not None and found.digest != saved.digest:
        hint = "" if tip is not None else "; if its tip is not the last block, name it with --tip"
        at = found.last_no if tip is None else tip
        found.fault([Fault(at, "digest", f"the digest given is not that of this journal at block {at}{hint}")])
    if saved is not None and saved.strand_id not in (None, found.strand_id):
        detail = f"the digest given is of strand {saved.strand_id}, the journal {found.strand_id}"
        found.fault([Fault(None, "strand", detail)])


def no_digest_reason(found: Verification) -> str:
    """Return why a journal has no digest."""
    if found.scope is not None and not found.scope.full:
        return "this began above"
    return f"the journal begins at block {found.first_no}" if found.first_no else "blocks are missing"


def _check_tie(found: Verification, saved: SavedDigest) -> None:
    """Check a digest whose tip is beyond the export, by the proof that was saved with it."""
    at = saved.last_block
    if saved.proof is None or found.tied_hash is None:
        lacking = "the proof saved with it" if saved.proof is None else f"block {at}"
        found.unchecked.append(Fault(at, "digest", f"{lacking} is missing"))
    elif not check_tip_beyond(found.tied_hash, saved):
        detail = f"the proof saved with it does not lead from block {at} of this journal to it"
        found.fault([Fault(at, "digest", detail)])


def verification_json(found: Verification, tip: int | None) -> dict[str, object]:
    """Return the object of `verify --json`."""
    return {
        "ok": found.ok,
        "data_verified": found.data_verified,
        "answer": found.answer,
        "scope": None if found.scope is None else found.scope.as_dict(),
        "blocks": found.blocks,
        "revisions": found.revisions,
        "level": found.level,
        "digest": b64encode(found.digest).decode() if found.digest is not None else None,
        "tip": found.last_no if tip is None else tip,
        "unexplained_redactions": found.unexplained_redactions,
        "erased_statements": found.erased_statements,
        "faults": [_fault_json(fault) for fault in found.faults],
        "fault_count": found.fault_count,
        "unchecked": [_fault_json(fault) for fault in found.unchecked],
        "incomplete": found.incomplete,
        "omissions": [_fault_json(fault) for fault in found.omissions],
        "graft": found.graft,
        "warnings": [_fault_json(fault) for fault in found.warnings],
        "system_revisions": found.system_revisions,
        "deletions": dict(found.deletions),
        "strand_id": found.strand_id,
        "kernel": KERNEL,
        "first": found.first_no,
        "last": found.last_no,
        "accepted_gaps": found.accepted_gaps,
        "sources": [asdict(one) for one in found.sources],
        "records": dict(found.records),
        "restored": None if found.restored is None else found.restored.as_dict(),
    }


def _fault_json(fault: Fault) -> dict[str, object]:
    return {"sequenceNo": fault.sequence_no, "fault": fault.fault, "detail": fault.detail}
