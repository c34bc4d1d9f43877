"""Passwords that the URL does not hold: from AWS Secrets Manager, from a file, or RDS's tokens for an IAM identity.

They are process-wide, as the settings are: every connection of the process goes to one database.
"""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from strandline.consumer.database.errors import DatabaseUnreachable
from strandline.consumer.settings import Settings

FROM_RDS, FROM_SECRET, FROM_FILE = "rds-iam", "secret:", "file:"
SETTING = "STRANDLINE_DATABASE_PASSWORD_FROM"
AWS_SECONDS = 5

Given = Mapping[str, Any]  # what a URL gives, by libpq's names


class Source(ABC):
    """A source of the password of the login that `STRANDLINE_DATABASE_URL` names."""

    def __init__(self, given: Given) -> None:
        self._given = given

    def serves(self, given: Given) -> bool:
        """Return whether connections of this login take their password from here."""
        return "password" not in given and all(given.get(name) == self._given.get(name) for name in ("host", "user"))

    @abstractmethod
    def password(self, given: Given) -> str:
        """Return the password for one connection. Raises `DatabaseUnreachable`."""

    def newer(self, tried: str) -> str | None:
        """Return the password that replaced the one that was refused; None if there is none yet."""
        return None


class RdsToken(Source):
    """A token that RDS accepts for 15 minutes, made for each connection. It serves any login without a password."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self._client: Any = None

    def serves(self, given: Given) -> bool:
        return "password" not in given

    def password(self, given: Given) -> str:
        import boto3
        from botocore.exceptions import BotoCoreError

        host = given.get("host") or os.environ.get("PGHOST")
        user = given.get("user") or os.environ.get("PGUSER")
        if not host or not user:
            raise _unreadable("a token needs a host and a user in STRANDLINE_DATABASE_URL")
        port = int(given.get("port") or os.environ.get("PGPORT") or 5432)
        try:
            self._client = self._client or boto3.client("rds")
            return str(self._client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user))
        except (BotoCoreError, ValueError) as error:
            raise _unreadable(_of_boto(error)) from None


class Secret(Source):
    """A secret in AWS Secrets Manager: JSON with a member `password`, as RDS writes it, or the password alone."""

    def __init__(self, given: Given, name: str) -> None:
        super().__init__(given)
        self._name = name
        self._lock = Lock()
        self._known: str | None = None

    def password(self, given: Given) -> str:
        with self._lock:
            if self._known is None:
                self._known = self._read()
            return self._known

    def newer(self, tried: str) -> str | None:
        with self._lock:
            if self._known == tried:  # else another thread has read it again
                self._known = self._read()
            return self._known if self._known != tried else None

    def _read(self) -> str:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        config = Config(connect_timeout=AWS_SECONDS, read_timeout=AWS_SECONDS, retries={"total_max_attempts": 2})
        region = self._name.split(":")[3] if self._name.startswith("arn:") else None
        try:
            client = boto3.client("secretsmanager", region_name=region, config=config)
            text = client.get_secret_value(SecretId=self._name)["SecretString"]
        except ClientError as error:
            raise _unreadable(error.response.get("Error", {}).get("Code", "ClientError")) from None
        except (KeyError, IndexError):
            raise _unreadable(f"{self._name} is no secret with text") from None
        except (BotoCoreError, ValueError) as error:
            raise _unreadable(_of_boto(error)) from None
        return _member(text)


class File(Source):
    """A file that holds the password, such as a mounted secret. It is read for each connection."""

    def __init__(self, given: Given, path: Path) -> None:
        super().__init__(given)
        self._path = path

    def password(self, given: Given) -> str:
        try:
            return self._path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(f"{self._path}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from None


_source: Source | None = None


def use_password_source(settings: Settings) -> None:
    """Let the connections of this process take their password from where the settings say."""
    global _source
    _source = source_of(settings)


@contextmanager
def password_source(settings: Settings) -> Iterator[None]:
    """Do so until the block ends."""
    global _source
    before = _source
    use_password_source(settings)
    try:
        yield
    finally:
        _source = before


def source_of(settings: Settings) -> Source | None:
    """Return the source that the settings name, if any; it is not read yet."""
    name = settings.database_password_from
    if name is None:
        return None
    given = conninfo_to_dict(settings.database_url or "")
    if name == FROM_RDS:
        return RdsToken(given)
    if name.startswith(FROM_SECRET):
        return Secret(given, name.removeprefix(FROM_SECRET))
    return File(given, Path(name.removeprefix(FROM_FILE)))


def source_for(given: Given) -> Source | None:
    """Return the source of the password of a login; None if the URL, or libpq's own ways, have it."""
    return _source if _source is not None and _source.serves(given) else None


def encryption(source: Source | None, given: Given) -> dict[str, str]:
    """Return libpq's parameters by which a token is not sent in plain text, unless something else is set."""
    if not isinstance(source, RdsToken) or "sslmode" in given or "PGSSLMODE" in os.environ:
        return {}
    return {"sslmode": "require"}


def _member(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    if not isinstance(found, dict):
        return text
    if not isinstance(found.get("password"), str):
        raise _unreadable("the secret is JSON without a member `password`")
    return str(found["password"])


def _of_boto(error: Exception) -> str:
    """Describe an error by its kind; a region that is empty or wrong is a ValueError of an address."""
    kind = type(error).__name__
    return "AWS_REGION is not set, or wrong" if kind in ("NoRegionError", "ValueError") else kind


def _unreadable(reason: str) -> DatabaseUnreachable:
    return DatabaseUnreachable(f"The database's password cannot be read ({reason}): check {SETTING}.")
