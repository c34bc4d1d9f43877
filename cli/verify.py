"""The command `verify`."""

from base64 import b64encode
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson, OnCluster, TrustDeletions
from strandline.cli.output import note, say, show_json
from strandline.cli.progress import Counter, meter, total_blocks
from strandline.cli.session import open_cluster, open_store
from strandline.cli.texts import KERNEL_NAME, count, restored_text, sources_text, span
from strandline.journal.errors import UnreadableError, UsageError

if TYPE_CHECKING:
    from strandline.consumer.database.connection import Connection
    from strandline.consumer.verification.verify import Verification
    from strandline.journal.check.block import Fault
    from strandline.journal.proofs.saved_digest import SavedDigest

FAULTS_SHOWN = 20
EXIT_STATUS = {"holds": 0, "does not hold": 1, "cannot be checked": 3}

CONSISTENT = (
    "The journal is consistent with itself. Only a digest saved while QLDB ran (--digest) shows that QLDB wrote it."
)


class Requirement(StrEnum):
    FULL = "full"


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
    since: Annotated[
        str | None,
        typer.Option(
            help="Check the store from this block on only; `last`: from where the last verification ended.",
            metavar="BLOCK|last",
        ),
    ] = None,
    require: Annotated[
        Requirement | None, typer.Option(help="Fail unless the data of every block were verified, and are complete.")
    ] = None,
    trust_deletions: TrustDeletions = False,
    cluster: OnCluster = None,
    as_json: AsJson = False,
) -> int:
    """Verify every hash and link of exports or the store.

    Exit status: 0 it holds, 1 it does not, 3 it cannot be checked.
    """
    from strandline.consumer.verification.against_digest import check_tip, verification_json
    from strandline.journal.check.block import Fault
    from strandline.journal.proofs.saved_digest import read_saved_digest

    if since is not None and (sources or digest is not None or tip is not None or require):
        raise UsageError(
            "--since checks a part of the store: leave out sources, --digest, --tip and --require, which ask for all."
        )
    try:
        saved = read_saved_digest(digest) if digest is not None else None
    except UnreadableError as error:  # what is to be verified is not at fault
        raise UsageError(str(error)) from None
    tip = _tip(saved, tip)
    tied_at = saved.last_block if saved is not None and saved.proof is not None else None
    found = (
        check_sources(sources, tip, tied_at, trust_deletions=trust_deletions, cluster=cluster)
        if sources
        else _verify_store(tip, tied_at, since, trust_deletions, cluster)
    )
    check_tip(found, saved, tip)
    if not sources:
        _record(found, saved, tip)
    if require and found.level != "full":
        found.fault([Fault(None, "level", "full is required, and some blocks came only as JSON")])
    if require and found.incomplete:
        found.fault([Fault(None, "level", f"{_incomplete(found)}, and full is required")])
    if as_json:
        show_json(verification_json(found, tip))
    else:
        _report(found, saved, tip)
    return EXIT_STATUS[found.answer]


def check_sources(
    sources: list[str],
    tip: int | None = None,
    tied_at: int | None = None,
    *,
    trust_deletions: bool = False,
    cluster: str | None = None,
) -> "Verification":
    """Verify sources, with progress; by the workers of a cluster if one is named."""
    from strandline.consumer.intake.sources import open_sources
    from strandline.consumer.settings import load_settings
    from strandline.consumer.verification.verify import verify_sources

    workers = load_settings().workers
    opened = open_sources(sources)
    with meter() as shown:
        progress = Counter(shown, "verifying", total_blocks(opened))
        if cluster is not None:
            with open_cluster(cluster) as connected:
                from strandline.consumer.cluster.verify import verify_sources_on

                return verify_sources_on(
                    connected, opened, tip=tip, tied_at=tied_at, trust_deletions=trust_deletions, progress=progress
                )
        return verify_sources(
            opened, workers=workers, tip=tip, tied_at=tied_at, trust_deletions=trust_deletions, progress=progress
        )


def _tip(saved: "SavedDigest | None", tip: int | None) -> int | None:
    if tip is not None and tip < 0:
        raise UsageError(f"--tip is a block's number, 0 or more, not {tip}.")
    if saved is None or saved.tip is None or saved.last_block is not None:
        return tip
    if tip not in (None, saved.tip):
        raise UsageError(f"--tip is {tip}, but the digest in {saved.source} has the tip {saved.tip}.")
    return saved.tip


def _verify_store(
    tip: int | None, tied_at: int | None, since: str | None, trust_deletions: bool, cluster: str | None
) -> "Verification":
    from strandline.consumer.database.connection import AUDITOR, connect
    from strandline.consumer.mark.gaps import head
    from strandline.consumer.mark.mark import read_mark
    from strandline.consumer.verification.verify import verify_store

    with open_store() as (settings, url), meter() as shown:
        with connect(url, role=AUDITOR) as connection:
            mark = read_mark(connection)
            highest = head(connection)
            first_no = _since(connection, since, mark.sequence_no)
        if highest is not None and highest > mark.sequence_no >= mark.origin:
            note(f"Not verified: blocks above the mark, up to {highest:,}; see `strandline status`.")
        progress = Counter(shown, "verifying", mark.sequence_no + 1 - max(mark.origin, first_no or 0))
        if cluster is not None:
            with open_cluster(cluster) as connected:
                from strandline.consumer.cluster.verify import verify_store_on

                return verify_store_on(
                    connected,
                    settings,
                    tip=tip,
                    tied_at=tied_at,
                    since=first_no,
                    trust_deletions=trust_deletions,
                    progress=progress,
                )
        return verify_store(
            url,
            workers=settings.workers,
            tip=tip,
            tied_at=tied_at,
            since=first_no,
            trust_deletions=trust_deletions,
            progress=progress,
        )


def _since(connection: "Connection", since: str | None, mark: int) -> int | None:
    """Return the block to begin at. `last` is the last block of the verification that reached furthest."""
    from strandline.consumer.store.verifications import read_last

    if since is None:
        return None
    if since != "last":
        if not since.isascii() or not since.isdigit():
            raise UsageError(f"--since is the number of a block, or `last`, not {since}.")
        return int(since)
    last = read_last(connection)
    if last is None:
        note("No verification of this store is recorded: every block is checked.")
        return None
    return min(last.last_no, mark)  # a mark that was set back is a fault


def _record(found: "Verification", saved: "SavedDigest | None", tip: int | None) -> None:
    from strandline.consumer.database.errors import DatabaseError
    from strandline.consumer.verification.against_digest import record_check, record_verification

    with open_store() as (_, url):
        try:
            if saved is not None:
                record_check(url, found, saved, tip, "command")
            record_verification(url, found)
        except DatabaseError as error:
            note(f"The check is not recorded for `strandline status`: {error}")


def _report(found: "Verification", saved: "SavedDigest | None", tip: int | None) -> None:
    from strandline.consumer.verification.against_digest import no_digest_reason
    from strandline.journal.decode.kernel import KERNEL

    say(f"{_scope(found)}{_verdict(found)}")
    _say_counts(found)
    _note_warnings(found)
    _note_faults("Fault", found.faults, found.fault_count)
    _note_faults("Cannot be checked", found.unchecked, len(found.unchecked))
    if not found.ok:
        return
    if found.digest is not None:
        say(f"Digest {b64encode(found.digest).decode()} at tip {found.last_no if tip is None else tip}.")
    else:
        say(f"No digest: a digest covers every block from 0, and {no_digest_reason(found)}.")
    if found.scope is not None and not found.scope.full:
        say(f"These blocks are consistent with each other, and with the block before {found.scope.first_no:,}.")
    else:
        say(CONSISTENT if saved is None else _proved(found, saved, tip))
    if found.graft is not None and (saved is None or saved.last_block is not None):
        say(f"Blocks {found.graft:,} and later were written by Strandline, not QLDB.")
    say(f"Decoded by the {KERNEL_NAME[KERNEL]}.")


def _scope(found: "Verification") -> str:
    """Return the start of the first line: the blocks that were checked, unless they are all."""
    scope = found.scope
    return "" if scope is None or scope.full else f"{span(scope.first_no, scope.last_no).capitalize()} ONLY: "


def _verdict(found: "Verification") -> str:
    """Return the first line, after the scope; it claims no more than was checked."""
    if found.answer == "does not hold":
        return f"NOT VERIFIED: {count(found.fault_count, 'fault')}."
    if found.answer == "cannot be checked":
        return "CANNOT BE CHECKED: no fault was found, but what was asked cannot be shown."
    if found.level == "chain":
        return "CHAIN VERIFIED, DATA NOT VERIFIED: some blocks came only as JSON, without the types that hashes cover."
    if found.incomplete:
        return f"VERIFIED, NOT SHOWN TO BE COMPLETE: {_incomplete(found)}."
    return "VERIFIED: every hash and link holds."


def _incomplete(found: "Verification") -> str:
    return f"{count(found.incomplete, 'block')} may lack contents that their hashes cover"


def _proved(found: "Verification", saved: "SavedDigest", tip: int | None) -> str:
    """Return what a matching digest shows, and of which blocks."""
    if saved.last_block is not None:
        above = found.last_no is not None and found.last_no > saved.last_block
        return (
            f"The proof leads from block {saved.last_block:,} to the digest. If both were saved from QLDB, that block, "
            f"and the blocks it links back to without a gap, are what QLDB wrote{_except_data(found)}."
            + (" The blocks above it are only shown to be consistent with it." if above else "")
        )
    last = found.last_no if tip is None else tip
    if found.graft is not None and last is not None and last >= found.graft:
        return (
            f"The digest given matches: up to block {last:,}, nothing was changed since it was made"
            f"{_except_data(found)}. QLDB did not make it: Strandline wrote blocks {found.graft:,} and later. "
            f"A digest with a tip below {found.graft:,} shows that QLDB wrote the blocks up to it."
        )
    claim = f"up to its tip this is what QLDB wrote{_except_data(found)}"
    return f"The digest matches. If it was saved from QLDB, {claim}."


def _except_data(found: "Verification") -> str:
    return "" if found.level == "full" else ", except for the data, which were not checked"


def _say_counts(found: "Verification") -> None:
    where = ""
    if found.first_no is not None and found.last_no is not None:
        where = f" ({found.first_no:,} to {found.last_no:,} of strand {found.strand_id})"
    say(
        f"Checked {count(found.blocks, 'block')}{where}, {count(found.revisions, 'revision')}, "
        f"and {count(found.system_revisions, 'system revision')} (hash only)."
    )
    if found.scope is not None and found.scope.full:
        say(f"A full verification: every block of the store up to the mark, {found.scope.last_no:,}.")
    for earlier in () if found.scope is None else found.scope.earlier:
        at = earlier.verified_at
        when = "at no recorded time" if at is None else f"but at {at:%Y-%m-%d %H:%M:%S} UTC"
        say(f"Not verified now, {when}: {span(earlier.first_no, earlier.last_no)}.")
    for text in sources_text(found.sources, found.records):
        say(text)
    for text in () if found.restored is None else restored_text(found.restored):
        say(f"As `restore` noted: {text}" if found.sources else text)
    if found.level == "chain":
        say("Level chain: the links and the list of revisions were checked. The data were not checked against hashes.")
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
    _note_faults("Not shown to be complete", found.omissions, found.incomplete)
    _note_faults("Warning", found.warnings, len(found.warnings))


def _note_faults(word: str, faults: "list[Fault]", total: int) -> None:
    for fault in faults[:FAULTS_SHOWN]:
        where = "" if fault.sequence_no is None else f"block {fault.sequence_no}: "
        note(f"{word}: {where}{fault.fault}: {fault.detail}")
    if total > FAULTS_SHOWN:
        note(f"… and {total - FAULTS_SHOWN:,} more; --json lists the first {len(faults):,}.")
