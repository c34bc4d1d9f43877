"""Exports of a period to S3, as QLDB's API orders them: a row each, with its position, so that they resume."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boto3
import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.mark.mark import read_mark
from strandline.journal.ion.values import Timestamp
from strandline.journal.make.block import at
from strandline.journal.make.export import encode_manifest
from strandline.journal.make.format import Format
from strandline.ledger.publish.blocks import read_blocks
from strandline.ledger.publish.export import batches, write_object
from strandline.ledger.publish.period import EmptyJournal, first_block, last_block
from strandline.ledger.publish.target import BucketTarget, Target

KEPT = "(ended_at IS NULL OR ended_at > now() - interval '7 days')"  # as QLDB kept ended exports and streams
COLUMNS = """
    id, ledger, created_at, starts_at, ends_at, bucket, prefix, encryption, kms_key_arn, role_arn, format, status"""
READ = f"SELECT {COLUMNS} FROM control.export WHERE {KEPT} ORDER BY created_at, id"
READ_ONE = f"SELECT {COLUMNS} FROM control.export WHERE id = %s AND {KEPT}"
ADD = f"""
    INSERT INTO control.export ({COLUMNS.rpartition(",")[0]})
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
LOCK = "SELECT pg_try_advisory_lock(hashtext('strandline export'), hashtext(%s))"
POSITION = "SELECT last_no, keys FROM control.export WHERE id = %s AND status = 'IN_PROGRESS'"
MOVE = "UPDATE control.export SET last_no = %s, keys = keys || %s::text WHERE id = %s"
END = "UPDATE control.export SET status = %s, ended_at = now() WHERE id = %s AND ended_at IS NULL"


@dataclass(frozen=True, slots=True)
class Export:
    """An export: its request, in QLDB's terms, and its status."""

    id: str
    ledger: str
    created_at: datetime
    starts_at: datetime
    ends_at: datetime
    bucket: str
    prefix: str
    encryption: str
    kms_key_arn: str | None
    role_arn: str
    format: str
    status: str = "IN_PROGRESS"

    def target(self) -> Target:
        """Return its destination. Objects are encrypted as the request says."""
        more: dict[str, str] = {}
        if self.encryption != "NO_ENCRYPTION":
            more["ServerSideEncryption"] = "AES256" if self.encryption == "SSE_S3" else "aws:kms"
        if self.kms_key_arn is not None:
            more["SSEKMSKeyId"] = self.kms_key_arn
        return BucketTarget(boto3.client("s3"), self.bucket, self.prefix, more)


def read_exports(connection: psycopg.Connection[Any]) -> list[Export]:
    """Return the exports that have not ended, or have recently, the oldest first."""
    with connection.transaction():
        return [Export(*row) for row in connection.execute(READ.encode())]


def read_export(connection: psycopg.Connection[Any], export_id: str) -> Export | None:
    with connection.transaction():
        row = connection.execute(READ_ONE.encode(), [export_id]).fetchone()
    return None if row is None else Export(*row)


def begin_export(connection: psycopg.Connection[Any], export: Export) -> None:
    """Write the started manifest and add the export, which a server then runs. Raises AwsError, EmptyJournal."""
    if read_mark(connection).strand_id is None:
        raise EmptyJournal("The ledger has no blocks yet: export it once it has been written to.")
    target = export.target()
    name, format = f"{export.id}.started.manifest", Format(export.format)
    target.put(name, encode_manifest(_request(export, target.prefix), format))
    with connection.transaction():
        connection.execute(
            ADD.encode(),
            [
                export.id, export.ledger, export.created_at, export.starts_at, export.ends_at, export.bucket,
                export.prefix, export.encryption, export.kms_key_arn, export.role_arn, export.format,
            ],
        )  # fmt: skip


def run_export(url: str, export: Export, stopping: Callable[[], bool]) -> bool:
    """Write the objects that are missing, then the completed manifest. Returns whether the export has ended.

    It stops after an object if `stopping` says so. One process at a time: in another one it is a no-op. Raises AwsError
    if S3 refuses; StrandlineError for a block that cannot be exported.
    """
    with connect(url) as connection, connect(url, autocommit=True) as holding:
        if holding.execute(LOCK, [export.id]).fetchone() != (True,):
            return False
        with connection.transaction():
            position = connection.execute(POSITION, [export.id]).fetchone()
        if position is None:
            return True
        last_no, keys = position
        target, format = export.target(), Format(export.format)
        strand_id = read_mark(connection).strand_id or ""
        next_no = first_block(connection, export.starts_at) if last_no is None else last_no + 1
        end, _ = last_block(connection, export.ends_at)
        for blocks in batches(read_blocks(connection, next_no, end)):
            if stopping():
                return False
            keys.append(target.prefix + write_object(target, blocks, strand_id, format))
            with connection.transaction():
                connection.execute(MOVE, [blocks[-1]["blockAddress"]["sequenceNo"], keys[-1], export.id])
        target.put(f"{export.id}.{strand_id}.completed.manifest", encode_manifest({"keys": keys}, format))
        with connection.transaction():
            connection.execute(END, ["COMPLETED", export.id])
    return True


def cancel_export(url: str, export: Export) -> None:
    """Give up an export that cannot be completed."""
    with connect(url) as connection, connection.transaction():
        connection.execute(END, ["CANCELLED", export.id])


def _request(export: Export, prefix: str) -> dict[str, Any]:
    """Return the started manifest, which repeats the request."""
    times: dict[str, Timestamp] = {"inclusiveStartTime": at(export.starts_at), "exclusiveEndTime": at(export.ends_at)}
    return {
        "ledgerName": export.ledger,
        "exportId": export.id,
        **times,
        "bucket": export.bucket,
        "prefix": prefix,
        "objectEncryptionType": export.encryption,
        "outputFormat": export.format,
    }
