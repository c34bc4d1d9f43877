"""Decodes an export object as `journal.decode.kernel.decode` does, after its JSON blocks were restored."""

import pickle
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from strandline.journal.check.members import ShapeError
from strandline.journal.decode.copy_format import Count, Rows, Tally
from strandline.journal.decode.gzip import decompress
from strandline.journal.decode.kernel import decode
from strandline.journal.decode.objects import Decoded
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.restore.block import HeldOut, Restorer
from strandline.journal.restore.hints import Hints
from strandline.journal.restore.objects import is_json, restore_object


@dataclass(slots=True)
class RestoredDecoded(Decoded):
    """The contents of a JSON object after the search: what was lifted in each of its blocks, and what holds out."""

    searched: dict[int, Counter[str]] = field(default_factory=dict)
    held_out: list[HeldOut] = field(default_factory=list)


@dataclass(frozen=True)
class RestoringDecoder:
    """A decoder that can be sent to another process. Each thread of each process learns by itself.

    `known` is a pickled history of what they all begin with.
    """

    hints: Hints
    budget: int
    known: bytes | None = None

    def taught(
        self, *, blocks: Iterable[bytes] = (), documents: Iterable[tuple[str, bytes]] = ()
    ) -> "RestoringDecoder":
        """Return a decoder that has also learned from objects of Ion blocks, and from documents by table.

        Raises UnreadableError or ShapeError for what is neither.
        """
        restorer = _new_restorer(self)
        for data in blocks:
            restore_object(data, restorer)
        for table, data in documents:
            document = ion.read_one(data)
            if isinstance(document, dict) and document:
                restorer.observe_document(table, document)
        return replace(self, known=pickle.dumps(restorer.history))

    def __call__(self, data: bytes, *, trust_deletions: bool = False, with_rows: bool = True) -> Decoded:
        """Decode an object. What cannot be restored is decoded as it is, so that its faults are the usual ones."""
        try:
            if not is_json(decompress(data)):
                return decode(data, trust_deletions=trust_deletions, with_rows=with_rows)
            restored = restore_object(data, _restorer(self))
        except (UnreadableError, ShapeError):
            return decode(data, trust_deletions=trust_deletions, with_rows=with_rows)
        parts = [decode(run.data, trust_deletions=trust_deletions, with_rows=with_rows) for run in restored.runs]
        return _joined(parts, restored.searched, restored.held_out)


_RESTORERS = threading.local()


def _restorer(decoder: RestoringDecoder) -> Restorer:
    known: tuple[RestoringDecoder, Restorer] | None = getattr(_RESTORERS, "known", None)
    if known is None or known[0] != decoder:
        known = _RESTORERS.known = decoder, _new_restorer(decoder)
    return known[1]


def _new_restorer(decoder: RestoringDecoder) -> Restorer:
    # The history was pickled by this very program.
    history = None if decoder.known is None else pickle.loads(decoder.known)
    return Restorer(decoder.hints, decoder.budget, history)


def _joined(parts: Iterable[Decoded], searched: dict[int, Counter[str]], held_out: list[HeldOut]) -> RestoredDecoded:
    result = RestoredDecoded(searched=searched, held_out=held_out)
    rows: list[Rows] = []
    for part in parts:
        result.add(part)
        result.faults += part.faults
        if part.rows is not None:
            rows.append(part.rows)
    if rows:
        result.rows = _joined_rows(rows)
    return result


def _joined_rows(rows: list[Rows]) -> Rows:
    tally = Tally()
    for part in rows:
        tally.shapes.update(part.tally.shapes)
        for key, count in part.tally.counts.items():
            known = tally.counts.get(key)
            tally.counts[key] = count if known is None else _sum(known, count)
        for table_id, (name, first_no) in part.tally.tables.items():
            if table_id not in tally.tables or first_no < tally.tables[table_id][1]:
                tally.tables[table_id] = name, first_no
    in_order = all(part.in_order for part in rows) and all(
        before.last_no < after.first_no for before, after in pairwise(rows)
    )
    return Rows(
        b"".join([part.blocks for part in rows]),
        b"".join([part.revisions for part in rows]),
        min(part.first_no for part in rows),
        max(part.last_no for part in rows),
        tally,
        in_order,
    )


def _sum(one: Count, other: Count) -> Count:
    revisions, first, last = one
    more, its_first, its_last = other
    return Count(revisions + more, min(first, its_first), max(last, its_last))
