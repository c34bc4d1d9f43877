"""What a composed projection makes of documents: which keys they touch, and what rows a key has. Pure, but for `find`.

Documents are fetched for many keys at once. The projection's function simply looks them up, one after the other; where
it asks for what is not fetched yet it is told that there is nothing, what it then makes is thrown away, and it runs
again when all that was asked for is there. So a chain of three look-ups takes three rounds, for any number of keys.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple, Protocol

from strandline.consumer.projection.column_types import MOST_INDEXED_BYTES, checked_text
from strandline.consumer.projection.definition import ComposedProjection, KeyLookup, Revision, Rows, Unprojectable
from strandline.consumer.projector.parking import Parked
from strandline.consumer.projector.row_batch import reason
from strandline.consumer.sinks.contract import PreparedRows

Documents = Sequence[Revision]
Find = Callable[[Collection[KeyLookup]], Mapping[KeyLookup, Documents]]
# As a sink's methods of these names.
Prepare = Callable[[Rows], PreparedRows]
PrepareAll = Callable[[Sequence[Sequence[Mapping[str, object]]]], list[PreparedRows] | None]

# A function that asks for something new each time would never end.
MOST_ROUNDS = 20
_SOURCE = attrgetter("document_id", "version")
_SEQUENCE_NO = attrgetter("sequence_no")
_MOST_KEY_BYTES = MOST_INDEXED_BYTES - 100  # a document's id stands beside it in an index


class Composed(NamedTuple):
    """A key's rows, or why it has none (`fault`), and the documents that this comes from."""

    key: str
    rows: PreparedRows
    fault: str | None
    sources: frozenset[tuple[str, int]]
    sequence_no: int  # of the newest of the documents


class Known(Protocol):
    """What a look-up by table, field and text finds; None where it is not fetched yet."""

    def __call__(self, table: str, field: str, value: str, /) -> Documents | None: ...


def touched(projection: ComposedProjection, revisions: Sequence[Revision], find: Find) -> tuple[set[str], list[Parked]]:
    """The keys that current revisions touch, and the documents that do not say which."""
    named, parked = naming(projection, revisions)
    return followed(projection, named, find), parked


def naming(projection: ComposedProjection, revisions: Sequence[Revision]) -> tuple[set[str | KeyLookup], list[Parked]]:
    """What current revisions name, keys or how they are found; and the documents that do not say."""
    at_once = _named_at_once(projection, revisions)
    if at_once is not None:
        return at_once, []
    named: set[str | KeyLookup] = set()
    parked = []
    for revision in revisions:
        try:
            named |= _named(projection, revision)
        except Exception as exc:
            why = reason(exc, projection)
            parked.append(Parked(revision.document_id, revision.version, revision.sequence_no, why))
    return named, parked


def compose_known(
    projection: ComposedProjection, keys: Sequence[str], known: Known, prepare: Prepare, prepare_all: PrepareAll
) -> list[Composed]:
    """The rows of each key, in the keys' order, where all that they look up is known.

    All are made and checked together; only where one of them may be at fault, one by one.
    """
    looking = [_Looking(projection, known) for _ in keys]
    try:
        rows = prepare_all([list(projection.compose(key, look)) for key, look in zip(keys, looking, strict=True)])
    except Exception:
        rows = None
    if rows is None:
        return [_composed(projection, key, _Looking(projection, known), prepare) for key in keys]
    return [_of(key, look, made, None) for key, look, made in zip(keys, looking, rows, strict=True)]


def compose(projection: ComposedProjection, keys: Iterable[str], find: Find, prepare: Prepare) -> list[Composed]:
    """The rows of each key, in the keys' order."""
    done: dict[str, Composed | None] = dict.fromkeys(keys)
    known: dict[KeyLookup, Documents] = {}
    for last in [False] * (MOST_ROUNDS - 1) + [True]:
        missing: set[KeyLookup] = set()
        for key in [key for key, composed in done.items() if composed is None]:
            looking = _Looking(projection, lambda *wanted: known.get(KeyLookup(*wanted)))
            composed = _composed(projection, key, looking, prepare)
            if not looking.missing or last:
                done[key] = composed
            missing |= looking.missing
        if not missing:
            break
        for wanted, found in find(missing).items():
            known[wanted] = [revision for revision in found if _spoken(projection, revision) is not None]
    return [composed for composed in done.values() if composed is not None]


class _Looking:
    """Look-ups for one key among what is fetched; remembers what was found, and what must be fetched."""

    def __init__(self, projection: ComposedProjection, known: Known) -> None:
        self._lookups = projection.lookups
        self._known = known
        self.missing: set[KeyLookup] = set()
        self.found: list[Documents] = []

    def __call__(self, table: str, field: str, value: object) -> Documents:
        if not isinstance(value, str):
            _declared(self._lookups, table, field)
            return ()
        found = self._known(table, field, value)
        if found is None:
            _declared(self._lookups, table, field)
            self.missing.add(KeyLookup(table, field, value))
            return ()
        self.found.append(found)
        return found


def _composed(projection: ComposedProjection, key: str, looking: _Looking, prepare: Prepare) -> Composed:
    rows: PreparedRows = ()
    fault = None
    try:
        made = list(projection.compose(key, looking))
        if looking.missing:  # thrown away, but in the last round
            fault = f"it looks up in more than {MOST_ROUNDS} rounds"
        else:
            rows = prepare(made)
    except Exception as exc:
        fault = reason(exc, projection)
    return _of(key, looking, rows, fault)


def _of(key: str, looking: _Looking, rows: PreparedRows, fault: str | None) -> Composed:
    documents = list(chain.from_iterable(looking.found))
    if not documents:
        return Composed(key, (), None, frozenset(), -1)
    sources, newest = frozenset(map(_SOURCE, documents)), max(map(_SEQUENCE_NO, documents))
    return Composed(key, rows if fault is None else (), fault, sources, newest)


def followed(projection: ComposedProjection, named: Collection[str | KeyLookup], find: Find) -> set[str]:
    """The keys that are named, or found by what is."""
    keys: set[str] = set()
    passed: set[KeyLookup] = set()
    while named:
        keys.update(one for one in named if isinstance(one, str))
        through = {one for one in named if isinstance(one, KeyLookup)} - passed
        passed |= through
        found = [revision for revisions in find(through).values() for revision in revisions]
        at_once = _named_at_once(projection, found)
        named = {one for each in found for one in _spoken(projection, each) or ()} if at_once is None else at_once
    return keys


def _spoken(projection: ComposedProjection, revision: Revision) -> set[str | KeyLookup] | None:
    """What it names; None where it does not say: it is parked, and in no row, for it could not be taken out again."""
    try:
        return _named(projection, revision)
    except Exception:
        return None


def _named_at_once(projection: ComposedProjection, revisions: Sequence[Revision]) -> set[str | KeyLookup] | None:
    """What they name, where all say so at first sight: checked together, which is much faster; else None."""
    try:
        said = list(chain.from_iterable(map(projection.keys, revisions)))
        if not {str, KeyLookup}.issuperset(map(type, said)):
            return None
        named = set(said)
        for table, field in {(one.table, one.field) for one in named if isinstance(one, KeyLookup)}:
            _declared(projection.lookups, table, field)
        keys = [one for one in named if isinstance(one, str)]
        checked_text("".join(keys))
    except Exception:
        return None
    return named if not keys or max(map(len, keys)) * 4 <= _MOST_KEY_BYTES else None


def _named(projection: ComposedProjection, revision: Revision) -> set[str | KeyLookup]:
    named = set(projection.keys(revision))
    for one in named:
        if isinstance(one, KeyLookup):
            _declared(projection.lookups, one.table, one.field)
        elif not _is_key(one):
            raise Unprojectable("a key is no text, or too long")
    return named


def _is_key(key: object) -> bool:
    try:
        return len(checked_text(key).encode()) <= _MOST_KEY_BYTES
    except ValueError:
        return False


def _declared(lookups: Mapping[str, tuple[str, ...]], table: str, field: str) -> tuple[str, str]:
    if field not in lookups.get(table, ()):
        raise Unprojectable("it looks up a field that it does not declare")
    return table, field
