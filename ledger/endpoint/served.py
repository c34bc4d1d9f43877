"""The ledgers that an endpoint serves: their names, and each one's open `Ledger`."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Protocol

from strandline.consumer.background import Stoppable
from strandline.consumer.database.connection import Connection, connect
from strandline.consumer.database.ledgers import CataloguedLedger, name_own, read_ledger, read_ledgers
from strandline.journal.errors import UsageError
from strandline.ledger.endpoint import refusals
from strandline.ledger.endpoint.rights import ACCOUNT, Caller
from strandline.ledger.ledger import Ledger

_STARTED = datetime.now(UTC)
SECONDS_TO_END = 10.0
MODE_SECONDS = 1.0  # after so long a changed permissions mode holds for new transactions


class Attendant(Stoppable, Protocol):
    """Work that a ledger needs while it is served: its read models."""

    def start(self) -> None: ...


class ServedLedgers:
    """The ledgers of a catalogue, by name.

    `name` serves only this ledger. Without it all are served; if there are none, the database's own ledger is served by
    any name. `attend` makes the attendant of a ledger, by the URL of its database.
    """

    def __init__(
        self,
        own: Ledger,
        *,
        name: str | None = None,
        create: bool = False,
        by_any_name: bool = True,
        readers: int | None = None,
        attend: Callable[[str], Attendant] | None = None,
    ) -> None:
        """`create` allows CreateLedger and DeleteLedger; without `by_any_name`, a ledger needs a name to be served.

        Raises UsageError for a name that is not to be had, and if no ledger could ever be served.
        """
        self.home = own.url
        self.may_create = create
        self._own = own
        self._name = name
        self._readers = readers
        self._attend = attend
        self._open: dict[str, tuple[Ledger, Attendant | None]] = {}
        self._modes: dict[str, tuple[float, str]] = {}
        self._opening = Lock()
        self._any_name = by_any_name and name is None and not create
        with connect(self.home) as connection:
            if name is not None:
                name_own(connection, name)
            elif not (self._any_name or create or read_ledgers(connection)):
                raise UsageError("The keys have rules, and rules name ledgers: name this one with --ledger NAME.")

    def listed(self) -> list[CataloguedLedger]:
        """Return the ledgers that are served, by name. Raises DatabaseError."""
        with connect(self.home) as connection:
            found = read_ledgers(connection)
        return found if self._name is None else [one for one in found if one.name == self._name]

    def find(self, name: str) -> CataloguedLedger:
        """Return the ledger of this name; the database's own, if it has none, is found by any. Raises Refusal."""
        return self._read(name) or CataloguedLedger(name, None, "ACTIVE", _STARTED, "ALLOW_ALL", True)

    def mode(self, name: str) -> str:
        """Return the permissions mode of a ledger, as it was a moment ago."""
        known = self._modes.get(name)
        if known is None or known[0] < time.monotonic() - MODE_SECONDS:
            known = self._modes[name] = (time.monotonic(), self.find(name).permissions_mode)
        return known[1]

    def catalogued(self, name: str) -> CataloguedLedger:
        """Return the ledger of this name, with what the catalogue keeps. Raises Refusal."""
        found = self._read(name)
        if found is None:
            raise refusals.precondition("Ledger", name, "Name the ledger first: strandline serve qldb --ledger NAME")
        return found

    def active(self, name: str) -> CataloguedLedger:
        """Return a ledger whose database is there. Raises Refusal."""
        found = self.find(name)
        if found.state == "CREATING":
            raise refusals.precondition("Ledger", name, f"The ledger {name} is being created")
        if found.state == "DELETING":
            raise refusals.not_found("Ledger", name)
        return found

    def url(self, name: str) -> str:
        """Return the URL of an active ledger's database. Raises Refusal."""
        return self.active(name).url(self.home)

    def open(self, name: str) -> Ledger:
        """Return the ledger, opened. Raises Refusal, DatabaseError."""
        return self.opened(self.active(name))

    def opened(self, ledger: CataloguedLedger) -> Ledger:
        if ledger.database is None:
            return self._own
        with self._opening:
            if ledger.database not in self._open:
                url = ledger.url(self.home)
                attendant = None if self._attend is None else self._attend(url)
                self._open[ledger.database] = (Ledger(url, readers=self._readers), attendant)
                if attendant is not None:
                    attendant.start()
            return self._open[ledger.database][0]

    def forget(self, database: str) -> None:
        """Close what is open of a ledger whose database is to be dropped."""
        with self._opening:
            ledger, attendant = self._open.pop(database, (None, None))
        if attendant is not None:
            attendant.stop()
            attendant.join(SECONDS_TO_END)
        if ledger is not None:
            ledger.close()

    def open_ledgers(self) -> dict[str, Ledger]:
        """Return the ledgers that are open here, by their databases; the catalogue's own is not among them."""
        with self._opening:
            return {database: ledger for database, (ledger, _) in self._open.items()}

    def start(self) -> None:
        """Nothing to start: ledgers are opened when they are used."""

    def stop(self) -> None:
        for _, attendant in list(self._open.values()):
            if attendant is not None:
                attendant.stop()

    def join(self, seconds: float) -> bool:
        ended = [one is None or one.join(seconds) for _, one in list(self._open.values())]
        return all(ended)

    def close(self) -> None:
        for database in list(self._open):
            self.forget(database)
        self._own.close()

    def _read(self, name: str) -> CataloguedLedger | None:
        """Return the ledger; None for the database's own if it has no name. Raises Refusal if it is not served."""
        if self._name is not None and name != self._name:
            raise refusals.not_found("Ledger", name)
        with connect(self.home) as connection:
            found = read_ledger(connection, name)
            if found is None and not self._by_any_name(connection):
                raise refusals.not_found("Ledger", name)
        return found

    def _by_any_name(self, connection: Connection) -> bool:
        return self._any_name and not read_ledgers(connection)


def check_operation(caller: Caller, operation: str, ledger: str | None) -> None:
    """Raises Refusal if the caller may not use an operation on a ledger, or on none in particular."""
    if not caller.may(operation, ledger):
        resource = arn(f"ledger/{ledger or '*'}")
        raise refusals.access_denied(
            f"User: {caller.arn} is not authorized to perform: qldb:{operation} on resource: {resource}"
        )


def arn(resource: str) -> str:
    """Return the name of a resource as AWS has it; the region is that of the environment."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "local"
    return f"arn:aws:qldb:{region}:{ACCOUNT}:{resource}"
