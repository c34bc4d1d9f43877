"""Checks of saved digests against the store, kept so that `status` can say what is covered by one."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime

from strandline.consumer.database.connection import Connection

ADD = """
    INSERT INTO journal.digest_check (digest, tip, answer, level, qldb, checked_by) VALUES (%s, %s, %s, %s, %s, %s)"""
READ = """
    SELECT digest, tip, answer, level, qldb, checked_by, checked_at
    FROM journal.digest_check ORDER BY id DESC LIMIT %s"""


@dataclass(frozen=True)
class DigestCheck:
    """One check. `tip` is the last block that the digest covers, None if it is not known.

    `answer` and `level` are of the verification that compared it. `qldb`: no block up to the tip was appended by
    Strandline.
    """

    digest: bytes
    tip: int | None
    answer: str
    level: str
    qldb: bool
    checked_by: str
    checked_at: datetime

    def as_dict(self) -> dict[str, object]:
        """Return the check in the form of `--json`."""
        return {
            "digest": b64encode(self.digest).decode(),
            "tip": self.tip,
            "answer": self.answer,
            "level": self.level,
            "qldb": self.qldb,
            "checked_by": self.checked_by,
            "checked_at": self.checked_at.isoformat(),
        }


def add_check(
    connection: Connection, digest: bytes, tip: int | None, answer: str, level: str, *, qldb: bool, by: str
) -> None:
    """Record a check, in a transaction of its own."""
    with connection.transaction():
        connection.execute(ADD, [digest, tip, answer, level, qldb, by])


def read_checks(connection: Connection, limit: int) -> list[DigestCheck]:
    """Return the latest checks, the newest first."""
    return [DigestCheck(*row) for row in connection.execute(READ, [limit])]
