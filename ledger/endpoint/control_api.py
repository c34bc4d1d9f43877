"""The operations of QLDB's control API that tell of a ledger and prove its contents (AWS's model `qldb/2019-01-02`).

One database holds one ledger, so ledgers are not created or deleted here.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from strandline.journal.errors import StrandlineError
from strandline.journal.ion import values as ion
from strandline.ledger.endpoint import refusals
from strandline.ledger.publish import qldb_api

_LEDGER = re.compile(r"/ledgers/(?P<name>[A-Za-z0-9-]{1,32})(?:/(?P<operation>digest|block|revision))?")
_STARTED = time.time()

Answer = dict[str, Any]


def answer(url: str, name: str | None, method: str, path: str, body: bytes) -> Answer:
    """Answer a request. `name` is the ledger's, None if it goes by any. Raises Refusal."""
    if path == "/ledgers" and method == "GET":
        return {"Ledgers": [_summary(name or "strandline")]}
    found = _LEDGER.fullmatch(path)
    if found is None:
        raise refusals.Refusal("ResourceNotFoundException", "This operation of QLDB's is not served", 404)
    if name is not None and found["name"] != name:
        raise refusals.not_found("Ledger", found["name"])
    if found["operation"] is None and method == "GET":
        arn = f"arn:aws:qldb:local:000000000000:ledger/{found['name']}"
        return {**_summary(found["name"]), "Arn": arn, "PermissionsMode": "ALLOW_ALL", "DeletionProtection": True}
    if found["operation"] is None or method != "POST":
        raise refusals.Refusal("InvalidParameterException", "Ledgers are not created, changed or deleted here")
    try:
        return _proof(url, found["operation"], body)
    except StrandlineError as error:
        raise refusals.Refusal("InvalidParameterException", str(error)) from None


def _summary(name: str) -> Answer:
    return {"Name": name, "State": "ACTIVE", "CreationDateTime": round(_STARTED, 3)}


def _proof(url: str, operation: str, body: bytes) -> Answer:
    if operation == "digest":
        return qldb_api.get_digest(url)
    try:
        given = msgspec.json.decode(body or b"{}")
        address = _address(given["BlockAddress"])
        tip = _address(given["DigestTipAddress"]) if given.get("DigestTipAddress") else None
        document_id = given["DocumentId"] if operation == "revision" else ""
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        raise refusals.Refusal("InvalidParameterException", "BlockAddress and DocumentId are needed") from None
    if operation == "block":
        return qldb_api.get_block(url, address, tip)
    return qldb_api.get_revision(url, address, document_id, tip)


def _address(holder: Mapping[str, str]) -> Mapping[str, Any]:
    value = ion.read_one(holder["IonText"].encode())
    if not isinstance(value, Mapping) or not isinstance(value.get("sequenceNo"), int):
        raise refusals.Refusal("InvalidParameterException", "An address is {strandId, sequenceNo}")
    strand = value.get("strandId")
    return {"strandId": getattr(strand, "text", strand), "sequenceNo": value["sequenceNo"]}
