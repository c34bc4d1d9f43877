"""A simulated licence ledger: the transactions of QLDB's public licensing demo, with fictitious people.

A transaction inserts, updates or deletes one to four documents of Licence, Contact, Endorsement and Mapping, or
redacts one inactive revision. All common uses of redaction occur: a single old revision; every revision of a deleted
document, one a block; the previous revision after an update that removed an attribute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any, ClassVar, Literal

from strandline.journal.make.block import later
from strandline.journal.simulation import people
from strandline.journal.simulation.ledger import Document, SimulatedLedger, Transaction, keep, new_id, take

# Beyond this number, random holders are forgotten, so that memory does not grow with the journal.
_HOLDERS_KEPT = 5_000
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


@dataclass
class Holder:
    """A licence and its related documents."""

    licence: Document
    contact: Document | None
    points: int = 0

    @property
    def licence_id(self) -> str:
        return str(self.licence.data["licenceId"])


class LicenceLedger(SimulatedLedger):
    """Licences, their holders' contacts, endorsements, and the mapping of endorsements to licences."""

    name = "licences"
    tables: ClassVar = {
        "Licence": "licenceId",
        "Contact": "licenceId",
        "Endorsement": "endorsementId",
        "Mapping": "licenceId",
    }
    redactions = 0.08
    deletes = True

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self._holders: list[Holder] = []
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

    def act(self, transaction: Transaction, *, first: int, late: bool) -> None:
        if not self._holders or first < 2:
            kind: Kind = "register"
        elif first == 2:
            kind = "look up"
        elif late and not self.deletions:
            kind = "close"
        else:
            kind = self.random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        self._acts[kind](transaction)

    def outdate(self, transaction: Transaction) -> None:
        self._acts["move" if self._holders else "register"](transaction)

    def _register(self, transaction: Transaction) -> None:
        person = people.person(self.random)
        licence_id = people.licence_id(self.random, person["lastName"])
        user_id = f"user-{self.random.randrange(40):02d}"
        contact = transaction.insert(
            new_id(self.random),
            "Contact",
            {
                "licenceId": licence_id,
                "email": people.email(self.random, person["firstName"], person["lastName"]),
                "mobile": people.mobile(self.random),
                "userId": user_id,
                "events": [_event("ContactCreated", transaction)],
            },
        )
        fee = Decimal(self.random.choice(("14.00", "34.00", "43.00")))
        licence = transaction.insert(
            new_id(self.random),
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
        keep(self.random, self._holders, Holder(licence, contact), _HOLDERS_KEPT)

    def _change_contact(self, transaction: Transaction) -> None:
        holder = self.random.choice(self._holders)
        contact = holder.contact
        if contact is None:
            return self._move(transaction)
        data = _with_event(contact.data, "ContactChanged", transaction)
        if self.random.random() < 0.5:
            person = holder.licence.data
            data["email"] = people.email(self.random, person["firstName"], person["lastName"])
        else:
            data["mobile"] = people.mobile(self.random)
        transaction.run("UPDATE Contact AS c SET c = ? WHERE c.licenceId = ?", data, holder.licence_id)
        return transaction.revise(contact, data)

    def _move(self, transaction: Transaction) -> None:
        holder = self.random.choice(self._holders)
        address = people.address(self.random)
        data = {**_with_event(holder.licence.data, "AddressChanged", transaction), **address}
        where = "WHERE l.licenceId = ?"
        if self.random.random() < 0.25:  # literals, which QLDB's redaction does not erase
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
        holder = self.random.choice(self._holders)
        endorsement_id = new_id(self.random)
        links = {"licenceId": holder.licence_id, "endorsementId": endorsement_id}
        user_id, points = holder.licence.data["userId"], self.random.choice((3, 3, 3, 4, 6, 8))
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
        transaction.insert(new_id(self.random), "Mapping", {**links, "userId": user_id})
        holder.points += points
        data = _with_event(holder.licence.data, "EndorsementAdded", transaction, endorsementId=endorsement_id)
        data["status"] = "DISQUALIFIED" if holder.points >= _DISQUALIFYING_POINTS else "ENDORSED"
        transaction.run("UPDATE Licence AS l SET l = ? WHERE l.licenceId = ?", data, holder.licence_id)
        transaction.revise(holder.licence, data)
        if holder.contact is not None and self.random.random() < 0.3:
            note = _with_event(holder.contact.data, "EndorsementNotified", transaction)
            transaction.run(
                "UPDATE Contact AS c SET c.events = ? WHERE c.licenceId = ?", note["events"], holder.licence_id
            )
            transaction.revise(holder.contact, note)

    def _withhold(self, transaction: Transaction) -> None:
        holder = self.random.choice(self._holders)
        document, name = (holder.contact, "mobile") if holder.contact is not None else (holder.licence, "street")
        data = _with_event(document.data, "AttributeWithheld", transaction)
        data.pop(name, None)
        transaction.run(f"FROM {document.table} AS d WHERE d.licenceId = ? REMOVE d.{name}", holder.licence_id)
        self.asked_for.append(document.addresses[-1])
        transaction.revise(document, data)

    def _close(self, transaction: Transaction) -> None:
        holder = take(self.random, self._holders)
        self._delete(transaction, holder.licence, holder.licence_id)
        if holder.contact is not None:
            self._delete(transaction, holder.contact, holder.licence_id)

    def _drop_contact(self, transaction: Transaction) -> None:
        holder = self.random.choice(self._holders)
        if holder.contact is None:
            return self._move(transaction)
        self._delete(transaction, holder.contact, holder.licence_id)
        holder.contact = None
        return None

    def _delete(self, transaction: Transaction, document: Document, licence_id: str) -> None:
        transaction.run(f"DELETE FROM {document.table} AS d WHERE d.licenceId = ?", licence_id)
        transaction.revise(document, None)
        self.deletions += 1
        if self.deletions == 1 or self.random.random() < 0.5:
            self.asked_for.extend(document.addresses)

    def _look_up(self, transaction: Transaction) -> None:
        holder = self.random.choice(self._holders)
        transaction.run("SELECT l.status FROM Licence AS l WHERE l.licenceId = ?", holder.licence_id)


def _event(name: str, transaction: Transaction, **more: Any) -> dict[str, Any]:
    return {"eventName": name, "eventDate": transaction.time, **more}


def _with_event(data: dict[str, Any], name: str, transaction: Transaction, **more: Any) -> dict[str, Any]:
    return {**data, "events": [*data["events"], _event(name, transaction, **more)]}


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
