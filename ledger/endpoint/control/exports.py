"""The operations on exports to S3."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.aws_errors import AwsError
from strandline.journal.make.ids import new_id
from strandline.ledger.endpoint import refusals
from strandline.ledger.endpoint.control.call import Answer, Call, moment, seconds
from strandline.ledger.endpoint.refusals import Refusal
from strandline.ledger.publish.period_export import Export, begin_export, read_export, read_exports

MOST_AT_ONCE = 2  # of a ledger, as QLDB

_Arn = Annotated[str, msgspec.Meta(min_length=20, max_length=1600)]


class _Encryption(msgspec.Struct):
    ObjectEncryptionType: Literal["SSE_KMS", "SSE_S3", "NO_ENCRYPTION"]
    KmsKeyArn: _Arn | None = None


class _Destination(msgspec.Struct):
    Bucket: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{3,255}$")]
    Prefix: Annotated[str, msgspec.Meta(max_length=128)]
    EncryptionConfiguration: _Encryption


class _Request(msgspec.Struct):
    InclusiveStartTime: float | str
    ExclusiveEndTime: float | str
    S3ExportConfiguration: _Destination
    RoleArn: _Arn
    OutputFormat: Literal["ION_BINARY", "ION_TEXT", "JSON"] = "ION_TEXT"


def export_journal(call: Call) -> Answer:
    """Begin an export. A server writes it; what it writes is what `ledger export` writes of these blocks."""
    given, now = call.body(_Request), datetime.now(UTC)
    starts_at = moment(given.InclusiveStartTime, "InclusiveStartTime")
    ends_at = moment(given.ExclusiveEndTime, "ExclusiveEndTime")
    if not starts_at < ends_at:
        raise refusals.invalid_parameter("InclusiveStartTime is before ExclusiveEndTime", "InclusiveStartTime")
    if ends_at > now:
        raise refusals.invalid_parameter("ExclusiveEndTime is not in the future", "ExclusiveEndTime")
    call.ledgers.catalogued(call.ledger)
    to, encryption = given.S3ExportConfiguration, given.S3ExportConfiguration.EncryptionConfiguration
    export = Export(
        new_id(), call.ledger, now, starts_at, ends_at, to.Bucket, to.Prefix, encryption.ObjectEncryptionType,
        encryption.KmsKeyArn, given.RoleArn, given.OutputFormat,
    )  # fmt: skip
    with connect(call.ledger_url) as connection:
        if sum(one.status == "IN_PROGRESS" for one in read_exports(connection)) >= MOST_AT_ONCE:
            message = f"{MOST_AT_ONCE} exports of ledger {call.ledger} are in progress, the most"
            raise Refusal("LimitExceededException", message, ResourceType="Export")
        try:
            begin_export(connection, export)
        except AwsError as error:
            message = f"QLDB encountered an error validating S3 configuration: {error}"
            raise refusals.invalid_parameter(message, "S3ExportConfiguration") from None
    call.wake_jobs()
    return {"ExportId": export.id}


def describe_export(call: Call) -> Answer:
    with connect(call.ledger_url) as connection:
        found = read_export(connection, call.names["id"])
    if found is None:
        raise refusals.not_found("Export", call.names["id"])
    return {"ExportDescription": _described(found)}


def list_exports_of_ledger(call: Call) -> Answer:
    with connect(call.ledger_url) as connection:
        return _listed(call, read_exports(connection))


def list_exports(call: Call) -> Answer:
    found = list[Export]()
    for ledger in call.ledgers.listed():
        if ledger.state == "ACTIVE":
            with connect(ledger.url(call.ledgers.home)) as connection:
                found += read_exports(connection)
    return _listed(call, sorted(found, key=lambda one: (one.created_at, one.id)))


def _listed(call: Call, exports: list[Export]) -> Answer:
    page, more = call.page("JournalS3Exports", exports, lambda one: one.id)
    return {"JournalS3Exports": [_described(one) for one in page], **more}


def _described(export: Export) -> Answer:
    encryption: Answer = {"ObjectEncryptionType": export.encryption}
    if export.kms_key_arn is not None:
        encryption["KmsKeyArn"] = export.kms_key_arn
    return {
        "LedgerName": export.ledger,
        "ExportId": export.id,
        "ExportCreationTime": seconds(export.created_at),
        "Status": export.status,
        "InclusiveStartTime": seconds(export.starts_at),
        "ExclusiveEndTime": seconds(export.ends_at),
        "S3ExportConfiguration": {
            "Bucket": export.bucket,
            "Prefix": export.prefix,
            "EncryptionConfiguration": encryption,
        },
        "RoleArn": export.role_arn,
        "OutputFormat": export.format,
    }
