"""Gives a block from a JSON export its Ion types back, or says what holds out.

A block's own members, the metadata of revisions and transactionInfo have types that are known. A revision's data are
searched for, until the hash of the revision confirms them. At last the whole block is checked as any other is: only a
block that verifies at level full is restored.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from strandline.journal.check.block import NO_TABLE, check_block
from strandline.journal.check.members import ShapeError, as_hash
from strandline.journal.check.merkle import dot
from strandline.journal.check.statements import ERASED
from strandline.journal.ion.encoded import Encoded
from strandline.journal.ion.encoding import encode, encode_transaction_info, metadata_digest
from strandline.journal.ion.hash import ion_hash
from strandline.journal.restore.budget import BUDGET
from strandline.journal.restore.hints import Hints, TableHints
from strandline.journal.restore.history import History, Shape, TableHistory, shape_of
from strandline.journal.restore.nodes import MEMBER, Assignment, Field, Path
from strandline.journal.restore.observe import observe
from strandline.journal.restore.plan import UnknownFieldError
from strandline.journal.restore.recipes import NOT_POSSIBLE, kind_of, recipes_for, timestamp
from strandline.journal.restore.search import Found, search

TRANSACTION_INFO = "transactionInfo"
_LEAST_BUDGET = 100
_MOST_FIELDS = 50  # named of a document that holds out
_BARE = re.compile(r"[A-Za-z_$][\w$-]*")
_SURPRISE = 9.0  # recipes that cost more are not what a field is suspected of
_INFO_HINTS = TableHints(
    {
        ("statements", MEMBER, "startTime"): ("timestamp",),
        ("statements", MEMBER, "statementDigest"): ("blob",),
    }
)


class HeldOut(NamedTuple):
    """A revision, or a transactionInfo, whose types were not found.

    `fields` are those that may have another type; `reason` says why no search ended well.
    """

    sequence_no: int
    table: str
    document_id: str | None
    version: int | None
    reason: str
    fields: tuple[str, ...]


class Learned(NamedTuple):
    """An assignment that a hash has confirmed."""

    table: str
    shape: Shape
    assignment: Assignment


@dataclass(slots=True)
class Restored:
    """A block in Ion; `block` is None if something holds out, and the block stays JSON.

    `lifted` counts the revisions with data by table. `kept_back` counts those that were found, but whose block stays.
    """

    block: dict[str, Any] | None
    lifted: Counter[str] = field(default_factory=Counter)
    kept_back: Counter[str] = field(default_factory=Counter)
    held_out: list[HeldOut] = field(default_factory=list)


class _UnknownFormError(Exception):
    """A member that is not what a JSON export holds."""


class Restorer:
    """Restores the blocks of one ledger, and learns from each."""

    def __init__(self, hints: Hints | None = None, budget: int = BUDGET, history: History | None = None) -> None:
        self.history = history or History(hints)
        self.learned: list[Learned] = []
        self.tried = 0
        self._budget = budget

    def learn(self, learned: Learned) -> None:
        """Take in what another restorer has learned."""
        self.history.table(learned.table).learn(learned.shape, learned.assignment)

    def observe(self, block: Mapping[str, Any]) -> None:
        """Learn from a block in Ion; it need not verify, since what it teaches is only tried."""
        tables = _tables(block)
        for revision in block.get("revisions") or ():
            data = revision.get("data")
            if isinstance(data, dict) and data:
                self.observe_document(tables.get(revision["metadata"]["id"], ""), data)

    def observe_document(self, table: str, data: Mapping[str, Any]) -> None:
        """Learn from a document in Ion."""
        shown, assignment = observe(data)
        self._learn(table, shape_of(shown), assignment)

    def restore(self, value: Mapping[str, Any]) -> Restored:
        """Restore a block (`journal.ion.json.read_json`). Raises ShapeError if it is not one of a JSON export."""
        number = value["blockAddress"]["sequenceNo"] if isinstance(value.get("blockAddress"), Mapping) else None
        if not isinstance(number, int) or not isinstance(value.get("blockHash"), str):
            raise ShapeError("not a block of a JSON export")
        result = Restored(None)
        try:
            block = self._block(value, number, result)
        except _UnknownFormError as error:
            result.held_out.append(HeldOut(number, "", None, None, str(error), ()))
            return _stays(result)
        # JSON can hold anything anywhere, such as half of a surrogate pair: only the kind of failure is reported.
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            reason = f"a member is not what a block holds ({type(error).__name__})"
            result.held_out.append(HeldOut(number, "", None, None, reason, ()))
            return _stays(result)
        if result.held_out:
            return _stays(result)
        checked = check_block(block)
        if checked.faults or checked.level != "full":
            reasons = ", ".join(sorted({fault.fault for fault in checked.faults}))
            result.held_out.append(HeldOut(number, "", None, None, f"does not verify: {reasons}", ()))
            return _stays(result)
        result.block = _plain(block)
        return result

    def _block(self, value: Mapping[str, Any], number: int, result: Restored) -> dict[str, Any]:
        block: dict[str, Any] = {}
        tables = _tables(value)
        for name, member in value.items():
            if name in ("blockHash", "entriesHash", "previousBlockHash"):
                block[name] = _hash(member, name)
            elif name == "entriesHashList":
                block[name] = [_hash(one, name) for one in _list(member, name)]
            elif name == "blockTimestamp":
                block[name] = _time(member, name)
            elif name == ERASED and member is not None:
                block[name] = _erased_info(member)
            elif name == "transactionInfo" and member is not None:
                block[name] = self._transaction_info(member, value, number, result)
            elif name == "revisions" and member is not None:
                block[name] = [self._revision(one, number, tables, result) for one in _list(member, name)]
            else:
                block[name] = member
        return block

    def _transaction_info(
        self, info: Any, value: Mapping[str, Any], number: int, result: Restored
    ) -> Mapping[str, Any]:
        entries = {_hash(one, "entriesHashList") for one in _list(value.get("entriesHashList"), "entriesHashList")}
        typed: Mapping[str, Any] = encode_transaction_info(
            {**info, "statements": _statements(info)} if "statements" in info else info
        )
        if ion_hash(typed) in entries:
            return typed
        table = TableHistory(_INFO_HINTS)
        found = self._search(info, entries.__contains__, table, (TRANSACTION_INFO, shape_of(info)))
        if found is not None:
            restored: Mapping[str, Any] = found.value
            return restored
        fields = _suspects(info, table)
        result.held_out.append(HeldOut(number, TRANSACTION_INFO, None, None, "no types found", fields))
        return typed

    def _revision(self, value: Any, number: int, tables: Mapping[str, str], result: Restored) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _UnknownFormError("revisions: a member is not an object")
        revision = dict(value)
        revision["hash"] = _hash(value.get("hash"), "hash")
        if value.get("dataHash") is not None:
            revision["dataHash"] = _hash(value["dataHash"], "dataHash")
        metadata = value.get("metadata")
        if metadata is None:
            return revision
        if not isinstance(metadata, Mapping) or "txTime" not in metadata:
            raise _UnknownFormError("a revision's metadata has no txTime")
        revision["metadata"] = {**metadata, "txTime": _time(metadata["txTime"], "txTime")}
        data = value.get("data")
        if data is None:
            return revision
        document_id, version = metadata.get("id"), metadata.get("version")
        table = tables.get(str(document_id), "")
        found = self._data(data, table, revision["metadata"], revision["hash"])
        if found is NOT_POSSIBLE:
            fields = _suspects(data, self.history.table(table))
            result.held_out.append(HeldOut(number, table, document_id, version, "no types found", fields))
        else:
            result.lifted[table] += 1
            revision["data"] = found
        return revision

    def _data(self, data: Any, table: str, metadata: dict[str, Any], revision_hash: bytes) -> Any:
        """Return a revision's data in Ion, NOT_POSSIBLE if they were not found."""
        metadata_hash = metadata_digest(metadata) or ion_hash(metadata)
        history = self.history.table(table)
        shape = shape_of(data) if type(data) is dict else ((), (type(data),))
        for place, plan in enumerate(history.plans(shape)):
            try:
                value = plan(data)
            except (UnknownFieldError, RecursionError):
                continue
            if value is not NOT_POSSIBLE:
                value = encode(value)
                if dot(metadata_hash, ion_hash(value)) == revision_hash:
                    history.confirm(shape, place)
                    return value
        found = self._search(data, lambda digest: dot(metadata_hash, digest) == revision_hash, history, (table, shape))
        if found is None:
            return NOT_POSSIBLE
        self._learn(table, shape, found.assignment)
        return found.value

    def _search(self, value: Any, accepts: Any, history: TableHistory, key: tuple[str, Shape]) -> Found | None:
        """Search with a budget that shrinks each time that the same shape of the same table was not found."""
        failures = self.history.failures
        budget = max(self._budget >> failures[key], min(self._budget, _LEAST_BUDGET))
        for rank in (history.rank, history.rank_without_hints) if history.hinted else (history.rank,):
            try:
                found = search(value, accepts, rank, budget, history.knows)
            except RecursionError:
                return None
            self.tried += found.tried
            if isinstance(found, Found):
                failures[key] = 0
                return found
        failures[key] += 1
        return None

    def _learn(self, table: str, shape: Shape, assignment: Assignment) -> None:
        learned = Learned(table, shape, assignment)
        self.learned.append(learned)
        self.learn(learned)


def _plain(block: dict[str, Any]) -> dict[str, Any]:
    """Return the block with plain structs for `Encoded` ones, which may stand at the top only."""
    plain = dict(block)
    if isinstance(block.get(TRANSACTION_INFO), Encoded):
        plain[TRANSACTION_INFO] = dict(block[TRANSACTION_INFO])
    if block.get("revisions"):
        plain["revisions"] = [
            {**revision, "data": dict(revision["data"])} if isinstance(revision.get("data"), Encoded) else revision
            for revision in block["revisions"]
        ]
    return plain


def _stays(result: Restored) -> Restored:
    result.kept_back, result.lifted = result.lifted, Counter()
    return result


def _tables(block: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the tables of a block's documents, by document."""
    for name in ("transactionInfo", ERASED):
        info = block.get(name)
        documents = info.get("documents") if isinstance(info, Mapping) else None
        if isinstance(documents, Mapping):
            return {
                document_id: str(document.get("tableName") or NO_TABLE.name or "")
                for document_id, document in documents.items()
                if isinstance(document, Mapping)
            }
    return {}


def _hash(member: Any, name: str) -> bytes:
    try:
        return as_hash(member, name, empty=True)
    except ShapeError as error:
        raise _UnknownFormError(str(error)) from None


def _time(member: Any, name: str) -> Any:
    found = timestamp(member)
    if found is NOT_POSSIBLE:
        raise _UnknownFormError(f"{name} is not a time")
    return found


def _list(member: Any, name: str) -> list[Any]:
    if not isinstance(member, list):
        raise _UnknownFormError(f"{name} is not a list")
    return member


def _statements(info: Mapping[str, Any]) -> list[Any]:
    """Return the statements of a transactionInfo in the types of QLDB's own."""
    typed = []
    for statement in _list(info["statements"], "statements"):
        if not isinstance(statement, Mapping):
            raise _UnknownFormError("a statement is not an object")
        changed = dict(statement)
        if "startTime" in statement:
            changed["startTime"] = _time(statement["startTime"], "startTime")
        if "statementDigest" in statement:
            changed["statementDigest"] = _hash(statement["statementDigest"], "statementDigest")
        typed.append(changed)
    return typed


def _erased_info(info: Any) -> dict[str, Any]:
    if not isinstance(info, Mapping):
        raise _UnknownFormError(f"{ERASED} is not an object")
    typed = dict(info)
    if "statements" in info:
        typed["statements"] = _statements(info)
    if "hash" in info:
        typed["hash"] = _hash(info["hash"], "hash")
    return typed


def _suspects(data: Any, history: TableHistory) -> tuple[str, ...]:
    """Return the fields of a document whose type is open: those never confirmed, or else all that could differ."""
    try:
        open_fields = dict.fromkeys(
            field for field, value in _fields(data, ()) if sum(cost < _SURPRISE for _, cost in recipes_for(value)) > 1
        )
    except RecursionError:
        return ()
    unknown = [field for field in open_fields if not history.knows(field)]
    paths = dict.fromkeys(path_text(path) for path, _ in unknown or open_fields)
    return tuple(paths)[:_MOST_FIELDS]


def _fields(value: Any, path: Path) -> Iterator[tuple[Field, Any]]:
    yield (path, kind_of(value)), value
    if type(value) is dict:
        for name, member in value.items():
            yield from _fields(member, (*path, name))
    elif type(value) is list:
        for member in value:
            yield from _fields(member, (*path, MEMBER))


def path_text(path: Path) -> str:
    """Return a path as a hints file spells it, without the table."""
    return "".join(part if part == MEMBER else f".{_quoted(part)}" for part in path).removeprefix(".")


def _quoted(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)
