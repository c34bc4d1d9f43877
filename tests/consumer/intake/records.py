"""Stream records that a consumer receives."""

from typing import Any

from strandline.consumer.intake.stream_records import Received
from strandline.journal.decode.stream import revision_details
from strandline.journal.ion import values as ion
from tests.journals import small_journal
from tests.streamed import ARN


def record(kind: str, payload: Any) -> Received:
    return Received(ion.write({"qldbStreamArn": ARN, "recordType": kind, "payload": payload}), "1.0")


def changed_data() -> Received:
    details = revision_details(small_journal()[3])[0]
    details["revision"] = {**details["revision"], "data": {"licenceId": "forged"}}
    return record("REVISION_DETAILS", details)
