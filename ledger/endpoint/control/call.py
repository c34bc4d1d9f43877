"""A call of an operation: who calls, its parameters, and what the operations share."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from strandline.consumer.database.connection import Connection, connect
from strandline.ledger.endpoint import refusals
from strandline.ledger.endpoint.jobs import Jobs
from strandline.ledger.endpoint.rights import Caller
from strandline.ledger.endpoint.served import ServedLedgers

Answer = dict[str, Any]
Body = TypeVar("Body")
Item = TypeVar("Item")
MOST_RESULTS = 100


@dataclass(frozen=True, slots=True)
class Call:
    """A call; `names` are the parts of its path, percent-decoded."""

    ledgers: ServedLedgers
    jobs: Jobs | None
    caller: Caller
    operation: str
    names: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    content: bytes

    @property
    def ledger(self) -> str:
        return self.names["name"]

    @property
    def ledger_url(self) -> str:
        """The URL of the database of the ledger that the path names. Raises Refusal."""
        return self.ledgers.url(self.ledger)

    @contextmanager
    def catalogue(self) -> Iterator[Connection]:
        """Give a connection to the catalogue of ledgers."""
        with connect(self.ledgers.home) as connection:
            yield connection

    def wake_jobs(self) -> None:
        if self.jobs is not None:
            self.jobs.wake()

    def body(self, shape: type[Body]) -> Body:
        """Return the request's body. Raises Refusal."""
        try:
            return msgspec.json.decode(self.content or b"{}", type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # its text has names, no values
            raise refusals.invalid_parameter(f"The request is not valid: {error}") from None

    def page(self, name: str, items: Sequence[Item], key: Callable[[Item], str]) -> tuple[list[Item], Answer]:
        """Return the items that are asked for, and the member of the answer that leads to the next ones.

        `name` is that of the answer's list; items are in a fixed order, each with a key of its own.
        """
        most, after = self._most(), self._after()
        if after is not None:
            places = [place for place, one in enumerate(items) if key(one) == after]
            if not places:
                raise refusals.invalid_parameter(f"{name}: the token is unknown", "next_token")
            items = items[places[0] + 1 :]
        shown = list(items[:most])
        if len(items) <= most:
            return shown, {}
        return shown, {"NextToken": b64encode(key(shown[-1]).encode()).decode()}

    def _most(self) -> int:
        given = self.query.get("max_results", [str(MOST_RESULTS)])[0]
        if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= MOST_RESULTS:
            raise refusals.invalid_parameter(f"MaxResults is 1 to {MOST_RESULTS}", "max_results")
        return int(given)

    def _after(self) -> str | None:
        given = self.query.get("next_token", [None])[0]
        if given is None:
            return None
        try:
            return b64decode(given, validate=True).decode()
        except ValueError:
            raise refusals.invalid_parameter("The token is not one of these answers", "next_token") from None


def seconds(moment: datetime) -> float:
    """Return a time as the API has it: seconds since 1970, with milliseconds."""
    return round(moment.timestamp(), 3)


def moment(given: float | str, parameter: str) -> datetime:
    """Return a time of a request: seconds since 1970, or ISO 8601. Raises Refusal."""
    try:
        found = datetime.fromtimestamp(given, UTC) if not isinstance(given, str) else datetime.fromisoformat(given)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise refusals.invalid_parameter(f"{parameter} is no time", parameter) from None
