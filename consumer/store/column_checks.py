"""Checks denormalised columns, which analysts see, against the contents that the hashes cover."""

from collections.abc import Iterator, Mapping
from typing import Any

from strandline.journal.check.block import CheckedBlock, CheckedRevision, Fault
from strandline.journal.decode.copy_format import block_columns
from strandline.journal.ion import values as ion
from strandline.journal.ion.json import escape, exact, to_json

Row = Mapping[str, Any]


def check_columns(checked: CheckedBlock, block: Row, revisions: Mapping[bytes, Row]) -> Iterator[Fault]:
    """Yield a fault for each difference in a block's row and in its revisions' rows; every revision must be stored."""
    number = checked.sequence_no
    yield from _check_block(checked, block)
    verified = {revision.hash: revision for revision in checked.revisions}
    for revision_hash, document_id in zip(block["revision_hashes"], block["revision_documents"], strict=True):
        if document_id is None:
            continue
        row, revision = revisions.get(revision_hash), verified.get(revision_hash)
        if row is None or revision is None:
            yield Fault(number, "revisions", f"revision of document {document_id} is not in the store")
        else:
            yield from (Fault(number, column, detail) for column, detail in _check_revision(checked, revision, row))
    for revision_hash in revisions.keys() - set(block["revision_hashes"]):
        yield Fault(number, "stray", f"no block names revision {revision_hash.hex()}, which is in the store")


def _check_block(checked: CheckedBlock, block: Row) -> Iterator[Fault]:
    shown = block_columns(checked)
    held = {
        "redactions": (block["redactions"] or [], _as_json(shown.redactions)),
        "statement_kinds": (block["statement_kinds"], shown.statement_kinds),
        "definitions": (block["definitions"], [escape(text) for text in shown.definitions]),
        "tables": (block["tables"], _as_json(shown.tables)),
    }
    if checked.statements_erased:  # with the texts, what was kept of them
        del held["definitions"]
    for column, (stored, said) in held.items():
        if stored != said:
            yield Fault(checked.sequence_no, column, "the store's column is not what the block says")


def _check_revision(checked: CheckedBlock, revision: CheckedRevision, row: Row) -> Iterator[tuple[str, str]]:
    name = f"revision {revision.document_id} version {revision.version}"
    identity = revision.document_id, revision.version, revision.tx_id, revision.tx_time.timestamp()
    if identity != (row["document_id"], row["version"], row["tx_id"], row["tx_time"].timestamp()):
        yield "metadata", f"{name}: its columns are not what its metadata is"
    # An erased statement's block may no longer name the document.
    table = checked.documents.get(revision.document_id)
    if table is not None and table != (row["table_id"], row["table_name"]):
        yield "table", f"{name}: its table is not what the block's transactionInfo says"
    if row["state"] != "normal" and (row["data"] is not None or row["data_ion"] is not None):
        yield "data", f"{name}: holds data, though its state is {row['state']}"
    elif row["data_ion"] is not None:
        # At level full it has just been read, and again with its repeated fields where it has any.
        data = revision.data if checked.level == "full" else next(iter(ion.read_typed(row["data_ion"])))
        if _as_json(data) != row["data"]:
            yield "data", f"{name}: its JSON is not what its Ion is"
    if row["data_hash"] is not None and revision.data_hash not in (None, row["data_hash"]):
        yield "data_hash", f"{name}: is not the hash of its data"


def _as_json(value: Any) -> Any:
    return exact(to_json(value))
