"""Sentences that several commands print."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import strandline
from strandline.cli.output import note, plain

if TYPE_CHECKING:
    from strandline.consumer.erasure.probe import Residue
    from strandline.consumer.intake.coverage import Extent
    from strandline.consumer.monitoring.status import Status
    from strandline.consumer.store.restored import RestoredCounts

# The documentation that came with this installation, with `verify_proof.py`.
DOCS = Path(strandline.__file__).parent / "docs"
KERNEL_NAME = {"native": "native kernel", "python": "plain Python kernel"}
GAPS_SHOWN = 5
RESIDUE_SHOWN = 20
FIELDS_SHOWN = 10


def span(first: int, last: int) -> str:
    """A range of blocks, both ends included."""
    return f"block {first:,}" if first == last else f"blocks {first:,} to {last:,}"


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural if needed."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def position_text(position: int | None) -> str:
    """The last block that a read model holds."""
    return "none" if position is None or position < 0 else f"{position:,}"


def mark_text(status: "Status") -> str:
    """The blocks that are stored without a gap and verified."""
    if status.mark is None:
        return "No block is verified yet."
    text = f"Verified {f'from block {status.origin:,} ' if status.origin else ''}through block {status.mark:,}"
    accepted = [gap for gap in status.accepted_gaps if gap.first_no <= status.mark]
    if not accepted:
        return f"{text} (no gaps)."
    gaps = ", ".join(span(gap.first_no, gap.last_no) for gap in accepted[:GAPS_SHOWN])
    more = f" and {count(len(accepted) - GAPS_SHOWN, 'other')}" if len(accepted) > GAPS_SHOWN else ""
    return f"{text}, except for accepted gaps: {gaps}{more}."


def gaps_text(status: "Status") -> str:
    """The first gaps, by their blocks."""
    shown = ", ".join(span(first, last) for first, last in status.gaps[:GAPS_SHOWN])
    more = len(status.gaps) - GAPS_SHOWN
    return f"{shown} and {count(more, 'more gap')}" if more > 0 else shown


def pending_text(status: "Status") -> str:
    """The reason why blocks above the mark are not verified although none is missing."""
    after = status.origin if status.mark is None else status.mark + 1
    return f"block {after:,} is pending: it lacks revisions or other parts, or two blocks have its number"


def restored_text(found: "RestoredCounts") -> Iterator[str]:
    """The revisions that came as JSON and have their types again, by table, and the fields that hold out."""
    if found.lifted:
        tables = ", ".join(f"{plain(table)} {number:,}" for table, number in found.lifted.items())
        total = count(sum(found.lifted.values()), "revision")
        yield f"Restored from JSON: {total}, with types that their hashes confirm ({tables})."
    if found.held_out:
        shown = ", ".join(
            f"{plain(one.table)}.{plain(one.field)} ({one.revisions:,})" for one in found.held_out[:FIELDS_SHOWN]
        )
        more = f" and {len(found.held_out) - FIELDS_SHOWN:,} more" if len(found.held_out) > FIELDS_SHOWN else ""
        yield f"Types not found, in so many revisions: {shown}{more}. Give hints: docs/restoring.md."


def sources_text(sources: "Sequence[Extent]", records: Mapping[str, int]) -> Iterator[str]:
    """The block range of each of several sources, and the number of stream records by kind."""
    if len(sources) > 1:
        for one in sources:
            yield f"  {one.source}: {_extent_text(one)}"
    if records:
        yield "Stream records: " + ", ".join(f"{number:,} {kind}" for kind, number in sorted(records.items())) + "."


def note_residue(residue: "Sequence[Residue]") -> None:
    """Print which redacted revisions a probe found again, and where."""
    for one in residue[:RESIDUE_SHOWN]:
        note(f"Residue in {one.where}: version {one.version} of document {one.document_id}.")
    if len(residue) > RESIDUE_SHOWN:
        note(f"… and {len(residue) - RESIDUE_SHOWN:,} more.")


def _extent_text(extent: "Extent") -> str:
    if extent.first_no is None or extent.last_no is None:
        return "no blocks"
    text = span(extent.first_no, extent.last_no)
    if extent.between is None:
        return text + (", continues the previous source" if extent.relation == "follows" else "")
    between = span(*extent.between)
    return f"{text}, after a gap: {between}" if extent.relation == "gap" else f"{text}, repeats {between}"
