"""Composed projections: which keys documents touch, and which rows a key has.

Documents are fetched for many keys at once. A projection's function looks them up one after the other. A look-up of a
document that is not fetched yet returns nothing; the result is discarded, and the function runs again when everything
it asked for is there. So a chain of three look-ups takes three rounds, for any number of keys.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import NamedTuple, Protocol

from strandline.consumer.database.bisection import attempt_all
from strandline.consumer.projection.column_types import MOST_INDEXED_BYTES, checked_text
from strandline.consumer.projection.definition import ComposedProjection, KeyLookup, Revision, Unprojectable
from strandline.consumer.projector.parking import Parked
from strandline.consumer.projector.row_batch import PrepareAll, prepare_each, reason
from strandline.consumer.sinks.contract import PreparedRows

Documents = Sequence[Revision]
Find = Callable[[Collection[KeyLookup]], Mapping[KeyLookup, Documents]]
Names = set[str | KeyLookup]

# A function that asks for something new each time would never end.
MOST_ROUNDS = 20
_SOURCE = attrgetter("document_id", "version")
_SEQUENCE_NO = attrgetter("sequence_no")
_MOST_KEY_BYTES = MOST_INDEXED_BYTES - 100  # an index has a document's id after the key


class Composed(NamedTuple):
    """A key's rows, or why it has none (`fault`), and the documents that they come from."""

    key: str
    rows: PreparedRows
    fault: str | None
    sources: frozenset[tuple[str, int]]
    sequence_no: int  # of the newest of the documents


class Known(Protocol):
    """Returns the documents of a look-up by table, field and text; None if they are not fetched yet."""

    def __call__(self, table: str, field: str, value: str, /) -> Documents | None: ...


def name_keys(projection: ComposedProjection, revisions: Sequence[Revision]) -> tuple[Names, list[Parked]]:
    """Return what current revisions name, keys or how to find keys, and the documents that the projection refuses."""

    def refuse(one: Revision, exc: Exception) -> Names | Parked:
        return Parked(one.document_id, one.version, one.sequence_no, reason(exc, projection))

    results: list[Names | Parked] = attempt_all(revisions, lambda some: [_named(projection, some)], refuse, Exception)
    names: Names = set()
    return names.union(*[result for result in results if not isinstance(result, Parked)]), [
        result for result in results if isinstance(result, Parked)
    ]


def follow_lookups(projection: ComposedProjection, names: Names, find: Find) -> set[str]:
    """Return the keys among the names, and those that the documents found by the others name."""
    keys: set[str] = set()
    passed: set[KeyLookup] = set()
    while names:
        keys.update(one for one in names if isinstance(one, str))
        lookups = {one for one in names if isinstance(one, KeyLookup)} - passed
        passed |= lookups
        names, _ = name_keys(projection, list(chain.from_iterable(find(lookups).values())))
    return keys


def compose(
    projection: ComposedProjection,
    keys: Iterable[str],
    prepare_all: PrepareAll,
    find: Find = lambda _: {},
    known: Known | None = None,
) -> list[Composed]:
    """Compose the rows of each key, in the keys' order, from what is `known` already or else found.

    A document that names no keys is in no row: nothing would take it out again.
    """
    fetched: dict[KeyLookup, Documents] = {}
    known = known or (lambda *lookup: fetched.get(KeyLookup(*lookup)))
    drafts = {key: _Draft(projection, known) for key in keys}
    waiting = dict(drafts)
    for _ in range(MOST_ROUNDS):
        for key, draft in waiting.items():
            draft.compose(key)
        waiting = {key: draft for key, draft in waiting.items() if draft.missing}
        if not waiting:
            break
        missing = set[KeyLookup]().union(*[draft.missing for draft in waiting.values()])
        fetched |= {lookup: _named_only(projection, found) for lookup, found in find(missing).items()}
    for draft in waiting.values():
        draft.rows, draft.fault = [], f"it looks up in more than {MOST_ROUNDS} rounds"
    rows = prepare_each(projection, [draft.rows for draft in drafts.values()], prepare_all)
    return [_composed(key, draft, made) for (key, draft), made in zip(drafts.items(), rows, strict=True)]


@dataclass(slots=True)
class _Draft:
    """The rows of a key, as of the documents that are fetched; the projection looks these up by calling it."""

    projection: ComposedProjection
    known: Known
    rows: list[Mapping[str, object]] = field(default_factory=list)
    fault: str | None = None
    missing: set[KeyLookup] = field(default_factory=set)
    found: list[Documents] = field(default_factory=list)

    def compose(self, key: str) -> None:
        self.rows, self.fault, self.missing, self.found = [], None, set(), []
        try:
            self.rows = list(self.projection.compose(key, self))
        except Exception as exc:
            self.fault = reason(exc, self.projection)

    def __call__(self, table: str, field: str, value: object) -> Documents:
        if not isinstance(value, str):
            _check_declared(self.projection, table, field)
            return ()
        found = self.known(table, field, value)
        if found is None:
            _check_declared(self.projection, table, field)
            self.missing.add(KeyLookup(table, field, value))
            return ()
        self.found.append(found)
        return found


def _composed(key: str, draft: _Draft, rows: PreparedRows | str) -> Composed:
    fault = draft.fault or (rows if isinstance(rows, str) else None)
    documents = list(chain.from_iterable(draft.found))
    if not documents:
        return Composed(key, (), None, frozenset(), -1)
    prepared = () if fault or isinstance(rows, str) else rows
    return Composed(key, prepared, fault, frozenset(map(_SOURCE, documents)), max(map(_SEQUENCE_NO, documents)))


def _named_only(projection: ComposedProjection, documents: Documents) -> Documents:
    """Return the documents that name their keys."""
    _, parked = name_keys(projection, documents)
    refused = {one.key for one in parked}
    return [one for one in documents if one.document_id not in refused] if refused else documents


def _named(projection: ComposedProjection, revisions: Sequence[Revision]) -> Names:
    """Return what revisions name; raises whatever the projection does, or `Unprojectable` if that cannot be a key."""
    named = list(chain.from_iterable(map(projection.keys, revisions)))
    if not all(issubclass(kind, str | KeyLookup) for kind in set(map(type, named))):
        raise Unprojectable("a key is no text, or too long")
    names = set(named)
    for table, field_name in {(one.table, one.field) for one in names if isinstance(one, KeyLookup)}:
        _check_declared(projection, table, field_name)
    _check_keys([one for one in names if isinstance(one, str)])
    return names


def _check_keys(keys: Sequence[str]) -> None:
    try:
        checked_text("".join(keys))
    except ValueError:
        raise Unprojectable("a key is no text, or too long") from None
    longest = max(map(len, keys), default=0)
    if longest * 4 > _MOST_KEY_BYTES and max(len(key.encode()) for key in keys) > _MOST_KEY_BYTES:
        raise Unprojectable("a key is no text, or too long")


def _check_declared(projection: ComposedProjection, table: str, field_name: str) -> None:
    if field_name not in projection.lookups.get(table, ()):
        raise Unprojectable("it looks up a field that it does not declare")
