"""What a writer has lately appended itself, with nobody else in between: what it need not ask the journal for."""

from strandline.ledger.changes import Changes
from strandline.ledger.tail import Tail, TailBlocks

_MOST_REVISIONS = 500
_MOST_BYTES = 8 * 1024 * 1024


class OwnTail:
    """The end as it was left, and all that came in after block `since`; bounded, so `since` moves up now and then."""

    def __init__(self, end: Tail) -> None:
        self.end = end
        self._begin_anew()

    def ends_at(self, end: Tail) -> bool:
        """Whether nobody has appended since."""
        return (end.sequence_no, end.block_hash) == (self.end.sequence_no, self.end.block_hash)

    def went_on(self, following: TailBlocks, noted: Changes) -> None:
        """The blocks are in; `noted` is what they change."""
        self.end = following.new_tail()
        self.changes.add(noted)
        self._bytes += sum(len(one.data_ion or b"") for new in following.added for one in new.revisions)
        # What was redacted is not to be found here either.
        if len(self.changes.revisions) > _MOST_REVISIONS or self._bytes > _MOST_BYTES or noted.redactions:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self.since = self.end.sequence_no
        self.changes = Changes()
        self._bytes = 0
