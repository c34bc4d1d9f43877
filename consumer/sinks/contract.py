"""What a projector asks of the store that keeps a read model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any, NamedTuple

from strandline.consumer.projection.definition import Rows
from strandline.journal.errors import StrandlineError

PreparedRows = tuple[tuple[Any, ...], ...]


class Replacement(NamedTuple):
    """All that one source means: a document, of a history one version of it, or (both None) a block.

    Of a composed projection, `document` is the key, without a version. `sequence_no` is the block of the revision that
    says so, of several the newest; `rows` are as `Sink.prepare` made them.
    """

    document: str | None
    version: int | None
    sequence_no: int
    rows: PreparedRows

    @property
    def key(self) -> str:
        """What parks where the replacement is refused."""
        return str(self.sequence_no) if self.document is None else self.document


@dataclass(frozen=True)
class RejectedRow:
    """A replacement that the store did not take, and why, without any value of it."""

    replacement: Replacement
    reason: str


class Sink(ABC):
    """One generation in one store.

    Its methods are called in the control transaction of a projector that holds the generation's lease, which then
    moves the position and commits. So after a crash the same call may come again: each must be a no-op then. None may
    put a value of the payload in a log or an error.
    """

    @abstractmethod
    def create(self, *, bare: bool = False) -> None:
        """Make the generation's empty table or index; nobody but the worker may read it.

        Bare: without what only readers and later writes need. Until `complete` only `write_first` is called then.
        """

    @abstractmethod
    def complete(self) -> None:
        """Add what a bare one lacks."""

    @abstractmethod
    def drop(self) -> None:
        """Take the generation's table or index away; where there is none, do nothing."""

    @abstractmethod
    def serve(self) -> None:
        """Show this generation under the projection's stable name, to the projection's readers and no others."""

    @abstractmethod
    def prepare(self, rows: Rows) -> PreparedRows:
        """Check and convert what the projection's function gave.

        Must refuse, by `Unprojectable` with the column's name, all that the store would refuse: for every revision,
        also one whose rows are never written because the batch holds a later one.
        """

    def prepare_all(self, many: Sequence[Sequence[Mapping[str, object]]]) -> list[PreparedRows] | None:
        """The same for many at once; None where one may have to be refused, and they are to be prepared one by one."""
        return None

    @abstractmethod
    def write(self, replacements: Sequence[Replacement]) -> list[RejectedRow]:
        """Let each replacement's rows stand in the place of all earlier rows of its source.

        One source comes at most once; a replacement without rows removes. Where the store refuses one all the same,
        its source keeps the rows it had, later replacements of its key are left out, and the rest is written.
        """

    @abstractmethod
    def write_first(self, parts: Iterable[Iterable[Replacement]]) -> list[RejectedRow]:
        """As `write`, of sources that have no rows yet; the store is at some of them while others are made.

        What makes the parts may use the control transaction; what makes a part's replacements must not.
        """

    @abstractmethod
    def summary(self) -> tuple[int, int]:
        """The number of rows, and a digest over all of them: the same for the same rows, in whatever order."""

    @abstractmethod
    def purge(self, sources: Sequence[tuple[str, int]]) -> None:
        """Remove every row whose source is one of the (document, version)s; where there is none, do nothing."""


Summary = tuple[int, int]  # rows, and a digest over all of them


class LeaseLost(Exception):
    """Another projector has taken the generation over; nothing of this batch may be written."""


class StoreFailed(StrandlineError):
    """A store outside the database could not do what it was asked; the message holds no payload.

    `unanswered` says that something was sent of which nobody knows whether it was, or still will be, done.
    """

    def __init__(self, message: str, *, unanswered: bool = False) -> None:
        super().__init__(message)
        self.unanswered = unanswered


class StoreLacks(StoreFailed):
    """The store does not have the generation's index, or another one of its name."""


@dataclass(frozen=True)
class Turn:
    """Leave to write: for the lease of this token, up to this position, nothing under way after `deadline`.

    `position` is asked when something is written, for a batch knows where it ends when it has been read. `deadline` is
    of the monotonic clock, well before the lease ends.
    """

    token: int
    position: Callable[[], int]
    deadline: float


class ExternalSink(Sink):
    """A store outside: written at least once, before the control transaction commits.

    After a crash the same calls come again, with the same or other bounds of the batch: what stands in the end must be
    the same. What was sent in an older turn, and arrives late, must not undo what a newer one wrote. Every method may
    raise `StoreFailed`, at the latest at the deadline; then the control transaction is rolled back.
    """

    @abstractmethod
    def check(self) -> None:
        """Raises `StoreLacks` where what `create` made is not there."""

    @abstractmethod
    def begin(self, turn: Turn) -> None:
        """What is written until the next `begin` belongs to this turn; checks first."""

    @abstractmethod
    def settle(self) -> None:
        """In the control transaction, before the position moves: all that was written is there to stay."""

    @abstractmethod
    def unsettled(self) -> set[str]:
        """Composed keys that were written in a turn which came to nothing, and must be composed once more."""

    @abstractmethod
    def summary(self, stop: Event | None = None) -> tuple[int, int]:
        """As of any sink; where it is to stop, it raises `StoreFailed`."""

    @abstractmethod
    def state(self) -> str | None:
        """What is the same as before exactly where nothing was written since; None while something is."""

    @abstractmethod
    def purge_keys(self, keys: Collection[str]) -> None:
        """Remove every row of these composed keys."""
