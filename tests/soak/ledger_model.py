"""A model of the ledger: what was written, and what every store must contain, without SQL or batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from strandline.journal.check.merkle import Frontier

Key = tuple[str, int]  # a revision's document and version
Row = tuple[object, ...]

SHORTEST = 6  # characters: shorter strings occur in many revisions by chance


@dataclass(frozen=True)
class Revision:
    """A revision as it was written; `data` is None if it deleted its document."""

    sequence_no: int
    document: str
    version: int
    table: str
    data: dict[str, Any] | None

    @property
    def key(self) -> Key:
        return self.document, self.version

    def value(self, name: str) -> Any:
        return None if self.data is None else self.data.get(name)


@dataclass
class LedgerModel:
    """Every block as it was written, from block 0 without a gap."""

    hashes: list[bytes] = field(default_factory=list)
    revisions: dict[Key, Revision] = field(default_factory=dict)
    redacted: set[Key] = field(default_factory=set)
    _digest: Frontier = field(default_factory=Frontier)

    @property
    def tip(self) -> int:
        return len(self.hashes) - 1

    def digest(self) -> bytes:
        return self._digest.digest()

    def add(self, block: dict[str, Any]) -> list[Key]:
        """Add a block. Returns the revisions that it redacts."""
        number = block["blockAddress"]["sequenceNo"]
        assert number == len(self.hashes)
        self.hashes.append(block["blockHash"])
        self._digest.append(block["blockHash"])
        tables = {id_: one["tableName"] for id_, one in block.get("transactionInfo", {}).get("documents", {}).items()}
        for one in block.get("revisions", ()):
            if (metadata := one.get("metadata")) is not None:
                id_, version = metadata["id"], metadata["version"]
                made = Revision(number, id_, version, tables[id_], one.get("data"))
                self.revisions[made.key] = made
        redacted = [(one["documentId"], one["version"]) for one in block.get("redactionInfo", {}).get("revisions", ())]
        self.redacted.update(redacted)
        return redacted

    def expected(self) -> dict[str, list[Row]]:
        """Return the rows that each store and read model must contain, in no order."""
        licences, contacts = self._current("Licence"), self._current("Contact")
        numbers, endorsed = {one.value("licenceId") for one in licences}, self._endorsed()
        return {
            "journal.block": [(number, hash_) for number, hash_ in enumerate(self.hashes)],
            "journal.revision": [
                (one.sequence_no, one.document, one.version, one.table, self._state(one))
                for one in self.revisions.values()
            ],
            "journal.document_version": [
                (one.document, one.version, one.sequence_no) for one in self.revisions.values()
            ],
            "journal.document": [
                (one.document, one.version, one.sequence_no, one.data is None) for one in self._last().values()
            ],
            "journal.redaction": list(self.redacted),
            "ledger_activity": [(number,) for number in range(len(self.hashes))],
            "licence_history": [
                (*_source(one), self._state(one), *self._seen(one, "licenceId", "lastName", "street", "postcode"))
                for one in self.revisions.values()
                if one.table == "Licence"
            ],
            "licence_register": [(*_source(one), one.value("licenceId")) for one in licences],
            "contact_directory": [
                (*_source(one), *self._seen(one, "licenceId", "email", "mobile")) for one in contacts
            ],
            "licence_points": [
                (number, one.document, one.value("points")) for number in numbers for one in endorsed.get(number, ())
            ],
            "licence_search": [
                (
                    one.document,
                    one.value("licenceId"),
                    one.value("status"),
                    tuple(sorted(found.value("endorsementId") for found in endorsed.get(one.value("licenceId"), ()))),
                )
                for one in licences
            ],
            "endorsement_search": [
                (*_source(one), *self._seen(one, "endorsementId", "licenceId", "points"))
                for one in self._current("Endorsement")
            ],
        }

    def withheld(self) -> dict[str, Key]:
        """Return every string that only redacted revisions have, with one of those revisions."""
        found = {text: key for key in self.redacted for text in strings(self.revisions[key].data)}
        for one in self.revisions.values():
            if one.key not in self.redacted:
                for text in strings(one.data):
                    found.pop(text, None)
        return found

    def _last(self) -> dict[str, Revision]:
        return {one.document: one for one in self.revisions.values()}  # in the order they were written

    def _current(self, table: str) -> list[Revision]:
        last = (one for one in self._last().values() if one.table == table)
        return [one for one in last if one.data is not None and one.key not in self.redacted]

    def _state(self, one: Revision) -> str:
        if one.data is None:
            return "deleted"
        return "redacted" if one.key in self.redacted else "normal"

    def _seen(self, one: Revision, *names: str) -> Iterator[Any]:
        return (None if one.key in self.redacted else one.value(name) for name in names)

    def _endorsed(self) -> dict[str, list[Revision]]:
        """Return the endorsements of each licence number, found through their mappings."""
        by_id: dict[str, list[Revision]] = {}
        for one in self._current("Endorsement"):
            by_id.setdefault(one.value("endorsementId"), []).append(one)
        pairs = {(one.value("licenceId"), one.value("endorsementId")) for one in self._current("Mapping")}
        found: dict[str, list[Revision]] = {}
        for number, id_ in sorted(pairs):
            found.setdefault(number, []).extend(by_id.get(id_, ()))
        return found


def strings(value: object) -> Iterator[str]:
    """Yield the strings in a value, except short ones."""
    if isinstance(value, str):
        if len(value) >= SHORTEST:
            yield str(value)
    elif isinstance(value, dict):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)


def _source(one: Revision) -> Row:
    return one.document, one.version, one.sequence_no
