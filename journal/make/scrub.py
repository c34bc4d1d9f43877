"""Applies later redactions to an export's object; blocks and hashes stay unchanged."""

import gzip
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from strandline.journal.check import merkle
from strandline.journal.check.block import check_revision, metadata_value
from strandline.journal.check.members import id_in, is_null, number_in
from strandline.journal.check.statements import ERASED, erased
from strandline.journal.decode.gzip import decompress
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.json import json_text, read_json
from strandline.journal.make.export import encode
from strandline.journal.make.format import Format

Redacted = Mapping[tuple[str, int], bytes | None]
"""Document and version of each redacted revision, with the hash of its data if known."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


def scrub(data: bytes, redacted: Redacted) -> bytes:
    """Remove the data of redacted revisions from an object, and their blocks' statement texts if one has a literal.

    `data` is Ion text, Ion binary or JSON, optionally gzip'd; the caller has verified all its blocks. An object with
    nothing to erase is returned unchanged.
    """
    plain = decompress(data)
    is_json = plain.lstrip().startswith((b'{"', b"\xef\xbb\xbf{"))
    if not any(_touched(block, redacted) for block in _read(plain, is_json, ion.read)):
        return data
    blocks = [dict(_without(block, redacted)) for block in _read(plain, is_json, ion.read_typed)]
    if is_json:
        written = b"".join([json_text(block) + b"\n" for block in blocks])
    else:
        binary = plain.startswith(ion.BINARY_VERSION_MARKER)
        written = encode(blocks, Format.ION_BINARY if binary else Format.ION_TEXT)
    return gzip.compress(written, mtime=0) if plain is not data else written


def _read(plain: bytes, is_json: bool, read: Callable[[bytes], Iterator[Any]]) -> Iterator[Any]:
    return read_json(plain.decode("utf-8-sig")) if is_json else read(plain)


def _touched(block: Mapping[str, Any], redacted: Redacted) -> bool:
    if not any(_key(revision) in redacted for revision in _revisions(block)):
        return False
    return _erased_info(block) is not None or any(
        _key(revision) in redacted and not is_null(revision.get("data")) for revision in _revisions(block)
    )


def _without(block: Mapping[str, Any], redacted: Redacted) -> Mapping[str, Any]:
    if not any(_key(revision) in redacted for revision in _revisions(block)):
        return block
    info = _erased_info(block)
    changed: dict[str, Any] = {}
    for name, member in block.items():
        if name == "revisions":
            changed[name] = [_erase(one, redacted) if _key(one) in redacted else one for one in member]
        elif name == "transactionInfo" and info is not None:
            changed[ERASED] = info
        else:
            changed[name] = member
    return changed


def _erased_info(block: Mapping[str, Any]) -> dict[str, Any] | None:
    info = block.get("transactionInfo")
    if info is None or is_null(info):
        return None
    entries = [entry if isinstance(entry, bytes) else b64decode(entry) for entry in block["entriesHashList"]]
    return erased(info, entries)


def _erase(revision: Mapping[str, Any], redacted: Redacted) -> Mapping[str, Any]:
    if is_null(revision.get("data")):
        return revision
    data_hash: bytes | str
    if isinstance(revision["hash"], str):
        data_hash = b64encode(redacted[_key(revision)] or _hash_from_json(revision) or b"").decode()
    else:
        data_hash = ion_hash(revision["data"])
    return {
        "dataHash" if name == "data" else name: data_hash if name == "data" else member
        for name, member in revision.items()
        if name != "dataHash"
    }


def _hash_from_json(revision: Mapping[str, Any]) -> bytes | None:
    """Return the hash of the data in Ion if its types can be guessed; the revision's own hash confirms a guess."""
    checked, _ = check_revision(revision, level="chain")
    metadata = ion_hash(metadata_value(checked.document_id, checked.version, checked.tx_time, checked.tx_id))
    for guess in (revision["data"], _with_times(revision["data"])):
        if merkle.dot(metadata, digest := ion_hash(guess)) == checked.hash:
            return digest
    return None


def _with_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_times(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_times(member) for member in value]
    return ion.read_one(value.encode()) if isinstance(value, str) and _TIME.fullmatch(value) else value


def _revisions(block: Mapping[str, Any]) -> Any:
    return block.get("revisions") or ()


def _key(revision: Mapping[str, Any]) -> tuple[str, int]:
    metadata = revision.get("metadata")
    return ("", -1) if metadata is None else (str(id_in(metadata, "id")), int(number_in(metadata, "version")))
