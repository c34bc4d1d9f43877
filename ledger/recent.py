"""The tail as a writer left it, and the changes that its own last blocks made: what it need not ask the journal for."""

from strandline.ledger.changes import Changes
from strandline.ledger.tail import Tail, TailBlocks

_MOST_REVISIONS = 500
_MOST_BYTES = 8 * 1024 * 1024


class Recent:
    """`changes` are those of the blocks above `since`, to the `tail`; bounded, so `since` rises now and then."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self._clear()

    def extend(self, appended: TailBlocks, noted: Changes) -> None:
        """Add blocks that follow the tail, and their changes."""
        self.tail = appended.new_tail()
        self.changes.add(noted)
        self._bytes += sum(len(one.data_ion or b"") for new in appended.added for one in new.revisions)
        # Redacted data is not to be found here either.
        if len(self.changes.revisions) > _MOST_REVISIONS or self._bytes > _MOST_BYTES or noted.redactions:
            self._clear()

    def _clear(self) -> None:
        self.since = self.tail.sequence_no
        self.changes = Changes()
        self._bytes = 0
