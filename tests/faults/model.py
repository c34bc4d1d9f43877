"""A model of the store in plain Python: no SQL, no batches, no time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.faults.ledger import Ledger, Revision

Key = tuple[int, int]  # a revision's block, and its place there


@dataclass
class Model:
    """The stored blocks and revisions, and the mark.

    The first copy of a revision decides if its data is stored. If it is from JSON, the first Ion copy with the data
    replaces it; a copy without data changes nothing.
    """

    ledger: Ledger
    mark: int = -1
    headers: set[int] = field(default_factory=set)
    whole: set[int] = field(default_factory=set)
    held: dict[Key, bool] = field(default_factory=dict)  # whether with its data
    chain: set[Key] = field(default_factory=set)  # of these, the ones from JSON
    forged: set[int] = field(default_factory=set)
    rejected: set[int] = field(default_factory=set)

    def take_blocks(self, numbers: Iterable[int], as_of: int, *, full: bool = True) -> None:
        """Complete blocks, as exported when `as_of` was the last; `full` if as Ion."""
        for number in numbers:
            self.headers.add(number)
            self.whole.add(number)
            self.take_revisions(number, as_of, full=full)

    def take_revisions(self, number: int, as_of: int, *, full: bool = True) -> None:
        """A block's revisions, as exported when `as_of` was the last."""
        for place, revision in enumerate(self.ledger.of(number)):
            by = self.ledger.redacted_by(revision)
            self._hold((number, place), with_data=by is None or by > as_of, full=full)

    def take_record(self, number: int, place: int) -> None:
        """A record of the stream, as written."""
        if place == 0:
            self.headers.add(number)
        else:
            self._hold((number, place - 1), with_data=True)

    def take_forged(self, number: int) -> None:
        if number <= self.mark:
            self.rejected.add(number)
        else:
            self.forged.add(number)

    def ahead(self) -> bool:
        """Return True if anything is stored above the mark."""
        held = self.headers | self.forged | {number for number, _ in self.held}
        return any(number > self.mark for number in held)

    def reach(self) -> int:
        """Return the highest possible mark: the block that follows decides a fork."""
        at = self.mark
        while self._ready(at + 1) and (at + 1 not in self.forged or at + 2 in self.headers):
            at += 1
        return at

    def move(self, mark: int) -> None:
        lost = {number for number in self.forged if number <= mark}
        self.forged -= lost
        self.rejected |= lost
        self.mark = mark

    def redacted(self, revision: Revision, at: int) -> bool:
        """Return True if its redaction has taken effect with the mark at `at`."""
        by = self.ledger.redacted_by(revision)
        return by is not None and by <= at

    def state(self, revision: Revision, place: int) -> str:
        if revision.data is None:
            return "deleted"
        with_data = self.held[revision.sequence_no, place]
        return "normal" if with_data and not self.redacted(revision, self.mark) else "redacted"

    def journal(self) -> set[tuple[int, str, int, str, str | None]]:
        """Every revision that the store holds: number, document, version, state, secret."""
        rows = {(number, "Forged", 0, "normal", f"forged-{number}-") for number in self.forged}
        for revision, place in self.revisions():
            if (revision.sequence_no, place) in self.held:
                state = self.state(revision, place)
                secret = revision.secret if state == "normal" else None
                rows.add((revision.sequence_no, revision.document_id, revision.version, state, secret))
        return rows

    def revisions(self) -> Iterable[tuple[Revision, int]]:
        for number in range(self.ledger.tip + 1):
            for place, revision in enumerate(self.ledger.of(number)):
                yield revision, place

    def _ready(self, number: int) -> bool:
        places = range(len(self.ledger.of(number)))
        arrived = number in self.whole or all((number, place) in self.held for place in places)
        return number in self.headers and arrived

    def _hold(self, key: Key, *, with_data: bool, full: bool = True) -> None:
        if key not in self.held:
            self.held[key] = with_data
            if not full:
                self.chain.add(key)
        elif full and key in self.chain and (with_data or not self.held[key]):
            self.held[key] = with_data
            self.chain.remove(key)
