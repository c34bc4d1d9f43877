"""Sorting a batch: what can be stored, what is refused and kept, what CONTROL records say."""

import json
from base64 import b64encode
from typing import Any

import pytest

from strandline.consumer.intake.stream_records import Received, sort_out
from strandline.journal.decode import stream
from strandline.journal.decode.stream import block_summary, control_record, revision_details
from strandline.journal.ion.json import to_json
from tests.consumer.intake.records import changed_data, record
from tests.journals import ADA, STRAND, small_journal
from tests.streamed import ARN


def test_summaries_and_details_become_rows() -> None:
    block = small_journal()[2]
    batch = [Received(one.data, str(at)) for at, one in enumerate(stream.block_records(ARN, block))]
    found = sort_out(batch, "s/shard")
    assert not found.refusals
    assert [(part.strand_id, bool(part.rows.blocks), bool(part.rows.revisions)) for part in found.parts] == [
        (STRAND, True, False),
        (STRAND, False, True),
        (STRAND, False, True),
    ]
    assert {part.rows.first_no for part in found.parts} == {2}


@pytest.mark.parametrize(("event", "created", "completed"), [("CREATED", True, False), ("COMPLETED", False, True)])
def test_control_records(event: Any, created: bool, completed: bool) -> None:
    found = sort_out([Received(control_record(ARN, event).data, "1.0")], "s/shard")
    assert (found.parts, found.refusals, found.created, found.completed) == ([], [], created, completed)


def changed_summary() -> Received:
    return record("BLOCK_SUMMARY", {**block_summary(small_journal()[3]), "entriesHash": bytes(32)})


def text_hash() -> Received:
    """As in JSON, where a hash of the data cannot be recomputed: the data could be anybody's."""
    details = revision_details(small_journal()[3])[0]
    forged = {**details["revision"], "hash": b64encode(details["revision"]["hash"]).decode()}
    details["revision"] = {**forged, "data": {"licenceId": "forged"}}
    return record("REVISION_DETAILS", details)


@pytest.mark.parametrize(
    ("received", "fault", "number"),
    [
        (Received(b"\xe0\x01\x00\xea\xde", "7.3"), "unreadable", None),
        (Received(b"", "7.3"), "unreadable", None),
        (record("SOMETHING", {}), "unreadable", None),
        (record("BLOCK_SUMMARY", {}), "shape", None),
        (record("REVISION_DETAILS", {"revision": 3, "tableInfo": {}}), "shape", None),
        (changed_summary(), "entriesHash", 3),
        (changed_data(), "revision-hash", 3),
        (text_hash(), "shape", None),
        (record("BLOCK_SUMMARY", json.loads(to_json(block_summary(small_journal()[3])))), "shape", None),
    ],
)
def test_what_cannot_be_taken_is_refused_and_kept(received: Received, fault: str, number: int | None) -> None:
    found = sort_out([received], "s/shard")
    assert not found.parts
    [refusal] = found.refusals
    assert (refusal.fault, refusal.sequence_no, refusal.source) == (fault, number, "s/shard")
    assert (refusal.position, refusal.record) == (received.position, received.data)
    assert "forged" not in refusal.detail


def test_a_refusal_names_the_document() -> None:
    [refusal] = sort_out([changed_data()], "s/shard").refusals
    assert ADA in refusal.detail
