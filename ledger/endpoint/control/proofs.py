"""The operations that prove what is in a ledger."""

from collections.abc import Mapping
from typing import Any

import msgspec

from strandline.journal.errors import StrandlineError
from strandline.journal.ion import values as ion
from strandline.ledger.endpoint.control.call import Answer, Call
from strandline.ledger.endpoint.refusals import Refusal
from strandline.ledger.publish import qldb_api


class _Holder(msgspec.Struct):
    IonText: str


class _Block(msgspec.Struct):
    BlockAddress: _Holder
    DigestTipAddress: _Holder | None = None


class _Revision(_Block, kw_only=True):
    DocumentId: str


def get_digest(call: Call) -> Answer:
    return qldb_api.get_digest(call.ledger_url)


def get_block(call: Call) -> Answer:
    given = call.body(_Block)
    address, tip = _address(given.BlockAddress), _tip(given)
    return qldb_api.get_block(call.ledger_url, address, tip)


def get_revision(call: Call) -> Answer:
    given = call.body(_Revision)
    address, tip = _address(given.BlockAddress), _tip(given)
    return qldb_api.get_revision(call.ledger_url, address, given.DocumentId, tip)


def _tip(given: _Block) -> Mapping[str, Any] | None:
    return None if given.DigestTipAddress is None else _address(given.DigestTipAddress)


def _address(holder: _Holder) -> Mapping[str, Any]:
    try:
        value = ion.read_one(holder.IonText.encode())
    except (StrandlineError, ValueError, RecursionError):
        value = None
    if not isinstance(value, Mapping) or not isinstance(value.get("sequenceNo"), int):
        raise Refusal("InvalidParameterException", "An address is {strandId, sequenceNo}")
    strand = value.get("strandId")
    return {"strandId": getattr(strand, "text", strand), "sequenceNo": value["sequenceNo"]}
