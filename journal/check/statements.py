"""Statement texts: finds literals in them, and builds the rest of a transactionInfo whose texts are erased.

QLDB never redacts literals in statement texts. So when a revision is redacted and a statement of its block's
transaction holds a literal, all texts of that transaction are erased. The block then has `erasedTransactionInfo`
instead of transactionInfo: {hash, documents, statements [{kind, startTime, statementDigest}]}. Its `hash` is the member
of entriesHashList that transactionInfo had.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping
from typing import Any

from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash

ERASED = "erasedTransactionInfo"
"""The block's member; in the store, the only field of the value in transactionInfo's column."""

_KEYWORD = re.compile(r"\s*+(?:(?:--[^\n]*+\n|/\*(?:[^*]|\*(?!/))*+\*/)\s*+)*+([A-Za-z]++)")
_KEYWORDS = frozenset(
    "SELECT INSERT UPDATE DELETE FROM CREATE DROP UNDROP EXEC EXECUTE UPSERT REPLACE REMOVE SET WITH".split()
)
# All groups here are possessive: a statement is untrusted, and matching it must take linear time.
# Names, double-quoted names and signs. Anything else counts as a literal: quotes, backticks, words that begin with a
# digit, and comments, which can say anything.
_WITHOUT_LITERAL = re.compile(
    r"""(?> [^\W\d][\w$]*+ | \$[\w$]*+ | "(?>[^"]|"")*+" | (?!--|/\*) [^\w'"`$] )*+""", re.VERBOSE
)


def has_literal(statement: str) -> bool:
    """Return True if a PartiQL statement's text holds a value or a comment."""
    return _WITHOUT_LITERAL.fullmatch(statement) is None


def statement_kind(statement: str) -> str:
    """Return a PartiQL statement's leading keyword in upper case; OTHER for any other word, which may be payload."""
    match = _KEYWORD.match(statement)
    keyword = match[1].upper() if match else ""
    return keyword if keyword in _KEYWORDS else "OTHER"


def erased(info: Mapping[str, Any], entries_hashes: Collection[bytes]) -> dict[str, Any] | None:
    """Return a block's transactionInfo without its texts; None if no text holds a literal.

    `info` is an Ion value, or JSON's, whose hash is computed with the types of QLDB's own. `hash` is left out if it is
    not in the block's entriesHashList.
    """
    statements = info.get("statements") or ()
    if not any(has_literal(statement["statement"]) for statement in statements):
        return None
    rest: dict[str, Any] = {
        "documents": info.get("documents") or {},
        "statements": [
            {
                "kind": statement_kind(statement["statement"]),
                "startTime": statement["startTime"],
                "statementDigest": statement["statementDigest"],
            }
            for statement in statements
        ],
    }
    if (digest := ion_hash(info)) in entries_hashes:
        return {"hash": digest, **rest}
    if (typed := _as_ion(info)) is not None and (digest := ion_hash(typed)) in entries_hashes:
        return {"hash": b64encode(digest).decode(), **rest}
    return rest


def _as_ion(info: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give a transactionInfo from JSON the types of QLDB's own (docs/qldb-formats.md, "Stream records")."""
    try:
        statements = [
            {
                **statement,
                "startTime": ion.read_one(statement["startTime"].encode()),
                "statementDigest": b64decode(statement["statementDigest"], validate=True),
            }
            for statement in info["statements"]
        ]
    except (UnreadableError, AttributeError, TypeError, ValueError):
        return None
    return {**info, "statements": statements}
