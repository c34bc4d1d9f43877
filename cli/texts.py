"""Sentences that several commands print."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from strandline.cli.output import note

if TYPE_CHECKING:
    from strandline.consumer.erasure.probe import Found
    from strandline.consumer.intake.coverage import Extent
    from strandline.consumer.monitoring.status import Status


GAPS_SHOWN = 5
_FOUND_SHOWN = 20


def span(first: int, last: int) -> str:
    return f"block {first:,}" if first == last else f"blocks {first:,} to {last:,}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def note_found(found: "Sequence[Found]") -> None:
    """What of redacted revisions is there still, by where it is."""
    for one in found[:_FOUND_SHOWN]:
        note(f"Still in {one.where}: version {one.version} of document {one.document_id}.")
    if len(found) > _FOUND_SHOWN:
        note(f"… and {len(found) - _FOUND_SHOWN} more.")


def mark_text(status: "Status") -> str:
    if status.mark is None:
        return "The mark has not passed any block yet."
    return f"The mark is at block {status.mark:,}: from block {status.origin} on all is there, checked and linked."


def gaps_text(status: "Status") -> str:
    shown = ", ".join(span(first, last) for first, last in status.gaps[:GAPS_SHOWN])
    return shown + (f" and {len(status.gaps) - GAPS_SHOWN} more gaps" if len(status.gaps) > GAPS_SHOWN else "")


def waits_text(status: "Status") -> str:
    after = status.origin if status.mark is None else status.mark + 1
    return f"block {after:,} waits: it lacks revisions, or two blocks contend for its number"


def sources_text(sources: "Sequence[Extent]", records: Mapping[str, int]) -> Iterator[str]:
    """Where several sources lie to one another, and what records of a stream there were."""
    if len(sources) > 1:
        for one in sources:
            yield f"  {one.source}: {_extent_text(one)}"
    if records:
        yield "Stream records: " + ", ".join(f"{number:,} {kind}" for kind, number in sorted(records.items())) + "."


def _extent_text(extent: "Extent") -> str:
    if extent.first_no is None or extent.last_no is None:
        return "no blocks"
    text = span(extent.first_no, extent.last_no)
    if extent.between is None:
        return text + (", following the one before" if extent.relation == "follows" else "")
    between = span(*extent.between)
    return (
        f"{text}, after a gap: {between}"
        if extent.relation == "gap"
        else f"{text}, of which {between} were there before"
    )


def found_json(one: "Found") -> dict[str, object]:
    return {"where": one.where, "documentId": one.document_id, "version": one.version}
