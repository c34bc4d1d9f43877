"""Tells apart the rows of a table that AWS's migration kit left, by what the journal in the store says of each.

A row names its revision by id, version and hash. The revision's data are hashed again, and its columns compared with
them. Then the journal's documents, or revisions, are counted that no row shows.
"""

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from strandline.consumer.database.connection import Connection
from strandline.consumer.migration_kit.columns import differences
from strandline.consumer.migration_kit.rows import KitRow, data_columns, is_audit_log
from strandline.journal.check.block import metadata_value
from strandline.journal.check.merkle import dot
from strandline.journal.decode.kernel import hash_and_json
from strandline.journal.errors import StrandlineError
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.json import exact, to_json

_BATCH = 500
_MOST_LISTED = 10_000
_REVISIONS = """
    SELECT r.* FROM unnest(%s::text[], %s::bigint[]) AS wanted (document_id, version)
    JOIN journal.document_version v USING (document_id, version)
    CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r"""
_LATEST_OF = """
    SELECT d.document_id, d.version, r.state FROM journal.document d
    CROSS JOIN LATERAL journal.revision_at(d.sequence_no, d.document_id, d.version) r
    WHERE d.{} = ANY(%s)"""
_LATEST = _LATEST_OF.format("document_id")
_ALL_LATEST = _LATEST_OF.format("table_id")
_ALL_REVISIONS = """
    SELECT document_id, version, state FROM journal.revision
    WHERE table_id = ANY(%s) AND sequence_no <= (SELECT sequence_no FROM journal.mark)"""
_TABLE_IDS = """
    SELECT DISTINCT table_id FROM journal.revision
    WHERE table_name = %s AND sequence_no <= (SELECT sequence_no FROM journal.mark)"""


class Verdict(StrEnum):
    """The answer for one row, by the journal."""

    CURRENT = "current"
    HISTORY = "history"
    OUTDATED = "outdated"
    DIFFERS = "differs"
    BROUGHT_BACK = "brought back"
    REDACTED = "redacted, still there"
    UNKNOWN = "not in the journal"
    DUPLICATE = "duplicate"


GOOD = frozenset((Verdict.CURRENT, Verdict.HISTORY))
EXPLANATIONS = {
    Verdict.CURRENT: "the ledger's current state",
    Verdict.HISTORY: "an earlier revision of the ledger, in a table of revisions",
    Verdict.OUTDATED: "an earlier revision, in a table of current documents",
    Verdict.DIFFERS: "not what the revision holds that the row names",
    Verdict.BROUGHT_BACK: "of a document that is deleted in the ledger",
    Verdict.REDACTED: "data that were redacted in the ledger",
    Verdict.UNKNOWN: "no revision of the ledger",
    Verdict.DUPLICATE: "the same revision as an earlier row",
}


class Judged(NamedTuple):
    """A row's verdict. `differing` names columns and members of ql_audit, without values.

    `proven` is True if the data were hashed again, have the revision's hash, and every column of data was compared.
    """

    number: int
    document_id: str
    version: int
    verdict: Verdict
    differing: tuple[str, ...] = ()
    uncompared: tuple[str, ...] = ()
    proven: bool = False


@dataclass
class Comparison:
    """The result: rows by verdict, those that need attention, and what no row shows.

    `uncompared` counts rows by the columns that could not be compared. `unverified` counts rows whose revision came
    only as JSON, so that no hash shows its data. At most 10,000 of `others` and `missing` are listed; the counts are
    exact.
    """

    audit_log: bool = False
    rows: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    proven: int = 0
    unverified: int = 0
    uncompared: Counter[str] = field(default_factory=Counter)
    others: list[Judged] = field(default_factory=list)
    missing_count: int = 0
    missing: list[tuple[str, int]] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)

    @property
    def ok(self) -> bool:
        return not self.missing_count and all(verdict in GOOD for verdict in self.verdicts)


Progress = Callable[[str, int, int | None], None]


def compare(
    connection: Connection,
    rows: Iterable[KitRow],
    *,
    mapping: Mapping[str, str] | None = None,
    ledger_table: str | None = None,
    progress: Progress = lambda *_: None,
) -> Comparison:
    """Compare rows with the journal up to the mark. `ledger_table` names the table if there is no row to name it.

    `mapping` says which field a column shows (`Owners.PrimaryOwner.PersonId`, or `@id` for the document's id).
    """
    result = Comparison()
    seen: set[tuple[str, int]] = set()
    table_ids: set[str] = set()
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        if not result.rows:
            result.audit_log = is_audit_log(batch[0].columns)
        revisions = _revisions(connection, batch)
        latest = _latest(connection, batch)
        for row in batch:
            revision = revisions.get((row.document_id, row.version))
            judged = _judge(row, revision, latest.get(row.document_id), seen, mapping or {}, audit_log=result.audit_log)
            seen.add((row.document_id, row.version))
            _count(result, judged, revision)
            if revision is not None and revision["table_id"] is not None:
                table_ids.add(revision["table_id"])
                result.tables.add(revision["table_name"])
        result.rows += len(batch)
        progress("comparing", result.rows, None)
    if ledger_table is not None:
        table_ids |= {table_id for (table_id,) in connection.execute(_TABLE_IDS, [ledger_table]) if table_id}
    _find_missing(connection, result, seen, sorted(table_ids))
    return result


def judge_one(connection: Connection, row: KitRow, *, mapping: Mapping[str, str] | None = None) -> Judged:
    """Return the verdict of one row, regardless of all others."""
    revision = _revisions(connection, [row]).get((row.document_id, row.version))
    latest = _latest(connection, [row]).get(row.document_id)
    return _judge(row, revision, latest, set(), mapping or {}, audit_log=is_audit_log(row.columns))


def _count(result: Comparison, judged: Judged, revision: Mapping[str, Any] | None) -> None:
    result.verdicts[judged.verdict] += 1
    result.proven += judged.proven
    result.unverified += revision is not None and revision["level"] != "full"
    result.uncompared.update(judged.uncompared)
    if judged.verdict not in GOOD and len(result.others) < _MOST_LISTED:
        result.others.append(judged)


def _revisions(connection: Connection, batch: list[KitRow]) -> dict[tuple[str, int], Mapping[str, Any]]:
    ids, versions = [row.document_id for row in batch], [row.version for row in batch]
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_REVISIONS, [ids, versions])
        return {(row["document_id"], row["version"]): row for row in cursor}


def _latest(connection: Connection, batch: list[KitRow]) -> dict[str, tuple[int, str]]:
    found = connection.execute(_LATEST, [[row.document_id for row in batch]])
    return {document_id: (version, state) for document_id, version, state in found}


def _judge(
    row: KitRow,
    revision: Mapping[str, Any] | None,
    latest: tuple[int, str] | None,
    seen: set[tuple[str, int]],
    mapping: Mapping[str, str],
    *,
    audit_log: bool,
) -> Judged:
    def judged(verdict: Verdict, *differing: str, uncompared: Iterable[str] = (), proven: bool = False) -> Judged:
        return Judged(row.number, row.document_id, row.version, verdict, differing, tuple(uncompared), proven)

    if (row.document_id, row.version) in seen:
        return judged(Verdict.DUPLICATE)
    if revision is None or latest is None:
        return judged(Verdict.UNKNOWN)
    newest, state = latest
    columns = data_columns(row)
    differing = list(_differing_audit(row, revision))
    if revision["state"] == "redacted":
        if any(value is not None for value in columns.values()) or row.columns.get("old_row_data") is not None:
            return judged(Verdict.REDACTED, *differing)
        uncompared: list[str] = []
        proven = not differing
    elif revision["state"] == "deleted":
        differing += [name for name, value in columns.items() if value is not None]
        uncompared, proven = [], not differing
    else:
        data, hashed = _data(revision)
        differing_columns, uncompared = differences(columns, data, row.document_id, mapping)
        differing += differing_columns
        proven = hashed and not uncompared and not differing
    if state == "deleted" and not audit_log:
        return judged(Verdict.BROUGHT_BACK, *differing, uncompared=uncompared)
    if differing:
        return judged(Verdict.DIFFERS, *differing, uncompared=uncompared)
    if audit_log:
        verdict = Verdict.CURRENT if row.version == newest and state == "normal" else Verdict.HISTORY
    else:
        verdict = Verdict.CURRENT if row.version == newest else Verdict.OUTDATED
    return judged(verdict, uncompared=uncompared, proven=proven)


def _data(revision: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Return a revision's data as JSON, and whether a hash shows them: they are hashed again.

    Raises StrandlineError if they do not have the revision's hash.
    """
    if revision["data_ion"] is None:
        return revision["data"], False
    data = bytes(revision["data_ion"])
    native = hash_and_json(data)
    if native is None:
        value = ion.read_one(data)
        native = ion_hash(value), to_json(value)
    digest, text = native
    if dot(_metadata_hash(revision), digest) != bytes(revision["hash"]):
        raise StrandlineError(
            f"document {revision['document_id']}, version {revision['version']}: its data in the store do not have its "
            "hash: run `strandline verify`"
        )
    return exact(text), True


def _metadata_hash(revision: Mapping[str, Any]) -> bytes:
    if revision["metadata"] is not None:
        return ion_hash(ion.read_one(bytes(revision["metadata"])))
    return ion_hash(
        metadata_value(revision["document_id"], revision["version"], revision["tx_time"], revision["tx_id"])
    )


def _differing_audit(row: KitRow, revision: Mapping[str, Any]) -> Iterator[str]:
    """Yield the members of ql_audit, and the columns that repeat them, that are not the revision's."""
    expected = {
        "ql_txid": revision["tx_id"],
        "ql_blockseq": revision["sequence_no"],
        "ql_rev_hash": b64encode(bytes(revision["hash"])).decode(),
        "ql_deletion": revision["state"] == "deleted",
    }
    if revision["table_id"] is not None:
        expected |= {"ql_tableid": revision["table_id"], "ql_tablename": revision["table_name"]}
    for name, value in expected.items():
        if name in row.audit and row.audit[name] != value:
            yield name
    if "ql_rev_hash" not in row.audit:
        yield "ql_rev_hash"
    time = row.audit.get("ql_txtime")
    if time is not None and _moment(time) != revision["tx_time"]:
        yield "ql_txtime"
    data_hash = row.audit.get("ql_data_hash")
    if data_hash and revision["data_hash"] is not None and _base64(data_hash) != bytes(revision["data_hash"]):
        yield "ql_data_hash"
    for name, value in (
        ("doc_id", row.document_id),
        ("version", row.version),
        ("transaction_id", revision["tx_id"]),
        ("operation", _operation(revision)),
    ):
        if name in row.columns and str(row.columns[name]) != str(value):
            yield name


def _operation(revision: Mapping[str, Any]) -> str:
    if revision["state"] == "deleted":
        return "D"
    return "I" if revision["version"] == 0 else "U"


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _base64(text: Any) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (TypeError, ValueError):
        return None


def _find_missing(connection: Connection, result: Comparison, seen: set[tuple[str, int]], table_ids: list[str]) -> None:
    if result.audit_log:
        wanted = ((document_id, version) for document_id, version, _ in connection.execute(_ALL_REVISIONS, [table_ids]))
        missing = (one for one in wanted if one not in seen)
    else:
        shown = {document_id for document_id, _ in seen}
        latest = connection.execute(_ALL_LATEST, [table_ids])
        missing = (
            (document_id, version)
            for document_id, version, state in latest
            if state != "deleted" and document_id not in shown
        )
    for one in missing:
        result.missing_count += 1
        if len(result.missing) < _MOST_LISTED:
            result.missing.append(one)
