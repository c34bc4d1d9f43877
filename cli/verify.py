"""`verify`: checks every hash and link of exports or of the store, and a saved digest against them."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.output import AsJson, count, note, say, show_json, span
from strandline.cli.progress import Counter, meter
from strandline.cli.replay import TrustDeletions, blocks_named, sources_text
from strandline.cli.session import open_store
from strandline.journal.errors import UsageError

if TYPE_CHECKING:
    from strandline.consumer.verification.verify import Verification
    from strandline.journal.check.block import Fault
    from strandline.journal.proofs.saved_digest import SavedDigest

FAULTS_SHOWN = 20

PROVED = "The digest saved while QLDB ran is that of this journal: up to its tip, this is what QLDB wrote."
CONSISTENT = (
    "That means: consistent with itself. That it is QLDB's shows only against a digest saved while QLDB ran (--digest)."
)

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        help="Exports (folders, manifests, s3://…) or raw Kinesis records; the store without.", metavar="SOURCE"
    ),
]


def verify(
    sources: Sources = None,
    digest: Annotated[
        str | None,
        typer.Option(help="A digest saved from QLDB to check against: base64, or a file.", metavar="B64|FILE"),
    ] = None,
    tip: Annotated[int | None, typer.Option(help="The last block that the digest covers.")] = None,
    trust_deletions: TrustDeletions = False,
    as_json: AsJson = False,
) -> int:
    """Check every hash and link of exports, or of the store."""
    from strandline.journal.proofs.saved_digest import read_saved_digest

    saved = read_saved_digest(digest) if digest is not None else None
    tip = _tip(saved, tip)
    tied_at = saved.last_block if saved is not None and saved.proof is not None else None
    found = (
        check_sources(sources, tip, tied_at, trust_deletions=trust_deletions)
        if sources
        else _verify_store(tip, tied_at, trust_deletions)
    )
    found.fault(check_tip(found, saved, tip))
    if as_json:
        show_json(_json(found, tip))
    else:
        _say(found, saved, tip)
    return 0 if found.ok else 1


def check_sources(
    sources: list[str], tip: int | None = None, tied_at: int | None = None, *, trust_deletions: bool = False
) -> "Verification":
    """Sources checked, with progress."""
    from strandline.consumer.intake.sources import open_sources
    from strandline.consumer.settings import load_settings
    from strandline.consumer.verification.verify import verify_sources

    workers = load_settings().workers
    opened = open_sources(sources)
    with meter() as shown:
        progress = Counter(shown, "verifying", blocks_named(opened))
        return verify_sources(
            opened, workers=workers, tip=tip, tied_at=tied_at, trust_deletions=trust_deletions, progress=progress
        )


def check_tip(found: "Verification", saved: "SavedDigest | None", tip: int | None) -> "Iterator[Fault]":
    """What does not hold between the journal and the tip and digest asked for."""
    from strandline.journal.check.block import Fault

    if saved is not None and saved.last_block is not None:
        yield from _check_tie(found, saved)
    elif tip is not None and found.last_no is not None and tip > found.last_no:
        yield Fault(tip, "tip", f"the journal ends at block {found.last_no}, before the tip, block {tip}")
    elif saved is None:
        return
    elif found.digest is None:
        reason = f"the journal begins at block {found.first_no}" if found.first_no else "blocks are missing"
        yield Fault(tip, "digest", f"cannot be checked: it covers every block from 0 to its tip, and {reason}")
    elif found.digest != saved.digest:
        hint = "" if tip is not None else "; if its tip is not the last block, name it with --tip"
        at = found.last_no if tip is None else tip
        yield Fault(at, "digest", f"the digest given is not that of this journal at block {at}{hint}")
    if saved is not None and saved.strand_id not in (None, found.strand_id):
        yield Fault(None, "strand", f"the digest given is of strand {saved.strand_id}, the journal {found.strand_id}")


def _check_tie(found: "Verification", saved: "SavedDigest") -> "Iterator[Fault]":
    """A digest whose tip lies beyond the export, by the proof that was saved with it."""
    from strandline.journal.check.block import Fault
    from strandline.journal.proofs.check import check_tip_beyond

    at = saved.last_block
    if saved.proof is None or found.tied_hash is None:
        lacking = "the proof saved with it" if saved.proof is None else f"block {at}"
        yield Fault(at, "digest", f"cannot be checked: {lacking} is missing")
    elif not check_tip_beyond(found.tied_hash, saved):
        yield Fault(at, "digest", f"the proof saved with it does not lead from block {at} of this journal to it")


def _tip(saved: "SavedDigest | None", tip: int | None) -> int | None:
    if tip is not None and tip < 0:
        raise UsageError(f"--tip is a block's number, from 0 on, not {tip}.")
    if saved is None or saved.tip is None or saved.last_block is not None:
        return tip
    if tip not in (None, saved.tip):
        raise UsageError(f"--tip is {tip}, but the digest in {saved.source} has the tip {saved.tip}.")
    return saved.tip


def _verify_store(tip: int | None, tied_at: int | None, trust_deletions: bool) -> "Verification":
    from strandline.consumer.database.connection import connect
    from strandline.consumer.mark.gaps import head
    from strandline.consumer.mark.mark import read_mark
    from strandline.consumer.verification.verify import verify_store

    with open_store() as (settings, url), meter() as shown:
        with connect(url) as connection:
            mark = read_mark(connection)
            highest = head(connection)
        if highest is not None and highest > mark.sequence_no >= mark.origin:
            note(f"Not checked is what waits above the mark, up to block {highest:,}: see `strandline status`.")
        progress = Counter(shown, "verifying", mark.sequence_no + 1 - mark.origin)
        return verify_store(
            url,
            workers=settings.workers,
            tip=tip,
            tied_at=tied_at,
            trust_deletions=trust_deletions,
            progress=progress,
        )


def _json(found: "Verification", tip: int | None) -> dict[str, object]:
    return {
        "ok": found.ok,
        "blocks": found.blocks,
        "revisions": found.revisions,
        "level": found.level,
        "digest": b64encode(found.digest).decode() if found.digest is not None else None,
        "tip": found.last_no if tip is None else tip,
        "unexplained_redactions": found.unexplained_redactions,
        "erased_statements": found.erased_statements,
        "faults": [_fault_json(fault) for fault in found.faults],
        "fault_count": found.fault_count,
        "warnings": [_fault_json(fault) for fault in found.warnings],
        "system_revisions": found.system_revisions,
        "deletions": dict(found.deletions),
        "strand_id": found.strand_id,
        "first": found.first_no,
        "last": found.last_no,
        "accepted_gaps": found.accepted_gaps,
        "sources": [asdict(one) for one in found.sources],
        "records": dict(found.records),
    }


def _fault_json(fault: "Fault") -> dict[str, object]:
    return {"sequenceNo": fault.sequence_no, "fault": fault.fault, "detail": fault.detail}


def _say(found: "Verification", saved: "SavedDigest | None", tip: int | None) -> None:
    _say_what_was_checked(found)
    _note_what_is_odd(found)
    if not found.ok:
        _note_faults("Fault", found.faults, found.fault_count)
        say(f"NOT VERIFIED: {count(found.fault_count, 'fault')}.")
        return
    say("VERIFIED: every hash and link holds.")
    if found.digest is not None:
        say(f"Digest {b64encode(found.digest).decode()} at tip {found.last_no if tip is None else tip}.")
    else:
        say(f"No digest: that covers every block from 0 on, and the first here is {found.first_no}.")
    say(CONSISTENT if saved is None else _proved(found, saved))


def _proved(found: "Verification", saved: "SavedDigest") -> str:
    if saved.last_block is None:
        return PROVED
    above = found.last_no is not None and found.last_no > saved.last_block
    return (
        f"The proof saved with the digest leads to it from block {saved.last_block:,}: that block, and those that it "
        "links back to without a gap, are what QLDB wrote."
        + (" The blocks above it are consistent with it, which is all that this shows of them." if above else "")
    )


def _say_what_was_checked(found: "Verification") -> None:
    where = ""
    if found.first_no is not None and found.last_no is not None:
        where = f" ({found.first_no:,} to {found.last_no:,} of strand {found.strand_id})"
    say(
        f"Checked {count(found.blocks, 'block')}{where}, {count(found.revisions, 'revision')}, "
        f"and {count(found.system_revisions, 'system revision')}, which hold only a hash."
    )
    for told in sources_text(found.sources, found.records):
        say(told)
    if found.level == "chain":
        say(
            "Level chain: from JSON, which has lost Ion's types. The chain and the revisions' hashes in it were "
            "checked, not whether the data have those hashes."
        )
    if found.erased_statements:
        say(f"Of {count(found.erased_statements, 'block')} the statement texts are erased, and their hash was checked.")


def _note_what_is_odd(found: "Verification") -> None:
    if found.unexplained_redactions:
        unexplained = count(found.unexplained_redactions, "erasure")
        note(f"Warning: {unexplained} of a revision's data or a statement's text that no redaction here names.")
    if trusted := found.deletions["trusted"]:
        note(
            f"Warning: {count(trusted, 'deletion')} let through by --trust-deletions; dropped data could pass for one."
        )
    for first, last in found.accepted_gaps:
        note(f"Accepted gap: {span(first, last)} passed over; nothing is known of what has not come since.")
    _note_faults("Warning", found.warnings, len(found.warnings))


def _note_faults(word: str, faults: "list[Fault]", total: int) -> None:
    for fault in faults[:FAULTS_SHOWN]:
        where = "" if fault.sequence_no is None else f"block {fault.sequence_no}: "
        note(f"{word}: {where}{fault.fault}: {fault.detail}")
    if total > FAULTS_SHOWN:
        note(f"… and {total - FAULTS_SHOWN:,} more; --json lists the first {len(faults):,}.")
