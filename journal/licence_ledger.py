"""What happens in a simulated licence ledger: the transactions of QLDB's public licensing demo, with made-up people.

A transaction inserts, updates or deletes one to four documents of Licence, Contact, Endorsement and Mapping, or
redacts one inactive revision. Each of the ways in which people redacted with QLDB occurs: an old revision as such;
every revision of a deleted document, a block each; the previous revision after an update without an attribute.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any, Literal, TypeVar

from journal import made_up
from journal.ion import Timestamp
from journal.maker import NewRevision, Redaction, later

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TABLES = {"Licence": "licenceId", "Contact": "licenceId", "Endorsement": "endorsementId", "Mapping": "licenceId"}
"""The ledger's tables and the field that each is indexed by."""

# Holders and old revisions beyond these are forgotten at random, so that memory does not grow with the journal.
_HOLDERS_KEPT = 5_000
_REVISIONS_KEPT = 5_000
_DISQUALIFYING_POINTS = 12
_FOUR_YEARS = timedelta(days=4 * 365)

Kind = Literal["register", "change contact", "move", "endorse", "withhold", "close", "drop contact", "look up"]
_WEIGHTS: dict[Kind, int] = {
    "register": 30,
    "change contact": 14,
    "move": 14,
    "endorse": 24,
    "withhold": 5,
    "close": 4,
    "drop contact": 2,
    "look up": 7,
}
_T = TypeVar("_T")


def new_id(random: Random) -> str:
    """An id in QLDB's form: 22 characters of base62."""
    return "".join(random.choices(_ALPHABET, k=22))


@dataclass
class Document:
    """A document's newest revision, and the address of every one that had data."""

    id: str
    table: str
    version: int
    data: dict[str, Any]
    addresses: list[Redaction]


@dataclass
class Holder:
    """A licence and what hangs on it."""

    licence: Document
    contact: Document | None
    points: int = 0

    @property
    def licence_id(self) -> str:
        return str(self.licence.data["licenceId"])


@dataclass
class Transaction:
    """What one transaction does in block `sequence_no`, for the maker of blocks."""

    sequence_no: int
    time: Timestamp
    table_ids: dict[str, str]
    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    revisions: list[NewRevision] = field(default_factory=list)
    redactions: list[Redaction] = field(default_factory=list)
    outdated: list[Redaction] = field(default_factory=list)

    def run(self, text: str, *parameters: Any) -> None:
        self.statements.append((text, parameters))

    def insert(self, document_id: str, table: str, data: dict[str, Any]) -> Document:
        self.run(f"INSERT INTO {table} ?", data)
        document = Document(document_id, table, -1, data, [])
        self.revise(document, data)
        return document

    def revise(self, document: Document, data: dict[str, Any] | None) -> None:
        """Adds the document's next revision, by the statement that ran last; None deletes the document."""
        if document.addresses:
            self.outdated.append(document.addresses[-1])
        document.version += 1
        table_id, version = self.table_ids[document.table], document.version
        self.revisions.append(
            NewRevision(document.id, table_id, document.table, version, data, (len(self.statements) - 1,))
        )
        if data is not None:
            document.data = data
            document.addresses.append(Redaction(self.sequence_no, table_id, document.id, version))


class LicenceLedger:
    """The ledger's state and, by `random` alone, what happens next in it."""

    def __init__(self, random: Random) -> None:
        self.deletions = 0
        self._random = random
        self._table_ids = {table: new_id(random) for table in TABLES}
        self._holders: list[Holder] = []
        self._inactive: list[Redaction] = []
        self._asked_for: deque[Redaction] = deque(maxlen=_REVISIONS_KEPT)
        self._redacted: set[tuple[str, int]] = set()
        self._acts: dict[Kind, Callable[[Transaction], None]] = {
            "register": self._register,
            "change contact": self._change_contact,
            "move": self._move,
            "endorse": self._endorse,
            "withhold": self._withhold,
            "close": self._close,
            "drop contact": self._drop_contact,
            "look up": self._look_up,
        }

    def transaction(self, sequence_no: int, time: Timestamp, kind: Kind | None = None) -> Transaction:
        """A transaction of that kind, or of any; it registers a licence as long as there is none."""
        transaction = Transaction(sequence_no, time, self._table_ids)
        if not self._holders:
            kind = "register"
        elif kind is None:
            kind = self._random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        self._acts[kind](transaction)
        for address in transaction.outdated:
            _keep(self._random, self._inactive, address, _REVISIONS_KEPT)
        return transaction

    def redaction(self, sequence_no: int, time: Timestamp, strand_id: str) -> Transaction | None:
        """A redaction, one that was asked for first; None if there is no inactive revision that is not yet redacted."""
        redacted = self._next_redaction()
        if redacted is None:
            return None
        self._redacted.add((redacted.document_id, redacted.version))
        transaction = Transaction(sequence_no, time, self._table_ids)
        transaction.run(
            f"EXEC redact_revision ?, '{redacted.table_id}', '{redacted.document_id}'",
            {"strandId": strand_id, "sequenceNo": redacted.sequence_no},
        )
        transaction.redactions.append(redacted)
        return transaction

    def _next_redaction(self) -> Redaction | None:
        while self._asked_for or self._inactive:
            address = self._asked_for.popleft() if self._asked_for else _take(self._random, self._inactive)
            if (address.document_id, address.version) not in self._redacted:
                return address
        return None

    def _register(self, transaction: Transaction) -> None:
        person = made_up.person(self._random)
        licence_id = made_up.licence_id(self._random, person["lastName"])
        user_id = f"user-{self._random.randrange(40):02d}"
        contact = transaction.insert(
            new_id(self._random),
            "Contact",
            {
                "licenceId": licence_id,
                "email": made_up.email(self._random, person["firstName"], person["lastName"]),
                "mobile": made_up.mobile(self._random),
                "userId": user_id,
                "events": [_event("ContactCreated", transaction)],
            },
        )
        fee = Decimal(self._random.choice(("14.00", "34.00", "43.00")))
        licence = transaction.insert(
            new_id(self._random),
            "Licence",
            {
                "licenceId": licence_id,
                "contactId": contact.id,
                **person,
                "status": "ACTIVE",
                "userId": user_id,
                "events": [_event("LicenceIssued", transaction, fee=fee)],
            },
        )
        _keep(self._random, self._holders, Holder(licence, contact), _HOLDERS_KEPT)

    def _change_contact(self, transaction: Transaction) -> None:
        holder = self._random.choice(self._holders)
        contact = holder.contact
        if contact is None:
            return self._move(transaction)
        data = _with_event(contact.data, "ContactChanged", transaction)
        if self._random.random() < 0.5:
            person = holder.licence.data
            data["email"] = made_up.email(self._random, person["firstName"], person["lastName"])
        else:
            data["mobile"] = made_up.mobile(self._random)
        transaction.run("UPDATE Contact AS c SET c = ? WHERE c.licenceId = ?", data, holder.licence_id)
        return transaction.revise(contact, data)

    def _move(self, transaction: Transaction) -> None:
        holder = self._random.choice(self._holders)
        address = made_up.address(self._random)
        data = {**_with_event(holder.licence.data, "AddressChanged", transaction), **address}
        where = "WHERE l.licenceId = ?"
        if self._random.random() < 0.25:  # literals, which no redaction reaches
            street, county, postcode = map(_literal, address.values())
            fields = f"l.street = {street}, l.county = {county}, l.postcode = {postcode}"
            transaction.run(
                f"UPDATE Licence AS l SET {fields}, l.events = ? {where}", data["events"], holder.licence_id
            )
        else:
            fields = "l.street = ?, l.county = ?, l.postcode = ?, l.events = ?"
            transaction.run(
                f"UPDATE Licence AS l SET {fields} {where}", *address.values(), data["events"], holder.licence_id
            )
        transaction.revise(holder.licence, data)

    def _endorse(self, transaction: Transaction) -> None:
        holder = self._random.choice(self._holders)
        endorsement_id = new_id(self._random)
        links = {"licenceId": holder.licence_id, "endorsementId": endorsement_id}
        user_id, points = holder.licence.data["userId"], self._random.choice((3, 3, 3, 4, 6, 8))
        endorsement = {
            "endorsementId": endorsement_id,
            "licenceId": holder.licence_id,
            "points": points,
            "issueDtm": transaction.time,
            "expiryDtm": later(transaction.time, _FOUR_YEARS),
            "userId": user_id,
            "events": [_event("EndorsementCreated", transaction, points=points)],
        }
        transaction.insert(endorsement_id, "Endorsement", endorsement)
        transaction.insert(new_id(self._random), "Mapping", {**links, "userId": user_id})
        holder.points += points
        data = _with_event(holder.licence.data, "EndorsementAdded", transaction, endorsementId=endorsement_id)
        data["status"] = "DISQUALIFIED" if holder.points >= _DISQUALIFYING_POINTS else "ENDORSED"
        transaction.run("UPDATE Licence AS l SET l = ? WHERE l.licenceId = ?", data, holder.licence_id)
        transaction.revise(holder.licence, data)
        if holder.contact is not None and self._random.random() < 0.3:
            note = _with_event(holder.contact.data, "EndorsementNotified", transaction)
            transaction.run(
                "UPDATE Contact AS c SET c.events = ? WHERE c.licenceId = ?", note["events"], holder.licence_id
            )
            transaction.revise(holder.contact, note)

    def _withhold(self, transaction: Transaction) -> None:
        holder = self._random.choice(self._holders)
        document, name = (holder.contact, "mobile") if holder.contact is not None else (holder.licence, "street")
        data = _with_event(document.data, "AttributeWithheld", transaction)
        data.pop(name, None)
        transaction.run(f"FROM {document.table} AS d WHERE d.licenceId = ? REMOVE d.{name}", holder.licence_id)
        self._asked_for.append(document.addresses[-1])
        transaction.revise(document, data)

    def _close(self, transaction: Transaction) -> None:
        holder = _take(self._random, self._holders)
        self._delete(transaction, holder.licence, holder.licence_id)
        if holder.contact is not None:
            self._delete(transaction, holder.contact, holder.licence_id)

    def _drop_contact(self, transaction: Transaction) -> None:
        holder = self._random.choice(self._holders)
        if holder.contact is None:
            return self._move(transaction)
        self._delete(transaction, holder.contact, holder.licence_id)
        holder.contact = None
        return None

    def _delete(self, transaction: Transaction, document: Document, licence_id: str) -> None:
        transaction.run(f"DELETE FROM {document.table} AS d WHERE d.licenceId = ?", licence_id)
        transaction.revise(document, None)
        self.deletions += 1
        if self.deletions == 1 or self._random.random() < 0.5:
            self._asked_for.extend(document.addresses)

    def _look_up(self, transaction: Transaction) -> None:
        holder = self._random.choice(self._holders)
        transaction.run("SELECT l.status FROM Licence AS l WHERE l.licenceId = ?", holder.licence_id)


def _event(name: str, transaction: Transaction, **more: Any) -> dict[str, Any]:
    return {"eventName": name, "eventDate": transaction.time, **more}


def _with_event(data: dict[str, Any], name: str, transaction: Transaction, **more: Any) -> dict[str, Any]:
    return {**data, "events": [*data["events"], _event(name, transaction, **more)]}


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _keep(random: Random, kept: list[_T], new: _T, limit: int) -> None:
    if len(kept) < limit:
        kept.append(new)
    else:
        kept[random.randrange(limit)] = new


def _take(random: Random, kept: list[_T]) -> _T:
    index = random.randrange(len(kept))
    kept[index], kept[-1] = kept[-1], kept[index]
    return kept.pop()
