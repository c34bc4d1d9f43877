"""The contract between projectors and the store of a read model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from strandline.consumer.projection.definition import Rows
from strandline.journal.errors import StrandlineError

MadeRows = Sequence[Mapping[str, object]]  # as a projection's function returned them
PreparedRows = tuple[tuple[Any, ...], ...]
Key = tuple[str, int]  # a revision: document and version
Fields = dict[str, Any]  # a row's values by the names of their columns
Summary = tuple[int, int]  # the number of rows, and a checksum over all of them


class Replacement(NamedTuple):
    """All rows of one source: a document, of a history one version of it, or (both None) a block.

    Of a composed projection, `document` is the key, without a version. `sequence_no` is the block of the source's
    revision, of several the newest; `rows` are as `Sink.prepare` returned them.
    """

    document: str | None
    version: int | None
    sequence_no: int
    rows: PreparedRows

    @property
    def key(self) -> str:
        """The key that parks if the replacement is refused."""
        return str(self.sequence_no) if self.document is None else self.document


@dataclass(frozen=True)
class RejectedRow:
    """A replacement that the store refused, and the reason, without any of its values."""

    replacement: Replacement
    reason: str


class LeaseLost(Exception):
    """Another projector has taken the generation over; nothing of this batch may be written."""


class StoreFailed(StrandlineError):
    """A store outside the database could not do what was asked; the message holds no payload.

    `unanswered` says that a request was sent and that nobody knows if it was, or will be, done.
    """

    def __init__(self, message: str, *, unanswered: bool = False) -> None:
        super().__init__(message)
        self.unanswered = unanswered


class StoreLacks(StoreFailed):
    """The store does not have the generation's index, or has another one of its name."""


@dataclass(frozen=True)
class Turn:
    """Permission to write: for the lease of this token, up to this position, nothing under way after `deadline`.

    `position` is asked at each write: a batch knows its end only when it has been read. `deadline` is of the monotonic
    clock, well before the lease ends.
    """

    token: int
    position: Callable[[], int]
    deadline: float


class StoredRows(ABC):
    """The rows of one generation in one store, whichever definition made them.

    Writes run in a turn, between `begin` and `settle`, in the control transaction.

    A store `outside` the database is written at least once, before the control transaction commits. After a crash the
    same calls come again, with the same or other bounds of the batch: the result must be the same. A request of an
    older turn that arrives late must not undo what a newer turn wrote. Every request ends by the turn's deadline.
    Every method may raise `StoreFailed`; then the control transaction is rolled back.
    """

    outside: ClassVar[bool]

    @abstractmethod
    def check(self) -> None:
        """Raises `StoreLacks` if what `create` made outside the database is missing."""

    @abstractmethod
    def unsettled(self) -> set[str]:
        """Return composed keys that a failed turn wrote, and that must be composed again."""

    @abstractmethod
    def begin(self, turn: Turn) -> None:
        """Begin a turn, after `check`."""

    @abstractmethod
    def settle(self) -> None:
        """End the turn, in the control transaction, before the position moves: all that was written is permanent."""

    @abstractmethod
    def rows_of(self, keys: Sequence[Key]) -> Iterator[tuple[Key, Fields | None]]:
        """Yield the rows that come from these revisions, each with its source, as readers would find them now.

        The fields are without the source's own columns. They are None if only the record of sources names the
        revision, as of composed rows. Needs no turn.
        """

    @abstractmethod
    def purge(self, sources: Sequence[Key]) -> None:
        """Remove every row that comes from one of these revisions; a no-op if there is none."""

    @abstractmethod
    def purge_sources(self, sources: Sequence[Key]) -> None:
        """Remove what no code can make again: the rows of these revisions, and every row of a composed key that has
        one of them as a source."""

    @abstractmethod
    def show_as_before(self, name: str) -> None:
        """Show this generation under the read model's stable name as it was shown when it was retired."""

    @abstractmethod
    def drop(self) -> None:
        """Drop the table or index; a no-op if there is none. Needs no turn."""


class Sink(StoredRows):
    """One generation in one store, with the definition that fills it.

    A projector that holds the generation's lease calls these methods in its control transaction, then moves the
    position and commits. After a crash the same call may come again, and must be a no-op then. No method may put a
    value of the payload in a log or an error.
    """

    @abstractmethod
    def create(self, *, bare: bool = False) -> None:
        """Create the generation's empty table or index, which nobody but the worker may read.

        A bare one lacks what only readers and later writes need. Until `complete`, only `write_first` may be called.
        """

    @abstractmethod
    def complete(self) -> None:
        """Add what a bare table or index lacks."""

    @abstractmethod
    def show(self) -> None:
        """Show this generation under the projection's stable name, to the projection's readers and no others."""

    @abstractmethod
    def prepare_all(self, many: Sequence[MadeRows]) -> list[PreparedRows]:
        """Check and convert the rows that the projection's function returned for each of many revisions.

        Raises `Unprojectable`, with the column's name, if any has what the store would refuse: also one whose rows are
        never written because the batch holds a later one. `database.bisection.attempt_all` finds which.
        """

    def prepare(self, rows: Rows) -> PreparedRows:
        """Check and convert the rows of one revision. Raises `Unprojectable`."""
        return self.prepare_all([list(rows)])[0]

    @abstractmethod
    def as_stored(self, rows: PreparedRows) -> list[Fields]:
        """Return prepared rows as `rows_of` would return them."""

    @abstractmethod
    def write(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        """Replace all earlier rows of each replacement's source.

        One source comes at most once; a replacement without rows removes. If the store refuses one, its source keeps
        the rows it had, later replacements of its key are left out, and the rest is written.
        """

    @abstractmethod
    def write_first(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        """Write sources that have no rows yet. A source that is refused has none afterwards."""

    @abstractmethod
    def summary(self) -> Summary:
        """Return the number of rows, and a checksum: the same for the same rows, in any order."""
