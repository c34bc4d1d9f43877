"""Pictures as SVG, made here: a page needs no script and no foreign asset for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from strandline.consumer.monitoring.status import Status

WIDTH, HEIGHT = 1000.0, 48.0
LEAST = 3.0  # so that one block in a million is seen


@dataclass(frozen=True)
class Part:
    """A range of blocks in the chain's picture, or one place (`last` is `first`) for a line."""

    kind: str
    first: int
    last: int
    label: str


def parts_of(status: Status) -> list[Part]:
    """Return the parts of the chain from the origin to the head, and the lines across it."""
    if status.head is None:
        return []
    mark = status.origin - 1 if status.mark is None else status.mark
    parts: list[Part] = []
    if mark >= status.origin:
        parts.append(Part("verified", status.origin, mark, f"verified: blocks {status.origin:,} to {mark:,}"))
    if status.head > mark:
        parts.append(Part("above", mark + 1, status.head, f"above the mark: blocks {mark + 1:,} to {status.head:,}"))
    for gap in status.accepted_gaps:
        parts.append(Part("accepted", gap.first_no, gap.last_no, f"accepted gap: {gap.first_no:,} to {gap.last_no:,}"))
    for first, last in status.gaps:
        parts.append(Part("gap", first, last, f"missing: blocks {first:,} to {last:,}"))
    if status.claims.graft is not None:
        graft = status.claims.graft
        parts.append(Part("graft", graft, graft, f"Strandline wrote block {graft:,} and later"))
    tips = {one.tip for one in status.digest_checks if one.answer == "holds" and one.tip is not None}
    for tip in sorted(tips):
        parts.append(Part("digest", tip, tip, f"a saved digest covers the blocks up to {tip:,}"))
    parts.append(Part("mark", mark, mark, f"the mark: block {mark:,}" if mark >= status.origin else "no mark yet"))
    return parts


def chain(status: Status) -> Markup:
    """Return the picture of the chain."""
    parts = parts_of(status)
    if not parts or status.head is None:
        return Markup("")
    first, blocks = status.origin, status.head - status.origin + 1
    text = "; ".join(part.label for part in parts)
    return Markup(
        f'<svg class="chain" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" role="img">'
        f"<title>{escape(text)}</title>{''.join(_shapes(parts, first, blocks))}</svg>"
    )


def _shapes(parts: Sequence[Part], first: int, blocks: int) -> Iterator[str]:
    for part in parts:
        x = max(0.0, (part.first - first) / blocks * WIDTH)
        if part.kind in ("graft", "digest", "mark"):
            at = min(WIDTH - 2, (part.first - first + (part.kind != "graft")) / blocks * WIDTH)
            yield f'<rect class="{part.kind}" x="{at:.2f}" y="0" width="2" height="{HEIGHT:.0f}"/>'
        else:
            width = max(LEAST, (part.last - part.first + 1) / blocks * WIDTH)
            x = min(x, WIDTH - width)
            yield f'<rect class="{part.kind}" x="{x:.2f}" y="10" width="{width:.2f}" height="{HEIGHT - 20:.0f}"/>'
