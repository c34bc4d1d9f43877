"""What a projector asks of a store that is not in the database, besides what it asks of every sink."""

from abc import abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import Event

from consumer.sinks.contract import Sink
from journal.errors import StrandlineError


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


class OuterSink(Sink):
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
