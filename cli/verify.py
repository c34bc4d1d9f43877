"""The command `verify`."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson, TrustDeletions
from strandline.cli.output import note, say, show_json
from strandline.cli.progress import Counter, meter, total_blocks
from strandline.cli.session import open_store
from strandline.cli.texts import count, sources_text, span
from strandline.journal.errors import UsageError

if TYPE_CHECKING:
    from strandline.consumer.verification.verify import Verification
    from strandline.journal.check.block import Fault
    from strandline.journal.proofs.saved_digest import SavedDigest

FAULTS_SHOWN = 20

PROVED = "The digest saved from QLDB matches: up to its tip, this is what QLDB wrote."
CONSISTENT = (
    "The journal is consistent with itself. Only a digest saved while QLDB ran (--digest) shows that QLDB wrote it."
)

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        help="Exports (folders, manifests, s3://…) or raw Kinesis records. Default: the store.", metavar="SOURCE"
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
    """Verify every hash and link of exports or the store."""
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
        _report(found, saved, tip)
    return 0 if found.ok else 1


def check_sources(
    sources: list[str], tip: int | None = None, tied_at: int | None = None, *, trust_deletions: bool = False
) -> "Verification":
    """Verify sources, with progress."""
    from strandline.consumer.intake.sources import open_sources
    from strandline.consumer.settings import load_settings
    from strandline.consumer.verification.verify import verify_sources

    workers = load_settings().workers
    opened = open_sources(sources)
    with meter() as shown:
        progress = Counter(shown, "verifying", total_blocks(opened))
        return verify_sources(
            opened, workers=workers, tip=tip, tied_at=tied_at, trust_deletions=trust_deletions, progress=progress
        )


def check_tip(found: "Verification", saved: "SavedDigest | None", tip: int | None) -> "Iterator[Fault]":
    """Compare the journal with the given tip and digest."""
    from strandline.journal.check.block import Fault

    if saved is not None and saved.last_block is not None:
        yield from _check_tie(found, saved)
    elif tip is not None and found.last_no is not None and tip > found.last_no:
        yield Fault(tip, "tip", f"the journal ends at block {found.last_no}, before the tip, block {tip}")
    elif saved is None:
        return
    elif found.digest is None:
        yield Fault(tip, "digest", f"cannot be checked: it covers every block from 0 to its tip, and {_reason(found)}")
    elif found.digest != saved.digest:
        hint = "" if tip is not None else "; if its tip is not the last block, name it with --tip"
        at = found.last_no if tip is None else tip
        yield Fault(at, "digest", f"the digest given is not that of this journal at block {at}{hint}")
    if saved is not None and saved.strand_id not in (None, found.strand_id):
        yield Fault(None, "strand", f"the digest given is of strand {saved.strand_id}, the journal {found.strand_id}")


def _reason(found: "Verification") -> str:
    """Return why a journal has no digest."""
    return f"the journal begins at block {found.first_no}" if found.first_no else "blocks are missing"


def _check_tie(found: "Verification", saved: "SavedDigest") -> "Iterator[Fault]":
    """Check a digest whose tip is beyond the export, by the proof that was saved with it."""
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
        raise UsageError(f"--tip is a block's number, 0 or more, not {tip}.")
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
            note(f"Not verified: blocks above the mark, up to {highest:,}; see `strandline status`.")
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


def _report(found: "Verification", saved: "SavedDigest | None", tip: int | None) -> None:
    _say_counts(found)
    _note_warnings(found)
    if not found.ok:
        _note_faults("Fault", found.faults, found.fault_count)
        say(f"NOT VERIFIED: {count(found.fault_count, 'fault')}.")
        return
    say("VERIFIED: every hash and link holds.")
    if found.digest is not None:
        say(f"Digest {b64encode(found.digest).decode()} at tip {found.last_no if tip is None else tip}.")
    else:
        say(f"No digest: a digest covers every block from 0, and {_reason(found)}.")
    say(CONSISTENT if saved is None else _proved(found, saved))


def _proved(found: "Verification", saved: "SavedDigest") -> str:
    if saved.last_block is None:
        return PROVED
    above = found.last_no is not None and found.last_no > saved.last_block
    return (
        f"The proof saved with the digest leads to it from block {saved.last_block:,}: that block, and the blocks it "
        "links back to without a gap, are what QLDB wrote."
        + (" The blocks above it are only shown to be consistent with it." if above else "")
    )


def _say_counts(found: "Verification") -> None:
    where = ""
    if found.first_no is not None and found.last_no is not None:
        where = f" ({found.first_no:,} to {found.last_no:,} of strand {found.strand_id})"
    say(
        f"Checked {count(found.blocks, 'block')}{where}, {count(found.revisions, 'revision')}, "
        f"and {count(found.system_revisions, 'system revision')} (hash only)."
    )
    for text in sources_text(found.sources, found.records):
        say(text)
    if found.level == "chain":
        say(
            "Level chain: the source is JSON, which has lost Ion's types. The chain and the revisions' hashes were "
            "checked. The data were not checked against those hashes."
        )
    if found.erased_statements:
        say(f"{count(found.erased_statements, 'block')} with erased statement texts: checked by their hash.")


def _note_warnings(found: "Verification") -> None:
    if found.unexplained_redactions:
        unexplained = count(found.unexplained_redactions, "erasure")
        note(f"Warning: {unexplained} of data or statement text that no redaction in this journal explains.")
    if trusted := found.deletions["trusted"]:
        note(
            f"Warning: {count(trusted, 'deletion')} accepted by --trust-deletions; dropped data can pass as a deletion."
        )
    for first, last in found.accepted_gaps:
        note(f"Accepted gap: {span(first, last)} skipped; the missing blocks were not verified.")
    _note_faults("Warning", found.warnings, len(found.warnings))


def _note_faults(word: str, faults: "list[Fault]", total: int) -> None:
    for fault in faults[:FAULTS_SHOWN]:
        where = "" if fault.sequence_no is None else f"block {fault.sequence_no}: "
        note(f"{word}: {where}{fault.fault}: {fault.detail}")
    if total > FAULTS_SHOWN:
        note(f"… and {total - FAULTS_SHOWN:,} more; --json lists the first {len(faults):,}.")
