"""Ledgers and a stream by boto3's client: python streams_client.py URL KINESIS-ARN LEDGER...

Creates the ledgers and begins a stream of the first to Kinesis; all this before an application runs. Prints nothing.
"""

import sys
import time
from datetime import UTC, datetime

import boto3

url, kinesis_arn, *ledgers = sys.argv[1:]
client = boto3.client("qldb", endpoint_url=url)
for name in ledgers:
    client.create_ledger(Name=name, PermissionsMode="STANDARD")
for name in ledgers:
    while client.describe_ledger(Name=name)["State"] != "ACTIVE":
        time.sleep(0.05)
client.stream_journal_to_kinesis(
    LedgerName=ledgers[0], StreamName="read-models", RoleArn="arn:aws:iam::000000000000:role/made-up",
    InclusiveStartTime=datetime(2021, 1, 1, tzinfo=UTC), KinesisConfiguration={"StreamArn": kinesis_arn},
)  # fmt: skip
