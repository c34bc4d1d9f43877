"""Passwords from a secret, a file or RDS, and their rotation while a worker runs."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import psycopg
import pytest
from moto import mock_aws
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier, Literal

from strandline.cli import main
from strandline.consumer.database import password
from strandline.consumer.database.connection import connect, open_database
from strandline.consumer.database.errors import DatabaseUnreachable
from strandline.consumer.settings import Settings, load_settings
from strandline.consumer.worker.projectors import ProjectorThreads
from strandline.journal.errors import UsageError
from strandline.ledger.ledger import Ledger
from tests.consumer.worker.live import in_read_models, wait_for
from tests.consumer.worker.projecting import FILLED, PROJECTIONS, ingest
from tests.databases import PASSWORD_LOGIN

OLD, NEW = "first-password", "second-password"
ALTER = "ALTER ROLE {} PASSWORD {}"
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
Rotate = Callable[[str], None]


class Login:
    """A login of the test server that needs its password; `url` has none."""

    def __init__(self, database: str) -> None:
        self._database = database
        self.name = PASSWORD_LOGIN + uuid.uuid4().hex
        self.url = make_conninfo(database, user=self.name)

    def execute(self, statement: str, *values: Any) -> None:
        with psycopg.connect(self._database, autocommit=True) as connection:
            connection.execute(SQL(statement).format(Identifier(self.name), *map(Literal, values)))  # type: ignore[arg-type]

    def rotate(self, new: str) -> None:
        """Give it another password, and end its sessions."""
        self.execute(ALTER, new)
        with psycopg.connect(self._database, autocommit=True) as connection:
            connection.execute(END_SESSIONS, [self.name])


@pytest.fixture
def login(database: str) -> Iterator[Login]:
    made = Login(database)
    made.execute("CREATE ROLE {} LOGIN PASSWORD {}", OLD)
    made.execute("GRANT strandline_worker, strandline_cleared TO {} WITH INHERIT TRUE")
    try:
        yield made
    finally:
        made.rotate("gone")
        made.execute("DROP OWNED BY {}")
        made.execute("DROP ROLE {}")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.setenv(f"AWS_{name}", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    monkeypatch.delenv("AWS_REGION", raising=False)
    with mock_aws():
        yield


@contextmanager
def opened(url: str, source: str) -> Iterator[str]:
    with open_database(Settings(database_url=url, database_password_from=source)) as given:
        yield given


def who(url: str) -> str:
    with connect(url) as connection:
        row = connection.execute("SELECT session_user::text").fetchone()
    assert row is not None
    return str(row[0])


def test_login_needs_its_password(login: Login) -> None:
    """The control of the tests below."""
    with pytest.raises(DatabaseUnreachable, match="password"):
        connect(login.url)


def test_password_from_a_file(login: Login, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{OLD}\n")
    with opened(login.url, f"file:{file}") as url:
        assert who(url) == login.name
        login.rotate(NEW)
        with pytest.raises(DatabaseUnreachable, match=r"\nCheck the login and its password: .*_PASSWORD_FROM says\.$"):
            connect(url)
        file.write_text(NEW)
        assert who(url) == login.name
    with pytest.raises(DatabaseUnreachable):
        connect(login.url)


@pytest.mark.parametrize("form", ["json", "text"])
def test_rotated_secret_is_read_again(login: Login, aws: None, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def secret(value: str) -> str:
        return json.dumps({"username": login.name, "password": value}) if form == "json" else value

    manager = boto3.client("secretsmanager")
    arn = manager.create_secret(Name="strandline/database", SecretString=secret(OLD))["ARN"]
    reads = []
    read = password.Secret._read
    monkeypatch.setattr(password.Secret, "_read", lambda source: reads.append(1) or read(source))  # type: ignore[func-returns-value]
    with opened(login.url, f"secret:{arn}") as url:
        assert [who(url) for _ in range(3)] == [login.name] * 3
        assert len(reads) == 1
        login.rotate(NEW)
        with pytest.raises(DatabaseUnreachable, match="password"):
            connect(url)
        manager.put_secret_value(SecretId=arn, SecretString=secret(NEW))
        assert [who(url) for _ in range(3)] == [login.name] * 3
        assert len(reads) == 3
        with pytest.raises(DatabaseUnreachable, match="No such file"):
            connect(make_conninfo(url, port="1"))
        assert len(reads) == 3, "a server that is down has not refused it"


def test_rotation_does_not_end_a_worker(login: Login, database: str, tmp_path: Path) -> None:
    """Its projectors lose their sessions and the old password, and go on."""
    file = tmp_path / "password"
    file.write_text(OLD)
    with opened(login.url, f"file:{file}") as url:
        worker = ProjectorThreads(url, PROJECTIONS)
        worker.start()
        try:
            login.rotate(NEW)
            wait_for(lambda: any(worker.faults().values()))
            file.write_text(NEW)
            wait_for(lambda: not any(worker.faults().values()))
            ingest(url)
            wait_for(lambda: in_read_models(database, FILLED) == 8)
        finally:
            worker.stop()
            assert worker.join(30)


def test_rotation_does_not_end_a_ledger(login: Login, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(OLD)
    with opened(login.url, f"file:{file}") as url, Ledger(url) as ledger:
        ledger.execute(lambda transaction: transaction.create_table("Person"))
        login.rotate(NEW)
        file.write_text(NEW)
        ledger.execute(lambda transaction: transaction.insert("Person", {"name": "Ada Example"}))


def test_psql_gets_the_password(
    login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "password").write_text(OLD)
    (tmp_path / "statements").write_text("SELECT 'as ' || session_user;\n")
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", login.url)
    monkeypatch.setenv("STRANDLINE_DATABASE_PASSWORD_FROM", f"file:{tmp_path / 'password'}")
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with (tmp_path / "statements").open() as given:
        before = os.dup(0)
        os.dup2(given.fileno(), 0)
        try:
            assert main(["sql"]) == 0
        finally:
            os.dup2(before, 0)
            os.close(before)
    assert f"as {login.name}" in capfd.readouterr().out


def test_each_connection_has_a_token_of_its_own(login: Login, aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for RDS: it accepts the newest token alone."""
    tokens = []

    def token(self: password.RdsToken, given: password.Given) -> str:
        tokens.append(f"token {len(tokens)}")
        login.execute(ALTER, tokens[-1])
        return tokens[-1]

    monkeypatch.setattr(password.RdsToken, "password", token)
    with opened(make_conninfo(login.url, sslmode="disable"), "rds-iam") as url:
        assert [who(url) for _ in range(3)] == [login.name] * 3
    assert len(tokens) == 3


def test_token_names_host_port_and_login(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGUSER", "strandline_service")
    url = "postgresql://db.example:5433/strandline"
    source = password.source_of(Settings(database_url=url, database_password_from="rds-iam"))
    assert isinstance(source, password.RdsToken)
    given = conninfo_to_dict(url)
    token = urlsplit(f"https://{source.password(given)}")
    asked = parse_qs(token.query)
    assert token.netloc == "db.example:5433"
    assert (asked["Action"], asked["DBUser"]) == (["connect"], ["strandline_service"])
    assert asked["X-Amz-Expires"] == ["900"]
    assert "/eu-west-2/rds-db/" in asked["X-Amz-Credential"][0]
    assert password.encryption(source, given) == {"sslmode": "require"}
    assert password.encryption(source, {**given, "sslmode": "verify-full"}) == {}


def test_other_logins_keep_their_own_password() -> None:
    url = "postgresql://owner@db.example/strandline"
    kept = password.source_of(Settings(database_url=url, database_password_from="file:/p"))
    token = password.source_of(Settings(database_url=url, database_password_from="rds-iam"))
    assert kept is not None
    assert token is not None
    for other, from_file, from_rds in [
        ("postgresql://owner@db.example/strandline?options=-c%20role%3Dx", True, True),
        ("postgresql://reader@db.example/strandline", False, True),
        ("postgresql://owner@other.example/strandline", False, True),
        ("postgresql://reader:its-own@db.example/strandline", False, False),
    ]:
        given = conninfo_to_dict(other)
        assert (kept.serves(given), token.serves(given)) == (from_file, from_rds), other


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("file:/no/such/file", "/no/such/file: No such file or directory"),
        ("secret:none", "ResourceNotFoundException"),
        ("secret:empty", "without a member `password`"),
        ("rds-iam", "a token needs a host and a user"),
    ],
)
def test_source_that_cannot_be_read_is_named(
    login: Login, aws: None, source: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3.client("secretsmanager").create_secret(Name="empty", SecretString='{"username": "x", "secret": "SECRET"}')
    url = "postgresql:///strandline" if source == "rds-iam" else login.url
    monkeypatch.delenv("PGHOST", raising=False)
    with opened(url, source) as given, pytest.raises(DatabaseUnreachable) as caught:
        connect(given)
    assert reason in str(caught.value)
    assert str(caught.value).endswith("check STRANDLINE_DATABASE_PASSWORD_FROM.")
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("source", ["secret:name", "rds-iam"])
@pytest.mark.parametrize("region", ["", "not a region"])
def test_wrong_region_is_named(login: Login, source: str, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.delenv("AWS_REGION", raising=False)
    with opened(login.url, source) as given, pytest.raises(DatabaseUnreachable) as caught:
        connect(given)
    assert "AWS_REGION is not set, or wrong" in str(caught.value) or "InvalidRegionError" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "source", "reason"),
    [
        (None, "rds-iam", "needs STRANDLINE_DATABASE_URL"),
        ("postgresql://u:secret-word@h/d", "rds-iam", "STRANDLINE_DATABASE_URL has a password"),
        ("postgresql://u@h/d", "vault:x", "STRANDLINE_DATABASE_PASSWORD_FROM is not rds-iam, secret:NAME or file:PATH"),
    ],
)
def test_wrong_settings(monkeypatch: pytest.MonkeyPatch, url: str | None, source: str, reason: str) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", url or "")
    monkeypatch.setenv("STRANDLINE_DATABASE_PASSWORD_FROM", source)
    with pytest.raises(UsageError, match=reason) as caught:
        load_settings()
    assert "secret-word" not in str(caught.value)
