"""Statement texts: which of them hold a literal, and what a block keeps of its transactionInfo when those are erased.

QLDB never redacts what a statement says literally. Where a revision is redacted, the texts of its block's transaction
are erased with it, if one of them holds a literal: the block then has `erasedTransactionInfo` in the place of
transactionInfo, {hash, documents, statements [{kind, startTime, statementDigest}]}, whose `hash` is the member of
entriesHashList that transactionInfo had.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash

ERASED = "erasedTransactionInfo"
"""The block's member; in the store the one field of what stands for transactionInfo."""

_KEYWORD = re.compile(r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*([A-Za-z]+)", re.DOTALL)
_KEYWORDS = frozenset(
    "SELECT INSERT UPDATE DELETE FROM CREATE DROP UNDROP EXEC EXECUTE UPSERT REPLACE REMOVE SET WITH".split()
)
# Names, double-quoted names and signs. What else there may be (quotes, backticks, digits that begin a word, and
# comments, which can say anything) counts as a literal. Possessive: a long text must not be tried in every way.
_WITHOUT_LITERAL = re.compile(
    r"""(?> [^\W\d][\w$]*+ | \$[\w$]*+ | "(?>[^"]|"")*+" | (?!--|/\*) [^\w'"`$] )*+""", re.VERBOSE
)


@lru_cache(maxsize=4096)
def has_literal(statement: str) -> bool:
    """Whether a PartiQL statement says a value in its text, or a comment."""
    return _WITHOUT_LITERAL.fullmatch(statement) is None


@lru_cache(maxsize=4096)
def statement_kind(statement: str) -> str:
    """The leading keyword of a PartiQL statement in upper case; OTHER for what is none, so that no payload passes."""
    match = _KEYWORD.match(statement)
    keyword = match[1].upper() if match else ""
    return keyword if keyword in _KEYWORDS else "OTHER"


def erased(info: Mapping[str, Any], entries_hashes: Collection[bytes]) -> dict[str, Any] | None:
    """What is left of a block's transactionInfo without its texts; None where no text holds a literal.

    An Ion value, or JSON's, whose hash is found by giving its members the types that QLDB's have; `hash` is left out
    where that is not in the block's entriesHashList.
    """
    statements = info.get("statements") or ()
    if not any(has_literal(statement["statement"]) for statement in statements):
        return None
    left: dict[str, Any] = {
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
        return {"hash": digest, **left}
    if (typed := _as_ion(info)) is not None and (digest := ion_hash(typed)) in entries_hashes:
        return {"hash": b64encode(digest).decode(), **left}
    return left


def _as_ion(info: Mapping[str, Any]) -> dict[str, Any] | None:
    """A transactionInfo from JSON with the types that QLDB's have (QLDB.md, "Stream records")."""
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
