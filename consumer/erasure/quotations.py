"""Finds the transactions whose statements hold a value in their text, where applications glued it in.

Reads all statement texts of the journal. An index would be faster, and one more copy of personal data to erase.
"""

import json
from dataclasses import dataclass

from strandline.consumer.database.connection import Connection
from strandline.consumer.store.blocks import read_info
from strandline.journal.check.statements import ERASED, statement_kind

# Not by a cursor, whose statement the server never runs in parallel.
FIND_QUOTING = """
    SELECT sequence_no FROM journal.block
    WHERE sequence_no <= (SELECT sequence_no FROM journal.mark) AND transaction_info IS NOT NULL
      AND EXISTS (SELECT FROM unnest(%s::bytea[]) AS spelling WHERE position(spelling IN transaction_info) > 0)
    ORDER BY sequence_no"""
READ_INFO = """
    SELECT sequence_no, transaction_id, block_time, level, transaction_info FROM journal.block
    WHERE sequence_no = ANY (%s) AND transaction_info IS NOT NULL ORDER BY sequence_no"""
BLOCKS_A_TIME = 1_000


@dataclass(frozen=True)
class Quotation:
    """A statement with the value in its text. `documents` are those that its transaction wrote.

    A redaction of one of their revisions in this block erases the texts of the transaction. Without documents, as
    after a query, nothing erases them.
    """

    sequence_no: int
    transaction_id: str | None
    block_time: str | None
    statement: int
    kind: str
    documents: tuple[str, ...]


def find_quotations(connection: Connection, value: str) -> list[Quotation]:
    """Return the statements up to the mark whose text holds the value, anywhere in it; none for an empty value.

    Finds the value as it is, and as literals of PartiQL and Ion spell it. Not found: other cases, parts of it, a value
    that a statement puts together.
    """
    if not value:
        return []
    spellings = _spellings(value)
    stored = sorted({form for text in spellings for form in _stored_forms(text)})
    numbers = [number for (number,) in connection.execute(FIND_QUOTING, [stored])]
    found: list[Quotation] = []
    for first in range(0, len(numbers), BLOCKS_A_TIME):
        read = connection.execute(READ_INFO, [numbers[first : first + BLOCKS_A_TIME]])
        for number, transaction_id, time, level, info in read:
            members = read_info(info, level)
            if ERASED in members:
                continue
            documents = tuple(sorted(members.get("documents") or {}))
            at = None if time is None else time.isoformat()
            found += [
                Quotation(number, transaction_id, at, place, statement_kind(statement["statement"]), documents)
                for place, statement in enumerate(members.get("statements") or ())
                if any(text in statement["statement"] for text in spellings)
            ]
    return found


def _spellings(value: str) -> set[str]:
    """Return the forms of the value within a literal: PartiQL doubles quotes, Ion's and JSON's text escapes them."""
    escaped = {value.replace("\\", "\\\\").replace(quote, f"\\{quote}") for quote in ("'", '"')}
    as_json = {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)}
    return {value, value.replace("'", "''"), value.replace('"', '""')} | escaped | as_json


def _stored_forms(text: str) -> set[bytes]:
    """Return the bytes of a text within a stored transactionInfo: Ion has it as it is, JSON may escape it."""
    return {text.encode(), json.dumps(text)[1:-1].encode(), json.dumps(text, ensure_ascii=False)[1:-1].encode()}
