"""The operations on streams to Kinesis."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from strandline.consumer.database.connection import connect
from strandline.consumer.database.ledgers import NAME
from strandline.consumer.intake.aws_errors import AwsError
from strandline.journal.make.ids import new_id
from strandline.ledger.endpoint import refusals
from strandline.ledger.endpoint.control import tags
from strandline.ledger.endpoint.control.call import Answer, Call, moment, seconds
from strandline.ledger.endpoint.refusals import Refusal
from strandline.ledger.endpoint.served import arn
from strandline.ledger.publish.journal_stream import (
    RUNNING,
    JournalStream,
    NameInUse,
    begin_stream,
    end_stream,
    read_stream,
    read_streams,
)

MOST_AT_ONCE = 5  # of a ledger, as QLDB
KIND = "Stream"


class _Kinesis(msgspec.Struct):
    StreamArn: Annotated[
        str, msgspec.Meta(pattern=r"^arn:aws[a-z-]*:kinesis:[a-z0-9-]*:\d*:stream/[a-zA-Z0-9_.-]{1,128}$")
    ]
    AggregationEnabled: bool = True


class _Request(msgspec.Struct):
    StreamName: Annotated[str, msgspec.Meta(pattern=f"^{NAME.pattern}$")]
    RoleArn: Annotated[str, msgspec.Meta(min_length=20, max_length=1600)]
    InclusiveStartTime: float | str
    KinesisConfiguration: _Kinesis
    ExclusiveEndTime: float | str | None = None
    Tags: dict[str, str | None] | None = None


def stream_journal(call: Call) -> Answer:
    """Begin a stream. A server feeds it; what it sends is what `ledger stream` sends."""
    given, now, stream_id = call.body(_Request), datetime.now(UTC), new_id()
    starts_at = moment(given.InclusiveStartTime, "InclusiveStartTime")
    ends_at = None if given.ExclusiveEndTime is None else moment(given.ExclusiveEndTime, "ExclusiveEndTime")
    if starts_at > now or (ends_at is not None and starts_at >= ends_at):
        message = "InclusiveStartTime is not in the future, and before ExclusiveEndTime"
        raise refusals.invalid_parameter(message, "InclusiveStartTime")
    new_tags = tags.checked(given.Tags or {})
    call.ledgers.catalogued(call.ledger)
    resource = f"stream/{call.ledger}/{stream_id}"
    kinesis = given.KinesisConfiguration
    stream = JournalStream(
        stream_id, call.ledger, given.StreamName, arn(resource), now, starts_at, ends_at, given.RoleArn,
        kinesis.StreamArn, kinesis.AggregationEnabled,
    )  # fmt: skip
    with connect(call.ledger_url) as connection:
        if sum(one.status in RUNNING for one in read_streams(connection)) >= MOST_AT_ONCE:
            message = f"{MOST_AT_ONCE} streams of ledger {call.ledger} are active, the most"
            raise Refusal("LimitExceededException", message, ResourceType=KIND)
        try:
            begin_stream(connection, stream)
        except NameInUse:
            message = f"A stream {given.StreamName} is active already"
            code = "ResourceAlreadyExistsException"
            raise Refusal(code, message, 409, ResourceType=KIND, ResourceName=given.StreamName) from None
        except AwsError as error:
            message = f"QLDB encountered an error validating Kinesis Data Streams: {error}"
            raise refusals.invalid_parameter(message, "KinesisConfiguration") from None
    with call.catalogue() as connection, connection.transaction():
        tags.put(connection, resource, new_tags)
    call.wake_jobs()
    return {"StreamId": stream_id}


def describe_stream(call: Call) -> Answer:
    return {"Stream": _described(_found(call))}


def list_streams(call: Call) -> Answer:
    with connect(call.ledger_url) as connection:
        page, more = call.page("Streams", read_streams(connection), lambda one: one.id)
    return {"Streams": [_described(one) for one in page], **more}


def cancel_stream(call: Call) -> Answer:
    stream = _found(call)
    with connect(call.ledger_url) as connection:
        if not end_stream(connection, stream.id, "CANCELED"):
            raise refusals.precondition(KIND, stream.id, f"The stream {stream.id} is {stream.status}, not ACTIVE")
    call.wake_jobs()
    return {"StreamId": stream.id}


def _found(call: Call) -> JournalStream:
    with connect(call.ledger_url) as connection:
        found = read_stream(connection, call.names["id"])
    if found is None:
        raise refusals.not_found(KIND, call.names["id"])
    return found


def _described(stream: JournalStream) -> Answer:
    more: Answer = {}
    if stream.ends_at is not None:
        more["ExclusiveEndTime"] = seconds(stream.ends_at)
    if stream.error_cause is not None:
        more["ErrorCause"] = stream.error_cause
    return {
        "LedgerName": stream.ledger,
        "CreationTime": seconds(stream.created_at),
        "InclusiveStartTime": seconds(stream.starts_at),
        **more,
        "RoleArn": stream.role_arn,
        "StreamId": stream.id,
        "Arn": stream.arn,
        "Status": stream.status,
        "KinesisConfiguration": {"StreamArn": stream.kinesis_arn, "AggregationEnabled": stream.aggregated},
        "StreamName": stream.name,
    }
