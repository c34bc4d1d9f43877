"""Streams to Kinesis, as QLDB's API orders them: a row each. They run until they end, are cancelled, or fail."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.aws_errors import AwsError
from strandline.ledger.publish.kinesis import check_stream, kinesis
from strandline.ledger.publish.period_export import KEPT
from strandline.ledger.publish.stream import Streamer

RUNNING = ("ACTIVE", "IMPAIRED")
COLUMNS = """
    id, ledger, name, arn, created_at, starts_at, ends_at, role_arn, kinesis_arn, aggregated, status, error_cause"""
READ = f"SELECT {COLUMNS} FROM control.stream WHERE {KEPT} ORDER BY created_at, id"
READ_ONE = f"SELECT {COLUMNS} FROM control.stream WHERE id = %s AND {KEPT}"
ADD = """
    INSERT INTO control.stream
        (id, ledger, name, arn, created_at, starts_at, ends_at, role_arn, kinesis_arn, aggregated)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
IMPAIR = "UPDATE control.stream SET status = 'IMPAIRED', error_cause = %s WHERE id = %s AND ended_at IS NULL"
RECOVER = """
    UPDATE control.stream SET status = 'ACTIVE', error_cause = NULL WHERE id = %s AND status = 'IMPAIRED'"""
END = "UPDATE control.stream SET status = %s, ended_at = now() WHERE id = %s AND ended_at IS NULL"
# As QLDB names what impairs a stream (AWS's model, ErrorCause); other causes have no name.
CAUSES = {
    "ResourceNotFoundException": "KINESIS_STREAM_NOT_FOUND",
    "AccessDeniedException": "IAM_PERMISSION_REVOKED",
}


@dataclass(frozen=True, slots=True)
class JournalStream:
    """A stream: its request, in QLDB's terms, and its status."""

    id: str
    ledger: str
    name: str
    arn: str
    created_at: datetime
    starts_at: datetime
    ends_at: datetime | None
    role_arn: str
    kinesis_arn: str
    aggregated: bool
    status: str = "ACTIVE"
    error_cause: str | None = None

    @property
    def kinesis_name(self) -> str:
        return self.kinesis_arn.rpartition("/")[2]

    def client(self) -> Any:
        """Return boto3's client, of the region in the Kinesis stream's ARN."""
        return kinesis(self.kinesis_arn.split(":")[3] or None)


class NameInUse(Exception):
    """A stream of this name is running."""


def read_streams(connection: psycopg.Connection[Any]) -> list[JournalStream]:
    """Return the streams that have not ended, or have recently, the oldest first."""
    with connection.transaction():
        return [JournalStream(*row) for row in connection.execute(READ.encode())]


def read_stream(connection: psycopg.Connection[Any], stream_id: str) -> JournalStream | None:
    with connection.transaction():
        row = connection.execute(READ_ONE.encode(), [stream_id]).fetchone()
    return None if row is None else JournalStream(*row)


def begin_stream(connection: psycopg.Connection[Any], stream: JournalStream) -> None:
    """Add a stream, which a server then runs. Raises AwsError for a Kinesis stream that cannot be used, NameInUse."""
    check_stream(stream.client(), stream.kinesis_name)
    try:
        with connection.transaction():
            connection.execute(
                ADD,
                [
                    stream.id, stream.ledger, stream.name, stream.arn, stream.created_at, stream.starts_at,
                    stream.ends_at, stream.role_arn, stream.kinesis_arn, stream.aggregated,
                ],
            )  # fmt: skip
    except psycopg.errors.UniqueViolation:
        raise NameInUse from None


def end_stream(connection: psycopg.Connection[Any], stream_id: str, status: str) -> bool:
    """End a stream that runs, as COMPLETED, CANCELED or FAILED; returns whether it ran."""
    with connection.transaction():
        return connection.execute(END, [status, stream_id]).rowcount == 1


def run_stream(url: str, stream: JournalStream, stopping: Callable[[], bool]) -> bool:
    """Stream until it completes or `stopping` says so; returns whether it has completed.

    Raises AwsError, after the stream is marked as impaired; EmptyJournal, StreamInUse; StrandlineError for a block that
    cannot be streamed.
    """
    client = stream.client()
    try:
        check_stream(client, stream.kinesis_name)
        _execute(url, RECOVER, [stream.id])
        streamer = Streamer(
            url, client, stream.kinesis_name, stream.ends_at,
            starts_at=stream.starts_at, key=stream.id, arn=stream.arn, aggregated=stream.aggregated,
        )  # fmt: skip
        done = streamer.run(follow=True, stopping=stopping)
    except AwsError as error:
        _execute(url, IMPAIR, [CAUSES.get(error.code or ""), stream.id])
        raise
    if done.completed:
        _execute(url, END, ["COMPLETED", stream.id])
    return done.completed


def _execute(url: str, statement: str, values: list[Any]) -> None:
    with connect(url) as connection, connection.transaction():
        connection.execute(statement.encode(), values)
