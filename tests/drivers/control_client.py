"""Infrastructure code by boto3: python control_client.py URL KINESIS-ARN. Prints one JSON object.

The calls and waits are those of Terraform's aws_qldb_ledger and aws_qldb_stream, in the order of the provider.
"""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

LEDGER, ROLE = "infrastructure", "arn:aws:iam::000000000000:role/made-up"


def wait(read: Any, pending: tuple[str, ...], target: str | None) -> Any:
    """Read until the state is the target, None for a resource that is gone."""
    for _ in range(600):
        try:
            found, state = read()
        except client.exceptions.ResourceNotFoundException:
            found, state = None, None
        if state == target:
            return found
        assert state in pending, state
        time.sleep(0.1)
    raise TimeoutError


def ledger() -> Any:
    found = client.describe_ledger(Name=LEDGER)
    return found, found["State"]


def stream() -> Any:
    found = client.describe_journal_kinesis_stream(LedgerName=LEDGER, StreamId=stream_id)["Stream"]
    return found, found["Status"]


def gone() -> Any:
    found, state = stream()
    return found, None if state in ("COMPLETED", "CANCELED", "FAILED") else state


def code(call: Any, **given: Any) -> tuple[str, int]:
    """The error of a call."""
    try:
        call(**given)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError("it was not refused")


url, kinesis_arn = sys.argv[1:]
client = boto3.client("qldb", endpoint_url=url)
made = client.create_ledger(
    Name=LEDGER,
    PermissionsMode="ALLOW_ALL",
    DeletionProtection=True,
    Tags={"stage": "test"},
    KmsKey="AWS_OWNED_KMS_KEY",
)
exists = code(client.create_ledger, Name=LEDGER, PermissionsMode="ALLOW_ALL")
active = wait(ledger, ("CREATING",), "ACTIVE")
tags = client.list_tags_for_resource(ResourceArn=made["Arn"])["Tags"]
client.update_ledger_permissions_mode(Name=LEDGER, PermissionsMode="STANDARD")
client.tag_resource(ResourceArn=made["Arn"], Tags={"owner": "a/b c"})
client.untag_resource(ResourceArn=made["Arn"], TagKeys=["stage"])
retagged = client.list_tags_for_resource(ResourceArn=made["Arn"])["Tags"]

stream_id = client.stream_journal_to_kinesis(
    LedgerName=LEDGER, StreamName="to-kinesis", RoleArn=ROLE, InclusiveStartTime=datetime(2021, 1, 1, tzinfo=UTC),
    KinesisConfiguration={"StreamArn": kinesis_arn, "AggregationEnabled": True}, Tags={"of": "stream"},
)["StreamId"]  # fmt: skip
running = wait(stream, ("IMPAIRED",), "ACTIVE")
stream_tags = client.list_tags_for_resource(ResourceArn=running["Arn"])["Tags"]
listed = client.list_journal_kinesis_streams_for_ledger(LedgerName=LEDGER, MaxResults=10)["Streams"]
client.cancel_journal_kinesis_stream(LedgerName=LEDGER, StreamId=stream_id)
wait(gone, ("ACTIVE", "IMPAIRED"), None)
cancelled = code(client.cancel_journal_kinesis_stream, LedgerName=LEDGER, StreamId=stream_id)

protected = code(client.delete_ledger, Name=LEDGER)
client.update_ledger(Name=LEDGER, DeletionProtection=False)
described = client.describe_ledger(Name=LEDGER)
client.delete_ledger(Name=LEDGER)
wait(ledger, ("ACTIVE", "DELETING"), None)
print(
    json.dumps(
        {
            "made": [made["State"], made["Name"], made["DeletionProtection"]],
            "active": [active["PermissionsMode"], active["Arn"] == made["Arn"], active["State"]],
            "tags": [tags, retagged, stream_tags],
            "described": [described["PermissionsMode"], described["DeletionProtection"]],
            "stream": [running["StreamName"], running["InclusiveStartTime"].year, len(listed)],
            "errors": [exists, protected, cancelled, code(client.describe_ledger, Name=LEDGER)],
            "exports": client.list_journal_s3_exports()["JournalS3Exports"],
            "ledgers": [one["Name"] for one in client.list_ledgers()["Ledgers"]],
        }
    )
)
