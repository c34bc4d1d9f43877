"""Reads digests and proofs that users saved while QLDB ran, in all their forms.

The forms (docs/qldb-formats.md, "Saved digests and proofs"): the AWS CLI's or API's JSON, the console's `*.ion.txt`,
the `*.proofs.json` of AWS's migration kit, receipts of AWS's sample applications. JSON is Ion too, so one reader reads
all of them. Members are found by name in any case, and may hold blobs, base64 or Ion text.
"""

import codecs
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strandline.journal.errors import StrandlineError, UnreadableError, UsageError
from strandline.journal.ion import values as ion
from strandline.journal.ion.framing import check_shape

_LARGEST_FILE = 16 * 1024 * 1024
_HASH_SIZE = 32
_FORMS = (
    "a base64 digest, JSON of `aws qldb get-digest`, the console's *.ion.txt, a *.proofs.json of AWS's migration kit, "
    "or a receipt with LedgerDigest"
)


@dataclass(frozen=True, slots=True)
class SavedDigest:
    """A digest and its saved context; members that the form does not have are None.

    `proof` leads to the digest from `revision_hash`, or, in the migration kit's form, from the blockHash of block
    `last_block` in the export. `tip` is the last block that the digest covers.
    """

    source: str
    digest: bytes
    tip: int | None = None
    strand_id: str | None = None
    proof: tuple[bytes, ...] | None = None
    revision_hash: bytes | None = None
    last_block: int | None = None
    document_id: str | None = None


def read_saved_digest(argument: str) -> SavedDigest:
    """Read a digest from base64 text, or from a file in any of the forms.

    Raises UsageError if the argument is neither, UnreadableError if the file has none of the forms.
    """
    digest = _base64_hash(argument.strip())
    if digest is not None:
        return SavedDigest("the digest given", digest)
    return parse_saved_digest(read_small_file(argument, "digest"), argument)


def read_small_file(name: str, what: str) -> bytes:
    """Read a file that holds a digest or a proof.

    Raises UsageError if it does not exist, UnreadableError if it is too large.
    """
    path = Path(name)
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise UnreadableError(f"{name}: too large for a {what} (over {_LARGEST_FILE >> 20} MB)")
        return path.read_bytes()
    except ValueError:
        reason = "not a file's name"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    expected = "; expected a file, or 32 bytes as base64" if what == "digest" else ""
    raise UsageError(f"{name}: cannot be read as a {what} ({reason}){expected}")


def parse_saved_digest(data: bytes, source: str) -> SavedDigest:
    """Parse the saved digest in a file's bytes; errors name the file `source`.

    Raises UnreadableError if it has none of the forms.
    """
    data = _utf8(data)
    digest = _base64_hash(data.strip().decode("latin-1"))
    if digest is not None:
        return SavedDigest(source, digest)
    try:
        return _read_members(_members(_read_ion(data)), source)
    except _WrongMemberError as error:
        raise UnreadableError(f"{source}: {error}; expected {_FORMS}") from None
    except UnreadableError as error:
        raise UnreadableError(f"{source}: {error}; expected {_FORMS}") from None


class _WrongMemberError(StrandlineError):
    pass


def _read_ion(data: bytes) -> Any:
    if data.startswith(ion.BINARY_VERSION_MARKER):
        check_shape(data)
    else:
        try:
            data.decode()
        except UnicodeDecodeError:
            raise UnreadableError("not text in UTF-8") from None
    return ion.read_one(data)


def _read_members(members: dict[str, Any], source: str) -> SavedDigest:
    nested = _first(members, "ledgerdigest", "digest")
    digest = _members(nested) if isinstance(nested, Mapping) else members
    strand_id, tip = _address(digest, "digesttipaddress", "digesttip", "tip")
    document_id = members.get("documentid")
    return SavedDigest(
        source,
        _hash(_first(digest, "digest"), "its digest"),
        tip,
        strand_id,
        _proof(_first(members, "proof", "proofiontext", "revisionproof", "revisionproofiontext")),
        _hash(_first(members, "revisionhash"), "its revision hash") if "revisionhash" in members else None,
        _number(_first(members, "lastblocknum")),
        document_id if isinstance(document_id, str) and document_id.isprintable() else None,
    )


def _members(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _WrongMemberError("does not hold a struct")
    names = {name: "".join(filter(str.isalnum, name)).lower() for name in value if isinstance(name, str)}
    return {names[name]: value[name] for name in names}


def _unwrapped(value: Any) -> Any:
    """Return the value in an {"IonText": …} or in a string of Ion text; any other value unchanged."""
    if isinstance(value, Mapping) and len(value) == 1:
        name, text = next(iter(value.items()))
        if isinstance(name, str) and name.lower() == "iontext":
            value = text
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        return ion.read_one(value.encode())
    return value


def _first(members: dict[str, Any], *names: str) -> Any:
    return next((_unwrapped(members[name]) for name in names if members.get(name) is not None), None)


def _address(members: dict[str, Any], *names: str) -> tuple[str | None, int | None]:
    value = _first(members, *names)
    if not isinstance(value, Mapping):
        return None, _number(value)
    address = _members(value)
    strand_id = address.get("strandid")
    if not isinstance(strand_id, str) or not strand_id.isprintable():
        raise _WrongMemberError("its tip address has no strandId")
    return strand_id, _number(address.get("sequenceno"))


def _number(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise _WrongMemberError("a block's number in it is not a number")
    return value


def _proof(value: Any) -> tuple[bytes, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise _WrongMemberError("its proof is not a list of hashes")
    return tuple(_hash(member, "a hash of its proof") for member in value)


def _hash(value: Any, what: str) -> bytes:
    if isinstance(value, str):
        value = _base64_hash(value)
    if not isinstance(value, bytes) or len(value) != _HASH_SIZE:
        raise _WrongMemberError(f"{what} is missing or not a SHA-256 hash")
    return bytes(value)


def _base64_hash(text: str) -> bytes | None:
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        return None
    return value if len(value) == _HASH_SIZE else None


def _utf8(data: bytes) -> bytes:
    """Return the text in UTF-8 without a byte order mark; a redirection in Windows PowerShell writes UTF-16."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace").encode()
    return data.removeprefix(codecs.BOM_UTF8)
